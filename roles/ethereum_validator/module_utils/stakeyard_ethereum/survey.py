"""All that beacon nodes show of what validators signed: every slashable pair, and how many epochs each voted for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from .beacon import Beacon, BeaconError, indices
from .conflicts import proposal_conflicts, vote_conflicts
from .signed import Reader, Signed, Vote


def look(urls: Iterable[str], first_epoch: int, last_epoch: int | None, keys: Sequence[str] = ()) -> dict[str, Any]:
    """What all nodes show together, and every slashable pair in it; where `keys` (without 0x) are named, of these only.

    `voted` has, by the validator's index, for how many of the epochs it voted; votes of the last two epochs may still
    be on their way into the chain. `incomplete` has a sentence for each node that could not show all that was asked
    for: one that can is enough, as it has the whole chain, and what others have beside it is added.

    Raises BeaconError when any of the nodes cannot be read, when they are on different chains, or when there is no pair
    and none of the nodes could show everything. A pair that was found stays one, whatever else is missing.
    """
    if last_epoch is not None and last_epoch < first_epoch:
        raise BeaconError(f"there is no epoch from {first_epoch} to {last_epoch}: name a last one that is not before.")
    together, chains, last, asked = Signed(), set(), 0, 0
    incomplete: list[str] = []
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
        unknown = set(keys) - set((wanted or {}).values())
        lack = _lack(reader, first_epoch if last_epoch is None else last_epoch, unknown)
        asked += 1
        incomplete += [lack] if lack else []
    if len(chains) > 1:
        raise BeaconError("the beacon nodes are on different chains: name those of one chain.")
    pairs = [*vote_conflicts(together.votes), *proposal_conflicts(together.proposals)]
    if not pairs and len(incomplete) == asked:
        raise BeaconError(" ".join(incomplete) or "no beacon node is named that could be asked: name one.")
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
        "incomplete": incomplete,
    }


def _lack(reader: Reader, needed: int, unknown: Collection[str]) -> str | None:
    """Why a node could not show all that was asked for, in one sentence that says what to do; None where it could.

    `needed` is the epoch that its head must have come to.
    """
    node, length = f"beacon node {reader.beacon.url}", reader.chain.slots_per_epoch
    if not reader.synced:
        return f"{node} does not follow the chain's head: wait until it is synchronised, or ask another."
    if not reader.asked or reader.head < needed * length:
        return (
            f"the head of {node} is at slot {reader.head}, so there is no block of epoch {needed} yet: name an earlier "
            "epoch, or wait."
        )
    try:
        before = reader.lacks_before()
    except BeaconError as error:
        return str(error)
    if before is not None:
        return (
            f"{node} has no blocks before slot {before}: look from epoch {before // length + 1} on (--from-epoch), or "
            "ask one that has them."
        )
    if unknown:
        return f"{node} does not know the key 0x{min(unknown)}: correct it, or wait until its deposit is on the chain."
    return None


def _voted(votes: Iterable[Vote], first: int, last: int) -> dict[str, int]:
    targets: dict[str, set[int]] = {}
    for vote in votes:
        if first <= vote.target <= last:
            targets.setdefault(str(vote.validator), set()).add(vote.target)
    return {validator: len(epochs) for validator, epochs in sorted(targets.items(), key=lambda each: int(each[0]))}
