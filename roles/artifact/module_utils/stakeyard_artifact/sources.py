"""Get a file whose digest is already known: from the operator's mirror, then from upstream."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .model import ArtifactError, Release

TIMEOUT = 60
LARGEST_TEXT = 1 << 20
Report = Callable[[str], None]


class Unreachable(Exception):  # noqa: N818  (not an error: the next source is asked)
    """This source does not have the file or does not answer."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """A temporary name in the target's folder; whatever is left of it afterwards is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def check_archive(path: Path, release: Release, origin: str) -> str:
    """Refuse a short file or one whose digest is not pinned; return the digest."""
    where = f"{release.artifact} {release.version}: {release.file} from {origin}"
    size = path.stat().st_size
    if size == 0 or (release.size is not None and size < release.size):
        raise ArtifactError(
            f"{where} is short: {size} of {release.size or 'unknown'} bytes; fetch it again or repair the mirror."
        )
    digest = sha256_of(path)
    if digest not in release.accepted:
        pinned = " or ".join(release.accepted) or "nothing"
        raise ArtifactError(f"{where} has sha256 {digest}, artifacts.yml pins {pinned}; do not use this file.")
    return digest


@contextmanager
def _open(address: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open an http(s) address or a path; give the stream and the length that was promised."""
    if not address.startswith(("http://", "https://")):
        try:
            with Path(address).open("rb") as stream:
                yield stream, Path(address).stat().st_size
        except OSError as error:
            raise Unreachable(f"{address}: {error.strerror}") from None
        return
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310  (scheme checked above)
            length = answer.headers.get("Content-Length")
            yield answer, int(length) if length and length.isdigit() else None
    except urllib.error.HTTPError as error:
        raise Unreachable(f"{address}: HTTP status {error.code}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise Unreachable(f"{address}: {getattr(error, 'reason', None) or error}") from None


def download(address: str, target: Path) -> None:
    """Copy an address to `target`. Raises Unreachable, or ArtifactError when the transfer stops half-way."""
    with _open(address) as (stream, promised), target.open("wb") as output:
        with suppress(http.client.IncompleteRead):  # the comparison below says it better
            shutil.copyfileobj(stream, output, 1 << 20)
        received = output.tell()
    if promised is not None and received != promised:
        raise ArtifactError(f"{address}: short file, {received} of {promised} bytes arrived; try again.")


def text_of(address: str, target: Path) -> None:
    """Like `download` for a small text (checksums, signatures)."""
    download(address, target)
    if target.stat().st_size > LARGEST_TEXT:
        raise ArtifactError(f"{address}: more than 1 MiB where a list of checksums or signatures is expected.")


def mirror_places(mirror: str, release: Release) -> tuple[str, ...]:
    """Folders of the mirror that may hold the release: `<artifact>/<version>/` before the top."""
    base = mirror.rstrip("/").removeprefix("file://")
    return (f"{base}/{release.artifact}/{release.version}", base)
