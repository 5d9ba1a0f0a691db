"""Where the operators keep backups: a directory, or a restic repository.

Either holds the encrypted files as the hosts made them, each with its description: who has the repository has nothing
but ciphertext. restic is for its many kinds of remote places and for the checks that sites already run on theirs.
"""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stacks.backup import Snapshot, check_encrypted, description, snapshot
from stacks.errors import StakeyardError
from stacks.fleet_backup import Backup, DirectoryRepository
from stacks.text import last_line, refused
from stacks.whole_files import replace

RESTIC_SECONDS = 600
_TAG = "stakeyard-"


class Repository(Protocol):
    """A place for backups."""

    def snapshots(self, node: str) -> list[Snapshot]:
        """Every complete backup of a node. Raises StakeyardError when the place cannot be read."""

    def add(self, found: Snapshot, encrypted: bytes) -> None:
        """Keep a backup, after a look at its digest; one that is there already stays as it is."""

    def read(self, wanted: Snapshot) -> bytes:
        """The encrypted file. Raises StakeyardError when it is not what was added."""


@dataclass(frozen=True)
class Directory:
    """A directory: `NODE/SET/NAME.age` and `NAME.json`."""

    path: Path

    def snapshots(self, node: str) -> list[Snapshot]:
        """See `Repository`; a file without its description was not added to the end."""
        try:
            # Not a glob, which takes a folder that may not be read for an empty one.
            there = [entry.name for entry in self.path.iterdir()]
            sets = list((self.path / node).iterdir()) if node in there else []
            files = sorted(file for found in sets if found.is_dir() for file in found.iterdir())
            return [
                snapshot(file.stem, file.read_bytes())
                for file in files
                if file.suffix == ".json" and file.with_suffix(".age").exists()
            ]
        except OSError as error:
            raise StakeyardError(
                f"backup.repository: {error.filename or self.path} cannot be read ({refused(error)}), so it is not "
                f"known which backups of {node} there are: mount or make that folder, or let this user read it."
            ) from None

    def add(self, found: Snapshot, encrypted: bytes) -> None:
        """See `Repository`."""
        check_encrypted(found, encrypted)
        place = self._place(found)
        try:
            if place.with_suffix(".json").exists():
                return
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(place.with_suffix(".age"), encrypted)
            replace(place.with_suffix(".json"), description(found))
        except OSError as error:
            raise StakeyardError(
                f"backup {found.name} of {found.node} cannot be kept in {place.parent} ({refused(error)}): make room, "
                "or let this user write there."
            ) from None

    def read(self, wanted: Snapshot) -> bytes:
        """See `Repository`."""
        path = self._place(wanted).with_suffix(".age")
        try:
            encrypted = path.read_bytes()
        except OSError as error:
            raise StakeyardError(f"{path} cannot be read ({error.strerror}): restore another backup.") from None
        check_encrypted(wanted, encrypted)
        return encrypted

    def _place(self, found: Snapshot) -> Path:
        return self.path / found.node / found.set / found.name


@dataclass(frozen=True)
class Restic:
    """A restic repository.

    The first line of `repository_file` is its address and that of `password_file` its password: an address may hold
    credentials, and every user of a machine can read what is in an argument list. The description of each backup is a
    tag, so that one look at the list is enough to choose.
    """

    repository_file: Path
    password_file: Path

    def snapshots(self, node: str) -> list[Snapshot]:
        """See `Repository`."""
        return [each for each, _ in self._all(node)]

    def add(self, found: Snapshot, encrypted: bytes) -> None:
        """See `Repository`."""
        check_encrypted(found, encrypted)
        if found in self.snapshots(found.node):
            return
        tag = _TAG + base64.urlsafe_b64encode(description(found)).decode()
        self._run(
            "backup", "--stdin", f"--stdin-filename={found.name}.age", f"--host={found.node}", f"--tag={tag}",
            given=encrypted,
        )  # fmt: skip

    def read(self, wanted: Snapshot) -> bytes:
        """See `Repository`."""
        for each, identifier in self._all(wanted.node):
            if each == wanted:
                encrypted = self._run("dump", identifier, f"/{wanted.name}.age")
                check_encrypted(wanted, encrypted)
                return encrypted
        raise StakeyardError(f"backup {wanted.name} of {wanted.node} is not in the restic repository any more.")

    def _all(self, node: str) -> Iterator[tuple[Snapshot, str]]:
        for entry in json.loads(self._run("snapshots", "--json", f"--host={node}") or b"[]") or ():
            for tag in entry.get("tags") or ():
                if tag.startswith(_TAG):
                    described = base64.urlsafe_b64decode(tag.removeprefix(_TAG))
                    yield snapshot(Path(entry["paths"][0]).stem, described), str(entry["id"])

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        files = [f"--repository-file={self.repository_file}", f"--password-file={self.password_file}"]
        try:
            return subprocess.run(
                ["restic", "--quiet", *files, *arguments],
                input=given, capture_output=True, check=True, timeout=RESTIC_SECONDS,
            ).stdout  # fmt: skip
        except FileNotFoundError:
            raise StakeyardError("restic is not installed: install Debian's package `restic`.") from None
        except subprocess.TimeoutExpired:
            raise StakeyardError(f"restic gave no answer in {RESTIC_SECONDS} s: look at the repository.") from None
        except subprocess.CalledProcessError as error:
            reason = last_line(error.stderr.decode(errors="replace"))
            raise StakeyardError(f"restic {arguments[0]} failed: {reason}") from None


def read_identity(path: Path) -> str:
    """The text of an age identity file. Raises StakeyardError for one that others can read."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        raise StakeyardError(f"the age identity {path} cannot be read: backups are opened with it.") from None
    if mode & 0o077:
        raise StakeyardError(f"{path} can be read by others: make it yours alone with `chmod 600`.")
    return text


def repository(backup: Backup | None) -> Repository | None:
    """The operators' repository, as the stack file names it."""
    if backup is None:
        return None
    if isinstance(backup.repository, DirectoryRepository):
        return Directory(backup.repository.path)
    return Restic(backup.repository.repository_file, backup.repository.password_file)
