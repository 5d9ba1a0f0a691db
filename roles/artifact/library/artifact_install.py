#!/usr/bin/python
"""Install a copied archive beside the other versions and switch to it, on the managed host."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: artifact_install
short_description: Install verified archives side by side and switch between them
description:
  - Verifies the digest of an archive on the host, unpacks it to a folder of its own and switches C(current) to it.
  - Every step is a rename, so an interrupted run leaves the old version in place.
  - The last version that passed its health gate is kept as the previous one.
options:
  name: {description: Name of the artifact., type: str, required: true}
  version: {description: Version to install., type: str}
  sha256: {description: Digest that the archive must have., type: str}
  archive: {description: Archive on this host; without it the module only looks., type: path}
  members: {description: Files to take from the archive., type: list, elements: str, default: []}
  strip: {description: Leading folders of the archive to drop., type: int, default: 1}
  root: {description: Where artifacts live., type: path, default: /opt/stakeyard}
  state:
    description:
      - V(present) installs, V(proven) remembers that the version passed its health gate, V(previous) goes back to the
        version before.
    choices: [present, proven, previous]
    default: present
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Go back to the version before.
  artifact_install: {name: bitcoin, state: previous}
"""

RETURN = r"""
needs_archive: {description: Whether the archive must be copied here first., type: bool, returned: always}
current: {description: Folder that C(current) points to., type: str, returned: always}
previous: {description: Folder of the version before., type: str, returned: always}
unproven: {description: Whether the current version never passed its health gate., type: bool, returned: always}
"""

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
DIGEST = re.compile(r"[0-9a-f]{64}")
UNPROVEN = ".unproven"
EXECUTABLE = 0o755  # programs and their folders: everyone may run them, root may change them


class RefusalError(Exception):
    """One sentence for the operator."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def member_name(name: str, strip: int) -> str | None:
    """Name of an archive's member without its leading folders; None for what lies above them."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise RefusalError(f"the archive has a member {name!r} that points outside; do not use it.")
    return "/".join(parts[strip:]) or None


def unpack(archive: Path, target: Path, members: list[str], strip: int) -> None:
    """Take exactly `members` (regular files) out of `archive` into `target`, mode 0755, owned by root."""
    wanted = set(members)
    with tarfile.open(archive) as tar:
        for entry in tar:
            name = member_name(entry.name, strip)
            if name not in wanted:
                continue
            stream = tar.extractfile(entry) if entry.isreg() else None
            if stream is None:
                raise RefusalError(f"{entry.name} in the archive is not a regular file; do not use it.")
            path = target / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with path.open("wb") as output:
                shutil.copyfileobj(stream, output, 1 << 20)
                output.flush()
                os.fsync(output.fileno())
            path.chmod(EXECUTABLE)
            wanted.discard(name)
    if wanted:
        raise RefusalError(f"the archive lacks {', '.join(sorted(wanted))}.")


def point(link: Path, target: str) -> None:
    """Make `link` a relative symbolic link to `target`, in one rename."""
    fresh = link.with_name(f"{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def target_of(link: Path) -> str:
    """What a link points to, or nothing."""
    return str(link.readlink()) if link.is_symlink() else ""


def switch(base: Path, folder: str) -> None:
    """Point `current` to `folder` and keep as `previous` the last version that passed its health gate.

    Versions that neither names are dropped.
    """
    before = target_of(base / "current")
    tried = unproven_names(base) & {before}
    if tried and target_of(base / "previous") == folder:
        go_back(base)
        return
    if before and before != folder and not tried:
        point(base / "previous", before)
    if before != folder:  # before the switch: a run that is killed in between must leave neither of them proven
        fresh = base / f"{UNPROVEN}.new"
        fresh.write_text("\n".join([*tried, folder]))
        fresh.replace(base / UNPROVEN)
    point(base / "current", folder)
    kept = {folder, target_of(base / "previous")}
    for entry in base.iterdir():
        if entry.is_dir() and not entry.is_symlink() and entry.name not in kept:
            shutil.rmtree(entry, ignore_errors=True)


def install(base: Path, folder: str, parameters: dict[str, Any]) -> None:
    """Verify, unpack beside, rename into place."""
    archive = Path(parameters["archive"])
    found = sha256_of(archive)
    if found != parameters["sha256"]:
        raise RefusalError(
            f"{archive} has sha256 {found} on this host, {parameters['sha256']} was verified on the control machine."
        )
    base.mkdir(mode=0o755, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unpack-", dir=base))
    try:
        unpack(archive, work, parameters["members"], parameters["strip"])
        work.chmod(EXECUTABLE)
        shutil.rmtree(base / folder, ignore_errors=True)  # a version that lost files
        work.rename(base / folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def go_back(base: Path) -> str:
    """Switch `current` to `previous` and forget `previous`, so that a second call cannot swing forward again."""
    previous = target_of(base / "previous")
    if not previous or not (base / previous).is_dir():
        raise RefusalError(f"{base} has no previous version to go back to.")
    point(base / "current", previous)
    (base / "previous").unlink()
    if previous not in unproven_names(base):
        (base / UNPROVEN).unlink(missing_ok=True)
    return previous


def unproven_names(base: Path) -> set[str]:
    """Folders that were switched to, or were about to be, and have not passed their health gate."""
    marker = base / UNPROVEN
    return set(marker.read_text().split()) if marker.exists() else set()


def unproven(base: Path) -> bool:
    """Whether the current version was switched to and never passed its health gate."""
    return target_of(base / "current") in unproven_names(base)


def complete(base: Path, folder: str, members: list[str]) -> bool:
    """Whether a version is installed with all its files."""
    return all(os.access(base / folder / name, os.X_OK) for name in members)


def result(changed: bool, current: str, previous: str, needs_archive: bool = False) -> dict[str, Any]:
    """What the task reports."""
    return {"changed": changed, "current": current, "previous": previous, "needs_archive": needs_archive}


def run(parameters: dict[str, Any], check: bool) -> dict[str, Any]:
    """Do what is asked; returns Ansible's result. Nothing is touched in check mode."""
    if not PLAIN.fullmatch(parameters["name"]):
        raise RefusalError(f"{parameters['name']!r} is not a plain name.")
    base = Path(parameters["root"]) / parameters["name"]
    current, previous = target_of(base / "current"), target_of(base / "previous")
    if parameters["state"] == "proven":
        if not check:
            (base / UNPROVEN).unlink(missing_ok=True)
        return result(False, current, previous)
    if parameters["state"] == "previous":
        return result(True, previous if check else go_back(base), "")
    if not PLAIN.fullmatch(parameters["version"] or "") or not DIGEST.fullmatch(parameters["sha256"] or ""):
        raise RefusalError("version and sha256 must be pinned.")
    folder = f"{parameters['version']}-{parameters['sha256'][:8]}"
    installed = complete(base, folder, parameters["members"])
    if installed and current == folder:
        return result(False, current, previous)
    if not installed and not parameters["archive"]:
        return result(check, current, previous, needs_archive=True)
    if check:
        return result(True, folder, previous if unproven(base) else current)
    if not installed:
        install(base, folder, parameters)
    switch(base, folder)
    if parameters["archive"]:
        Path(parameters["archive"]).unlink(missing_ok=True)
    return result(True, folder, target_of(base / "previous"))


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "version": {"type": "str"},
            "sha256": {"type": "str"},
            "archive": {"type": "path"},
            "members": {"type": "list", "elements": "str", "default": []},
            "strip": {"type": "int", "default": 1},
            "root": {"type": "path", "default": "/opt/stakeyard"},
            "state": {"type": "str", "choices": ["present", "proven", "previous"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        answer = run(module.params, module.check_mode)
        answer["unproven"] = unproven(Path(module.params["root"]) / module.params["name"])
    except (RefusalError, OSError, tarfile.TarError) as reason:
        module.fail_json(msg=f"{module.params['name']}: {reason}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
