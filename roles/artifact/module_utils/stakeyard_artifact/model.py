"""What `artifacts.yml` may say. Everything here is a pure decision: text in, a release or one clear refusal out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Names that point at something else tomorrow. A pin that moves is not a pin.
FLOATING = frozenset({"", "latest", "stable", "current", "main", "master", "head", "dev", "develop", "nightly", "edge"})
VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]*")
SHA256 = re.compile(r"[0-9a-f]{64}")
FINGERPRINT = re.compile(r"[0-9A-F]{40}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class ArtifactError(Exception):
    """A refusal or a failure an operator can act on: one sentence that names the file and says what to do."""


@dataclass(frozen=True)
class Signer:
    """Someone whose signature counts. `key` is the file that holds the public key."""

    name: str
    fingerprint: str
    key: Path


@dataclass(frozen=True)
class Signatures:
    """Signatures over a file of checksums: at least `threshold` different pinned signers must be good."""

    sums: str
    signature: str
    threshold: int
    signers: tuple[Signer, ...]


@dataclass(frozen=True)
class Source:
    """How to build the archive from a crate that ships the source tree."""

    crate: str
    version: str
    checksum: str
    manifest: Path
    subdirectory: str
    options: tuple[str, ...]
    targets: tuple[str, ...]
    outputs: tuple[str, ...]
    tools: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]

    @property
    def origin(self) -> str:
        """What the archive is built from, in words."""
        return f"{self.crate} {self.version}"


@dataclass(frozen=True)
class GoSource:
    """How to build the archive from Go modules: all of them pinned by go.mod and go.sum in the folder `manifest`."""

    module: str
    version: str
    manifest: Path
    packages: tuple[str, ...]
    outputs: tuple[str, ...]
    c_flags: str = ""
    """Flags for the C compiler, in place of Go's own `-O2 -g`."""

    @property
    def origin(self) -> str:
        """What the archive is built from, in words."""
        return f"{self.module} {self.version}"


@dataclass(frozen=True)
class Release:
    """One version of an artifact for one platform."""

    artifact: str
    version: str
    platform: str
    file: str
    sha256: str | None
    size: int | None
    built_sha256: tuple[str, ...]
    urls: tuple[str, ...]
    members: tuple[str, ...]
    strip: int
    signatures: Signatures | None
    source: Source | GoSource | None
    reports: str
    lab_only: bool

    @property
    def accepted(self) -> tuple[str, ...]:
        """Digests an archive may have when it comes from anywhere but a build on this machine."""
        return (self.sha256,) if self.sha256 else self.built_sha256

    def policy(self) -> str:
        """Digest of everything that decides whether an archive may be trusted."""
        text = json.dumps(asdict(self), sort_keys=True, default=lambda path: Path(path).name)
        return hashlib.sha256(text.encode()).hexdigest()


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise ArtifactError(f"{where}: `{key}` is missing or not a text.")
    return value


def _texts(data: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise ArtifactError(f"{where}: `{key}` must be a list of texts.")
    return tuple(value)


def _digest(value: object, where: str, key: str = "sha256") -> str:
    if not isinstance(value, str) or not SHA256.fullmatch(value):
        raise ArtifactError(f"{where}: `{key}` must be 64 lower-case hexadecimal digits, pinned in artifacts.yml.")
    return value


def check_version(artifact: str, version: str) -> str:
    """Refuse a version that can change its meaning."""
    if not VERSION.fullmatch(version) or version.lower() in FLOATING or "latest" in version.lower():
        raise ArtifactError(
            f"{artifact}: `{version or '(empty)'}` is not a pinned version; name a release of artifacts.yml, "
            "never a tag or branch that moves."
        )
    return version


def check_url(url: str, where: str) -> str:
    """Refuse an address without transport security or one that moves (`/latest/`, a branch archive)."""
    parts = [part.lower() for part in re.split(r"[/?=&]", url)]
    if not url.startswith("https://"):
        raise ArtifactError(f"{where}: {url} must start with https://.")
    if any(part in FLOATING - {""} for part in parts):
        raise ArtifactError(f"{where}: {url} is a moving address; pin one release.")
    return url


def _signers(data: Mapping[str, Any], folder: Path, where: str) -> tuple[Signer, ...]:
    signers: list[Signer] = []
    for item in data.get("signers", []):
        fingerprint = _text(item, "fingerprint", f"{where}: signers").replace(" ", "").upper()
        if not FINGERPRINT.fullmatch(fingerprint):
            raise ArtifactError(f"{where}: signer fingerprint {fingerprint} is not 40 hexadecimal digits.")
        if fingerprint in {signer.fingerprint for signer in signers}:
            raise ArtifactError(f"{where}: signer {fingerprint} is listed twice.")
        key = folder / _text(item, "key", f"{where}: signer {fingerprint}")
        signers.append(Signer(_text(item, "name", where), fingerprint, key))
    return tuple(signers)


def _signatures(release: Mapping[str, Any], data: Mapping[str, Any], folder: Path, where: str) -> Signatures | None:
    block = release.get("signatures")
    if block is None:
        return None
    signers = _signers(data, folder, where)
    threshold = block.get("threshold")
    if not isinstance(threshold, int) or isinstance(threshold, bool) or threshold < 1:
        raise ArtifactError(f"{where}: `signatures.threshold` must be a whole number of at least 1.")
    if threshold > len(signers):
        raise ArtifactError(
            f"{where}: {threshold} good signatures are asked for but only {len(signers)} signers are pinned."
        )
    sums, signature = (check_url(_text(block, key, where), where) for key in ("sums", "signature"))
    return Signatures(sums, signature, threshold, signers)


def _source(release: Mapping[str, Any], folder: Path, where: str) -> Source | GoSource | None:
    block = release.get("source")
    if block is None:
        return None
    if "module" in block:
        module, packages = _text(block, "module", where), _texts(block, "packages", where)
        version = _text(block, "version", where)
        check_version(module, version.removeprefix("v"))
        outputs = tuple(f"bin/{package.rpartition('/')[2]}" for package in packages)
        if not packages:
            raise ArtifactError(f"{where}: `source.packages` must name what is built.")
        manifest, c_flags = folder / _text(block, "manifest", where), str(block.get("c_flags", ""))
        return GoSource(module, version, manifest, packages, outputs, c_flags)
    crate = _text(block, "crate", where)
    return Source(
        crate=crate,
        version=check_version(crate, _text(block, "version", where)),
        checksum=_digest(block.get("checksum"), where, "source.checksum"),
        manifest=folder / _text(block, "manifest", where),
        subdirectory=_text(block, "subdirectory", where),
        options=_texts(block, "options", where),
        targets=_texts(block, "targets", where),
        outputs=_texts(block, "outputs", where),
        tools=_texts(block, "tools", where),
        headers=tuple((str(path), str(package)) for path, package in block.get("headers", {}).items()),
    )


def parse_release(data: object, folder: Path, version: str, platform: str = "x86_64") -> Release:
    """The pinned release `version` of `data` (a parsed artifacts.yml in `folder`).

    Raises ArtifactError naming the key for a floating version, a missing pin or an unknown platform.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("releases"), Mapping):
        raise ArtifactError(f"{folder / 'artifacts.yml'}: it must hold `artifact` and `releases`.")
    artifact = _text(data, "artifact", "artifacts.yml")
    check_version(artifact, version)
    if version not in data["releases"]:
        known = ", ".join(sorted(data["releases"]))
        raise ArtifactError(f"{artifact}: version {version} is not pinned in artifacts.yml; it knows {known}.")
    release = data["releases"][version]
    where = f"{artifact} {version}"
    archive = release.get("archives", {}).get(platform)
    if not isinstance(archive, Mapping):
        raise ArtifactError(f"{where}: no archive is pinned for the platform {platform}.")
    file = _text(archive, "file", where)
    if not FILE_NAME.fullmatch(file):
        raise ArtifactError(f"{where}: `{file}` is not a plain file name.")
    source = _source(release, folder, where)
    size = archive.get("size")
    # Only a build made here may go without a digest of its own: there the pinned source stands for it.
    sha256 = None if source and "sha256" not in archive else _digest(archive.get("sha256"), where)
    return Release(
        artifact=artifact,
        version=version,
        platform=platform,
        file=file,
        sha256=sha256,
        size=size if isinstance(size, int) else None,
        built_sha256=tuple(_digest(item, where, "built_sha256") for item in archive.get("built_sha256", [])),
        urls=tuple(check_url(url, where) for url in _texts(archive, "urls", where)),
        members=_texts(archive, "members", where) or _texts(data, "members", where),
        strip=int(archive.get("strip", data.get("strip", 1))),
        signatures=_signatures(release, data, folder, where),
        source=source,
        reports=str(release.get("reports", version)),
        lab_only=bool(release.get("lab_only", False)),
    )
