#!/usr/bin/python
"""Install a copied archive beside the other versions and switch to it, on the managed host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_install
short_description: Install verified archives side by side and switch between them
description:
  - Verifies the digest of an archive on the host, unpacks it to a folder of its own and switches the link C(current) to it.
  - Every step is a rename, so an interrupted run leaves the old version in place. The previous version is kept.
options:
  name: {description: Name of the artifact., type: str, required: true}
  version: {description: Version to install., type: str}
  sha256: {description: Digest that the archive must have., type: str}
  archive: {description: Archive on this host; without it the module only looks., type: path}
  members: {description: Files to take from the archive., type: list, elements: str, default: []}
  strip: {description: Leading folders of the archive to drop., type: int, default: 1}
  root: {description: Where artifacts live., type: path, default: /opt/stakeyard}
  state: {description: Install or go back to the previous version., choices: [present, previous], default: present}
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
"""

import hashlib
import os
import re
import shutil
import tarfile
import tempfile

from ansible.module_utils.basic import AnsibleModule

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")


class Refusal(Exception):
    """One sentence for the operator."""


def sha256_of(path: str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def member_name(name: str, strip: int) -> str | None:
    """Name of an archive's member without its leading folders; None for what lies above them or points outside."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise Refusal(f"the archive has a member {name!r} that points outside; do not use it.")
    return "/".join(parts[strip:]) or None


def unpack(archive: str, target: str, members: list[str], strip: int) -> None:
    """Take exactly `members` (regular files) out of `archive` into `target`, mode 0755, owned by root."""
    wanted = set(members)
    with tarfile.open(archive) as tar:
        for entry in tar:
            name = member_name(entry.name, strip)
            if name not in wanted:
                continue
            stream = tar.extractfile(entry) if entry.isreg() else None
            if stream is None:
                raise Refusal(f"{entry.name} in the archive is not a regular file; do not use it.")
            path = os.path.join(target, name)
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            with open(path, "wb") as output:
                shutil.copyfileobj(stream, output, 1 << 20)
                output.flush()
                os.fsync(output.fileno())
            os.chmod(path, 0o755)
            wanted.discard(name)
    if wanted:
        raise Refusal(f"the archive lacks {', '.join(sorted(wanted))}.")


def point(link: str, target: str) -> None:
    """Make `link` a relative symbolic link to `target`, in one rename."""
    fresh = f"{link}.new"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    os.symlink(target, fresh)
    os.replace(fresh, link)


def target_of(link: str) -> str:
    """What a link points to, or nothing."""
    return os.readlink(link) if os.path.islink(link) else ""


def switch(base: str, folder: str) -> None:
    """Point `current` to `folder` and remember the one before as `previous`; drop versions that neither names."""
    before = target_of(os.path.join(base, "current"))
    if before and before != folder:
        point(os.path.join(base, "previous"), before)
    point(os.path.join(base, "current"), folder)
    kept = {folder, target_of(os.path.join(base, "previous"))}
    for entry in os.scandir(base):
        if entry.is_dir(follow_symlinks=False) and entry.name not in kept:
            shutil.rmtree(entry.path, ignore_errors=True)


def install(base: str, folder: str, archive: str, sha256: str, members: list[str], strip: int) -> None:
    """Verify, unpack beside, rename into place."""
    found = sha256_of(archive)
    if found != sha256:
        raise Refusal(f"{archive} has sha256 {found} on this host, {sha256} was verified on the control machine.")
    os.makedirs(base, mode=0o755, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".unpack-", dir=base)
    try:
        unpack(archive, work, members, strip)
        os.chmod(work, 0o755)
        shutil.rmtree(os.path.join(base, folder), ignore_errors=True)  # half a folder of an older tool
        os.rename(work, os.path.join(base, folder))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def go_back(base: str) -> str:
    """Switch `current` to `previous` and forget `previous`, so that a second call cannot swing forward again."""
    previous = target_of(os.path.join(base, "previous"))
    if not previous or not os.path.isdir(os.path.join(base, previous)):
        raise Refusal(f"{base} has no previous version to go back to.")
    point(os.path.join(base, "current"), previous)
    os.unlink(os.path.join(base, "previous"))
    return previous


def complete(base: str, folder: str, members: list[str]) -> bool:
    """Whether a version is installed with all its files."""
    return all(os.access(os.path.join(base, folder, name), os.X_OK) for name in members)


def run(parameters: dict, check: bool) -> dict:
    """Do what is asked; returns Ansible's result. Nothing is touched in check mode."""
    if not PLAIN.fullmatch(parameters["name"]):
        raise Refusal(f"{parameters['name']!r} is not a plain name.")
    base = os.path.join(parameters["root"], parameters["name"])
    current = target_of(os.path.join(base, "current"))
    previous = target_of(os.path.join(base, "previous"))
    if parameters["state"] == "previous":
        target = previous if check else go_back(base)
        return {"changed": True, "needs_archive": False, "current": target, "previous": ""}
    if not PLAIN.fullmatch(parameters["version"] or "") or not re.fullmatch(r"[0-9a-f]{64}", parameters["sha256"] or ""):
        raise Refusal("version and sha256 must be pinned.")
    folder = f"{parameters['version']}-{parameters['sha256'][:8]}"
    installed = complete(base, folder, parameters["members"])
    if installed and current == folder:
        return {"changed": False, "needs_archive": False, "current": current, "previous": previous}
    if not installed and not parameters["archive"]:
        return {"changed": check, "needs_archive": True, "current": current, "previous": previous}
    if not check:
        if not installed:
            arguments = (parameters["archive"], parameters["sha256"], parameters["members"], parameters["strip"])
            install(base, folder, *arguments)
        switch(base, folder)
    if parameters["archive"] and not check and os.path.exists(parameters["archive"]):
        os.unlink(parameters["archive"])
    return {"changed": True, "needs_archive": False, "current": folder, "previous": current or previous}


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
            "state": {"type": "str", "choices": ["present", "previous"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except (Refusal, OSError, tarfile.TarError) as reason:
        module.fail_json(msg=f"{module.params['name']}: {reason}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
