"""Run a client's own commands on a host as the client's user, with secrets in files of its own and nowhere else."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORK = "/run"
"""In memory: what lies there for a moment is gone with the machine."""


class ClientError(Exception):
    """One sentence for the operator."""


@contextmanager
def workplace(user: str) -> Iterator[Path]:
    """A folder in memory that only the client's user can read; removed whatever happens."""
    with tempfile.TemporaryDirectory(prefix="stakeyard-", dir=WORK) as name:
        give(Path(name), user)
        yield Path(name)


def give(path: Path, user: str, mode: int | None = None) -> None:
    """Make a file or folder the user's."""
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    if mode is not None:
        path.chmod(mode)


def put(path: Path, content: str, user: str) -> None:
    """Write a file that only the user can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    give(path, user)


def run(module: Any, user: str, work: Path, command: Sequence[str], what: str) -> str:
    """Output of the client's command. Raises ClientError with the last thing that it said when it fails."""
    unprivileged = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--"]
    status, output, errors = module.run_command(
        [*unprivileged, *command], cwd=str(work), environ_update={"HOME": str(work), "NO_COLOR": "1"}
    )
    if status != 0:
        lines = [line.strip() for line in f"{output}\n{errors}".splitlines() if line.strip()]
        raise ClientError(f"{what} failed: {lines[-1] if lines else f'status {status}'}")
    return f"{output}\n{errors}"


def swap(fresh: Path, path: Path) -> None:
    """Put a folder in the place of another; a run that is killed in between leaves none: see `unswapped`."""
    old = _before(path)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    os.sync()
    shutil.rmtree(old, ignore_errors=True)


def unswapped(path: Path) -> None:
    """Put back what was there before a swap that was killed between its two steps."""
    if not path.exists() and _before(path).exists():
        _before(path).rename(path)


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")
