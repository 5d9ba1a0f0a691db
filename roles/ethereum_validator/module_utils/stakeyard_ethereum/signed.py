"""Which validators signed what, as a beacon node shows it: in its blocks, also orphaned ones, and in its pools.

Sources: consensus specification, phase 0 (`get_attesting_indices`, `get_seed`), Electra (EIP-7549, `committee_bits`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .beacon import Beacon, BeaconError, Chain, chain_of, sync_of

POOLS = "/eth/v2/beacon/pool/attestations", "/eth/v2/beacon/pool/attester_slashings"
PROPOSER_POOL = "/eth/v1/beacon/pool/proposer_slashings"


@dataclass(frozen=True, order=True)
class Vote:
    """An attestation of one validator; `data` is all that was signed, so two votes with the same `data` are one."""

    validator: int
    source: int
    target: int
    slot: int
    data: tuple[str, ...]


@dataclass(frozen=True, order=True)
class Proposal:
    """A block that a validator signed; `header` is all that was signed of it."""

    validator: int
    slot: int
    header: tuple[str, ...]


@dataclass
class Signed:
    """What was found. `unread` counts attestations of orphaned blocks whose committees this chain does not know."""

    votes: set[Vote] = field(default_factory=set)
    proposals: set[Proposal] = field(default_factory=set)
    unread: int = 0
    blocks: int = 0
    orphans: int = 0

    def messages(self) -> Iterator[Vote | Proposal]:
        """Votes and proposals."""
        yield from self.votes
        yield from self.proposals


class Reader:
    """Reads one beacon node. With `wanted`, only what these validators signed is kept."""

    def __init__(self, beacon: Beacon, wanted: Container[int] | None = None) -> None:
        self.beacon, self.wanted = beacon, wanted
        self.chain: Chain = chain_of(beacon)
        sync = sync_of(beacon, self.chain)
        self.head, self.present, self.synced = sync.head_slot, sync.present_slot, sync.synced
        self.found = Signed()
        self._lowest: tuple[int, str] | None = None  # slot and parent of the earliest canonical block that was read
        self.asked = range(0)
        """The slots that were read."""
        self._shared: dict[str, int] = {}  # by a block's root: the slot of the last canonical block on its branch
        self._committees: dict[tuple[int, str], Mapping[tuple[int, int], list[int]]] = {}

    def read(self, first: int, last: int) -> Signed:
        """All that is signed in blocks of these slots, both included. Raises BeaconError."""
        self.asked = range(max(first, 1), last + 1)  # nobody signed the genesis block
        with self._understood():
            for slot in self.asked:
                for header in self.beacon.get(f"/eth/v1/beacon/headers?slot={slot}") or ():
                    self._block(header)
        return self.found

    def lacks_before(self) -> int | None:
        """The slot before which the node lacks blocks of the time that was read; None where it lacks none.

        An empty slot would look the same. A node that began at a checkpoint has none of the time before it, unless it
        fetched them since. A time that begins after the head lacks nothing; at genesis, every time does.
        Raises BeaconError when it shows no block at all of that time.
        """
        if not self.asked:
            return None
        if self._lowest is None:  # the head itself is a block
            raise BeaconError(
                f"beacon node {self.beacon.url} shows no block of slots {self.asked[0]} to {self.asked[-1]} although "
                f"its head is at slot {self.head}: ask another, or about a longer time."
            )
        slot, parent = self._lowest
        return slot if self.beacon.get(f"/eth/v1/beacon/headers/{parent}") is None else None

    def read_pools(self) -> Signed:
        """All that waits to be included. A node without such a pool has nothing to show."""
        with self._understood():
            attestations, slashings = (self.beacon.get(path) for path in POOLS)
            for attestation in attestations or ():
                self._attestation(attestation, canonical=False)
            self._attester_slashings(slashings or ())
            self._proposer_slashings(self.beacon.get(PROPOSER_POOL) or ())
        return self.found

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BeaconError(f"beacon node {self.beacon.url} gave a block that cannot be read ({error!r}).") from None

    def _block(self, entry: Mapping[str, Any]) -> None:
        root, canonical = str(entry["root"]), bool(entry["canonical"])
        self.found.blocks += 1
        self.found.orphans += not canonical
        message = entry["header"]["message"]
        slot, parent = int(message["slot"]), str(message["parent_root"])
        if canonical and (self._lowest is None or slot < self._lowest[0]):
            self._lowest = slot, parent
        shared = slot if canonical else self._shared.get(parent, -1)
        self._shared[root] = shared
        self._proposal(message)
        block = self.beacon.get(f"/eth/v1/beacon/blinded_blocks/{root}")
        if block is None:
            raise BeaconError(f"beacon node {self.beacon.url} names block {root} and does not have it: ask another.")
        body = block["message"]["body"]
        for attestation in body["attestations"]:
            # Another branch may have drawn other committees: its votes are read by the orphan's own state. Only where
            # they need it, as Prysm finds the states of the canonical chain alone.
            alike = canonical or self._drawn_alike(self.chain.epoch_of(int(attestation["data"]["slot"])), shared)
            self._attestation(attestation, canonical, "" if alike else str(message["state_root"]))
        self._attester_slashings(body["attester_slashings"])
        self._proposer_slashings(body["proposer_slashings"])

    def _drawn_alike(self, epoch: int, shared: int) -> bool:
        """Whether a branch has the chain's committees of an epoch; `shared` is the last slot of both, -1 when unknown.

        They are drawn from what the chain was when the epoch two before ended; those of the first two from the genesis.
        """
        return epoch < 2 or (shared >= 0 and self.chain.epoch_of(shared) >= epoch - 1)

    def _attestation(self, attestation: Mapping[str, Any], canonical: bool, state: str = "") -> None:
        try:
            validators = list(self._validators(attestation, state))
        except _OtherShufflingError:
            if canonical:
                where = f"beacon node {self.beacon.url}: slot {attestation['data']['slot']}"
                raise BeaconError(f"{where}: an attestation does not fit its committee; ask another node.") from None
            self.found.unread += 1
            return
        self._votes(validators, attestation["data"])

    def _validators(self, attestation: Mapping[str, Any], state: str) -> Iterator[int]:
        data = attestation["data"]
        if "attester_index" in attestation:  # one that was not aggregated yet, since Electra
            yield int(attestation["attester_index"])
            return
        committees = self._committees_of(self.chain.epoch_of(int(data["slot"])), state)
        names = set_bits(attestation["committee_bits"]) if "committee_bits" in attestation else [int(data["index"])]
        members: list[int] = []
        for name in names:
            if (int(data["slot"]), name) not in committees:
                raise _OtherShufflingError
            members += committees[int(data["slot"]), name]
        length, bits = bitlist(attestation["aggregation_bits"])
        if length != len(members):
            raise _OtherShufflingError
        yield from (members[bit] for bit in bits)

    def _committees_of(self, epoch: int, state: str) -> Mapping[tuple[int, int], list[int]]:
        """By slot and index; of the canonical chain where no `state` of another branch is named."""
        if (epoch, state) not in self._committees:
            entries = self._branch(epoch, state) if state else self._canonical(epoch)
            self._committees[epoch, state] = {
                (int(entry["slot"]), int(entry["index"])): [int(validator) for validator in entry["validators"]]
                for entry in entries
            }
        return self._committees[epoch, state]

    def _canonical(self, epoch: int) -> Any:
        slot = epoch * self.chain.slots_per_epoch
        return self.beacon.need(
            f"/eth/v1/beacon/states/{slot if slot <= self.head else 'head'}/committees?epoch={epoch}"
        )

    def _branch(self, epoch: int, state: str) -> Any:
        """Nothing, so that the vote counts as unread, where the node does not have that state any more."""
        try:
            return self.beacon.get(f"/eth/v1/beacon/states/{state}/committees?epoch={epoch}") or ()
        except BeaconError:
            return ()

    def _votes(self, validators: Iterable[int], data: Mapping[str, Any]) -> None:
        source, target = data["source"], data["target"]
        parts = data["slot"], data["index"], data["beacon_block_root"], *_checkpoint(source), *_checkpoint(target)
        identity = tuple(str(part) for part in parts)
        for validator in validators:
            if self._keep(validator):
                vote = Vote(validator, int(source["epoch"]), int(target["epoch"]), int(data["slot"]), identity)
                self.found.votes.add(vote)

    def _attester_slashings(self, slashings: Iterable[Mapping[str, Any]]) -> None:
        for slashing in slashings:
            for side in ("attestation_1", "attestation_2"):
                signed = slashing[side]
                self._votes([int(index) for index in signed["attesting_indices"]], signed["data"])

    def _proposer_slashings(self, slashings: Iterable[Mapping[str, Any]]) -> None:
        for slashing in slashings:
            for side in ("signed_header_1", "signed_header_2"):
                self._proposal(slashing[side]["message"])

    def _proposal(self, header: Mapping[str, Any]) -> None:
        validator = int(header["proposer_index"])
        if self._keep(validator):
            roots = tuple(str(header[part]) for part in ("parent_root", "state_root", "body_root"))
            self.found.proposals.add(Proposal(validator, int(header["slot"]), roots))

    def _keep(self, validator: int) -> bool:
        return self.wanted is None or validator in self.wanted


class _OtherShufflingError(Exception):
    """The attestation belongs to a branch on which other validators are in the committee."""


def _checkpoint(checkpoint: Mapping[str, Any]) -> tuple[str, str]:
    return str(checkpoint["epoch"]), str(checkpoint["root"])


def set_bits(text: str) -> list[int]:
    """Positions of the bits that are set in an SSZ bit vector in hexadecimal."""
    value = int.from_bytes(bytes.fromhex(text.removeprefix("0x")), "little")
    return [bit for bit in range(value.bit_length()) if value >> bit & 1]


def bitlist(text: str) -> tuple[int, list[int]]:
    """Length of an SSZ bit list in hexadecimal, and the positions of its bits that are set.

    Its highest bit only marks the length.
    """
    bits = set_bits(text)
    if not bits:
        raise _OtherShufflingError
    return bits[-1], bits[:-1]
