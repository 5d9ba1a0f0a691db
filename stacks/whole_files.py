"""Small files that are there whole or not at all, whenever a command is killed or the disk is full."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Let the file hold this content, for its owner only unless `mode` says more; one that holds it is left alone."""
    raw = _raw(content)
    if path.exists() and path.read_bytes() == raw:
        return
    with _beside(path, raw) as new:
        new.chmod(mode)
        new.replace(path)


def make_once(path: Path, text: str) -> None:
    """Make the file with this text, for its owner only, unless another command has just made it."""
    with _beside(path, _raw(text)) as new:
        try:
            path.hardlink_to(new)
        except FileExistsError:
            return


def _raw(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """A new file in the folder of `path`, whose content is on the disk; gone at the end, unless it was moved."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
