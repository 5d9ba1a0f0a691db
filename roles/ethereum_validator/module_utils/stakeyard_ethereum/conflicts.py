"""Finds every pair of messages for which a validator can be slashed.

Source: consensus specification, phase 0: `is_slashable_attestation_data` and `process_proposer_slashing`.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, groupby

from .signed import Proposal, Vote

DOUBLE_VOTE = "double vote"
SURROUND_VOTE = "surround vote"
DOUBLE_PROPOSAL = "double proposal"


@dataclass(frozen=True)
class Conflict:
    """A slashable pair of one validator; of a surround vote, `first` is the one that surrounds."""

    kind: str
    validator: int
    first: Vote | Proposal
    second: Vote | Proposal


def vote_conflicts(votes: Iterable[Vote]) -> Iterator[Conflict]:
    """Every slashable pair of attestations. A pair that is both, double and surround, cannot be: targets differ."""
    each: dict[int, set[Vote]] = defaultdict(set)
    for vote in votes:
        each[vote.validator].add(vote)
    for validator, own in sorted(each.items()):
        by_target = sorted(own, key=lambda vote: (vote.target, vote.data))
        for _, same in groupby(by_target, key=lambda vote: vote.target):
            for first, second in combinations(same, 2):
                yield Conflict(DOUBLE_VOTE, validator, first, second)
        for outer, inner in _surrounds(own):
            yield Conflict(SURROUND_VOTE, validator, outer, inner)


def _surrounds(votes: Iterable[Vote]) -> Iterator[tuple[Vote, Vote]]:
    """Pairs whose first has the lower source and the higher target: sources in order, targets before kept sorted."""
    earlier: list[tuple[int, Vote]] = []
    ordered = sorted(votes, key=lambda vote: vote.source)
    for _, group in groupby(ordered, key=lambda vote: vote.source):
        same_source = list(group)
        for inner in same_source:
            after = bisect_right(earlier, inner.target, key=lambda entry: entry[0])
            yield from ((outer, inner) for _, outer in earlier[after:])
        for vote in same_source:
            insort(earlier, (vote.target, vote))


def proposal_conflicts(proposals: Iterable[Proposal]) -> Iterator[Conflict]:
    """Every pair of different blocks of one validator for one slot."""
    ordered = sorted(set(proposals))
    for (validator, _), same in groupby(ordered, key=lambda block: (block.validator, block.slot)):
        for first, second in combinations(same, 2):
            yield Conflict(DOUBLE_PROPOSAL, validator, first, second)
