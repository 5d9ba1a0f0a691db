"""Keys start with a history or not at all, and a run that was killed anywhere leaves nothing half done.

A small program stands in for the client: it keeps its database as JSON, and can be told to do less than it should.
tests/roles/test_ethereum_validator.py does the same with the real one.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roles.ethereum_validator.module_utils.stakeyard_ethereum import beacon, client, interchange
from tests.unit.ethereum_beacon import GENESIS, ROOT, SECONDS, SLOTS, FakeBeacon, key_of, served
from tests.unit.ethereum_keystores import keystore_of, module, public_key_of

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the modules give files to the client's user")
history_module, wallet_module, listen_module = (
    module(name) for name in ("prysm_history", "prysm_wallet", "ethereum_listen")
)
ONE, TWO = key_of(1), key_of(2)
MARKS = {"source": 4, "target": 9, "slot": 60}
CLIENT = """#!/usr/bin/env python3
import json, pathlib, sys
place = pathlib.Path(__file__).parent
with open(place / "calls", "a") as calls:
    print(" ".join(sys.argv[1:]), file=calls)
options = dict(part[2:].split("=", 1) for part in sys.argv[1:] if part.startswith("--") and "=" in part)
fault = (place / "fault").read_text() if (place / "fault").exists() else ""
def files(folder):
    return sorted(pathlib.Path(folder).glob("*.json"))
if fault == "fails":
    sys.exit("the database is broken")
match sys.argv[1:3]:
    case ["slashing-protection-history", "import"]:
        database = pathlib.Path(options["datadir"], "validator.db")
        given = json.load(open(options["slashing-protection-json-file"]))
        held = json.loads(database.read_text() or "null") or {**given, "data": []}
        if fault != "forgets":
            held["data"] += given["data"]
        database.write_text(json.dumps(held))
    case ["slashing-protection-history", "export"]:
        held = pathlib.Path(options["datadir"], "validator.db").read_text()
        pathlib.Path(options["slashing-protection-export-dir"], "slashing_protection.json").write_text(held)
    case ["accounts", "import"]:
        wallet = pathlib.Path(options["wallet-dir"], "direct/accounts")
        wallet.mkdir(parents=True, exist_ok=True)
        held = wallet / "all-accounts.keystore.json"
        keys = json.loads(held.read_text()) if held.exists() else []
        password = open(options["account-password-file"]).read()
        assert open(options["wallet-password-file"]).read()
        for path in files(options["keys-dir"]):
            if fault != "forgets":
                keys.append([json.loads(path.read_text())["pubkey"], password])
        held.write_text(json.dumps(keys))
    case ["accounts", "list"]:
        held = pathlib.Path(options["wallet-dir"], "direct/accounts/all-accounts.keystore.json")
        for key, _ in json.loads(held.read_text()):
            print(f"\\x1b[95m[validating public key]\\x1b[0m 0x{key}")
"""


class Module:
    """What Ansible gives a module."""

    def __init__(self, parameters: Mapping[str, Any], check: bool = False) -> None:
        self.params, self.check_mode = parameters, check

    def run_command(self, command: list[str], cwd: str, environ_update: Mapping[str, str]) -> tuple[int, str, str]:
        import subprocess

        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **environ_update}, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr


class Host:
    """A key volume with a client."""

    def __init__(self, folder: Path) -> None:
        self.program, self.mount = folder / "validator", folder / "mount"
        self.program.write_text(CLIENT)
        self.program.chmod(0o755)
        self.mount.mkdir()
        self.database = self.mount / "client"

    def fault(self, name: str) -> None:
        (self.program.parent / "fault").write_text(name)

    def calls(self) -> list[str]:
        path = self.program.parent / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def history(self, *keys: str, check: bool = False, **more: Any) -> dict[str, Any]:
        parameters = {
            "program": str(self.program), "user": "root", "database": str(self.database),
            "export": str(self.mount / "export/history.json"), "public_keys": list(keys), "history": "",
            "genesis_validators_root": "", "state": "started", **more,
        }  # fmt: skip
        act = history_module.start if parameters["state"] == "started" else history_module.export
        result: dict[str, Any] = act(Module(parameters, check))
        return result

    def held(self) -> Mapping[str, Mapping[str, int]]:
        """What the client's database says."""
        return interchange.parse((self.database / "validator.db").read_bytes()).keys

    def wallet(self, *secrets: int, check: bool = False) -> dict[str, Any]:
        parameters = {
            "program": str(self.program), "user": "root", "keys": str(self.mount / "keys"),
            "public_keys": [f"0x{public_key_of(secret)}" for secret in secrets],
            "wallet": str(self.mount / "wallet"), "password_file": str(self.mount / "wallet.password"),
        }  # fmt: skip
        result: dict[str, Any] = wallet_module.run(Module(parameters, check))
        return result

    def keystore(self, secret: int, password: str) -> None:
        folder = self.mount / "keys"
        folder.mkdir(exist_ok=True)
        (folder / f"{public_key_of(secret)}.json").write_text(keystore_of(secret, password))
        (folder / f"{public_key_of(secret)}.password").write_text(password)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(client, "WORK", str(tmp_path))
    return Host(tmp_path)


def given_history(**keys: Mapping[str, int]) -> str:
    return interchange.minimal(interchange.History(ROOT, keys)).decode()


def test_keys_get_their_history_once(host: Host) -> None:
    given = given_history(**{ONE: MARKS, TWO: {**MARKS, "target": 11}})
    assert host.history(ONE, TWO, history=given, check=True)["needed"]
    assert list(host.mount.iterdir()) == []
    assert host.history(ONE, TWO, history=given) == {"changed": True, "needed": True, "seeded": 11}
    assert host.held() == {ONE: MARKS, TWO: {**MARKS, "target": 11}}
    assert json.loads((host.mount / "listen.json").read_text()) == {"target": 11}
    calls = host.calls()
    # Again, with a history or without: nothing is imported twice, which would block the key for ever.
    assert host.history(ONE, TWO, history=given) == {"changed": False, "needed": False, "seeded": -1}
    assert host.history(ONE, TWO) == {"changed": False, "needed": False, "seeded": -1}
    assert host.calls() == calls


def test_a_key_without_history_is_refused_by_name(host: Host) -> None:
    with pytest.raises(client.ClientError, match=f"0x{ONE} has no history of what it signed, and none was given"):
        host.history(ONE)
    with pytest.raises(interchange.InterchangeError, match=f"0x{TWO} would start without a source mark"):
        host.history(ONE, TWO, history=given_history(**{ONE: MARKS}))
    with pytest.raises(interchange.InterchangeError, match=f"0x{ONE} would start without a slot mark"):
        host.history(ONE, history=given_history(**{ONE: {"source": 1, "target": 2}}))
    with pytest.raises(interchange.InterchangeError, match="no JSON text"):
        host.history(ONE, history="{")
    assert not host.database.exists()


def test_the_history_of_another_chain_is_refused(host: Host) -> None:
    with pytest.raises(client.ClientError, match=f"the history is of the chain {ROOT}, not of 0xcd"):
        host.history(ONE, history=given_history(**{ONE: MARKS}), genesis_validators_root="0x" + "cd" * 32)
    assert not host.database.exists()


def test_a_client_that_did_not_take_it_is_not_started(host: Host) -> None:
    host.fault("forgets")
    with pytest.raises(client.ClientError, match=f"0x{ONE}: the client did not take the history"):
        host.history(ONE, history=given_history(**{ONE: MARKS}))
    assert not host.database.exists()
    host.fault("fails")
    with pytest.raises(client.ClientError, match="the client's import of a history failed: the database is broken"):
        host.history(ONE, history=given_history(**{ONE: MARKS}))
    assert not host.database.exists()


def test_a_run_that_was_killed_in_the_middle_is_made_good(host: Host) -> None:
    given = given_history(**{ONE: MARKS})
    host.fault("forgets")
    with pytest.raises(client.ClientError):
        host.history(ONE, history=given)
    assert (host.mount / "client.new/validator.db").exists()
    assert (host.mount / "listen.json").exists()
    host.fault("")
    assert host.history(ONE, history=given)["changed"]
    assert host.held() == {ONE: MARKS}
    # killed between the two renames of the swap: the database before is put back
    (host.mount / "client").rename(host.mount / "client.old")
    assert host.history(ONE) == {"changed": False, "needed": False, "seeded": -1}
    assert host.held() == {ONE: MARKS}
    # the notes are lost: the database itself is asked
    (host.database / "known-keys.json").unlink()
    assert host.history(ONE) == {"changed": True, "needed": True, "seeded": -1}
    assert host.held() == {ONE: MARKS}


def test_a_further_key_gets_its_own_history_and_the_others_keep_theirs(host: Host) -> None:
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    with pytest.raises(client.ClientError, match=f"0x{TWO} has no history"):
        host.history(ONE, TWO)
    assert host.history(ONE, TWO, history=given_history(**{TWO: {**MARKS, "target": 12}}))["seeded"] == 12
    assert host.held() == {ONE: MARKS, TWO: {**MARKS, "target": 12}}


def test_a_key_that_comes_back_starts_above_what_it_signed_elsewhere(host: Host) -> None:
    """Its old entries are still in the database: an import beside them would raise nothing."""
    host.history(ONE, TWO, history=given_history(**{ONE: MARKS, TWO: MARKS}))
    (host.mount / "listen.json").unlink()
    later = given_history(**{TWO: {"source": 40, "target": 99, "slot": 800}})
    assert host.history(ONE, TWO, history=later, check=True)["needed"]
    assert host.history(ONE, TWO, history=later)["seeded"] == 99
    content = json.loads((host.database / "validator.db").read_text())
    votes = {entry["pubkey"]: entry["signed_attestations"] for entry in content["data"]}
    assert votes[f"0x{TWO}"] == [{"source_epoch": "40", "target_epoch": "99"}]
    assert host.held()[ONE] == MARKS
    assert json.loads((host.mount / "listen.json").read_text()) == {"target": 99}


def test_a_seed_is_never_below_what_the_database_knows(host: Host) -> None:
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    host.history(ONE, history=given_history(**{ONE: {"source": 3, "target": 8, "slot": 61}}))
    assert host.held() == {ONE: {**MARKS, "slot": 61}}


def test_a_database_that_a_client_has_open_is_not_swapped_away_under_it(host: Host) -> None:
    """As one that was started by hand while the keys were given their history."""
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    with (host.database / "validator.db").open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        with pytest.raises(client.ClientError, match=r"validator\.db is open: a client was started while keys"):
            host.history(ONE, TWO, history=given_history(**{TWO: MARKS}))
    assert host.held() == {ONE: MARKS}
    assert (host.mount / "listen.json").exists()
    assert host.history(ONE, TWO, history=given_history(**{TWO: MARKS}))["changed"]
    assert host.held() == {ONE: MARKS, TWO: MARKS}


def test_a_lost_database_is_not_taken_for_a_new_one(host: Host) -> None:
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    (host.database / "validator.db").unlink()
    with pytest.raises(client.ClientError) as refused:
        host.history(ONE)
    assert str(refused.value) == (
        f"0x{ONE} has no history of what it signed, and none was given: these keys have signed and their history is "
        "not on the volume; give the volume up as docs/rebuild.md says."
    )
    assert not (host.database / "validator.db").exists()


@pytest.mark.parametrize("content", [b"", b'["', b"\xff", b"{}", b"[[1]]"])
def test_a_note_that_cannot_be_read_makes_the_database_be_asked(host: Host, content: bytes) -> None:
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    note = host.database / "known-keys.json"
    note.write_bytes(content)
    with pytest.raises(client.ClientError, match=f"0x{TWO} has no history"):
        host.history(ONE, TWO)
    assert host.history(ONE) == {"changed": True, "needed": True, "seeded": -1}
    assert host.held() == {ONE: MARKS}
    assert json.loads(note.read_text()) == [ONE]
    assert host.history(ONE) == {"changed": False, "needed": False, "seeded": -1}


def test_the_export_has_the_highest_marks_and_is_for_root_alone(host: Host) -> None:
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    file = host.mount / "export/history.json"
    assert host.history(state="exported")["changed"]
    assert interchange.parse(file.read_bytes()).keys == {ONE: MARKS}
    assert file.stat().st_mode & 0o7777 == 0o600
    assert not host.history(state="exported")["changed"]
    database = host.database / "validator.db"
    content = json.loads(database.read_text())
    content["data"][0]["signed_blocks"].append({"slot": "61"})
    database.write_text(json.dumps(content))
    assert host.history(state="exported")["changed"]
    assert interchange.parse(file.read_bytes()).keys == {ONE: {**MARKS, "slot": 61}}


def test_an_export_that_fails_leaves_the_one_before(host: Host) -> None:
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    host.history(state="exported")
    host.fault("fails")
    with pytest.raises(client.ClientError, match="export of its history failed: the database is broken"):
        host.history(state="exported")
    assert interchange.parse((host.mount / "export/history.json").read_bytes()).keys == {ONE: MARKS}


def test_a_wallet_holds_exactly_the_declared_keys(host: Host) -> None:
    for secret, password in ((11, "first"), (12, "second"), (13, "first")):
        host.keystore(secret, password)
    assert host.wallet(11, 12, 13, check=True)["needed"]
    assert not (host.mount / "wallet").exists()
    assert host.wallet(11, 12, 13) == {"changed": True, "needed": True, "keys": 3}
    held = json.loads((host.mount / "wallet/direct/accounts/all-accounts.keystore.json").read_text())
    assert sorted(held) == sorted(
        [public_key_of(secret), password] for secret, password in ((11, "first"), (12, "second"), (13, "first"))
    )
    assert (host.mount / "wallet.password").stat().st_mode & 0o7777 == 0o400
    calls = host.calls()
    assert host.wallet(11, 12, 13) == {"changed": False, "needed": False, "keys": 3}
    assert host.calls() == calls
    assert len([call for call in calls if call.startswith("accounts import")]) == 2
    assert "first" not in " ".join(calls)
    # one key less: made anew
    assert host.wallet(11, 12)["changed"]
    held = json.loads((host.mount / "wallet/direct/accounts/all-accounts.keystore.json").read_text())
    assert {key for key, _ in held} == {public_key_of(11), public_key_of(12)}


def test_a_key_that_was_brought_into_the_wallet_by_hand_goes_again(host: Host) -> None:
    """As `validator accounts import` does: the client would sign with a key that has no history here."""
    host.keystore(11, "first")
    host.wallet(11)
    held = host.mount / "wallet/direct/accounts/all-accounts.keystore.json"
    good = held.read_text()
    held.chmod(0o600)
    held.write_text(json.dumps([*json.loads(good), ["ab" * 48, "first"]]))
    assert host.wallet(11, check=True)["needed"]
    assert host.wallet(11) == {"changed": True, "needed": True, "keys": 1}
    assert held.read_text() == good


def test_a_wallet_that_the_client_did_not_make_is_not_taken(host: Host) -> None:
    host.keystore(11, "first")
    host.wallet(11)
    host.keystore(12, "second")
    host.fault("forgets")
    with pytest.raises(client.ClientError, match=r"0x[0-9a-f]{96} was not imported by the client"):
        host.wallet(11, 12)
    with pytest.raises(client.ClientError, match=f"0x{public_key_of(13)} has no keystore on the key volume"):
        host.wallet(11, 13)
    host.fault("")
    assert not host.wallet(11)["changed"]


def test_nothing_is_left_where_the_client_worked(host: Host, tmp_path: Path) -> None:
    host.keystore(11, "first")
    host.wallet(11)
    host.history(ONE, history=given_history(**{ONE: MARKS}))
    assert list(tmp_path.glob("stakeyard-*")) == []


def test_keys_listen_until_the_client_can_tell_others_from_them() -> None:
    """Prysm looks only at keys whose last target is three epochs before that of the head's slot."""
    known = beacon.Chain(ROOT, GENESIS, float(SECONDS), SLOTS)
    begins = known.time_of((9 + 3) * SLOTS + 2)
    assert listen_module.seconds_left(known, 9, 3, begins - 50) == 50
    assert listen_module.seconds_left(known, 9, 3, begins + 50) == -50
    assert known.epoch_of(known.slot_at(begins) - 1) == 12


def test_the_first_node_that_answers_says_what_time_it_is() -> None:
    with served(FakeBeacon()) as url:
        assert listen_module.chain(["http://127.0.0.1:9", url]).slots_per_epoch == SLOTS
    with pytest.raises(beacon.BeaconError, match="cannot be reached"):
        listen_module.chain(["http://127.0.0.1:9"])
    with pytest.raises(beacon.BeaconError, match="no beacon node is named"):
        listen_module.chain([])
