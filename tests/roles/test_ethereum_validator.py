"""A validator on a host of a private network: it signs with a claim and a history, and refuses everything else.

A mount in memory stands in for the key volume: a container has no block devices of its own. What only a real volume can
show, that it is attached to one server, is for the lab.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from roles.ethereum_validator import signer, slashable
from stacks import backup_fetch, runner
from stacks.backup import open_backup
from stacks.backup_store import Directory
from stacks.catalogue import load_catalogue
from stacks.devnet import make
from stacks.errors import StakeyardError
from stacks.signer import Record, fingerprint, raised
from stacks.verification import check_files, run
from tests.roles.machine import NETWORK, Machine
from tests.unit.ethereum_keystores import keystore_of, public_key_of

pytestmark = pytest.mark.host
ROLES = ("host", "ethereum_validator")
VOLUME = "5f1c1f53-0dd9-4c68-a9b5-0b9f8a2e2d11"
SERVER = "7d2d7a0e-52a3-4d0c-8e41-6f5f3f7c9a10"
MOUNT = "/var/lib/ethereum-validator"
UNIT = "ethereum-validator.service"
GATE = "/usr/local/lib/stakeyard/signer-gate"
RECIPIENT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
CANARY = "canary-4f6a1b2c9d8e7f60"
"""In every password: it must appear nowhere but on the key volume."""
OPERATOR = pyrage.x25519.Identity.generate()
DELAY = "300"
"""Seconds until the network begins: until then its beacon node must be up and asked about the keys."""


@dataclass(frozen=True)
class Validator:
    """A host with what the program would tell it; `said` is all that was said while it converged."""

    machine: Machine
    variables: Mapping[str, Any]
    said: list[str]

    def converge(self, *, check: bool = False, entry: str = "main", **changes: object) -> runner.RunResult:
        """Apply the roles with these variables changed."""
        roles = ROLES if entry == "main" else ROLES[1:]
        given = {**self.variables, **changes}
        try:
            # Nothing is named as a secret, which would blot out here what a task says.
            return runner.converge(self.machine.ssh, roles, given, self.said.append, check=check, entry=entry)
        except StakeyardError as error:
            self.said.append(str(error))
            raise

    def refused_by_hand(self) -> str:
        """What its journal says after a start by hand that did not start it."""
        # systemd allows five starts in ten minutes, which these tests need for themselves
        self.machine.root(
            f"systemctl reset-failed {UNIT}; systemctl start {UNIT}; ! systemctl is-active --quiet {UNIT}"
        )
        return self.machine.root(f"journalctl -u {UNIT} -o cat -n 10")

    def start_by_hand(self) -> None:
        """Start it."""
        self.machine.root(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}; systemctl is-active {UNIT}")

    def state(self) -> str:
        """What a refusal must not change."""
        return self.machine.root(
            f"systemctl show -P MainPID -P ActiveState {UNIT}; find {MOUNT} -type f ! -path '*/client/*' | sort |"
            " xargs sha256sum; cat /etc/systemd/system/ethereum-validator.service"
        )


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a network of eight validators that begins soon."""
    folder = tmp_path_factory.mktemp("network")
    make("ethereum_beacon", folder, ["--validators", "8", "--sets", "1", "--delay", DELAY], print)
    return folder


@pytest.fixture(scope="module")
def beacon(devnet: Path, make_host: Callable[[str], Machine]) -> Machine:
    """A host with its execution client and beacon node."""
    machine = make_host("ethereum-1")
    given = {
        **common(machine),
        "stakeyard_kind": "ethereum_node",
        "stakeyard_ports": [
            {"name": "ssh", "protocol": "tcp", "port": 22, "sources": [NETWORK]},
            {"name": "beacon-api", "protocol": "tcp", "port": 3500, "sources": [NETWORK]},
        ],
        "ethereum_network": "devnet",
        "ethereum_devnet": str(devnet),
    }
    runner.converge(machine.ssh, ["host", "ethereum_execution", "ethereum_beacon"], given, print)
    return machine


def common(machine: Machine) -> dict[str, Any]:
    return {
        "stakeyard_node": machine.name,
        "stakeyard_address": machine.address,
        "stakeyard_network_cidr": NETWORK,
        "stakeyard_operator_ranges": [NETWORK],
        "stakeyard_peers": [],
        "stakeyard_uses": [],
        "stakeyard_egress": [],
        "stakeyard_ports": [{"name": "ssh", "protocol": "tcp", "port": 22, "sources": [NETWORK]}],
    }


def keystores(devnet: Path) -> list[dict[str, str]]:
    """The network's own keys, with passwords that carry the canary: two of them, as for two groups of keys."""
    from roles.ethereum_beacon.devnet import secret_key

    return [
        {"keystore": keystore_of(secret_key(index), f"{CANARY}-{index % 2}"), "password": f"{CANARY}-{index % 2}"}
        for index in range(8)
    ]


def claim(keys: Sequence[str], **changes: object) -> dict[str, object]:
    return {"server": SERVER, "generation": 1, "keys": sorted(map(fingerprint, keys)), "new": True, **changes}


@pytest.fixture(scope="module")
def history(devnet: Path, beacon: Machine) -> str:
    """The history with which the program lets keys start that the chain shows nothing of."""
    keys = signing_keys(devnet)
    shown = signer.record(signer.endpoints([{"address": beacon.address}]), signer.public_keys(keys), -12)
    assert shown.synced
    record = Record(shown.synced, shown.seen, shown.present, shown.quiet_epochs, shown.quiet_seconds)
    marks = raised(frozenset(map(fingerprint, keys)), {}, record)
    return signer.seed(None, keys, marks, shown.genesis_validators_root).decode()


def signing_keys(devnet: Path) -> list[str]:
    keys: list[str] = json.loads((devnet / "devnet.json").read_text())["sets"][0]
    return keys


@pytest.fixture(scope="module")
def validator(devnet: Path, beacon: Machine, history: str, make_host: Callable[[str], Machine]) -> Validator:
    """A host with a stand-in for a blank key volume; nothing of the validator is on it yet."""
    machine = make_host("validator-1")
    machine.root(
        f"touch /dev/key-volume && mkdir -p /dev/disk/by-id {MOUNT} &&"
        f" ln -s /dev/key-volume /dev/disk/by-id/virtio-{VOLUME[:20]} &&"
        f" mount -t tmpfs -o nodev,nosuid,noexec,mode=0755 /dev/key-volume {MOUNT}"
    )
    keys = signing_keys(devnet)
    given = {
        **common(machine),
        "stakeyard_kind": "ethereum_validator",
        "stakeyard_uses": [{"name": beacon.name, "address": beacon.address}],
        "stakeyard_egress": [
            {"name": "api", "protocol": "tcp", "port": 3500, "destinations": [f"{beacon.address}/32"]}
        ],
        "stakeyard_volumes": {"keys": {"device_id": VOLUME}},
        "stakeyard_signing_keys": keys,
        "stakeyard_claim": claim(keys),
        "stakeyard_history": "",
        "stakeyard_backup_recipients": [str(OPERATOR.to_public())],
        "ethereum_network": "devnet",
        "ethereum_devnet": str(devnet),
        "ethereum_validator_keystores": keystores(devnet),
        "ethereum_validator_fee_recipient": RECIPIENT,
        # The network begins with these keys: nobody else can have signed with them.
        "ethereum_validator_listen_epochs": 0,
    }
    return Validator(machine, given, [])


STRANGER = public_key_of(99)
KNOWN = f"{MOUNT}/client/known-keys.json"
OTHER = "11111111-2222-4333-8444-555555555555"
REFUSED: dict[str, tuple[Callable[[Validator], dict[str, Any]], str]] = {
    "no fee recipient": (
        lambda _: {"ethereum_validator_fee_recipient": ""},
        "ethereum_validator_fee_recipient: it is missing",
    ),
    "no beacon node": (lambda _: {"stakeyard_uses": []}, "name at least one under `uses`"),
    "no claim where there should be one": (
        lambda v: {"stakeyard_claim": claim(v.variables["stakeyard_signing_keys"], new=False)},
        "the volume has no claim although it should",
    ),
    "a stranger's keystore": (
        lambda v: {
            "ethereum_validator_keystores": [
                *v.variables["ethereum_validator_keystores"],
                {"keystore": keystore_of(99, f"{CANARY}-x"), "password": f"{CANARY}-x"},
            ]
        },
        f"0x{STRANGER} is a stranger's key",
    ),
    "a keystore too few": (
        lambda v: {"ethereum_validator_keystores": v.variables["ethereum_validator_keystores"][1:]},
        "has no keystore: give it, with its password",
    ),
    "a wrong password": (
        lambda v: {
            "ethereum_validator_keystores": [
                {**v.variables["ethereum_validator_keystores"][0], "password": f"{CANARY}-wrong"},
                *v.variables["ethereum_validator_keystores"][1:],
            ]
        },
        "the password does not open its keystore",
    ),
    "no history": (lambda _: {}, "has no history of what it signed, and none was given"),
    "a history of other keys": (
        lambda _: {"stakeyard_history": json.dumps({
            "metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x" + "00" * 32}, "data": [],
        })},
        "would start without a source mark",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_before_anything_signs(validator: Validator, case: str) -> None:
    change, sentence = REFUSED[case]
    with pytest.raises(StakeyardError) as refusal:
        validator.converge(**change(validator))
    assert sentence in str(refusal.value)
    shown = validator.machine.root(f"systemctl show -P LoadState {UNIT}; ls {MOUNT}/client 2> /dev/null || true")
    assert shown.split() == ["not-found"]


@pytest.fixture(scope="module")
def running(validator: Validator, history: str) -> Validator:
    """The validator, started with a history."""
    validator.converge(stakeyard_history=history)
    started = {**validator.variables, "stakeyard_claim": {**validator.variables["stakeyard_claim"], "new": False}}
    return Validator(validator.machine, started, validator.said)


def facts(validator: Validator) -> dict[str, Any]:
    resolved = load_catalogue().resolve("ethereum_validator", {"ethereum_network": "devnet"})
    machine = validator.machine
    return {
        "node": machine.name,
        "name": machine.name,
        "kind": "ethereum_validator",
        "host": machine.address,
        "address": machine.address,
        "variables": {k: v for k, v in validator.variables.items() if k != "ethereum_validator_keystores"},
        "ports": validator.variables["stakeyard_ports"],
        "egress": validator.variables["stakeyard_egress"],
        "peers": [],
        "volumes": {},  # the stand-in is no device, which the host's checks of volumes would say
        "files": [file.model_dump() for file in resolved.files],
        "units": list(resolved.units),
    }


def test_it_passes_its_own_checks(running: Validator) -> None:
    known = facts(running)
    checks = run(running.machine.session, check_files(ROLES, "node"), {**known, "nodes": [known]}, lambda _: None)
    assert [f"{check.name}: {check.reason}" for check in checks if check.outcome != "passed"] == []


def test_a_second_run_changes_nothing(running: Validator) -> None:
    pid = running.machine.root(f"systemctl show -P MainPID {UNIT}")
    assert running.converge().changed == 0
    # and needs the keystores no longer, as the key volume has them
    assert running.converge(ethereum_validator_keystores=[]).changed == 0
    assert running.machine.root(f"systemctl show -P MainPID {UNIT}") == pid


def test_check_mode_makes_no_change(running: Validator) -> None:
    before = running.state()
    assert running.converge(check=True).changed == 0
    assert running.converge(check=True, ethereum_validator_graffiti="stakeyard").changed > 0
    assert running.state() == before


def test_a_backup_that_cannot_be_set_up_neither_puts_a_release_back_nor_restarts_the_client(running: Validator) -> None:
    """The release is new here as far as the host knows, and there is one to go back to."""
    machine, folder = running.machine, "/opt/stakeyard/prysm-validator"
    machine.root(
        f"cd {folder} && cp -a $(readlink current) before && ln -sfn before previous && readlink current > .unproven"
    )
    look = f"readlink {folder}/current; systemctl show -P MainPID {UNIT}"
    before = machine.root(look)
    try:
        with pytest.raises(StakeyardError, match="backup_recipients must list the operators' age recipients"):
            running.converge(stakeyard_backup_recipients=["age1pasted"])
        assert machine.root(look) == before
        machine.root(f"test ! -e {folder}/.unproven")
    finally:
        machine.root(f"cd {folder} && rm -rf before previous .unproven")
    assert running.converge().changed == 0


def test_every_key_votes_and_the_fleets_checks_see_it(running: Validator, beacon: Machine) -> None:
    keys = signer.public_keys(running.variables["stakeyard_signing_keys"])
    endpoints = signer.endpoints([{"address": beacon.address}])
    end, found = time.monotonic() + 600, dict[str, int]()
    while len(found) < len(keys) and time.monotonic() < end:
        found = signer.first_duty(endpoints, keys, 0)
        time.sleep(5)
    assert set(found) == set(map(fingerprint, keys))
    known = facts(running)
    checks = run(running.machine.session, check_files(ROLES[1:], "fleet"), {"nodes": [known]}, lambda _: None)
    assert [f"{check.name}: {check.reason}" for check in checks if check.outcome != "passed"] == []


def test_nothing_that_it_signed_is_slashable(running: Validator, beacon: Machine) -> None:
    looked = slashable.look(signer.endpoints([{"address": beacon.address}]), 0, None)
    assert looked["slashable"] == []
    assert looked["validators"] == 8
    assert looked["attestations"] >= 8


def test_what_it_signed_is_in_its_history_and_the_seed_was_not_undercut(running: Validator, beacon: Machine) -> None:
    keys = signer.public_keys(running.variables["stakeyard_signing_keys"])
    # Before the export, after which the client signs on.
    shown = signer.record(signer.endpoints([{"address": beacon.address}]), keys, 0)
    running.converge(entry="export")
    exported = signer.marks(running.machine.root(f"cat {MOUNT}/export/history.json").encode())
    assert set(exported) == set(map(fingerprint, keys))
    for key, marks in exported.items():
        for name, value in shown.seen[key].items():
            assert marks[name] >= value, f"{key} signed {name} {value}, and its history ends at {marks[name]}"
    assert running.machine.root(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_keystore_that_was_copied_to_the_volume_stops_it(running: Validator) -> None:
    running.machine.root(f"echo {{}} > {MOUNT}/keys/{STRANGER}.json")
    running.machine.root(f"systemctl stop {UNIT}")
    assert f"key {fingerprint(STRANGER)}" in running.refused_by_hand()
    with pytest.raises(StakeyardError, match=f"the key volume holds 0x{STRANGER}"):
        running.converge()
    running.machine.root(f"rm {MOUNT}/keys/{STRANGER}.json")
    running.converge()
    assert running.machine.root(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_key_is_not_signed_with_before_its_history_is_settled(running: Validator) -> None:
    """The run that adds it ends at its history; whoever starts the client then starts it with the keys that it had."""
    machine, known = running.machine, running.variables
    added = [*known["stakeyard_signing_keys"], f"0x{STRANGER}"]
    own = {"keystore": keystore_of(99, f"{CANARY}-1"), "password": f"{CANARY}-1"}
    with pytest.raises(StakeyardError, match=f"0x{STRANGER} has no history of what it signed"):
        running.converge(
            stakeyard_signing_keys=added,
            stakeyard_claim=claim(added, new=False),
            ethereum_validator_keystores=[*known["ethereum_validator_keystores"], own],
        )
    running.start_by_hand()
    assert STRANGER not in machine.root(f"cat {MOUNT}/wallet/made-from.json")
    machine.root(f"rm {MOUNT}/keys/{STRANGER}.json {MOUNT}/keys/{STRANGER}.password")
    running.converge()
    assert json.loads(machine.root(f"cat {MOUNT}/claim.json"))["begun"] == sorted(
        map(fingerprint, known["stakeyard_signing_keys"])
    )


@pytest.mark.parametrize(
    ("spoil", "mend", "sentence"),
    [
        (f"mv {KNOWN} /run/; echo '[]' > {KNOWN}", f"mv /run/known-keys.json {KNOWN}", "the history does not know key"),
        ("echo other > /etc/stakeyard/server-id", f"echo {SERVER} > /etc/stakeyard/server-id", "this is server other"),
        (f"mv {MOUNT}/claim.json /run/", f"mv /run/claim.json {MOUNT}/", "claim.json is missing"),
        (f"mv {MOUNT}/client/validator.db /run/", f"mv /run/validator.db {MOUNT}/client/", "no history yet"),
        (f"echo '{{}}' > {MOUNT}/listen.json", f"rm {MOUNT}/listen.json", "listen for another signer"),
    ],
    ids=["unknown to the history", "another server", "no claim", "no history", "still listening"],
)
def test_it_does_not_start_by_hand_either(running: Validator, spoil: str, mend: str, sentence: str) -> None:
    running.machine.root(f"systemctl stop {UNIT}; {spoil}")
    try:
        assert sentence in running.refused_by_hand()
    finally:
        running.machine.root(mend)
    running.start_by_hand()


def test_a_note_that_cannot_be_read_keeps_the_keys_silent(running: Validator) -> None:
    running.machine.root(f"systemctl stop {UNIT}; touch {MOUNT}/listen.json")
    with pytest.raises(StakeyardError, match="how long the keys must listen is not known"):
        running.converge()
    running.machine.root(f"! systemctl is-active --quiet {UNIT}; rm {MOUNT}/listen.json")
    running.converge()
    assert running.machine.root(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_start_that_the_gate_refuses_fails_the_run_with_its_reason(running: Validator) -> None:
    """The run writes the claim anew, so here it is taken away at the last moment, as by another run."""
    machine = running.machine
    machine.root(
        f"systemctl stop {UNIT}; mkdir -p /run/systemd/system/{UNIT}.d; printf '[Service]\\nExecCondition=\\n"
        f"ExecCondition=+{GATE} --mount /nowhere --volume {VOLUME} --keys /nowhere --history /nowhere\\n' >"
        f" /run/systemd/system/{UNIT}.d/test.conf; systemctl daemon-reload"
    )
    with pytest.raises(StakeyardError, match="signer-gate: refused: no key volume is mounted at /nowhere"):
        running.converge()
    machine.root(f"rm -r /run/systemd/system/{UNIT}.d; systemctl daemon-reload")
    running.converge()
    assert machine.root(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_killed_client_is_not_started_again(running: Validator) -> None:
    running.machine.root(f"systemctl kill --signal=KILL {UNIT}; sleep 2; ! systemctl is-active --quiet {UNIT}")
    time.sleep(35)
    assert running.machine.run(f"systemctl is-active {UNIT}").stdout.strip() == "failed"
    running.converge()
    assert running.machine.root(f"systemctl is-active {UNIT}").strip() == "active"


def test_no_secret_is_anywhere_but_on_the_key_volume(running: Validator) -> None:
    machine = running.machine
    assert not [line for line in running.said if CANARY in line]
    assert machine.root(f"journalctl --no-pager -o cat | grep -c {CANARY} || true").strip() == "0"
    places = "/etc /usr/local /opt/stakeyard /var/log /var/tmp /tmp /run /root /home"
    assert machine.root(f"grep -rIl --exclude-dir=credentials {CANARY} {places} 2> /dev/null || true").strip() == ""
    processes = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null | tr '\\0' '\\n'"
    assert machine.root(f"{processes} | grep -v grep | grep -c '{CANARY[:-1]}[0]' || true").strip() == "0"
    held = machine.root(f"grep -rl {CANARY} {MOUNT}").split()
    assert {Path(path).suffix for path in held} == {".password"}
    assert len(held) == 8


def test_retired_it_signs_no_more_and_leaves_history_and_a_free_claim(running: Validator) -> None:
    running.converge(entry="retire")
    machine = running.machine
    assert machine.run(f"systemctl is-active {UNIT}").stdout.strip() == "inactive"
    assert json.loads(machine.root(f"cat {MOUNT}/claim.json"))["server"] is None
    exported = machine.root(f"cat {MOUNT}/export/history.json")
    assert len(signer.marks(exported.encode())) == 8
    assert "the claim was released" in running.refused_by_hand()


def test_the_last_backup_of_a_retired_signer_gives_its_keys_and_history_back(
    running: Validator, tmp_path: Path
) -> None:
    machine, repository = running.machine, Directory(tmp_path)
    (kept,) = backup_fetch.fetch(machine.session, machine.name, repository, print)
    content = open_backup(kept, repository.read(kept), str(OPERATOR))
    assert kept.generation == 1
    assert content.history == f"{MOUNT}/export/history.json"
    assert content.files[content.history] == running.machine.root(f"cat {content.history}").encode()
    keystores = [path for path in content.files if path.endswith(".json") and path != content.history]
    assert len(keystores) == len(running.variables["stakeyard_signing_keys"])


def test_another_server_takes_the_volume_and_its_history_over(running: Validator) -> None:
    """The volume of a retired signer: nothing is seeded, and nothing is signed twice."""
    machine = running.machine
    before = signer.marks(machine.root(f"cat {MOUNT}/export/history.json").encode())
    moved = claim(running.variables["stakeyard_signing_keys"], server=OTHER, generation=2, new=False)
    running.converge(stakeyard_claim=moved)
    with pytest.raises(StakeyardError, match="the claim has moved on"):
        running.converge()
    assert json.loads(machine.root(f"cat {MOUNT}/claim.json"))["server"] == OTHER
    running.converge(entry="export", stakeyard_claim=moved)
    after = signer.marks(machine.root(f"cat {MOUNT}/export/history.json").encode())
    assert all(after[key][name] >= value for key, marks in before.items() for name, value in marks.items())


def test_a_key_that_comes_back_starts_above_what_it_signed_elsewhere(running: Validator) -> None:
    """By the client's own export: its old entries are gone, and the other keys' marks are where they were."""
    machine, keys = running.machine, running.variables["stakeyard_signing_keys"]
    export = f"cat {MOUNT}/export/history.json"
    moved = claim(keys, server=OTHER, generation=2, new=False)
    running.converge(entry="export", stakeyard_claim=moved)
    text = machine.root(export)
    before, back = signer.marks(text.encode()), fingerprint(keys[0])
    elsewhere = {name: value + 1000 for name, value in before[back].items()}
    root = json.loads(text)["metadata"]["genesis_validators_root"]
    running.converge(
        stakeyard_claim=moved, stakeyard_history=signer.seed(None, keys[:1], {back: elsewhere}, root).decode()
    )
    running.converge(entry="export", stakeyard_claim=moved)
    after = signer.marks(machine.root(export).encode())
    assert after[back] == elsewhere
    assert all(after[key][name] >= value for key, marks in before.items() for name, value in marks.items())
    assert machine.root(f"systemctl is-active {UNIT}").strip() == "active"
