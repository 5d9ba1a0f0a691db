"""The order of sources and the cache: nothing unverified or half-fetched is ever returned."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .build import build, build_key, tools_version
from .model import ArtifactError, Release, parse_release
from .signature import pinned_in, verify
from .sources import (
    Report,
    Unreachable,
    check_archive,
    download,
    mirror_places,
    sha256_of,
    temporary_beside,
    text_of,
)


@dataclass(frozen=True)
class Obtained:
    """A verified archive in the cache and what is known of its origin."""

    path: Path
    sha256: str
    origin: str
    signers: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def default_cache() -> Path:
    """The same folder as `stacks.paths.cache() / "artifacts"`, for use where that package is not importable."""
    chosen, shared = os.environ.get("STAKEYARD_CACHE"), Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen and not Path(chosen).is_absolute():
        raise ArtifactError(f"STAKEYARD_CACHE is {chosen}, a relative path: write it from /.")
    base = shared if shared.is_absolute() else Path.home() / ".cache"
    return Path(chosen or base / "stakeyard") / "artifacts"


def load(manifest: Path, version: str, platform: str = "x86_64") -> Release:
    """The release `version` of an artifacts.yml."""
    try:
        data = yaml.safe_load(manifest.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ArtifactError(f"{manifest}: {str(error).splitlines()[0]}.") from None
    return parse_release(data, manifest.parent, version, platform)


@contextmanager
def _locked(folder: Path, report: Report) -> Iterator[None]:
    """One writer at a time; the lock falls with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another run that fetches the same artifact")
            fcntl.flock(handle, fcntl.LOCK_EX)
        _sweep(folder)
        yield


def _sweep(folder: Path) -> None:
    """Remove what killed runs left; the caller holds the lock, so nobody works on it."""
    for part in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
        part.unlink(missing_ok=True)
    for work in folder.glob("*/.build-*"):
        shutil.rmtree(work, ignore_errors=True)


def _record(path: Path, obtained: Obtained, key: str) -> None:
    record = path.with_name("verified.json")
    with temporary_beside(record) as temporary:
        entry = {"sha256": obtained.sha256, "origin": obtained.origin, "signers": obtained.signers}
        entry |= {"key": key, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        temporary.write_text(json.dumps(entry, indent=2) + "\n")
        temporary.replace(record)


def _cached(path: Path, key: str) -> Obtained | None:
    """The cached archive if it was verified under the same policy and is still what it was."""
    try:
        entry = json.loads(path.with_name("verified.json").read_text())
        if entry["key"] == key and sha256_of(path) == entry["sha256"]:
            return Obtained(path, entry["sha256"], entry["origin"], entry["signers"])
    except (OSError, ValueError, KeyError):
        pass
    return None


def _signed(release: Release, digest: str, place: str | None, folder: Path) -> tuple[list[str], list[str]]:
    """Check the signatures where artifacts.yml asks for them; `place` is a folder of the mirror or None."""
    policy = release.signatures
    if policy is None:
        return [], []
    names = [f"{place}/{url.rpartition('/')[2]}" if place else url for url in (policy.sums, policy.signature)]
    subject = f"{release.artifact} {release.version}"
    with temporary_beside(folder / "SHA256SUMS") as sums, temporary_beside(folder / "SHA256SUMS.asc") as signature:
        try:
            for name, target in zip(names, (sums, signature), strict=True):
                text_of(name, target)
        except Unreachable as reason:
            raise ArtifactError(f"{subject}: the archive is there but its signatures are not: {reason}.") from None
        outcome = verify(sums, signature, policy, subject)
        pinned_in(sums.read_text(errors="replace"), release.file, digest, subject)
    return outcome.good, outcome.warnings


def _from_places(
    release: Release, places: list[tuple[str, str | None]], target: Path, report: Report
) -> tuple[Obtained | None, list[str]]:
    """Try (address, folder of its signatures) in order; the first that has the file must be right."""
    reasons: list[str] = []
    for address, place in places:
        with temporary_beside(target) as temporary:
            try:
                report(f"{release.artifact} {release.version}: asking {address}")
                download(address, temporary)
            except Unreachable as reason:
                reasons.append(str(reason))
                continue
            digest = check_archive(temporary, release, address)
            signers, warnings = _signed(release, digest, place, target.parent)
            temporary.replace(target)
            return Obtained(target, digest, address, signers, warnings), reasons
    return None, reasons


def obtain(release: Release, mirror: str, cache: Path, report: Report) -> Obtained:
    """A verified archive of `release`: from the cache, the mirror, upstream, or built here.

    `mirror` is a directory, an http(s) address or empty. Raises ArtifactError for every refusal; a source that has the
    file but a wrong one ends the search, only a source without it passes the question on.
    """
    folder = cache / release.artifact / f"{release.version}-{release.platform}"
    with _locked(folder, report):
        target = folder / release.file
        if release.accepted and (cached := _cached(target, release.policy())):
            return cached
        mirror_list = [(f"{place}/{release.file}", place) for place in mirror_places(mirror, release)] if mirror else []
        upstream: list[tuple[str, str | None]] = [(url, None) for url in release.urls]
        reasons: list[str] = []
        if release.accepted:
            found, reasons = _from_places(release, [*mirror_list, *upstream], target, report)
            if found:
                _record(target, found, release.policy())
                return found
        if release.source is None:
            raise ArtifactError(
                f"{release.artifact} {release.version}: no source has {release.file} "
                f"({'; '.join(reasons) or 'none is named'}); set STAKEYARD_MIRROR to a directory or address with it."
            )
        return _built(release, folder, report)


def _built(release: Release, folder: Path, report: Report) -> Obtained:
    """The archive built here from the pinned source, cached by recipe and compiler."""
    source = release.source
    assert source is not None  # noqa: S101  (the caller looked)
    compiler = tools_version(source)
    key = build_key(release, source, compiler)
    target = folder / f"built-{key[:12]}" / release.file
    if cached := _cached(target, key):
        return cached
    with temporary_beside(target) as temporary:
        build(release, source, temporary, report)
        digest = sha256_of(temporary)
        temporary.replace(target)
    origin = f"built from {source.origin} with {compiler}"
    result = Obtained(target, digest, origin)
    _record(target, result, key)
    return result
