"""Small files of this checkout's state: each is there whole or not at all, whenever a command is killed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Let the file hold this text, for its owner only; one that holds it already is left alone."""
    if path.exists() and path.read_bytes() == text.encode():
        return
    with _beside(path, text) as new:
        new.replace(path)


def make_once(path: Path, text: str) -> None:
    """Make the file with this text, for its owner only, unless another command has just made it."""
    with _beside(path, text) as new:
        try:
            path.hardlink_to(new)
        except FileExistsError:
            return


@contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """A new file in the folder of `path`, whose text is on the disk; gone at the end, unless it was moved."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
