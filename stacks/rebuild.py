"""What a rebuild of one node decides: its phases, where it goes on after a kill, what it may do to the old server.

Nothing here acts. stacks/rebuild_phases.py does one phase after the other, stacks/rebuild_run.py walks through them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stacks.errors import StakeyardError
from stacks.signer import CLAIM, GONE, OFF, Claim, Claiming, ServerView, VolumeView, refusal

Fence = Literal["stop", "delete"]
Action = Literal["nothing", "stop", "detach", "delete"]
Data = dict[str, Any]

PHASES = ("inspect", "fence", "history", "converge", "verify", "duty")
"""In this order; the report is made of what they found, and is no phase that could be left undone."""
SIGNERS_ONLY = ("history", "duty")
WORDS: Mapping[str, str] = {
    "inspect": "ask the state and the cloud what there is",
    "fence": "see that the old server cannot sign or write any more",
    "history": "find out whether the keys' volume is there, or which backup takes its place",
    "converge": "make the new server and apply its roles",
    "verify": "look at the checks that passed on it",
    "duty": "see the keys sign on chain",
}


@dataclass(frozen=True)
class Request:
    """What the operator typed; at a second run, what was typed last counts."""

    stack: str
    node: str
    fence: Fence | None = None
    restore: str | None = None
    accept_older: bool = False


@dataclass
class Progress:
    """What a journal tells: where the rebuild stands."""

    begun: float | None = None
    starts: int = 0
    done: dict[str, Data] = field(default_factory=dict)
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Begin and end (seconds since 1970) of each time a phase ran; one that was killed has its last sign of life."""
    refusals: list[tuple[float, str]] = field(default_factory=list)


def progress(entries: Iterable[Mapping[str, Any]]) -> Progress:
    """What the entries of a journal add up to."""
    found, running = Progress(), ""
    for entry in entries:
        at, phase = float(entry["at"]), str(entry.get("phase", ""))
        match entry["what"]:
            case "run":
                found.begun = at if found.begun is None else found.begun
                found.starts += 1
                running = ""
            case "phase":
                found.spans.setdefault(phase, []).append((at, at))
                running = phase
            case "done":
                found.done[phase] = dict(entry["data"])
                running = _end(found, running, at)
            case "refused":
                found.refusals.append((at, str(entry["sentence"])))
                running = _end(found, running, at)
    return found


def _end(found: Progress, running: str, at: float) -> str:
    if running:
        begin, _ = found.spans[running][-1]
        found.spans[running][-1] = (begin, at)
    return ""


def phases(signs: bool) -> tuple[str, ...]:
    """The phases of a node, in order."""
    return PHASES if signs else tuple(phase for phase in PHASES if phase not in SIGNERS_ONLY)


def remaining(found: Progress, signs: bool) -> tuple[str, ...]:
    """The phases after `inspect` that a run has to walk through, after what earlier runs did.

    Evidence grows old: as long as the new server is not complete, the old one is looked at again.
    """
    names = phases(signs)[1:]
    return names if "converge" not in found.done else tuple(name for name in names if name not in found.done)


def changing(found: Progress) -> bool:
    """Whether Pulumi may have begun to change its state: from then on only the journal knows which server was the old
    one, so that what was seen first is kept."""
    return "converge" in found.spans


# The fence.

NOBODY = Claim()


@dataclass(frozen=True)
class Fencing:
    """The node's old server as the cloud has it, and for a signer its key volume and who holds the claim on it.

    `now` is by the clock of the views (seconds). `holder` is what the cloud says of the claim's holder.
    """

    node: str
    server: ServerView | None
    volume: VolumeView | None = None
    claim: Claim = NOBODY
    holder: ServerView | None = None
    now: float = 0.0
    successor: str = ""
    """The new server, where an earlier run of this rebuild has made it: what it holds, it may hold."""

    @property
    def gone(self) -> bool:
        """Whether there is no old server any more."""
        return self.server is None or self.server.status in GONE

    @property
    def off(self) -> bool:
        """Whether it is shut off."""
        return self.server is not None and self.server.status == OFF

    @property
    def attached(self) -> bool:
        """Whether the key volume is still plugged into the old server."""
        return self.server is not None and self.volume is not None and self.server.server in self.volume.attached


def next_action(state: Fencing, allowed: Fence | None) -> Action:
    """What is to be done to the old server next. Raises StakeyardError with what the operator may allow.

    A server that is in ERROR, unreachable or lost counts as alive: the cloud may bring it back at any time.
    """
    if state.gone:
        return "nothing"
    assert state.server is not None  # noqa: S101 - it is not gone
    label = f"server {state.server.server} of {state.node}"
    if state.off:
        if allowed == "delete":
            return "delete"
        if not state.attached:
            return "nothing"
        if allowed == "stop":
            return "detach"
        raise StakeyardError(
            f"{label} is shut off, but its key volume is still attached and it may be started again: allow me to "
            "detach the volume with --fence stop, or to delete the server with --fence delete."
        )
    if allowed is None:
        raise StakeyardError(
            f"{label} is {state.server.status}, which counts as alive: allow me to shut it off with --fence stop, or "
            "to delete it with --fence delete, or do so yourself."
        )
    # One that runs is shut off before it is deleted, so that its services end in good order.
    return "stop" if allowed == "stop" or state.server.status == "ACTIVE" else "delete"


def stranger(state: Fencing) -> bool:
    """Whether it is another server than the node's own that stands in the way: waiting does not help."""
    own = {state.server.server if state.server else "", state.successor}
    holds = state.holder is not None and state.holder.server not in own and state.holder.status not in (*GONE, OFF)
    return holds or (state.volume is not None and bool(state.volume.attached - own))


def proof(state: Fencing) -> str | None:
    """Why it is not proven that the old server has ended; None when it is.

    For a signer the guards that move a claim decide, asked for the new server, which need not exist yet.
    """
    if not (state.gone or state.off):
        return f"server {state.server.server if state.server else ''} of {state.node} still runs."
    if state.volume is None:
        return None
    return refusal(CLAIM, Claiming(state.successor, state.claim, state.holder, state.volume, state.now))


def fenced(state: Fencing) -> Data:
    """The evidence, for the journal and the report."""
    found: Data = {"server": state.server.server if state.server else None, "status": _status(state.server)}
    if state.volume is not None:
        found |= {
            "volume": state.volume.volume,
            "attached": sorted(state.volume.attached),
            "claim": {"server": state.claim.server, "generation": state.claim.generation},
        }
        if state.holder is not None and state.holder != state.server:
            found["holder"] = {"server": state.holder.server, "status": _status(state.holder)}
    return found


def _status(view: ServerView | None) -> str:
    return "unknown to the cloud" if view is None or view.status is None else view.status


# The history.


def recovery_point(history: Mapping[str, Any], begun: float) -> float | None:
    """Seconds of the signer's history that were lost; None where none is known to have come back for some key."""
    match history.get("how"):
        case "restored":
            return max(0.0, begun - float(history["taken"]))
        case "kept":
            return 0.0
        case _:
            return None


# The new server.


def to_replace(old: str | None, present: str | None) -> bool:
    """Whether the server in the state is still the old one: it is replaced once, however often a rebuild is killed."""
    return old is not None and present == old
