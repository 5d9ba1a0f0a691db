"""What a chain shows of some keys: the highest they signed, and since when they have been silent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .beacon import Beacon, BeaconError, Chain, indices
from .interchange import SLOT, SOURCE, TARGET, fingerprint, highest
from .signed import Reader, Signed

MARGIN_EPOCHS = 1
"""Added to the present: a signer whose clock was ahead may have signed for the next epoch already."""


@dataclass(frozen=True)
class ChainRecord:
    """What was seen of keys (by fingerprint), and the chain's present marks.

    `synced`: at least one node that was asked follows the head; without one nothing else means anything.
    `quiet_epochs`, `quiet_seconds`: from the last message seen until the head, as nothing is known of what comes after
    it; None where none was seen since epoch `since`.
    """

    synced: bool
    genesis_validators_root: str
    since: int
    seen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    present: Mapping[str, int] = field(default_factory=dict)
    quiet_epochs: int | None = None
    quiet_seconds: float | None = None
    last: float | None = None
    """When the last message seen was due (seconds since 1970); None where none was seen."""
    reach: Mapping[str, int] = field(default_factory=dict)
    """The least marks of a history after which every message was looked for; of a lower one nothing is proven."""


def record(endpoints: Iterable[str], keys: Iterable[str], since: int, now: float | None = None) -> ChainRecord:
    """What the nodes that follow the head show of these public keys, all together.

    `since` is the first epoch to look at; a negative one counts from the present. Nodes that cannot be reached or do
    not follow the head are left out. Raises BeaconError when none answers, or when they are on different chains.
    """
    wanted, answers, problems = list(keys), [], []
    for url in endpoints:
        try:
            answers.append(_ask(Beacon(url), wanted, since, now))
        except BeaconError as error:
            problems.append(str(error))
    if not answers:
        raise BeaconError(" ".join(problems) or "no beacon node is named that could be asked: name one.")
    if len({answer.genesis_validators_root for answer in answers}) > 1:
        raise BeaconError("the beacon nodes are on different chains: their genesis validators roots differ.")
    return _together([answer for answer in answers if answer.synced] or answers[:1])


def _ask(beacon: Beacon, keys: list[str], since: int, now: float | None) -> ChainRecord:
    by_index = indices(beacon, keys)
    reader = Reader(beacon, by_index)
    chain, head = reader.chain, reader.head
    if not reader.synced:
        return ChainRecord(False, chain.genesis_validators_root, since)
    present = chain.slot_at(time.time() if now is None else now)
    slot = max(head, present)
    if abs(present - reader.present) > chain.slots_per_epoch:
        # Marks of a future that nobody lives in would stop the keys until it comes.
        raise BeaconError(
            f"this host's clock and that of beacon node {beacon.url} differ by more than an epoch: set the wrong one."
        )
    first = since if since >= 0 else max(0, chain.epoch_of(slot) + since)
    # A vote of an epoch may be included until the end of the next (EIP-7045): what is seen is sorted by its own slot.
    reader.read(first * chain.slots_per_epoch, head)
    before = reader.lacks_before()
    if before is not None:
        raise BeaconError(
            f"beacon node {beacon.url} has no blocks before slot {before}, so it cannot say who was silent: ask one "
            "that has, or wait until it has followed the chain for longer."
        )
    signed = reader.read_pools()
    latest = max((message.slot for message in signed.messages()), default=0)
    seen = _seen(signed, by_index)
    return ChainRecord(
        synced=True,
        genesis_validators_root=chain.genesis_validators_root,
        since=first,
        seen=seen,
        present=_present(beacon, chain, slot),
        quiet_epochs=max(0, chain.epoch_of(head) - chain.epoch_of(latest)) if seen else None,
        quiet_seconds=max(0.0, chain.time_of(head) - chain.time_of(latest)) if seen else None,
        last=chain.time_of(latest) if seen else None,
        # Votes for the first epoch are in its own blocks or later ones.
        reach={TARGET: first - 1} if first > 0 else {},
    )


def _seen(signed: Signed, by_index: Mapping[int, str]) -> dict[str, dict[str, int]]:
    seen: dict[str, dict[str, int]] = {}
    for vote in signed.votes:
        key = fingerprint(by_index[vote.validator])
        seen[key] = highest(seen.get(key, {}), {SOURCE: vote.source, TARGET: vote.target})
    for block in signed.proposals:
        key = fingerprint(by_index[block.validator])
        seen[key] = highest(seen.get(key, {}), {SLOT: block.slot})
    return seen


def _present(beacon: Beacon, chain: Chain, slot: int) -> dict[str, int]:
    """Marks up to which a signer must refuse, whatever is known of its past.

    Target and slot are the present and a margin: a later one was signed by nobody. The source is the epoch that the
    chain has justified and *not* the present: a vote's source must be justified, so with a higher mark these keys would
    wait until the chain justifies it, and where the chain needs their votes for that (they hold a third of the
    stake, as each signer of a small network does), for ever. Lower is safe: with targets above all that was signed,
    only a source below an earlier one can be slashed (surround), and a source is never above what is justified. What
    remains is a vote that was signed on a branch that justified more and was abandoned; `seen` has it where any block
    or pool shows it.
    """
    points = beacon.need("/eth/v1/beacon/states/head/finality_checkpoints")
    return {
        SOURCE: int(points["current_justified"]["epoch"]),
        TARGET: chain.epoch_of(slot) + MARGIN_EPOCHS,
        SLOT: slot + MARGIN_EPOCHS * chain.slots_per_epoch,
    }


def _together(answers: list[ChainRecord]) -> ChainRecord:
    """What several nodes show: the highest marks, and the shortest silence."""
    names = {name for answer in answers for name in answer.seen}
    epochs = [answer.quiet_epochs for answer in answers if answer.quiet_epochs is not None]
    seconds = [answer.quiet_seconds for answer in answers if answer.quiet_seconds is not None]
    return ChainRecord(
        synced=answers[0].synced,
        genesis_validators_root=answers[0].genesis_validators_root,
        since=max(answer.since for answer in answers),
        seen={name: highest(*(answer.seen.get(name, {}) for answer in answers)) for name in sorted(names)},
        present=highest(*(answer.present for answer in answers)),
        quiet_epochs=min(epochs, default=None),
        quiet_seconds=min(seconds, default=None),
        last=max((answer.last for answer in answers if answer.last is not None), default=None),
        reach=highest(*(answer.reach for answer in answers)),
    )


def first_duty(endpoints: Iterable[str], keys: Iterable[str], after: int) -> dict[str, int]:
    """The slot of the first attestation of each key (by fingerprint) with a target after epoch `after`.

    Keys that have none yet are left out. Raises BeaconError when no node that follows the head answers.
    """
    wanted, found, asked = list(keys), dict[str, int](), 0
    for url in endpoints:
        beacon = Beacon(url)
        try:
            by_index = indices(beacon, wanted)
            reader = Reader(beacon, by_index)
            if not reader.synced:
                continue
            signed = reader.read((after + 1) * reader.chain.slots_per_epoch, reader.head)
        except BeaconError:
            continue
        asked += 1
        for vote in sorted(signed.votes, key=lambda vote: -vote.slot):
            key = fingerprint(by_index[vote.validator])
            if vote.target > after:
                found[key] = min(vote.slot, found.get(key, vote.slot))
    if not asked:
        raise BeaconError("no beacon node that follows the head can be asked for duties: look at them.")
    return found
