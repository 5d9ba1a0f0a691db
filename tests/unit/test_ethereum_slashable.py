"""Every slashable pair is found, in generated chains and against the definition itself, and none that is not."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.ethereum_validator import slashable
from roles.ethereum_validator.module_utils.stakeyard_ethereum.conflicts import (
    Conflict,
    proposal_conflicts,
    vote_conflicts,
)
from roles.ethereum_validator.module_utils.stakeyard_ethereum.signed import Proposal, Vote, bitlist, set_bits
from stacks.paths import REPOSITORY
from tests.unit.ethereum_beacon import bits_of, honest, key_of, plant, served

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


# The slot of the last block that both branches have, of a vote of epoch 7 (slots 28 to 31) in an orphan at slot 33.
SHARED = {
    "in the epoch of the vote": (30, True),
    "in the one before": (24, True),
    "two before: other committees may have been drawn": (23, False),
    "long ago": (4, False),
}


@pytest.mark.parametrize("through_an_orphan", [False, True])
@pytest.mark.parametrize("case", SHARED)
def test_an_orphan_whose_state_is_gone_is_read_where_its_branch_has_the_committees_of_the_chain(
    case: str, through_an_orphan: bool
) -> None:
    slot, read = SHARED[case]
    node = honest(False)
    parent = node.blocks[slot][0]["root"]
    if through_an_orphan:
        parent = node.block(slot + 1, 9, canonical=False, parent=parent)
    voter = node.committee(30, 1)[0]
    vote = node.attestation([voter], node.data(30, source=6, block="bb"))
    node.block(33, 9, [vote], canonical=False, parent=parent)
    node.branches.clear()
    with served(node) as url:
        found = slashable.look([url], 0, None)
    planted = [pair for pair in found["slashable"] if pair["kind"] == "double vote"]
    assert [pair["validator"] for pair in planted] == ([voter] if read else [])
    assert found["unread_attestations"] == (0 if read else 1)


def test_committees_of_the_first_epochs_are_those_of_every_branch() -> None:
    node = honest(False)
    node.block(8, 9, [node.attestation([node.committee(6, 0)[0]], node.data(6, source=0, block="bb"))], canonical=False)
    node.branches.clear()
    with served(node) as url:
        found = slashable.look([url], 0, None)
    assert found["unread_attestations"] == 0
    assert len(found["slashable"]) == 1


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
