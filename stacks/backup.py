"""What a backup is, which one is the newest good one, and what is in it: decisions and checks without any I/O.

roles/backup/files/backup makes backups on a host: NAME.age, a tar archive encrypted to the operators, and NAME.json
beside it, which says whose it is and when it was taken, but holds nothing secret.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyrage  # type: ignore[import-untyped]

from stacks.errors import StakeyardError

FORMAT = 1
MANIFEST = "manifest.json"
INSIDE = ("facts", "files", "history")
"""What only the manifest says, and the description beside the file does not."""
CLOCK_SECONDS = 300
"""How far a host's clock may be ahead of ours before its backups count as taken in the future."""
_NAME = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Snapshot:
    """One backup as its NAME.json describes it. Names sort by time."""

    name: str
    node: str
    set: str
    """What it is a backup of on the node: `backup_name` of the role."""
    taken: int
    """Seconds since 1970, by the host's clock."""
    volume: str | None
    generation: int
    """Of the signer's claim at that time; 0 for what has no claim."""
    manifest: str
    """SHA-256 of the manifest inside."""
    sha256: str
    size: int
    """Digest and bytes of the encrypted file."""

    @property
    def when(self) -> str:
        """The time for people."""
        return datetime.fromtimestamp(self.taken, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Content:
    """A backup that was opened: what it says of itself, and its files by the path they had on the host."""

    snapshot: Snapshot
    facts: Mapping[str, Any]
    """What the kind said of the content when the backup was taken."""
    history: str | None
    """The one of the files that is the history of a signer's keys, in its kind's own form."""
    files: Mapping[str, bytes] = field(repr=False)


def snapshot(name: str, described: bytes) -> Snapshot:
    """The snapshot that NAME.json describes. Raises StakeyardError where it cannot be understood."""
    try:
        found = json.loads(described)
        if not _NAME.fullmatch(name) or found["format"] != FORMAT:
            raise ValueError("another format")
        claim = found["claim"] or {"volume": None, "generation": 0}
        return Snapshot(
            name=name,
            node=str(found["node"]),
            set=str(found["name"]),
            taken=int(found["taken"]),
            volume=claim["volume"],
            generation=int(claim["generation"]),
            manifest=str(found["manifest"]),
            sha256=str(found["sha256"]),
            size=int(found["size"]),
        )
    except (ValueError, KeyError, TypeError):
        raise StakeyardError(
            f"the description of backup {name} cannot be understood: it was changed, or a newer version wrote it."
        ) from None


def description(found: Snapshot) -> bytes:
    """The description of a snapshot, as its host wrote it."""
    claim = {"volume": found.volume, "generation": found.generation} if found.volume else None
    about = {
        "format": FORMAT,
        "node": found.node,
        "name": found.set,
        "taken": found.taken,
        "claim": claim,
        "manifest": found.manifest,
        "sha256": found.sha256,
        "size": found.size,
    }
    return json.dumps(about, sort_keys=True).encode() + b"\n"


def choose(found: Iterable[Snapshot], *, node: str, now: float, asked: str | None, accept_older: bool) -> Snapshot:
    """The backup of `node` to restore: the newest, or the one `asked` for by name.

    The newest of a volume is the one of the highest claim, and of these the last taken: a server that lost its claim
    may have gone on to take backups. Another volume's claims are counted anew: of several, the one with the last backup
    counts. One that is older than the newest is refused unless the operator accepts it.
    Raises StakeyardError with what to do.
    """
    own = [each for each in found if each.node == node]
    if not own:
        raise StakeyardError(f"there is no backup of {node} in the repository: look whether it is the right one.")
    ahead = [each for each in own if each.taken > now + CLOCK_SECONDS]
    if ahead:
        raise StakeyardError(
            f"backup {ahead[0].name} of {node} was taken in the future ({ahead[0].when}): a clock was wrong, so nobody "
            "knows which backup is the newest; move this one away by hand."
        )
    newest = _newest(own)
    if asked is None:
        return newest
    wanted = next((each for each in own if each.name == asked), None)
    if wanted is None:
        raise StakeyardError(f"there is no backup {asked} of {node}: the newest is {newest.name}.")
    if wanted != newest and not accept_older:
        raise StakeyardError(
            f"backup {wanted.name} of {node} is older than {newest.name}: restore the newest, or accept the older one "
            "with --accept-older-backup."
        )
    return wanted


def _newest(own: Iterable[Snapshot]) -> Snapshot:
    by_volume: dict[str | None, Snapshot] = {}
    for each in own:
        best = by_volume.setdefault(each.volume, each)
        if (each.generation, each.taken) > (best.generation, best.taken):
            by_volume[each.volume] = each
    return max(by_volume.values(), key=lambda each: each.taken)


def missing(there: Iterable[Snapshot], here: Iterable[Snapshot]) -> list[Snapshot]:
    """What a host has and the repository lacks, oldest first."""
    known = {(each.node, each.set, each.name, each.sha256) for each in here}
    lacking = [each for each in there if (each.node, each.set, each.name, each.sha256) not in known]
    return sorted(lacking, key=lambda each: each.name)


def check_encrypted(expected: Snapshot, content: bytes) -> None:
    """Refuse an encrypted file that is not the one that was described: cut off, mixed up or changed."""
    if len(content) != expected.size:
        raise StakeyardError(
            f"backup {expected.name} of {expected.node} has {len(content)} bytes and not {expected.size}: it was cut "
            "off; fetch it again, or restore another."
        )
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise StakeyardError(
            f"backup {expected.name} of {expected.node} is not what was written: its digest differs; restore another."
        )


def open_backup(expected: Snapshot, encrypted: bytes, identities: str) -> Content:
    """Decrypt a backup and compare every byte with its manifest; everything stays in memory.

    `identities` is the text of an age identity file. Raises StakeyardError where anything does not fit.
    """
    check_encrypted(expected, encrypted)
    label = f"backup {expected.name} of {expected.node}"
    try:
        plain = pyrage.decrypt(encrypted, identities_of(identities))
    except pyrage.DecryptError:
        raise StakeyardError(
            f"{label} cannot be decrypted with this identity: it is another operator's, or the file was changed."
        ) from None
    members = _members(plain, label)
    inside = members.pop(MANIFEST, b"")
    if hashlib.sha256(inside).hexdigest() != expected.manifest:
        raise StakeyardError(f"{label} does not hold what its description says: restore another.")
    described = _described(inside, label)
    if _outside(described, expected) != expected:
        raise StakeyardError(f"the description of {label} was changed after it was taken: restore another.")
    _compare(described["files"], members, label)
    return Content(
        expected,
        described["facts"],
        described["history"],
        {path: members[path.lstrip("/")] for path in described["files"]},
    )


def identities_of(text: str) -> Sequence[pyrage.x25519.Identity]:
    """The identities in the text of an age identity file. Raises StakeyardError without any of that text."""
    lines = [line.strip() for line in text.splitlines()]
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise StakeyardError("the age identity file holds no identity: its lines begin with AGE-SECRET-KEY-1.")
    return found


def _members(plain: bytes, label: str) -> dict[str, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            found = {}
            for entry in tar:
                stream = tar.extractfile(entry)
                if stream is None or entry.name in found:
                    raise StakeyardError(
                        f"{label} holds something that is no plain file, or a file twice: restore another."
                    )
                found[entry.name] = stream.read()
            return found
    except tarfile.TarError:
        raise StakeyardError(f"{label} holds no archive: restore another.") from None


def _described(inside: bytes, label: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(inside)
        if not isinstance(found["files"], dict) or not isinstance(found["facts"], dict):
            raise TypeError("no mapping")
        if found["history"] is not None and found["history"] not in found["files"]:
            raise ValueError("a history that is no file")
    except (ValueError, KeyError, TypeError):
        raise StakeyardError(f"the manifest of {label} cannot be understood: restore another.") from None
    return found


def _outside(inside: Mapping[str, Any], expected: Snapshot) -> Snapshot:
    """The description that belongs to this manifest and this encrypted file."""
    about = {key: value for key, value in inside.items() if key not in INSIDE}
    about |= {"manifest": expected.manifest, "sha256": expected.sha256, "size": expected.size}
    return snapshot(expected.name, json.dumps(about).encode())


def _compare(files: Mapping[str, Any], members: Mapping[str, bytes], label: str) -> None:
    if {path.lstrip("/") for path in files} != members.keys():
        raise StakeyardError(f"{label} has other files than its manifest: restore another.")
    for path, about in files.items():
        content = members[path.lstrip("/")]
        if len(content) != about["size"] or hashlib.sha256(content).hexdigest() != about["sha256"]:
            raise StakeyardError(f"{path} in {label} is not what was backed up: restore another.")
