"""A beacon node starts only from a block whose root two sources name, with the state that belongs to it."""

import getpass
import json
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roles.ethereum_beacon.module_utils import stakeyard_checkpoint
from roles.ethereum_beacon.module_utils.stakeyard_checkpoint import origin, source
from roles.ethereum_beacon.module_utils.stakeyard_checkpoint.origin import Header, OriginError
from roles.ethereum_beacon.module_utils.stakeyard_checkpoint.source import Source, SourceError
from tests.unit.artifact_modules import load
from tests.unit.checkpoint_sources import BEGAN_AT, BLOCKS, NETWORK, ROOTS, STATES, StandIn, made, served

PACKAGE = "ansible.module_utils.stakeyard_checkpoint"
for name, part in ((PACKAGE, stakeyard_checkpoint), (f"{PACKAGE}.origin", origin), (f"{PACKAGE}.source", source)):
    sys.modules.setdefault(name, part)
MODULE = load("ethereum_beacon", "ethereum_checkpoint")
OTHER_NETWORK = "0x" + "cd" * 32
FINAL = made(320)
STATE_PATH = f"{STATES}320"


@dataclass
class World:
    """Two sources, and a host's data folder."""

    data: Path
    ours: StandIn = field(default_factory=StandIn)
    theirs: StandIn = field(default_factory=lambda: StandIn(final=352))
    addresses: list[str] = field(default_factory=list)

    def run(self, *, check_mode: bool = False, **changes: object) -> dict[str, Any]:
        """What the module answers."""
        given = {
            "url": self.addresses[0],
            "witness": self.addresses[1],
            "genesis_validators_root": NETWORK,
            "creates": str(self.data / "beaconchaindata"),
            "folder": str(self.folder),
            "genesis": True,
            "user": getpass.getuser(),
            "silence": 5,
            "patience": 30,
        }
        answer: dict[str, Any] = MODULE.run({**given, **changes}, check_mode=check_mode)
        return answer

    @property
    def folder(self) -> Path:
        return self.data / "checkpoint"

    def left(self) -> list[str]:
        """All that is in the data folder."""
        return sorted(str(path.relative_to(self.data)) for path in self.data.rglob("*"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Both sources, which agree, and an empty folder."""
    with ExitStack() as stack:
        made_up = World(tmp_path / "data")
        made_up.data.mkdir()
        made_up.addresses += [stack.enter_context(served(one)) for one in (made_up.ours, made_up.theirs)]
        yield made_up


def test_what_both_name_is_fetched_for_the_client_alone(world: World) -> None:
    answer = world.run()
    assert answer == {"changed": True, "kept": True, "root": FINAL.root, "epoch": "10"}
    files = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    assert files == {"block.ssz": FINAL.block, "state.ssz": FINAL.state, "genesis.ssz": made(0).state}
    assert {stat.S_IMODE(path.stat().st_mode) for path in world.folder.iterdir()} == {0o400}
    assert stat.S_IMODE(world.folder.stat().st_mode) == 0o700
    assert len(world.left()) == 4


def test_a_later_convergence_asks_nobody_and_says_the_same(world: World) -> None:
    first = world.run()
    (world.data / "beaconchaindata").mkdir()
    world.ours.asked.clear()
    world.theirs.asked.clear()
    for check_mode in (False, True):
        assert world.run(check_mode=check_mode) == {**first, "changed": False}
    assert world.ours.asked + world.theirs.asked == []


def test_check_mode_says_the_same_and_writes_nothing(world: World) -> None:
    assert world.run(check_mode=True) == {"changed": True, "kept": True, "root": FINAL.root, "epoch": "10"}
    assert world.left() == []
    assert not [path for path in world.ours.asked if path.startswith(STATES)]


def test_a_network_whose_genesis_the_client_has_needs_none(world: World) -> None:
    world.run(genesis=False)
    assert world.left() == ["checkpoint", "checkpoint/block.ssz", "checkpoint/state.ssz"]


@pytest.mark.parametrize("who", ["source", "witness", "both"])
def test_checkpointz_is_a_source_and_a_witness(world: World, who: str) -> None:
    world.ours.checkpointz, world.theirs.checkpointz = who != "witness", who != "source"
    assert world.run()["root"] == FINAL.root


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            str(BEGAN_AT - 48 * 3600),
            r"^The last final block of \S+ is of slot 320, 48 hours ago: it has stopped following",
        ),
        ("soon", r"^\S+ names 'soon' as its network's genesis time"),
    ],
    ids=["two days", "no number"],
)
def test_a_block_of_long_ago_is_nothing_to_start_from(world: World, said: str, sentence: str) -> None:
    answer = json.dumps({"data": {"genesis_validators_root": NETWORK, "genesis_time": said}})
    world.theirs.changed["/eth/v1/beacon/genesis"] = answer.encode()
    with pytest.raises(SourceError, match=sentence):
        world.run()
    assert world.left() == []


def test_finality_that_goes_on_meanwhile_changes_nothing(world: World) -> None:
    world.ours.steps = 32
    assert world.run()["root"] == FINAL.root
    assert world.ours.final == 352
    assert (world.folder / "state.ssz").read_bytes() == FINAL.state


def test_a_final_block_before_an_empty_first_slot_has_its_own_epoch(world: World) -> None:
    world.ours.final = 319
    answer = world.run()
    assert (answer["root"], answer["epoch"]) == (made(319).root, "9")


def test_files_of_a_run_that_was_killed_are_fetched_anew(world: World) -> None:
    world.run()
    (world.data / "checkpoint.new").mkdir()
    (world.data / "checkpoint.new" / "state.ssz").write_bytes(b"half")
    world.ours.final, world.theirs.final = 384, 384
    assert world.run()["root"] == made(384).root
    assert (world.folder / "block.ssz").read_bytes() == made(384).block
    assert len(world.left()) == 4


@pytest.mark.parametrize("damage", ["state.ssz gone", "genesis.ssz gone", "block.ssz short", "state.ssz short"])
def test_a_database_without_whole_files_is_said(world: World, damage: str) -> None:
    world.run()
    (world.data / "beaconchaindata").mkdir()
    path = world.folder / damage.split(maxsplit=1)[0]
    path.unlink()
    if damage.endswith("short"):
        path.write_bytes(b"")
    assert world.run() == {"changed": False, "kept": False}


def with_state(content: bytes) -> Callable[[World], None]:
    return lambda world: world.ours.changed.update({STATE_PATH: content})


def with_block(content: bytes) -> Callable[[World], None]:
    return lambda world: world.ours.changed.update({f"{BLOCKS}{FINAL.root}": content})


def spoilt(content: bytes, place: int, new: bytes) -> bytes:
    """The content with some bytes changed."""
    return content[:place] + new + content[place + len(new) :]


def ours(**changes: object) -> Callable[[World], None]:
    return lambda world: vars(world.ours).update(changes)


def theirs(**changes: object) -> Callable[[World], None]:
    return lambda world: vars(world.theirs).update(changes)


GENESIS_PATH = f"{STATES}genesis"
REFUSED: dict[str, tuple[Callable[[World], None], str]] = {
    "a witness on another chain": (theirs(chain="theirs"), "of slot 320 is final, .* follows another chain"),
    "a witness that is behind": (theirs(final=319), r"blocks/320/root \(404 Not Found\): wait some minutes"),
    "a witness whose slot is empty": (theirs(missing={320}), r"blocks/320/root \(404"),
    "Checkpointz without the block": (theirs(checkpointz=True, missing={320}), r"blocks/320/root \(500"),
    "a source of another network": (ours(network=OTHER_NETWORK), f"is on the network of {OTHER_NETWORK}, not of"),
    "a witness of another network": (theirs(network=OTHER_NETWORK), f"is on the network of {OTHER_NETWORK}, not of"),
    "a source without the state": (ours(changed={f"{ROOTS}finalized/root": b"{}"}), "gives no Beacon API answer"),
    "an answer that is a list": (theirs(changed={f"{ROOTS}320/root": b"[]"}), "gives no Beacon API answer"),
    "a state that breaks off": (ours(cut={STATE_PATH: "length"}), "is of no use, as it broke off after"),
    "a state in pieces that breaks off": (ours(cut={STATE_PATH: "chunked"}), "does not answer .*IncompleteRead"),
    "a state of unknown length": (ours(cut={STATE_PATH: "unsaid"}), "it does not say how long it is"),
    "a genesis that breaks off": (ours(cut={GENESIS_PATH: "length"}), "states/genesis is of no use"),
    "another block for the root": (with_block(made(320, "theirs").block), "are not those of 0x"),
    "a block of another slot": (with_block(made(319).block), "says 0x"),
    "a block that is none": (with_block(b"<html>" * 100), "gave a block that is none"),
    "a block that is short": (with_block(FINAL.block[:150]), "gave a block that is none"),
    "a state of another chain": (with_state(made(320, "theirs").state), "are not those of 0x"),
    "a state of another block": (with_state(made(319).state), "gave no state right after block 0x"),
    "a state that was advanced": (with_state(spoilt(FINAL.state, 40, b"\x60")), "gave no state right after block"),
    # With the right root filled in, a client would never compare it with that of the whole state.
    "a state that names its own root": (
        with_state(spoilt(FINAL.state, 112, FINAL.block[148:180])),
        "gave no state right after block",
    ),
    "a state of another network": (
        with_state(made(320, network=OTHER_NETWORK).state),
        f"gave a state of the network of {OTHER_NETWORK}",
    ),
    "a state that is none": (with_state(b"busy"), "gave a state that is none"),
    "a genesis of another time": (
        ours(changed={GENESIS_PATH: spoilt(made(0).state, 0, bytes(8))}),
        "gave a genesis state of another network",
    ),
    "a genesis that is none": (ours(changed={GENESIS_PATH: b""}), "gave a genesis state of another network"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_and_nothing_is_kept(world: World, case: str) -> None:
    change, sentence = REFUSED[case]
    change(world)
    with pytest.raises((SourceError, OriginError), match=sentence):
        world.run()
    assert world.left() == []


def test_no_state_is_fetched_before_the_witness_has_spoken(world: World) -> None:
    world.theirs.chain = "theirs"
    with pytest.raises(SourceError):
        world.run()
    assert not [path for path in world.ours.asked if path.startswith(STATES)]


def test_what_was_there_stays_when_a_new_one_is_refused(world: World) -> None:
    world.run()
    world.ours.final, world.theirs.chain = 352, "theirs"
    with pytest.raises(SourceError):
        world.run()
    assert (world.folder / "block.ssz").read_bytes() == FINAL.block


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("beacon.example", "is no address of a Beacon API"), ("http://127.0.0.1:1", "does not answer .*refused")],
)
def test_a_source_that_cannot_be_asked_is_named(world: World, address: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=f"^{address} {sentence}"):
        world.run(url=address)
    with pytest.raises(SourceError, match=f"^{address} {sentence}"):
        world.run(witness=address)


def test_a_flood_and_an_answer_without_end_are_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="it takes longer than 0 s"):
        Source(world.addresses[0], 5, 0).save_state("320", world.data / "state")
    monkeypatch.setattr(source, "LARGE", 1000)
    with pytest.raises(SourceError, match="it is longer than 1000 bytes"):
        world.run()
    assert world.left() == ["state"]


def test_the_root_of_a_header_is_that_of_the_network() -> None:
    """The first block of mainnet, as everybody knows it."""
    state_root, body_root = (
        bytes.fromhex("7e76880eb67bbdc86250aa578958e9d0675e64e714337855204fb5abaaf82c2b"),
        bytes.fromhex("ccb62460692be0ec813b56be97f68a82cf57abc102e27bf49ebf4190ff22eedd"),
    )
    first = Header(0, bytes(8), bytes(32), state_root)
    assert first.root(body_root) == "0x4d611d5b93fdab69013a7f0a2f961caca0c853f87cfe9595fe50038163079360"
