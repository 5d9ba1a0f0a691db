"""Backups: what a host takes, what a repository keeps, what comes back, and everything that is refused."""

import importlib.machinery
import importlib.util
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from stacks.backup import Snapshot, choose, description, identities_of, missing, open_backup, snapshot
from stacks.backup_store import Directory, Repository, Restic, read_identity
from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY

PROGRAM = REPOSITORY / "roles/backup/files/backup"
NOW = 1_780_000_000


def on_host() -> ModuleType:
    """The program that runs on hosts, as a module."""
    loader = importlib.machinery.SourceFileLoader("backup_on_host", str(PROGRAM))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


HOST = on_host()


class Node:
    """A directory that stands for a host: something to back up, and the settings of the role."""

    def __init__(self, root: Path) -> None:
        self.identity = pyrage.x25519.Identity.generate()
        self.keys = root / "volume/keys"
        self.keys.mkdir(parents=True)
        (self.keys / "aa.json").write_text('{"crypto": "a"}')
        (self.keys / "aa.json").chmod(0o400)
        (root / "volume/export.json").write_bytes(b"\x00history\xff")
        (root / "volume/claim.json").write_text('{"volume": "v-1", "generation": 3, "server": "s-1"}')
        (root / "recipients").write_text(f"{self.identity.to_public()}\n")
        self.config: dict[str, Any] = {
            "name": "validator",
            "node": "validator-1",
            "paths": [str(self.keys), str(root / "volume/export.json")],
            "before": [],
            "history": str(root / "volume/export.json"),
            "claim": str(root / "volume/claim.json"),
            "recipients": str(root / "recipients"),
            "directory": str(root / "backups"),
            "keep": 3,
        }
        self.directory = root / "backups"

    def take(self, now: int = NOW) -> tuple[Snapshot, bytes]:
        name = HOST.take(self.config, now)
        found = snapshot(name, (self.directory / f"{name}.json").read_bytes())
        return found, (self.directory / f"{name}.age").read_bytes()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_what_comes_back_is_what_was_there(node: Node) -> None:
    node.config["before"] = ["sh", "-c", 'echo \'{"marks": {"ab": {"slot": 9}}}\'']
    found, encrypted = node.take()
    content = open_backup(found, encrypted, str(node.identity))
    assert content.files == {
        str(node.keys / "aa.json"): b'{"crypto": "a"}',
        node.config["paths"][1]: b"\x00history\xff",
    }
    assert content.history == node.config["paths"][1]
    assert content.facts == {"marks": {"ab": {"slot": 9}}}
    assert (found.node, found.set, found.taken, found.volume, found.generation) == (
        "validator-1", "validator", NOW, "v-1", 3,
    )  # fmt: skip
    assert snapshot(found.name, description(found)) == found


def test_the_host_keeps_ciphertext_only(node: Node) -> None:
    node.take()
    for path in node.directory.iterdir():
        content = path.read_bytes()
        assert b"crypto" not in content
        assert b"history" not in content
        assert b"aa.json" not in content, "names of files are public keys"


def test_the_last_few_are_kept_and_leftovers_go(node: Node) -> None:
    names = [node.take(NOW + hour * 3600)[0].name for hour in range(5)]
    (node.directory / ".new-20260101T000000Z.age").write_bytes(b"killed")
    (node.directory / "20260101T000000Z.age").write_bytes(b"killed before its description was written")
    last = node.take(NOW + 9 * 3600)[0].name
    kept = sorted(path.name for path in node.directory.iterdir())
    assert kept == sorted(f"{name}.{end}" for name in [*names[3:], last] for end in ("age", "json"))


def remove(node: Node) -> None:
    node.config["paths"].append("/nowhere/at/all")


def link(node: Node) -> None:
    (node.keys / "link").symlink_to("/etc/shadow")


def nothing(node: Node) -> None:
    node.config["paths"] = []


def large(node: Node) -> None:
    with (node.keys / "large").open("wb") as file:
        file.truncate(HOST.LARGEST + 1)


def failing(node: Node) -> None:
    node.config["before"] = ["sh", "-c", "echo no database >&2; exit 3"]


def chatty(node: Node) -> None:
    node.config["before"] = ["echo", "all done"]


def torn_claim(node: Node) -> None:
    Path(node.config["claim"]).write_text("{")


def no_recipient(node: Node) -> None:
    Path(node.config["recipients"]).write_text("age1nonsense\n")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (remove, "/nowhere/at/all is missing"),
        (link, "link is neither a file nor a folder"),
        (nothing, "a backup of nothing helps nobody"),
        (large, "more than 64 MiB"),
        (failing, "sh failed, so there is nothing to back up: no database"),
        (chatty, "echo gave no JSON object"),
        (torn_claim, "claim.json cannot be understood"),
        (no_recipient, "age refuses: age: error:"),
    ],
)
def test_a_backup_that_would_not_help_is_refused(node: Node, spoil: Callable[[Node], None], sentence: str) -> None:
    spoil(node)
    with pytest.raises(HOST.RefusalError) as refused:
        node.take()
    assert sentence in str(refused.value)
    assert not list(node.directory.glob("*.json"))


def test_the_program_says_one_sentence_and_its_status(node: Node, tmp_path: Path) -> None:
    config = tmp_path / "config.json"

    def run() -> subprocess.CompletedProcess[str]:
        config.write_text(json.dumps(node.config))
        return subprocess.run([PROGRAM, config], capture_output=True, text=True, check=False)

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert (node.directory / f"{done.stdout.strip()}.age").stat().st_mode & 0o777 == 0o600
    remove(node)
    failed = run()
    assert failed.returncode == 1
    assert failed.stderr == "/nowhere/at/all is missing: it was to be backed up.\n"


@pytest.mark.parametrize("position", [0, 40, 250, -1])
def test_a_file_that_was_changed_is_refused_also_with_a_matching_digest(node: Node, position: int) -> None:
    found, encrypted = node.take()
    spoiled = bytearray(encrypted)
    spoiled[position] ^= 1
    with pytest.raises(StakeyardError, match="its digest differs"):
        open_backup(found, bytes(spoiled), str(node.identity))
    matching = replace(found, sha256=HOST.hashlib.sha256(spoiled).hexdigest())
    with pytest.raises(StakeyardError, match="cannot be decrypted"):
        open_backup(matching, bytes(spoiled), str(node.identity))


def test_a_file_that_was_cut_off_is_refused(node: Node) -> None:
    found, encrypted = node.take()
    with pytest.raises(StakeyardError, match="it was cut off"):
        open_backup(found, encrypted[:-16], str(node.identity))
    matching = replace(found, sha256=HOST.hashlib.sha256(encrypted[:-16]).hexdigest(), size=found.size - 16)
    with pytest.raises(StakeyardError, match="cannot be decrypted"):
        open_backup(matching, encrypted[:-16], str(node.identity))


def test_another_identity_does_not_open_it(node: Node) -> None:
    found, encrypted = node.take()
    other = str(pyrage.x25519.Identity.generate())
    with pytest.raises(StakeyardError, match="cannot be decrypted with this identity") as refused:
        open_backup(found, encrypted, other)
    assert other not in str(refused.value)


def test_any_of_several_identities_opens_it(node: Node) -> None:
    found, encrypted = node.take()
    text = f"# kept in the safe\n{pyrage.x25519.Identity.generate()}\n\n{node.identity}\n"
    assert open_backup(found, encrypted, text).files


@pytest.mark.parametrize("change", [{"generation": 9}, {"taken": NOW + 1}, {"node": "other"}, {"volume": "v-2"}])
def test_a_description_that_was_changed_is_refused(node: Node, change: dict[str, Any]) -> None:
    found, encrypted = node.take()
    with pytest.raises(StakeyardError, match="was changed after it was taken"):
        open_backup(replace(found, **change), encrypted, str(node.identity))


def test_a_history_that_is_not_among_the_files_is_refused(node: Node) -> None:
    node.config["history"] = "/elsewhere"
    found, encrypted = node.take()
    with pytest.raises(StakeyardError, match=r"the manifest of .* cannot be understood"):
        open_backup(found, encrypted, str(node.identity))


def forged(node: Node, files: dict[str, tuple[int, bytes]], changed: dict[str, tuple[int, bytes]]) -> Any:
    """A backup whose manifest speaks of `files` but that holds `changed`: anyone can encrypt to the operators."""
    inside = HOST.manifest(node.config, NOW, {}, files)
    encrypted = pyrage.encrypt(HOST.archive(inside, changed), [node.identity.to_public()])
    digest = HOST.hashlib.sha256
    found = replace(
        node.take()[0], manifest=digest(inside).hexdigest(), sha256=digest(encrypted).hexdigest(), size=len(encrypted)
    )
    return found, encrypted


def test_a_content_that_does_not_fit_its_manifest_is_refused(node: Node) -> None:
    node.config["history"] = ""
    one, other = {"/a": (0o600, b"1")}, {"/a": (0o600, b"2")}
    for files, changed, sentence in (
        (one, other, "is not what was backed up"),
        (one, {**one, "/b": (0o600, b"")}, "other files than its manifest"),
        (one, {}, "other files than its manifest"),
    ):
        found, encrypted = forged(node, files, changed)
        with pytest.raises(StakeyardError, match=sentence):
            open_backup(found, encrypted, str(node.identity))


def test_a_ciphertext_of_something_else_is_refused(node: Node) -> None:
    found, _ = node.take()
    encrypted = pyrage.encrypt(b"not an archive" * 100, [node.identity.to_public()])
    expected = replace(found, sha256=HOST.hashlib.sha256(encrypted).hexdigest(), size=len(encrypted))
    with pytest.raises(StakeyardError, match="holds no archive"):
        open_backup(expected, encrypted, str(node.identity))


# Choosing.


def shot(name: str, generation: int = 1, taken: int = NOW, node: str = "n1", volume: str = "v") -> Snapshot:
    return Snapshot(name, node, "validator", taken, volume, generation, "m", "s" + name, 1)


def pick(found: list[Snapshot], asked: str | None = None, accept_older: bool = False) -> str:
    return choose(found, node="n1", now=NOW + 10, asked=asked, accept_older=accept_older).name


def test_the_newest_is_that_of_the_highest_claim_then_the_last() -> None:
    lost_its_claim = shot("c", generation=1, taken=NOW + 5)
    assert pick([shot("a", 2, NOW - 9), shot("b", 2, NOW - 3), lost_its_claim]) == "b"
    assert pick([shot("a"), shot("z", 9, NOW, node="n2")]) == "a"


def test_claims_of_another_volume_are_counted_anew() -> None:
    """The first volume's claim had moved often when it was lost; the second one's is young, and its backups count."""
    found = [shot("a", 5, NOW - 9000, volume="lost"), shot("b", 1, NOW - 9), shot("c", 1, NOW - 3)]
    assert pick(found) == "c"
    assert pick(found, asked="c") == "c"
    with pytest.raises(StakeyardError, match="backup a of n1 is older than c"):
        pick(found, asked="a")


def test_an_older_one_is_restored_only_when_the_operator_accepts_it() -> None:
    found = [shot("a", 1, NOW - 9), shot("b", 1, NOW - 3)]
    assert pick(found, asked="b") == "b"
    with pytest.raises(StakeyardError, match=r"backup a of n1 is older than b: .* --accept-older-backup"):
        pick(found, asked="a")
    assert pick(found, asked="a", accept_older=True) == "a"


@pytest.mark.parametrize(
    ("found", "asked", "sentence"),
    [
        ([], None, "there is no backup of n1"),
        ([shot("a")], "b", "there is no backup b of n1: the newest is a"),
        ([shot("a", taken=NOW + 1000)], None, "was taken in the future"),
    ],
)
def test_what_cannot_be_chosen_is_refused(found: list[Snapshot], asked: str | None, sentence: str) -> None:
    with pytest.raises(StakeyardError, match=sentence):
        pick(found, asked)


def test_missing_is_what_the_repository_lacks_or_has_another_of() -> None:
    here = [shot("a"), replace(shot("b"), sha256="other")]
    assert [each.name for each in missing([shot("c"), shot("b"), shot("a")], here)] == ["b", "c"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "node": "n"}'])
def test_a_description_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(StakeyardError, match="cannot be understood"):
        snapshot("20260101T000000Z", text.encode())


# Keeping.


def restic(directory: Path) -> Restic:
    address, password = directory / "address", directory / "password"
    address.write_text(f"{directory / 'restic'}\n")
    password.write_text("correct horse\n")
    repository = Restic(address, password)
    repository._run("init")
    return repository


@pytest.fixture(params=["directory", "restic"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    return restic(tmp_path) if request.param == "restic" else directory(tmp_path)


def directory(place: Path) -> Directory:
    (place / "repository").mkdir()
    return Directory(place / "repository")


def test_a_directory_that_is_not_there_or_cannot_be_read_is_not_empty(node: Node, tmp_path: Path) -> None:
    """As where the disk of the backups is not mounted: `no backup` would let a key start without its history."""
    gone = Directory(tmp_path / "gone")
    sentence = r"^backup.repository: .*/gone cannot be read \(no such file or directory\), so it is not known which"
    with pytest.raises(StakeyardError, match=sentence):
        gone.snapshots("validator-1")
    repository = directory(tmp_path)
    repository.add(*node.take())
    (description,) = repository.path.glob("*/*/*.json")
    description.unlink()
    description.mkdir()
    with pytest.raises(StakeyardError, match=r"is a directory\), so it is not known which backups of validator-1"):
        repository.snapshots("validator-1")


def test_a_directory_that_takes_nothing_is_named(node: Node, tmp_path: Path) -> None:
    repository = directory(tmp_path)
    (repository.path / "validator-1").write_text("a file in the way")
    with pytest.raises(StakeyardError, match=r"of validator-1 cannot be kept in .*/repository/validator-1/"):
        repository.add(*node.take())


def test_a_repository_gives_back_what_it_was_given(node: Node, repository: Repository) -> None:
    assert repository.snapshots("validator-1") == []
    first, second = node.take(), node.take(NOW + 60)
    for found, encrypted in (first, second, first):
        repository.add(found, encrypted)
    assert sorted(repository.snapshots("validator-1"), key=lambda each: each.name) == [first[0], second[0]]
    assert repository.snapshots("validator-2") == []
    assert open_backup(first[0], repository.read(first[0]), str(node.identity)).files


def test_a_repository_takes_nothing_in_that_is_not_what_was_described(node: Node, repository: Repository) -> None:
    found, encrypted = node.take()
    with pytest.raises(StakeyardError, match="its digest differs"):
        repository.add(found, encrypted[:-1] + b"?")
    assert repository.snapshots("validator-1") == []


def test_a_file_that_was_changed_or_lost_in_the_directory_is_refused(node: Node, tmp_path: Path) -> None:
    repository = directory(tmp_path)
    found, encrypted = node.take()
    repository.add(found, encrypted)
    (file,) = repository.path.glob("*/*/*.age")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(encrypted[:-1])
    with pytest.raises(StakeyardError, match="it was cut off"):
        repository.read(found)
    file.unlink()
    with pytest.raises(StakeyardError, match="cannot be read"):
        repository.read(found)


def test_restic_says_what_is_wrong_in_one_sentence(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = restic(tmp_path)
    found, _ = node.take()
    with pytest.raises(StakeyardError, match="is not in the restic repository any more"):
        repository.read(found)
    repository.password_file.write_text("wrong\n")
    with pytest.raises(StakeyardError, match=r"restic snapshots failed: .*wrong password"):
        repository.snapshots("validator-1")
    monkeypatch.setenv("PATH", str(node.keys))
    with pytest.raises(StakeyardError, match="restic is not installed"):
        repository.snapshots("validator-1")


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "identity"
    with pytest.raises(StakeyardError, match="cannot be read"):
        read_identity(file)
    file.write_text("AGE-SECRET-KEY-1\n")
    file.chmod(0o640)
    with pytest.raises(StakeyardError, match="can be read by others"):
        read_identity(file)
    file.chmod(0o600)
    assert read_identity(file) == "AGE-SECRET-KEY-1\n"
    with pytest.raises(StakeyardError, match="holds no identity"):
        identities_of("AGE-SECRET-KEY-1NONSENSE")
