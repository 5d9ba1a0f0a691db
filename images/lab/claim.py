"""Which directory a lab is run from, and which lab a directory holds; commands on either come one after the other.

Everything of a lab outside its state directory is found by the lab's name: under the same name, a command on another
directory would stop the lab that runs. And `destroy` removes the state directory, so nothing else may be in it.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from images.lab import cgroups
from images.lab.settings import Settings
from stacks.errors import StakeyardError

MARKER = "stakeyard-lab"  # holds the lab's name
# A file a lab, locked by whoever works on it; holds the directory of the lab that was started last.
RECORDS = Path("/run/stakeyard-lab")
# What a directory has from a lab's first step on that was made before there was a marker.
_FORMER = ("made.json", "base.json", "log/base.log", "log/unpack-base.log")


def owner_problem(settings: Settings, recorded: str, runs: bool, known: bool) -> str | None:
    """Why this directory may not act for the lab's name. A record counts only while something of the lab runs.

    `known`: the directory holds a lab. That has to do for one that runs since before there were records.
    """
    own = str(settings.state.resolve())
    if not runs or recorded == own or (not recorded and known):
        return None
    place = recorded or "another directory"
    return (
        f"STAKEYARD_LAB is {settings.state}, but the lab `{settings.name}` runs from {place}: "
        "name that one to work on it, or give a second lab a STAKEYARD_LAB_NAME and STAKEYARD_LAB_NETWORK of its own."
    )


def directory_problem(settings: Settings, marked: str | None, known: bool, empty: bool) -> str | None:
    """Why this directory may not hold this lab; `marked` is the name in its marker."""
    if not known and not empty:
        return (
            f"STAKEYARD_LAB is {settings.state}, which holds other things than a lab: "
            "name a directory that is empty or does not exist."
        )
    if marked and marked != settings.name:
        return (
            f"{settings.state} holds the lab `{marked}` and STAKEYARD_LAB_NAME is `{settings.name}`: "
            f"set STAKEYARD_LAB to another directory or STAKEYARD_LAB_NAME={marked}."
        )
    return None


@contextlib.contextmanager
def held(settings: Settings, make: bool = False) -> Iterator[None]:
    """Work on a lab alone: on its name, and on its directory where that exists or `make` says to make it.

    Raises StakeyardError when another command does, or when name and directory do not belong together.
    """
    state, record = settings.state, _record(settings)
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(record, os.O_RDWR | os.O_CREAT, f"the lab `{settings.name}`"):
        recorded, own = record.read_text(), str(state.resolve())
        runs = bool(cgroups.processes(settings.cgroup) or cgroups.processes(settings.work_cgroup))
        _refuse(owner_problem(settings, recorded, runs, _marked(state) is not None or _former(state)))
        if make:
            _make(state)
        elif not state.exists():
            yield
            return
        with _alone(state, os.O_RDONLY | os.O_DIRECTORY, str(state)):
            marked, former = _marked(state), _former(state)
            known = marked is not None or former or (runs and recorded == own)
            _refuse(directory_problem(settings, marked, known, empty=not any(state.iterdir())))
            if (make or known) and marked != settings.name:
                (state / MARKER).write_text(settings.name)
            if make:
                state.chmod(0o700)  # an empty one that others may enter
                if recorded != own:
                    record.write_text(own)
            yield


def release(settings: Settings) -> None:
    """Forget where the lab ran from, as nothing of it runs."""
    _record(settings).write_text("")


def remove(state: Path) -> None:
    """Remove a lab's directory, the marker last: after a kill in between it is still known as a lab's."""
    marker = state / MARKER
    for entry in state.iterdir() if state.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry != marker:
            with contextlib.suppress(OSError):
                entry.unlink()
    if state.is_dir() and list(state.iterdir()) in ([], [marker]):
        marker.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            state.rmdir()
    if state.exists():
        raise StakeyardError(f"{state} could not be removed: look for mounts or other users of it.")


def _record(settings: Settings) -> Path:
    return RECORDS / settings.name


def _marked(state: Path) -> str | None:
    """The name in the marker; empty when a kill left it without one."""
    marker = state / MARKER
    return marker.read_text().strip() if marker.is_file() else None


def _former(state: Path) -> bool:
    return any((state / name).is_file() for name in _FORMER)


def _make(state: Path) -> None:
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StakeyardError(f"STAKEYARD_LAB is {state}, which cannot be made: {error.strerror}.") from error


def _refuse(problem: str | None) -> None:
    if problem:
        raise StakeyardError(problem)


@contextlib.contextmanager
def _alone(path: Path, flags: int, what: str) -> Iterator[None]:
    try:
        descriptor = os.open(path, flags, 0o600)
    except NotADirectoryError:
        raise StakeyardError(f"STAKEYARD_LAB is {path}, which is no directory: name another one.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StakeyardError(f"Another `stakeyard lab` command works on {what}: wait until it has ended.") from None
    try:
        yield
    finally:
        os.close(descriptor)
