"""Fetch or build a kind's pinned artifact ahead of time.

The decisions live with the role `artifact`, because Ansible ships them; this module loads the same files.
"""

import importlib.util
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

import yaml

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY, cache
from stacks.role_library import LOADING, having
from stacks.text import refused

MANIFEST = "artifacts.yml"
_PACKAGE = "stakeyard_artifact"
_FOLDER = REPOSITORY / "roles" / "artifact" / "module_utils" / _PACKAGE


def library() -> ModuleType:
    """The package `roles/artifact/module_utils/stakeyard_artifact` (`roles` itself is not a package)."""
    with LOADING:
        return _library()


def _library() -> ModuleType:
    if _PACKAGE in sys.modules:
        return sys.modules[_PACKAGE]
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
    )
    if spec is None or spec.loader is None:
        raise StakeyardError(f"{_FOLDER} is missing: this checkout is not complete.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)
    return module


def default_version(kind: str, network: str) -> str:
    """The release that `artifacts.yml` of `kind` names for a network; the private one, which stands last, if empty."""
    manifest = _manifest(kind)
    try:
        defaults = yaml.safe_load(manifest.read_text())["default"]
        return str(defaults[network or list(defaults)[-1]])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        raise StakeyardError(f"{manifest} names no default release for {kind} on {network}.") from None


def prefetch(kind: str, report: Callable[[str], None], network: str = "") -> Path:
    """Verified archive of `kind`'s default release for `network` (if empty, the private one), in the cache; takes
    minutes when it must be built.

    Raises StakeyardError with the reason of a refusal.
    """
    known = having(MANIFEST)
    if kind not in known:
        raise StakeyardError(f"no kind `{kind}` has software of its own; choose {', '.join(known)}.")
    artifact = library()
    try:
        release = artifact.load(_manifest(kind), default_version(kind, network))
        obtained = artifact.obtain(release, os.environ.get("STAKEYARD_MIRROR", ""), cache() / "artifacts", report)
    except artifact.ArtifactError as refusal:
        raise StakeyardError(str(refusal)) from None
    except OSError as error:
        raise StakeyardError(
            f"{error.filename or cache()} cannot be used ({refused(error)}): make room in the cache, or let "
            "STAKEYARD_CACHE name a folder that you may write to."
        ) from None
    for warning in obtained.warnings:
        report(f"warning: {warning}")
    report(f"{release.artifact} {release.version}: {obtained.path} (sha256 {obtained.sha256}, {obtained.origin})")
    return cast(Path, obtained.path)


def unpack(archive: Path, member: str, folder: Path) -> Path:
    """The program `member` (without the archive's own folder) of a verified archive, put into `folder`."""
    program = folder / Path(member).name
    with tarfile.open(archive) as packed:
        for entry in packed:
            found = packed.extractfile(entry) if entry.name.partition("/")[2] == member else None
            if found:
                program.write_bytes(found.read())
                program.chmod(0o700)
                return program
    raise StakeyardError(f"{archive} has no {member}: the pinned release is not complete.")


def _manifest(kind: str) -> Path:
    return REPOSITORY / "roles" / kind / MANIFEST
