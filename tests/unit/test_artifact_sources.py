"""Getting archives: the order of sources, and every tampered or missing file refused."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stacks.artifacts import library

artifact = library()
model, retrieve, sources = artifact.model, artifact.retrieve, artifact.sources

CONTENT = b"an archive of some length " * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NOWHERE = "https://127.0.0.1:9/thing-1.0.tar.gz"


def release(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "artifact": "thing",
        "version": "1.0",
        "platform": "x86_64",
        "file": "thing-1.0.tar.gz",
        "sha256": DIGEST,
        "size": None,
        "built_sha256": (),
        "urls": (NOWHERE,),
        "members": ("bin/thing",),
        "strip": 1,
        "signatures": None,
        "source": None,
        "reports": "1.0",
        "lab_only": False,
    }
    return model.Release(**{**values, **changes})


def obtain(wanted: Any, mirror: Path | str, cache: Path) -> Any:
    return artifact.obtain(wanted, str(mirror), cache, lambda _: None)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "thing-1.0.tar.gz").write_bytes(CONTENT)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def leftovers(cache: Path) -> list[str]:
    """Files in the cache that are neither locks nor what a success leaves."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != ".lock")


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; with `promise` it says more bytes than it sends."""

    promise = 0

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length" and self.promise:
            value = str(self.promise)
        super().send_header(keyword, value)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(mirror: Path) -> Iterator[tuple[str, type[Server]]]:
    handler = type("Handler", (Server,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(mirror))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", handler
        httpd.shutdown()
        thread.join()


def test_a_mirror_directory_is_asked_before_upstream(mirror: Path, cache: Path) -> None:
    found = obtain(release(), mirror, cache)
    assert found.path.read_bytes() == CONTENT
    assert found.origin == f"{mirror}/thing-1.0.tar.gz"
    record = json.loads(found.path.with_name("verified.json").read_text())
    assert (record["sha256"], record["origin"]) == (DIGEST, found.origin)


def test_a_folder_of_the_release_in_the_mirror_comes_first(mirror: Path, cache: Path) -> None:
    inner = mirror / "thing" / "1.0"
    inner.mkdir(parents=True)
    (mirror / "thing-1.0.tar.gz").rename(inner / "thing-1.0.tar.gz")
    assert obtain(release(), mirror, cache).origin == f"{inner}/thing-1.0.tar.gz"


def test_a_mirror_may_be_an_address(server: tuple[str, Any], cache: Path) -> None:
    assert obtain(release(), server[0], cache).path.read_bytes() == CONTENT


def test_the_cache_answers_without_any_source(mirror: Path, cache: Path) -> None:
    first = obtain(release(), mirror, cache)
    (mirror / "thing-1.0.tar.gz").unlink()
    assert obtain(release(), mirror, cache) == first


def test_a_cached_file_that_was_tampered_with_is_not_used(mirror: Path, cache: Path) -> None:
    path = obtain(release(), mirror, cache).path
    path.write_bytes(CONTENT.replace(b"some", b"evil"))
    assert obtain(release(), mirror, cache).path.read_bytes() == CONTENT
    path.write_bytes(b"evil")
    with pytest.raises(artifact.ArtifactError, match="no source has"):
        obtain(release(), "", cache)


def test_a_cached_file_that_was_verified_under_other_pins_is_not_used(mirror: Path, cache: Path) -> None:
    obtain(release(), mirror, cache)
    (mirror / "thing-1.0.tar.gz").unlink()
    with pytest.raises(artifact.ArtifactError, match="no source has"):
        obtain(release(sha256="b" * 64), mirror, cache)


def test_a_wrong_hash_is_refused_and_leaves_nothing(mirror: Path, cache: Path) -> None:
    (mirror / "thing-1.0.tar.gz").write_bytes(CONTENT.replace(b"some", b"evil"))
    with pytest.raises(artifact.ArtifactError, match=f"has sha256 [0-9a-f]+, artifacts.yml pins {DIGEST}; do not use"):
        obtain(release(), mirror, cache)
    assert leftovers(cache) == []


def test_a_wrong_file_on_the_mirror_does_not_fall_through_to_upstream(mirror: Path, cache: Path) -> None:
    (mirror / "thing-1.0.tar.gz").write_bytes(b"evil")
    with pytest.raises(artifact.ArtifactError, match="do not use this file"):
        obtain(release(urls=("https://127.0.0.1:9/never-asked",)), mirror, cache)


def test_a_short_file_is_refused(mirror: Path, cache: Path) -> None:
    (mirror / "thing-1.0.tar.gz").write_bytes(CONTENT[:-5])
    with pytest.raises(artifact.ArtifactError, match=f"is short: {len(CONTENT) - 5} of {len(CONTENT)} bytes"):
        obtain(release(size=len(CONTENT)), mirror, cache)
    (mirror / "thing-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(artifact.ArtifactError, match="is short: 0 of unknown bytes"):
        obtain(release(), mirror, cache)
    assert leftovers(cache) == []


def test_a_transfer_that_stops_half_way_is_refused(server: tuple[str, type[Server]], cache: Path) -> None:
    server[1].promise = len(CONTENT) + 100
    with pytest.raises(artifact.ArtifactError, match=f"short file, {len(CONTENT)} of {len(CONTENT) + 100} bytes"):
        obtain(release(), server[0], cache)
    assert leftovers(cache) == []


def test_no_source_is_said_with_what_to_do(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(artifact.ArtifactError) as refusal:
        obtain(release(), tmp_path / "nothing", cache)
    text = str(refusal.value)
    assert "thing 1.0: no source has thing-1.0.tar.gz" in text
    assert "No such file" in text
    assert NOWHERE in text
    assert "set STAKEYARD_MIRROR" in text


def test_an_archive_without_its_signatures_is_refused(mirror: Path, cache: Path) -> None:
    signer = model.Signer("anna", "A" * 40, Path("anna.asc"))
    signed = model.Signatures("https://e.org/SHA256SUMS", "https://e.org/SHA256SUMS.asc", 1, (signer,))
    with pytest.raises(artifact.ArtifactError, match="the archive is there but its signatures are not"):
        obtain(release(signatures=signed), mirror, cache)
    assert leftovers(cache) == []


def test_a_text_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(b"x" * (sources.LARGEST_TEXT + 1))
    with pytest.raises(artifact.ArtifactError, match="more than 1 MiB"):
        sources.text_of(str(tmp_path / "SHA256SUMS"), tmp_path / "target")


def test_a_second_run_waits_for_the_first(mirror: Path, cache: Path) -> None:
    folder = cache / "thing" / "1.0-x86_64"
    said: list[str] = []
    running = threading.Event()

    def holder() -> None:
        with retrieve._locked(folder, lambda _: None):
            running.set()
            threading.Event().wait(0.3)

    thread = threading.Thread(target=holder)
    thread.start()
    running.wait()
    artifact.obtain(release(), str(mirror), cache, said.append)
    thread.join()
    assert said[0] == "waiting for another run that fetches the same artifact"


def test_what_a_killed_run_left_is_swept_away(mirror: Path, cache: Path) -> None:
    folder = cache / "thing" / "1.0-x86_64"
    (folder / "built-0123" / ".build-xyz" / "fetch").mkdir(parents=True)
    (folder / "built-0123" / ".thing-1.0.tar.gz.abc.part").write_bytes(b"half")
    (folder / ".thing-1.0.tar.gz.abc.part").write_bytes(b"half")
    obtain(release(), mirror, cache)
    assert leftovers(cache) == ["thing-1.0.tar.gz", "verified.json"]
    assert not (folder / "built-0123" / ".build-xyz").exists()
