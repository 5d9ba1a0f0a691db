"""All that beacon nodes show of what validators signed: every slashable pair, and how many epochs each voted for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from .beacon import Beacon, BeaconError, indices
from .conflicts import proposal_conflicts, vote_conflicts
from .signed import Reader, Signed, Vote


def look(urls: Iterable[str], first_epoch: int, last_epoch: int | None, keys: Sequence[str] = ()) -> dict[str, Any]:
    """What all nodes show together, and every slashable pair in it; where `keys` (without 0x) are named, of these only.

    `voted` has, by the validator's index, for how many of the epochs it voted; votes of the last two epochs may still
    be on their way into the chain. Raises BeaconError when any of the nodes cannot be read, or when they are on
    different chains.
    """
    together, chains, last = Signed(), set(), 0
    for url in urls:
        beacon = Beacon(url)
        wanted = indices(beacon, keys) if keys else None
        reader = Reader(beacon, wanted)
        chains.add(reader.chain.genesis_validators_root)
        length = reader.chain.slots_per_epoch
        end = reader.head if last_epoch is None else min(reader.head, (last_epoch + 1) * length - 1)
        last = max(last, end // length)
        reader.read(first_epoch * length, end)
        found = reader.read_pools()
        together.votes |= found.votes
        together.proposals |= found.proposals
        together.unread += found.unread
        together.blocks += found.blocks
        together.orphans += found.orphans
    if len(chains) > 1:
        raise BeaconError("the beacon nodes are on different chains: name those of one chain.")
    pairs = [*vote_conflicts(together.votes), *proposal_conflicts(together.proposals)]
    signers = {message.validator for message in together.messages()}
    return {
        "validators": len(signers),
        "attestations": len(together.votes),
        "proposals": len(together.proposals),
        "blocks": together.blocks,
        "orphaned_blocks": together.orphans,
        "unread_attestations": together.unread,
        "epochs": [first_epoch, last],
        "voted": _voted(together.votes, first_epoch, last),
        "slashable": [asdict(pair) for pair in pairs],
    }


def _voted(votes: Iterable[Vote], first: int, last: int) -> dict[str, int]:
    targets: dict[str, set[int]] = {}
    for vote in votes:
        if first <= vote.target <= last:
            targets.setdefault(str(vote.validator), set()).add(vote.target)
    return {validator: len(epochs) for validator, epochs in sorted(targets.items(), key=lambda each: int(each[0]))}
