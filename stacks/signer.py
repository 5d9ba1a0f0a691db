"""Who may sign: the decisions behind "one key, one signer", apart from any cloud, host or chain.

A key is known by its fingerprint. Keys live with the history of what they signed on a key volume, which is attached
to one server at a time. The volume's metadata in the cloud *registers* the keys and names the server that holds the
*claim* on them; the same claim, in a file on the volume, is what the signer's unit looks at before it starts.

Every decision is an ordered mapping of named guards. The first guard that objects refuses, with one sentence that says
what to do. Each guard stands alone, so that a test can leave out any one of them and show what it prevents.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stacks.errors import StakeyardError

Marks = Mapping[str, int]
"""Counters of what a key has signed that may only rise, by the names that the key's protocol gives them."""
History = Mapping[str, Marks]
"""The marks of several keys, by fingerprint."""

SETTLE_SECONDS = 5.0
"""How long a list of the cloud's volumes may lag behind a change: registrations are looked at no sooner than this."""
FRESH_SECONDS = 60.0
"""How old an answer of the cloud may be when a claim moves because of it."""
OFF = "SHUTOFF"
GONE = (None, "DELETED")
"""What the cloud says of a server that is deleted; None: it knows none. A soft-deleted one can come back."""

Q = TypeVar("Q")
Guards = Mapping[str, Callable[[Q], str | None]]


def fingerprint(public_key: str) -> str:
    """16 hexadecimal digits for a public key written in hexadecimal, with or without 0x."""
    return hashlib.sha256(public_key.casefold().removeprefix("0x").encode()).hexdigest()[:16]


def fingerprints(public_keys: Iterable[str]) -> frozenset[str]:
    """Those of several."""
    return frozenset(map(fingerprint, public_keys))


@dataclass(frozen=True)
class Claim:
    """Which server may sign with a volume's keys; None when nobody may. Each move has a higher generation."""

    server: str | None = None
    generation: int = 0


@dataclass(frozen=True)
class Registration:
    """What a volume's metadata says."""

    volume: str
    keys: frozenset[str] = frozenset()
    claim: Claim = Claim()
    begun: frozenset[str] = frozenset()
    """Those of the keys that sign with their history on this volume: they are never given another there."""


@dataclass(frozen=True)
class ServerView:
    """What the cloud said of a server, and when (seconds); status None when it does not know the server."""

    server: str
    status: str | None
    at: float


@dataclass(frozen=True)
class VolumeView:
    """What the cloud said of a volume, and when (seconds); a volume that it does not know is attached to nobody."""

    volume: str
    attached: frozenset[str]
    at: float


# Registering: no two volumes for one key.


@dataclass(frozen=True)
class Registering:
    """A volume registered its keys at `written`, and all registrations were listed at `listed` (seconds)."""

    own: Registration
    others: tuple[Registration, ...]
    written: float
    listed: float


def _settled(q: Registering) -> str | None:
    if q.listed - q.written >= SETTLE_SECONDS:
        return None
    return "the list of key volumes may not show the newest yet: wait a few seconds, then run this again."


def _alone(q: Registering) -> str | None:
    for other in q.others:
        shared = sorted(other.keys & q.own.keys)
        if other.volume != q.own.volume and shared:
            return (
                f"key {shared[0]} is registered on volume {other.volume} too: one key has one signer; let the stack of "
                "that one be updated without the key, or retire it and delete its volume once nobody needs its history."
            )
    return None


REGISTER: Guards[Registering] = {"settled": _settled, "alone": _alone}


# Claiming: a claim moves only on evidence.


@dataclass(frozen=True)
class Claiming:
    """`server` asks for the volume's claim, now `held`; `holder` is what the cloud says of the server that has it."""

    server: str
    held: Claim
    holder: ServerView | None
    volume: VolumeView
    now: float

    @property
    def moves(self) -> bool:
        """Whether another server has the claim."""
        return self.held.server not in (None, self.server)


def _fresh(q: Claiming) -> str | None:
    asked = [q.volume.at, *([q.holder.at] if q.holder and q.moves else [])]
    if all(q.now - at <= FRESH_SECONDS for at in asked):
        return None
    return f"the cloud's answers are older than {FRESH_SECONDS:.0f} s: ask again."


def _dead(q: Claiming) -> str | None:
    if not q.moves:
        return None
    asked = q.holder is not None and q.holder.server == q.held.server
    status = q.holder.status if asked and q.holder else "UNKNOWN"
    if status in GONE or status == OFF:
        return None
    return (
        f"server {q.held.server} holds the claim and is {status}, which counts as alive: delete it, or detach the key "
        "volume and shut it off."
    )


def _detached(q: Claiming) -> str | None:
    others = sorted(q.volume.attached - {q.server})
    if not others:
        return None
    return f"key volume {q.volume.volume} is attached to server {others[0]}: detach it, or delete that server."


CLAIM: Guards[Claiming] = {"fresh": _fresh, "dead": _dead, "detached": _detached}


# Seeding: keys that start without the history of their last signer.


@dataclass(frozen=True)
class Record:
    """What a chain shows of some keys: the highest marks seen, the chain's present marks, how long they were quiet.

    `quiet_epochs` and `quiet_seconds` are since the last message seen of any of the keys; None where none was seen.
    """

    synced: bool
    seen: History
    present: Marks
    quiet_epochs: int | None = None
    quiet_seconds: float | None = None
    reach: Marks = field(default_factory=dict)
    """The least marks of a history after which every message was looked for: of a lower one nothing is proven."""


@dataclass(frozen=True)
class Signed:
    """By a stack's state, the server that signed last with these keys (fingerprints)."""

    server: str
    keys: frozenset[str]

    def noted(self) -> dict[str, Any]:
        """As outputs, journals and files keep it."""
        return {"server": self.server, "keys": sorted(self.keys)}

    @classmethod
    def of(cls, noted: Mapping[str, Any] | None) -> "Signed | None":
        """What `noted` has kept; None where there is nothing. Raises KeyError or TypeError for anything else."""
        return cls(str(noted["server"]), frozenset(map(str, noted["keys"]))) if noted else None


@dataclass(frozen=True)
class Seeding:
    """Keys are to start on a volume without their history.

    `history` is that of a backup, empty where there is none; `marks` is what they are to start with. `holder` is what
    the cloud says of the last server that signed with all of the keys, where one is known: that any other is deleted
    proves nothing.
    """

    keys: frozenset[str]
    history: History
    marks: History
    record: Record
    holder: ServerView | None
    silence_epochs: int
    silence_seconds: float
    accept_older: bool
    now: float

    @property
    def ended(self) -> bool:
        """Whether the last signer is known to have ended: by the cloud's word of this moment, its server is deleted."""
        fresh = self.holder is not None and self.now - self.holder.at <= FRESH_SECONDS
        return fresh and self.holder is not None and self.holder.status in GONE

    @property
    def silent(self) -> bool:
        """Whether the chain has not seen the keys sign for the protocol's silence."""
        epochs, seconds = self.record.quiet_epochs, self.record.quiet_seconds
        if epochs is None or seconds is None:
            return not any(self.record.seen.get(key) for key in self.keys)
        return epochs >= self.silence_epochs and seconds >= self.silence_seconds

    @property
    def older(self) -> list[str]:
        """The keys of which the chain shows more than the backup knows, or was not asked about all that came after.

        Those that come without a backup, and from no server that is known, are none of them once they are silent: they
        start above all that the chain shows.
        """
        return sorted(key for key in self.keys if not self._current(key))

    def _current(self, key: str) -> bool:
        marks = self.history.get(key, {})
        if not marks and self.holder is None and self.silent:
            return True
        return covers(marks, self.record.seen.get(key, {})) and (not marks or covers(marks, self.record.reach))


def covers(marks: Marks, others: Marks) -> bool:
    """Whether no mark is lower than the other of its name."""
    return all(marks.get(name, -1) >= value for name, value in others.items())


def _synced(q: Seeding) -> str | None:
    if q.record.synced:
        return None
    return "the node that was asked about the keys does not follow the chain's head: wait until it is synchronised."


def _over(q: Seeding) -> str | None:
    if q.ended or q.silent:
        return None
    return (
        "the last signer of these keys may still be alive: delete its server, or wait until the chain has not seen the "
        f"keys for {q.silence_epochs} epochs and {q.silence_seconds:.0f} s."
    )


def _current(q: Seeding) -> str | None:
    if not q.older or q.accept_older:
        return None
    return (
        f"key {q.older[0]} may have signed more than this history has, by what the chain shows and how far it was "
        "asked: restore a newer backup, or accept the older one explicitly once the last server is deleted and the "
        "keys have been silent."
    )


def _accepted(q: Seeding) -> str | None:
    if not q.older or (q.ended and q.silent):
        return None
    unknown = (
        " Which server signed last with them is not known: leave the history away and run `stakeyard pulumi up` once "
        "the chain shows nothing of them in all the time that it is asked about."
    )
    return (
        "an older history is accepted only when the last server is deleted and the chain has not seen the keys for "
        f"{q.silence_epochs} epochs and {q.silence_seconds:.0f} s: both must hold.{'' if q.holder else unknown}"
    )


def _raised(q: Seeding) -> str | None:
    for key in sorted(q.keys):
        least = highest(q.history.get(key, {}), q.record.seen.get(key, {}), q.record.present)
        if not covers(q.marks.get(key, {}), least):
            return f"the history of key {key} would start below what may have been signed: raise its marks first."
    return None


SEED: Guards[Seeding] = {
    "synced": _synced,
    "over": _over,
    "current": _current,
    "accepted": _accepted,
    "raised": _raised,
}


def highest(*several: Marks) -> dict[str, int]:
    """The highest of each mark."""
    names = {name for marks in several for name in marks}
    return {name: max(marks[name] for marks in several if name in marks) for name in sorted(names)}


def raised(keys: frozenset[str], history: History, record: Record) -> dict[str, dict[str, int]]:
    """The marks with which keys start anew: above the backup, above what the chain shows, and up to its present."""
    return {key: highest(history.get(key, {}), record.seen.get(key, {}), record.present) for key in sorted(keys)}


def refusal(guards: Guards[Q], question: Q) -> str | None:
    """The sentence of the first guard that objects, or None."""
    return next((sentence for guard in guards.values() if (sentence := guard(question))), None)


def require(guards: Guards[Q], question: Q) -> None:
    """Raises StakeyardError with the sentence of the first guard that objects."""
    sentence = refusal(guards, question)
    if sentence:
        raise StakeyardError(sentence)
