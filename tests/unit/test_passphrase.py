"""The passphrase of a checkout's state is made once, whole, and never an empty one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stacks.errors import StakeyardError
from stacks.passphrase import passphrase_file
from stacks.whole_files import make_once, replace


def test_it_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    first = passphrase_file(tmp_path)
    text = first.read_text()
    assert len(text) >= 32
    assert first.stat().st_mode & 0o777 == 0o600
    assert passphrase_file(tmp_path).read_text() == text
    assert list(tmp_path.iterdir()) == [first]


def test_first_commands_at_once_agree_on_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(8)
    exists = Path.exists

    def seen(path: Path) -> bool:
        found = exists(path)
        if path.name == "passphrase":
            together.wait(10)  # everybody has looked before anybody makes one
        return found

    monkeypatch.setattr(Path, "exists", seen)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: passphrase_file(tmp_path).read_text(), range(8)))
    assert len(set(found)) == 1
    assert len(found[0]) >= 32


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "passphrase").write_text(text)
    with pytest.raises(StakeyardError, match=r"/passphrase is empty: put the passphrase of this state back into it or"):
        passphrase_file(tmp_path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "passphrase").mkdir()
    with pytest.raises(StakeyardError, match=r"/passphrase cannot be read \(is a directory\)"):
        passphrase_file(tmp_path)


def test_a_file_is_replaced_in_one_step_and_only_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace(path, "one")
    before = path.stat().st_ino
    replace(path, "one")
    assert path.stat().st_ino == before
    monkeypatch.setattr("stacks.whole_files.os.fsync", lambda _descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        replace(path, "two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_has_made_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    make_once(tmp_path / "file", "ours")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "theirs")]
