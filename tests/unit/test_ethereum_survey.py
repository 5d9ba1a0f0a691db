"""Where beacon nodes could not show all that was asked for, no clean answer about slashable pairs is given."""

import json
from collections.abc import Callable

import pytest

from roles.ethereum_validator import slashable
from roles.ethereum_validator.module_utils.stakeyard_ethereum.beacon import VALIDATORS, BeaconError
from tests.unit.ethereum_beacon import FakeBeacon, bits_of, honest, key_of, plant, served

BROKEN = {
    "no node": ("http://127.0.0.1:9", {}, "cannot be reached"),
    "no address": ("beacon.example", {}, "is no address of a beacon node"),
    "a file": ("file:///etc/passwd", {}, "is no address of a beacon node"),
    "an error": ("", {"/eth/v1/config/spec": 500}, "answered 500 for /eth/v1/config/spec"),
    "no such question": ("", {"/eth/v1/node/syncing": 404}, "does not know /eth/v1/node/syncing"),
    "another service": ("", {"/eth/v1/beacon/genesis": 200}, "does not say what chain it is on"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_node_that_cannot_be_read_is_an_error_and_not_a_clean_answer(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address, broken, sentence = BROKEN[case]
    node = honest(False)
    node.broken.update(broken)
    with served(node) as url:
        assert slashable.main(["--beacon", address or url]) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""


def young() -> FakeBeacon:
    """It began at a checkpoint after the pair that is planted in slot 20."""
    node = honest(False)
    plant(node, "double proposal")
    node.blocks, node.before = {slot: made for slot, made in node.blocks.items() if slot > 20}, False
    return node


def behind(**state: object) -> FakeBeacon:
    """It has not come to the pair yet."""
    node = honest(False)
    plant(node, "double proposal")
    node.head, node.syncing = 15, state
    return node


def at_genesis() -> FakeBeacon:
    return FakeBeacon(head=0, syncing={"sync_distance": "41"})


def lost(path: str) -> FakeBeacon:
    node = honest(False)
    node.broken[path] = 404
    return node


NOT_SHOWN: dict[str, tuple[Callable[[], FakeBeacon], str, str]] = {
    "before its checkpoint": (young, "", "has no blocks before slot 21: look from epoch 6 on (--from-epoch), or ask"),
    "in its checkpoint's epoch": (young, "--from-epoch 5", "has no blocks before slot 21: look from epoch 6 on"),
    "only before its checkpoint": (young, "--to-epoch 4", "shows no block of slots 1 to 19 although its head is at"),
    "syncing": (lambda: behind(is_syncing=True), "", "does not follow the chain's head: wait until it is synchronised"),
    "not verified": (lambda: behind(is_optimistic=True), "", "does not follow the chain's head"),
    "far behind": (lambda: behind(sync_distance="25"), "", "does not follow the chain's head"),
    "at genesis": (at_genesis, "", "is at slot 0, so there is no block of epoch 0 yet"),
    "after the head": (lambda: honest(False), "--from-epoch 500", "is at slot 40, so there is no block of epoch 500"),
    "until after the head": (lambda: honest(False), "--to-epoch 11", "so there is no block of epoch 11 yet: name an"),
    "no epoch": (lambda: honest(False), "--from-epoch 6 --to-epoch 5", "there is no epoch from 6 to 5: name a last"),
    "a key that nobody has": (lambda: honest(False), f"--key {key_of(99)}", f"does not know the key 0x{key_of(99)}"),
    "one key of two": (lambda: honest(False), f"--key {key_of(3)} --key {key_of(99)}", "does not know the key 0x8"),
    "what is no key": (lambda: honest(False), "--key 0xabcd", "'0xabcd' is no public key of a validator"),
    "no headers": (lambda: lost("/eth/v1/beacon/headers"), "", "shows no block of slots 1 to 40 although its head is"),
    "no validators": (lambda: lost(VALIDATORS), f"--key {key_of(3)}", "lists no validators at its head"),
}


@pytest.mark.parametrize("case", NOT_SHOWN)
def test_what_a_node_could_not_show_is_an_error_and_not_a_clean_answer(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node, options, sentence = NOT_SHOWN[case]
    with served(node()) as url:
        assert slashable.main(["--beacon", url, *options.split()]) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""


def test_a_node_that_began_at_a_checkpoint_shows_what_it_says_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    with served(young()) as url:
        assert slashable.main(["--beacon", url, "--from-epoch", "6"]) == 0
    assert json.loads(capsys.readouterr().out)["incomplete"] == []


PARTIAL: dict[str, tuple[Callable[[], FakeBeacon], str]] = {
    "began at a checkpoint": (young, "has no blocks before slot 21"),
    "syncing": (lambda: behind(is_syncing=True), "does not follow the chain's head"),
    "at genesis": (at_genesis, "is at slot 0"),
}


@pytest.mark.parametrize("case", PARTIAL)
def test_of_several_nodes_one_must_show_everything(case: str) -> None:
    node, sentence = PARTIAL[case]
    with served(honest(False)) as whole, served(node()) as partial:
        for urls in ([whole, partial], [partial, whole]):
            found = slashable.look(urls, 0, None)
            assert (found["slashable"], found["epochs"]) == ([], [0, 10])
            assert [sentence in each for each in found["incomplete"]] == [True]


def test_nodes_that_show_only_parts_are_no_whole_one() -> None:
    """Their parts may not meet: nobody has said how the one's last block and the other's first are connected."""
    with (
        served(young()) as one,
        served(behind(is_syncing=True)) as two,
        pytest.raises(BeaconError, match=r"has no blocks before slot 21.* does not follow the chain's head"),
    ):
        slashable.look([one, two], 0, None)


def test_a_node_a_moment_behind_is_whole() -> None:
    node = honest(False)
    node.head, node.syncing = 38, {"sync_distance": "2"}
    with served(honest(False)) as ahead, served(node) as url:
        assert slashable.look([url], 0, None)["incomplete"] == []
        assert slashable.look([ahead, url], 0, None)["incomplete"] == []


def test_a_pair_is_told_whatever_else_could_not_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    node = young()
    plant(node, "double vote on chain")
    with served(node) as url:
        assert slashable.main(["--beacon", url]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [pair["kind"] for pair in found["slashable"]] == ["double vote"]
    assert len(found["incomplete"]) == 1


@pytest.mark.parametrize("written", [key_of(4), f"0x{key_of(4)}", f"0x{key_of(4)}".upper().replace("X", "x")])
def test_a_key_may_be_named_as_stack_files_write_it(written: str) -> None:
    node = honest(False)
    plant(node, "double proposal")
    with served(node) as url:
        assert slashable.main(["--beacon", url, "--from-epoch", "5", "--key", written]) == 1


def test_a_canonical_block_that_cannot_be_understood_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    damages: list[dict[str, object]] = [
        {"attestations": [{}]},
        {"attestations": None},
        {"attestations": [{"data": {"slot": "x"}}]},
    ]
    for damage in damages:
        node = honest(False)
        node.blocks[31][0]["body"].update(damage)
        with served(node) as url:
            assert slashable.main(["--beacon", url]) == 2
        assert "gave a block that cannot be read" in capsys.readouterr().err
    node = honest(False)
    node.blocks[31][0]["body"]["attestations"][0]["aggregation_bits"] = bits_of(3, [0])
    with served(node) as url:
        assert slashable.main(["--beacon", url]) == 2
    assert "does not fit its committee" in capsys.readouterr().err


def test_nodes_of_two_chains_are_not_put_together(capsys: pytest.CaptureFixture[str]) -> None:
    with served(honest(False)) as one, served(FakeBeacon(root="0x" + "cd" * 32)) as two:
        assert slashable.main(["--beacon", one, "--beacon", two]) == 2
    assert "different chains" in capsys.readouterr().err
