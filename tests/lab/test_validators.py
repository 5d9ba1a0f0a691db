"""Validators on the lab cloud, and their disasters: whatever happens, no key signs twice by the chain's own record.

The tests of this file are steps: they run in order, and each stands on the one before. `make test` leaves the file out;
`make test-drills` runs all of it. By hand, without `--all-drills`, the steps marked `long_drill` are left out: a killed
server that comes back, keystores copied by hand, a lost key volume. To look into one that fails, run it with
`--keep-stack`: the stack stays, and the next run with `--keep-stack -k ...` goes on from there.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stacks.devnet import SUMMARY
from stacks.signer import fingerprint
from stacks.signer_metadata import from_metadata
from stacks.workspace import Workspace
from tests.lab import chain, ethereum, inventory, others
from tests.lab.driver import Killer, pulumi, stakeyard
from tests.lab.stranger import Stranger, start_stranger

pytestmark = pytest.mark.lab

STACK, CLAIMANT = "ethereum", "claimant"
NODES = ("eth-1", "eth-2", "validator-1", "validator-2")
UP = ["up", "--yes", "--skip-preview"]
DELAY = 240
"""Seconds until the network's genesis: about when its beacon nodes are there."""
UNIT = "ethereum-validator.service"
MOUNT = "/var/lib/ethereum-validator"
STATUS_SECONDS = 180
KILLS = [
    ("inspect", r"inspect   ask the state"),
    ("fence", r"fence     see that the old server"),
    ("history", r"history   find out whether"),
    ("converge: a server is made", r"compute:Instance validator-1 creating"),
    ("converge: its roles are applied", r"Convergence validator-1 .*ethereum_validator: task \d+/"),
    ("verify", r"verify    look at the checks"),
    ("duty", r"duty      see the keys sign"),
]


@dataclass(frozen=True)
class Drills:
    """The stack, its network, and the figures that the drills leave."""

    workspace: Workspace
    known: dict[str, Any]
    figures: list[str]

    def keys(self, name: str) -> list[str]:
        """The public keys of a validator."""
        keys: list[str] = self.known["sets"][int(name[-1]) - 1]
        return keys

    def epoch(self) -> int:
        """The epoch of the chain's head."""
        return chain.epoch(self.workspace, self.known["slots_per_epoch"])

    def report(self, node: str) -> dict[str, Any]:
        """The newest report of a rebuild."""
        made = sorted((self.workspace.state / "rebuild" / STACK).glob(f"{node}-*.json"))
        assert made, f"there is no report of a rebuild of {node}"
        assert made[-1].with_suffix(".md").read_text().startswith(f"# Rebuild of {node} ")
        found: dict[str, Any] = json.loads(made[-1].read_text())
        return found

    def note(self, drill: str, node: str, before: int) -> dict[str, Any]:
        """Wait until the votes after a rebuild are on chain, keep its figures; the report."""
        found = self.report(node)
        last = self.epoch()
        while self.epoch() < last + 2:
            time.sleep(6)
        missed = chain.missed(self.workspace, self.keys(node), before, last)
        self.figures.append(
            f"{drill}: recovery {found['recovery_seconds']:.0f} s, bare boot {found['bare_boot_seconds']:.0f} s, ratio"
            f" {found['ratio']}, recovery point {found['recovery_point_seconds']}, epochs missed {missed} of"
            f" {last - before + 1}, commands {found['runs']}"
        )
        print(f"--- {self.figures[-1]}")
        return found


def clear(cloud: Any, state: Path) -> None:
    """Take away what an earlier run left in the cloud and on this machine."""
    for stack in (CLAIMANT, STACK):
        inventory.sweep(cloud, stack)
    for old in sorted(state.rglob("*"), reverse=True):
        old.rmdir() if old.is_dir() else old.unlink()


@pytest.fixture(scope="module")
def drills(cloud: Any, pytestconfig: pytest.Config) -> Iterator[Drills]:
    """The stack's file and network, with nothing of an earlier run left unless it was to be kept."""
    state, kept = ethereum.place(), pytestconfig.getoption("--keep-stack")
    source, network = state / "stack-file.yaml", state / "network"
    if kept and source.exists():
        known = json.loads((network / SUMMARY).read_text())
    else:
        clear(cloud, state)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = ethereum.network(network, DELAY)
        ethereum.stack_file(source, network, known, validators=False)
    workspace = Workspace(STACK, state=state, source=source)
    workspace.prepare()
    figures: list[str] = []
    yield Drills(workspace, known, figures)
    print("\n".join(["", "--- figures of the drills", *figures]))
    if not kept:
        clear(cloud, state)


@pytest.fixture(scope="module")
def claimant(drills: Drills) -> Workspace:
    """Another stack, in another network, whose file names the same keys."""
    state = drills.workspace.state / CLAIMANT
    state.mkdir(mode=0o700, exist_ok=True)
    source = ethereum.stack_file(
        state / "stack-file.yaml", drills.workspace.state / "network", drills.known, network="10.81.0"
    )
    made = Workspace(CLAIMANT, state=state, source=source)
    made.prepare()
    return made


def server_of(cloud: Any, drills: Drills, name: str) -> Any:
    return cloud.compute.get_server(chain.node(drills.workspace, name).server)


def registered(cloud: Any, volume: str) -> Any:
    return from_metadata(volume, cloud.block_storage.get_volume(volume).metadata)


def lose_server(cloud: Any, drills: Drills, name: str) -> str:
    """Delete a node's server by the cloud's API, behind the stack's back."""
    lost = server_of(cloud, drills, name)
    cloud.compute.delete_server(lost)
    cloud.compute.wait_for_delete(lost, wait=STATUS_SECONDS)
    return str(lost.id)


def test_a_private_network_is_proposed_attested_and_finalised(drills: Drills) -> None:
    network = drills.workspace.state / "network"
    before = pulumi(drills.workspace, UP, limit=2400)
    assert before.status == 0, before.text[-3000:]
    others.start(drills.workspace, network, drills.known)
    ethereum.stack_file(drills.workspace.stack_file, network, drills.known)
    drills.workspace.prepare()
    run = pulumi(drills.workspace, UP, limit=2400)
    assert run.status == 0, run.text[-3000:]
    finalised = chain.await_finality(drills.workspace, 600)
    looked = chain.survey(drills.workspace)
    assert looked["slashable"] == []
    assert looked["proposals"] > 0
    assert looked["validators"] == sum(map(len, drills.known["sets"]))
    drills.figures.append(
        f"up of the nodes: {before.seconds:.0f} s, of the validators: {run.seconds:.0f} s; epoch {finalised} finalised"
    )


def test_the_keys_are_in_no_state_in_clear(drills: Drills) -> None:
    exported = drills.workspace.pulumi("stack", "export", capture=True).stdout
    secrets = [path.read_text() for path in (drills.workspace.state / "network").glob("keys-*/*.password")]
    assert secrets
    assert not [secret for secret in secrets if secret in exported]
    assert "AGE-SECRET-KEY" not in exported
    assert '"crypto"' not in exported


def test_a_server_deleted_under_the_tool_is_rebuilt_though_the_rebuild_is_killed_in_each_phase(
    drills: Drills, cloud: Any
) -> None:
    before, volume = drills.epoch(), chain.node(drills.workspace, "validator-1").key_volume
    assert volume is not None
    generation = registered(cloud, volume).claim.generation
    lost = lose_server(cloud, drills, "validator-1")
    for phase, pattern in KILLS:
        killer = Killer(pattern, delay=0.0)
        run = stakeyard(drills.workspace, ["rebuild", "validator-1"], killer)
        print(f"--- kill in {phase}: {killer.killed_at}")
        assert killer.killed_at is not None, run.text[-3000:]
    run = stakeyard(drills.workspace, ["rebuild", "validator-1"])
    assert run.status == 0, run.text[-3000:]
    found = drills.note("server deleted, rebuild killed seven times", "validator-1", before)
    assert found["runs"] == len(KILLS) + 1
    assert found["servers"]["old"] == lost
    assert found["recovery_point_seconds"] == 0
    held = registered(cloud, volume).claim
    assert (held.server, held.generation) == (found["servers"]["new"], generation + 1)
    names = [server.name for server in cloud.compute.servers() if server.name.startswith(f"stakeyard-{STACK}-")]
    assert sorted(names) == [f"stakeyard-{STACK}-{name}" for name in NODES]


def test_a_second_stack_with_the_same_keys_is_refused(drills: Drills, claimant: Workspace, cloud: Any) -> None:
    # Without this, Pulumi begins with no second validator once the first is refused.
    run = pulumi(claimant, [*UP, "--continue-on-error"])
    assert run.status != 0
    refused = [line for line in run.text.splitlines() if "one key has one signer" in line]
    for name in ("validator-1", "validator-2"):
        volume = chain.node(drills.workspace, name).key_volume
        assert any(f"is registered on volume {volume} too" in line for line in refused), run.text[-3000:]
    gone = pulumi(claimant, ["destroy", "--yes", "--skip-preview"])
    assert gone.status == 0, gone.text[-3000:]
    assert inventory.of(cloud, CLAIMANT) == {}


@pytest.fixture(scope="module")
def stranger(drills: Drills, cloud: Any) -> Iterator[Stranger]:
    """The old server of validator-2, which comes back after its rebuild; made by the drill that kills it."""
    with start_stranger(cloud, STACK) as found:
        yield found


@pytest.mark.long_drill
def test_a_killed_server_that_comes_back_after_the_rebuild_does_not_sign(
    drills: Drills, cloud: Any, stranger: Stranger
) -> None:
    before = drills.epoch()
    old = server_of(cloud, drills, "validator-2")
    stranger.kill(old)
    stranger.keep_disk(old)
    refused = stakeyard(drills.workspace, ["rebuild", "validator-2"])
    assert refused.status == 1
    assert "key volume is still attached" in refused.text
    run = stakeyard(drills.workspace, ["rebuild", "validator-2", "--fence", "stop"])
    assert run.status == 0, run.text[-3000:]
    found = drills.note("server killed, revived after the rebuild", "validator-2", before)
    assert found["servers"]["old"] == old.id
    stranger.revive(chain.node(drills.workspace, "validator-2"))
    assert stranger.run("cat /etc/stakeyard/server-id").strip() == old.id
    # Without its volume it does not even come to the gate.
    assert f"Dependency failed for {UNIT}" in stranger.refusal(UNIT)


@pytest.mark.long_drill
def test_keystores_copied_by_hand_to_another_host_do_not_sign(drills: Drills, stranger: Stranger) -> None:
    copied = chain.on(drills.workspace, "validator-2", f"sudo tar -C {MOUNT} -cz . | base64 -w 0")
    stranger.run(f"base64 -d | sudo tar -C {MOUNT} -xz", stdin=copied)
    assert f"Dependency failed for {UNIT}" in stranger.refusal(UNIT)
    # As a file system of its own at the right place, with the same claim, keys and history.
    stranger.run("sudo truncate -s 64M /var/tmp/copy && sudo mkfs.ext4 -q /var/tmp/copy")
    stranger.run(f"sudo mount -o loop /var/tmp/copy {MOUNT}")
    stranger.run(f"base64 -d | sudo tar -C {MOUNT} -xz", stdin=copied)
    said = stranger.refusal(UNIT)
    assert f"what is mounted at {MOUNT}" in said
    assert "mount the right volume" in said
    stranger.remove()


@pytest.mark.long_drill
def test_a_planned_replacement_retires_the_signer_before_its_successor_signs(drills: Drills, cloud: Any) -> None:
    network, node = drills.workspace.state / "network", chain.node(drills.workspace, "validator-2")
    before, claim = drills.epoch(), registered(cloud, str(node.key_volume)).claim
    kept = backups_of(drills, "validator-2")
    ethereum.stack_file(drills.workspace.stack_file, network, drills.known, larger="validator-2")
    drills.workspace.prepare()
    run = pulumi(drills.workspace, UP, limit=2400)
    assert run.status == 0, run.text[-3000:]
    new = server_of(cloud, drills, "validator-2")
    assert new.id != node.server
    assert cloud.compute.find_server(node.server) is None
    assert len(backups_of(drills, "validator-2")) == len(kept) + 1
    held = registered(cloud, str(node.key_volume)).claim
    assert (held.server, held.generation) == (new.id, claim.generation + 1)
    last = drills.epoch()
    missed = chain.missed(drills.workspace, drills.keys("validator-2"), before, last)
    drills.figures.append(f"planned replacement: {run.seconds:.0f} s, epochs missed {missed} of {last - before + 1}")


def backups_of(drills: Drills, node: str) -> list[str]:
    """The names of a node's backups in the operators' repository."""
    return sorted({path.stem for path in (drills.workspace.state / "network" / "backups" / node).rglob("*.age")})


@pytest.mark.long_drill
def test_a_lost_key_volume_and_old_backups(drills: Drills, cloud: Any) -> None:
    node = chain.node(drills.workspace, "validator-1")
    for _ in range(2):
        taken = stakeyard(drills.workspace, ["backup", "validator-1"])
        assert taken.status == 0, taken.text[-3000:]
        since = drills.epoch()
        while drills.epoch() < since + 2:
            time.sleep(6)
    backups = backups_of(drills, "validator-1")
    assert len(backups) == 2
    before = drills.epoch()
    lose_server(cloud, drills, "validator-1")
    lose_volume(cloud, str(node.key_volume))

    older = stakeyard(drills.workspace, ["rebuild", "validator-1", "--restore", backups[0]])
    assert older.status == 1
    assert f"backup {backups[0]} of validator-1 is older than {backups[1]}" in older.text
    newest = stakeyard(drills.workspace, ["rebuild", "validator-1"])
    assert newest.status == 1
    assert "may have signed more than this history has" in newest.text
    run = stakeyard(drills.workspace, ["rebuild", "validator-1", "--accept-older-backup"])
    while run.status != 0 and "both must hold" in run.text:  # the keys were not silent for long enough
        time.sleep(30)
        run = stakeyard(drills.workspace, ["rebuild", "validator-1", "--accept-older-backup"])
    assert run.status == 0, run.text[-3000:]
    found = drills.note("key volume lost, newest backup older than the chain", "validator-1", before)
    assert found["history"]["how"] == "restored"
    assert found["history"]["backup"] == backups[1]
    assert found["seeded"]["accepted_older"]
    assert set(found["seeded"]["marks"]) == set(map(fingerprint, drills.keys("validator-1")))
    assert [each["sentence"] for each in found["refusals"]]


def lose_volume(cloud: Any, volume: str) -> None:
    end = time.monotonic() + STATUS_SECONDS
    while cloud.block_storage.get_volume(volume).status != "available":
        assert time.monotonic() < end, f"volume {volume} is not free"
        time.sleep(2)
    cloud.block_storage.delete_volume(volume)
    cloud.block_storage.wait_for_delete(cloud.block_storage.get_volume(volume), wait=STATUS_SECONDS)


def test_after_all_of_it_the_chain_shows_not_one_slashable_pair(drills: Drills) -> None:
    looked = chain.survey(drills.workspace)
    assert looked["slashable"] == []
    assert looked["validators"] == sum(map(len, drills.known["sets"]))
    # What could not be read could be the pair. Of orphans that is the votes of a branch that left the chain an epoch
    # before, and these two nodes never part for so long.
    assert looked["unread_attestations"] == 0
    slashed = [
        entry["index"]
        for entry in chain.beacon(drills.workspace, "/eth/v1/beacon/states/head/validators")
        if entry["validator"]["slashed"]
    ]
    assert slashed == []
    drills.figures.append(
        f"chain's record: {looked['attestations']} votes, {looked['proposals']} blocks of which"
        f" {looked['orphaned_blocks']} orphaned, {looked['epochs'][1]} epochs, no slashable pair"
    )


def test_destroy_leaves_nothing(drills: Drills, cloud: Any) -> None:
    run = pulumi(drills.workspace, ["destroy", "--yes", "--skip-preview"])
    assert run.status == 0, run.text[-3000:]
    assert inventory.of(cloud, STACK) == {}
    assert Path(drills.workspace.state / "rebuild" / STACK).is_dir()
