"""Locks between processes of one machine."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, waiting: Callable[[], object]) -> Iterator[int]:
    """Hold the lock file at `path` alone; calls `waiting` once when another process holds it, then waits.

    Gives the lock's file descriptor. What `waiting` raises is passed on instead of the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
