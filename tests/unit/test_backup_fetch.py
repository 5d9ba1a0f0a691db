"""Fetching backups from a node: what is new comes over, and a node speaks for itself only."""

import base64
import hashlib
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from stacks.backup import Snapshot, description
from stacks.backup_fetch import fetch, take
from stacks.backup_store import Directory
from stacks.errors import StakeyardError

CONTENT = b"ciphertext"


def shot(name: str, node: str = "n1", of: str = "signer") -> Snapshot:
    return Snapshot(name, node, of, 1, "v", 1, "m", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Opened:
    """A session whose host has these backups, by the path that it gives them."""

    def __init__(self, **there: Snapshot) -> None:
        self.there = {path.replace("__", "/"): found for path, found in there.items()}
        self.content = base64.b64encode(CONTENT).decode()
        self.fails = ""
        self.read = 0

    def run(self, name: str, command: str, stdin: str = "", timeout: float = 0) -> CompletedProcess[str]:
        if self.fails:
            return CompletedProcess([], 1, "", f"something\n{self.fails}\n")
        if "cd /var/backups" in command:
            lines = [f"{path} {base64.b64encode(description(found)).decode()}\n" for path, found in self.there.items()]
            return CompletedProcess([], 0, "".join(lines), "")
        self.read += 1
        return CompletedProcess([], 0, self.content, "")


def bring(opened: Opened, directory: Path) -> list[Snapshot]:
    session: Any = opened
    return fetch(session, "n1", Directory(directory), lambda _: None)


def test_what_is_new_comes_over_once(tmp_path: Path) -> None:
    names = ["20260101T000000Z", "20260102T000000Z"]
    opened = Opened(**{f"signer__{name}": shot(name) for name in names})
    assert [each.name for each in bring(opened, tmp_path)] == names
    assert bring(opened, tmp_path) == []
    assert opened.read == 2
    assert Directory(tmp_path).read(shot("20260101T000000Z")) == CONTENT


@pytest.mark.parametrize(
    ("path", "found", "sentence"),
    [
        ("signer__20260101T000000Z", shot("20260101T000000Z", node="n2"), "says that it is signer of n2"),
        ("other__20260101T000000Z", shot("20260101T000000Z"), "says that it is signer of n1"),
        ("..__20260101T000000Z", shot("20260101T000000Z"), "is no backup"),
        ("signer__x", shot("x"), "is no backup"),
    ],
)
def test_a_node_that_speaks_for_another_is_not_believed(
    tmp_path: Path, path: str, found: Snapshot, sentence: str
) -> None:
    with pytest.raises(StakeyardError, match=sentence):
        bring(Opened(**{path: found}), tmp_path)
    assert list(tmp_path.rglob("*.age")) == []


def test_an_answer_that_was_cut_off_is_not_kept(tmp_path: Path) -> None:
    opened = Opened(signer__20260101T000000Z=shot("20260101T000000Z"))
    opened.content = opened.content[:-3]
    with pytest.raises(StakeyardError, match="was cut off"):
        bring(opened, tmp_path)
    opened.content = base64.b64encode(CONTENT[:-1]).decode()
    with pytest.raises(StakeyardError, match="it was cut off"):
        bring(opened, tmp_path)
    assert list(tmp_path.rglob("*.json")) == []


def test_what_fails_on_the_node_is_its_last_word(tmp_path: Path) -> None:
    opened: Any = Opened()
    opened.fails = "the disk is full"
    with pytest.raises(StakeyardError, match="n1: its backups could not be listed: the disk is full"):
        bring(opened, tmp_path)
    with pytest.raises(StakeyardError, match="n1: no backup was taken: the disk is full"):
        take(opened, "n1")
