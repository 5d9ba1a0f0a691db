"""The lab's cache: keyed by its inputs, and never taken when it is not whole or not private."""

import io
import os
from pathlib import Path

import pytest

from images.lab import cache, cgroups
from images.lab.cache import Archive
from stacks.errors import StakeyardError

GROUP = "stakeyard-unittest-work"


@pytest.fixture(autouse=True)
def without_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests need neither root nor control groups."""
    monkeypatch.setattr(cgroups, "inside", lambda _, command: list(command))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A finished archive of one folder with a file of random bytes, so that it cannot be compressed away."""
    folder = tmp_path / "from"
    (folder / "nodes").mkdir(parents=True)
    (folder / "nodes" / "data").write_bytes(os.urandom(200_000))
    (folder / "nodes" / "skip").write_text("not wanted")
    made = Archive(tmp_path / "cache" / "0123.tar.zst")
    made.pack(folder, ["nodes"], _log(tmp_path), exclude=["nodes/skip"])
    return made


def _log(folder: Path) -> io.TextIOWrapper:
    return (folder / "log").open("w")


def test_the_digest_follows_names_and_contents() -> None:
    one = cache.digest({"a": b"1", "b": b"2"})
    assert one == cache.digest({"b": b"2", "a": b"1"})
    assert one != cache.digest({"a": b"1", "b": b"3"})
    assert one != cache.digest({"a": b"1", "c": b"2"})
    assert cache.digest({"a": b"12", "b": b""}) != cache.digest({"a": b"1", "b": b"2"})


def test_an_archive_gives_back_what_was_packed(archive: Archive, tmp_path: Path) -> None:
    archive.unpack(tmp_path / "to", GROUP, _log(tmp_path))
    assert (tmp_path / "to/nodes/data").read_bytes() == (tmp_path / "from/nodes/data").read_bytes()
    assert not (tmp_path / "to/nodes/skip").exists()


def test_only_its_owner_may_read_an_archive(archive: Archive) -> None:
    assert archive.path.stat().st_mode & 0o777 == 0o600
    archive.path.chmod(0o640)
    with pytest.raises(StakeyardError, match="holds passwords"):
        archive.verify()


def test_a_truncated_archive_is_refused_and_nothing_is_unpacked(archive: Archive, tmp_path: Path) -> None:
    with archive.path.open("r+b") as file:
        file.truncate(archive.path.stat().st_size - 1000)
    with pytest.raises(StakeyardError, match=r"0123\.tar\.zst is broken .* remove it"):
        archive.unpack(tmp_path / "to", GROUP, _log(tmp_path))
    assert not (tmp_path / "to").exists()


def test_one_changed_bit_is_noticed(archive: Archive) -> None:
    data = bytearray(archive.path.read_bytes())
    data[len(data) // 2] ^= 1
    archive.path.write_bytes(data)
    with pytest.raises(StakeyardError, match="broken"):
        archive.verify()


def test_an_archive_that_was_never_finished_is_refused(archive: Archive) -> None:
    archive.checksum.unlink()
    with pytest.raises(StakeyardError, match="broken"):
        archive.verify()


def test_a_kill_between_archive_and_checksum_leaves_none_and_the_next_run_makes_it(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path.name.endswith(".sha256.new"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        archive.pack(tmp_path / "from", ["nodes"], _log(tmp_path))
    assert archive.path.exists()
    assert not archive.exists()
    monkeypatch.undo()
    archive.pack(tmp_path / "from", ["nodes"], _log(tmp_path))
    assert archive.exists()
    archive.verify()


def test_packing_what_does_not_exist_leaves_no_archive(tmp_path: Path) -> None:
    made = Archive(tmp_path / "cache" / "x.tar.zst")
    with pytest.raises(Exception, match="tar"):
        made.pack(tmp_path, ["nothing"], _log(tmp_path))
    assert not made.exists()


def test_packing_again_replaces_the_archive(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "from/nodes/data").write_text("second")
    archive.pack(tmp_path / "from", ["nodes"], _log(tmp_path))
    archive.unpack(tmp_path / "to", GROUP, _log(tmp_path))
    assert (tmp_path / "to/nodes/data").read_text() == "second"


def test_every_file_below_a_folder_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("1")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/c.pyc").write_text("2")
    assert cache.files_below(tmp_path) == {"a/b": b"1"}


def test_only_the_youngest_archives_of_a_kind_are_kept(archive: Archive) -> None:
    folder = archive.path.parent
    for number in range(1, 5):
        for name in (f"{number:016x}.tar.zst", f"{number:016x}.tar.zst.sha256"):
            (folder / name).write_text("")
            os.utime(folder / name, (number, number))
    base = folder / f"base-{1:016x}.tar.zst"
    base.write_text("")
    archive.prune("[0-9a-f]" * 16 + ".tar.zst", keep=2)
    kept = {f"{number:016x}.tar.zst" for number in (3, 4)}
    assert {path.name for path in folder.glob("*.tar.zst")} == {*kept, base.name, archive.path.name}
    assert not (folder / f"{2:016x}.tar.zst.sha256").exists()
