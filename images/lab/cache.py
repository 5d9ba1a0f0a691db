"""Archives of what takes long to make: the nodes' base system, and the initialised nodes.

An archive holds the passwords of the lab that it was made from, so it is only taken and kept when root alone
can read it (docs/decisions/0002-lab-cache-holds-passwords.md).
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from images.lab import cgroups
from stacks.errors import StakeyardError

_CHUNK = 1 << 20
# Sockets and device files of a running node are of no use elsewhere; xattrs are how overlayfs marks what is deleted.
_TAR = ("--xattrs", "--xattrs-include=*", "--numeric-owner", "--one-file-system")


def digest(inputs: Mapping[str, bytes]) -> str:
    """Digest of named inputs; neither their order nor a shift of bytes between them can collide."""
    total = hashlib.sha256()
    for name in sorted(inputs):
        total.update(f"{name}\0{len(inputs[name])}\0".encode())
        total.update(inputs[name])
    return total.hexdigest()[:16]


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path with its mode: the inputs that come from the repository."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


@dataclass(frozen=True)
class Archive:
    """A tar.zst beside a file with its sha256, made last: an archive without it was never finished."""

    path: Path

    @property
    def checksum(self) -> Path:
        return self.path.with_name(self.path.name + ".sha256")

    def exists(self) -> bool:
        """Whether it was finished; one that was not is made again."""
        return self.path.exists() and self.checksum.exists()

    def verify(self) -> None:
        """Raise unless the archive is whole and nobody but its owner, who runs this, could have read or changed it."""
        status = self.path.stat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise StakeyardError(
                f"Others than root can read or own the lab's cache {self.path}, which holds passwords: "
                "remove it, `stakeyard lab up` makes it again."
            )
        if not self.checksum.exists() or self.checksum.read_text().strip() != _sha256(self.path):
            raise StakeyardError(
                f"The lab's cache {self.path} is broken (its SHA-256 is not the recorded one): "
                "remove it, `stakeyard lab up` makes it again."
            )

    def pack(self, folder: Path, members: Sequence[str], log: IO[str], exclude: Sequence[str] = ()) -> None:
        """Make the archive from members of a folder. Killed at any point, it leaves no archive that passes verify()."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_name(f"{self.path.name}.new")
        total = hashlib.sha256()
        command = ["tar", "-C", str(folder), *_TAR, "--anchored", "--no-wildcards-match-slash"]
        command += [f"--exclude={pattern}" for pattern in exclude]
        command += ["--use-compress-program=zstd -1 -T0", "-cf", "-", *members]
        with self._locked():
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            piped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
            with os.fdopen(descriptor, "wb") as target, piped as process:
                assert process.stdout is not None  # noqa: S101  # it is a pipe
                while chunk := process.stdout.read(_CHUNK):
                    total.update(chunk)
                    target.write(chunk)
            # 1: "file changed as we read it", which a socket or a log of a frozen node may cause
            if process.returncode > 1:
                raise subprocess.CalledProcessError(process.returncode, command)
            self.checksum.unlink(missing_ok=True)
            new.rename(self.path)
            checksum_new = self.checksum.with_name(self.checksum.name + ".new")
            checksum_new.write_text(total.hexdigest() + "\n")
            checksum_new.rename(self.checksum)

    def unpack(self, folder: Path, cgroup: str, log: IO[str]) -> None:
        """Verify and unpack. The caller sees to it that a half-unpacked folder is not taken for a whole one."""
        self.verify()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tar = ["tar", "-C", str(folder), *_TAR, "--zstd", "-xpf", str(self.path)]
        subprocess.run(cgroups.inside(cgroup, tar), check=True, stderr=log)

    def remove(self) -> None:
        """Remove the archive and its checksum."""
        self.path.unlink(missing_ok=True)
        self.checksum.unlink(missing_ok=True)

    def prune(self, pattern: str, keep: int) -> None:
        """Remove all but the youngest archives beside this one; the cache must not grow with every change."""
        found = sorted(self.path.parent.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[keep:]:
            Archive(path).remove()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
