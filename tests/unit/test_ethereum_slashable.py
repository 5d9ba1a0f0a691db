"""Every slashable pair is found, in generated chains and against the definition itself, and none that is not."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.ethereum_validator import slashable
from roles.ethereum_validator.module_utils.stakeyard_ethereum.beacon import VALIDATORS, BeaconError
from roles.ethereum_validator.module_utils.stakeyard_ethereum.conflicts import (
    Conflict,
    proposal_conflicts,
    vote_conflicts,
)
from roles.ethereum_validator.module_utils.stakeyard_ethereum.signed import Proposal, Vote, bitlist, set_bits
from stacks.paths import REPOSITORY
from tests.unit.ethereum_beacon import FakeBeacon, bits_of, key_of, served

epochs = st.integers(0, 12)
votes = st.builds(
    Vote,
    validator=st.integers(0, 2), source=epochs, target=epochs, slot=st.just(0), data=st.sampled_from([("a",), ("b",)]),
)  # fmt: skip
blocks = st.builds(
    Proposal, validator=st.integers(0, 2), slot=st.integers(0, 4), header=st.sampled_from([("a",), ("b",), ("c",)])
)


def slashable_by_definition(one: Vote, two: Vote) -> bool:
    """`is_slashable_attestation_data` of the consensus specification, in either order."""
    double = one.target == two.target and one != two
    surround = (one.source < two.source and two.target < one.target) or (
        two.source < one.source and one.target < two.target
    )
    return one.validator == two.validator and (double or surround)


def pairs(conflicts: Iterable[Conflict]) -> Counter[frozenset[object]]:
    """How often each pair is there, without its order."""
    return Counter(frozenset([found.first, found.second]) for found in conflicts)


@given(st.lists(votes, max_size=25))
def test_the_pairs_of_votes_are_exactly_those_of_the_definition(given_votes: list[Vote]) -> None:
    naive: list[frozenset[object]] = [
        frozenset([one, two])
        for one, two in itertools.combinations(set(given_votes), 2)
        if slashable_by_definition(one, two)
    ]
    assert pairs(vote_conflicts(given_votes)) == Counter(naive)


@given(st.lists(votes, max_size=25))
def test_who_surrounds_comes_first(given_votes: list[Vote]) -> None:
    for found in vote_conflicts(given_votes):
        assert isinstance(found.first, Vote)
        assert isinstance(found.second, Vote)
        if found.kind == "surround vote":
            assert found.first.source < found.second.source
            assert found.second.target < found.first.target
        else:
            assert found.first.target == found.second.target


@given(st.lists(blocks, max_size=20))
def test_the_pairs_of_blocks_are_exactly_those_of_the_definition(given_blocks: list[Proposal]) -> None:
    naive: list[frozenset[object]] = [
        frozenset([one, two])
        for one, two in itertools.combinations(set(given_blocks), 2)
        if (one.validator, one.slot) == (two.validator, two.slot)
    ]
    assert pairs(proposal_conflicts(given_blocks)) == Counter(naive)


@given(st.integers(1, 70), st.data())
def test_bits_are_read_as_ssz_writes_them(length: int, data: st.DataObject) -> None:
    positions = sorted(data.draw(st.sets(st.integers(0, length - 1))))
    assert bitlist(bits_of(length, positions)) == (length, positions)
    assert set_bits(bits_of(64, [p for p in positions if p < 64], delimiter=False)) == [p for p in positions if p < 64]


def test_ssz_bits_of_the_specification() -> None:
    """A list of three, of which the first and third are set, is 0b1101: the highest bit marks the length."""
    assert bitlist("0x0d") == (3, [0, 2])
    assert bitlist("0x0001") == (8, [])
    assert set_bits("0x0280") == [1, 15]


def honest(electra: bool) -> FakeBeacon:
    """A chain on which every validator votes once an epoch and every block has one proposer."""
    node = FakeBeacon(electra=electra)
    for slot in range(1, node.head + 1):
        duties = node.data(slot - 1, source=max(0, (slot - 1) // 4 - 1))
        if electra:
            attestations = [node.attestation([*node.committee(slot - 1, 0), *node.committee(slot - 1, 1)], duties)]
        else:
            attestations = [node.attestation(node.committee(slot - 1, index), duties) for index in (0, 1)]
        # the same votes again in the next block, as aggregators do
        node.block(slot, slot % 16, attestations * 2)
    return node


@pytest.mark.parametrize("electra", [False, True])
def test_an_honest_chain_has_no_pair_and_every_vote_was_read(electra: bool) -> None:
    node = honest(electra)
    with served(node) as url:
        found = slashable.look([url], 0, None)
    assert found["slashable"] == []
    assert found["validators"] == 16
    assert found["attestations"] == 40 * 4
    assert found["proposals"] == 40
    assert found["unread_attestations"] == 0


def plant(node: FakeBeacon, what: str) -> tuple[str, int]:
    """Plant one pair; its kind and its validator."""
    slot, validator = 30, node.committee(30, 1)[0]
    again = node.attestation([validator], node.data(slot, source=6, block="bb"))
    data = node.data(slot, source=0, target=0)
    match what:
        case "double vote on chain":
            node.blocks[33][0]["body"]["attestations"].append(again)
        case "double vote in an orphaned block":
            node.block(31, 2, [again], canonical=False)
        case "double vote in the pool":
            node.pools["/eth/v2/beacon/pool/attestations"] = [again]
        case "double vote not aggregated yet":
            single = {"committee_index": "1", "attester_index": str(validator), "data": again["data"]}
            node.pools["/eth/v2/beacon/pool/attestations"] = [single]
        case "surround vote":
            outer = node.attestation([validator], {**data, "target": {"epoch": "9", "root": "0x"}})
            # the vote of epoch 9 itself is then a double vote too: leave this validator's out
            for block in itertools.chain(*node.blocks.values()):
                body = block["body"]
                if int(block["header"]["slot"]) in range(37, 41):
                    body["attestations"] = []
            node.block(32, 3, [outer], canonical=False)
            return "surround vote", validator
        case "slashing in a block":
            sides = [{"attesting_indices": [str(validator)], "data": node.data(slot, 6, block=b)} for b in ("bb", "cc")]
            slashing = {"attestation_1": sides[0], "attestation_2": sides[1]}
            for block in itertools.chain(*node.blocks.values()):
                if block["header"]["slot"] == "31":
                    block["body"]["attestations"] = []
            node.block(34, 4, canonical=False, attester_slashings=[slashing])
        case "double proposal":
            node.block(20, 20 % 16, canonical=False)
            return "double proposal", 20 % 16
        case "proposer slashing in the pool":
            header = {"slot": "21", "proposer_index": "5", "parent_root": "0x01", "state_root": "0x", "body_root": "0x"}
            sides = [{"message": header}, {"message": {**header, "parent_root": "0x02"}}]
            slashing = {"signed_header_1": sides[0], "signed_header_2": sides[1]}
            node.blocks.pop(21)
            node.pools["/eth/v1/beacon/pool/proposer_slashings"] = [slashing]
            return "double proposal", 5
    return "double vote", validator


PLANTED = [
    "double vote on chain",
    "double vote in an orphaned block",
    "double vote in the pool",
    "double vote not aggregated yet",
    "surround vote",
    "slashing in a block",
    "double proposal",
    "proposer slashing in the pool",
]


@pytest.mark.parametrize("electra", [False, True])
@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_pair_is_found(what: str, electra: bool) -> None:
    node = honest(electra)
    kind, validator = plant(node, what)
    with served(node) as url:
        found = slashable.look([url], 0, None)
        assert {(pair["kind"], pair["validator"]) for pair in found["slashable"]} == {(kind, validator)}
        # and it is not seen by who looks at another key alone
        assert slashable.look([url], 0, None, [key_of((validator + 1) % 16)])["slashable"] == []
        assert slashable.look([url], 0, None, [key_of(validator)])["slashable"] != []


def test_a_pair_of_which_each_node_shows_one_half_is_found() -> None:
    one, two = honest(False), honest(False)
    two.blocks[20][0]["header"]["state_root"] = "0x" + "55" * 32
    with served(one) as first, served(two) as second:
        assert slashable.look([first], 0, None)["slashable"] == []
        assert slashable.look([second], 0, None)["slashable"] == []
        found = slashable.look([first, second], 0, None)["slashable"]
    assert [(pair["kind"], pair["validator"]) for pair in found] == [("double proposal", 4)]


def test_epochs_outside_the_range_are_not_read() -> None:
    node = honest(False)
    plant(node, "double proposal")
    with served(node) as url:
        assert slashable.look([url], 6, None)["slashable"] == []
        assert slashable.look([url], 0, 4)["slashable"] == []
        assert slashable.look([url], 5, 5)["slashable"] != []


def test_votes_of_a_branch_with_other_committees_are_counted_and_not_guessed() -> None:
    node = honest(False)
    data = {**node.data(30, source=6, block="bb"), "index": "0"}
    node.block(31, 9, [{"aggregation_bits": bits_of(5, [1]), "data": data}], canonical=False)
    with served(node) as url:
        found = slashable.look([url], 0, None)
    assert found["slashable"] == []
    assert found["unread_attestations"] == 1


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, run by its path."""
    file = REPOSITORY / "roles/ethereum_validator/slashable.py"
    return subprocess.run([sys.executable, str(file), *arguments], capture_output=True, text=True, check=False, cwd="/")


def test_the_command_says_it_in_json_and_in_its_exit_status() -> None:
    node = honest(False)
    with served(node) as url:
        clean = run("--beacon", url, "--from-epoch", "3")
        plant(node, "double vote in an orphaned block")
        found = run("--beacon", url)
    assert (clean.returncode, json.loads(clean.stdout)["slashable"]) == (0, [])
    assert found.returncode == 1
    assert json.loads(found.stdout)["slashable"][0]["kind"] == "double vote"


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
