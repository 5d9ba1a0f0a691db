"""The report of a rebuild, made of its journal alone: for programs as JSON, for people as Markdown."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stacks.rebuild import WORDS, Progress, Request, phases, recovery_point

FORMAT = 1
_WITHOUT = {
    "fresh": "the whole history was lost; the keys started above what the chain shows",
    "unproven": "the key volume was not known to have a history; the keys started above what the chain shows",
    "partly": "some keys were not known to have a history on the key volume; they started above what the chain shows",
}
"""Of what is not known to have come back."""


def report(request: Request, progress: Progress) -> dict[str, Any]:
    """What happened, from the first command to the node's return. Seconds are measured, never estimated."""
    inspected, done = progress.done["inspect"], progress.done
    begun = progress.begun or 0.0
    ended = float(done["duty"]["signed_at"]) if "duty" in done else _end(progress, "verify")
    recovery = ended - begun
    boot = done["verify"]["bare_boot_seconds"]
    history = done.get("history")
    return {
        "format": FORMAT,
        "stack": request.stack,
        "node": request.node,
        "kind": inspected["kind"],
        "begun": _iso(begun),
        "back": _iso(ended),
        "runs": progress.starts,
        "phases": [_phase(name, progress) for name in phases(bool(inspected["signs"]))],
        "refusals": [{"at": _iso(at), "sentence": sentence} for at, sentence in progress.refusals],
        "servers": {"old": inspected["server"], "new": done["verify"]["server"]},
        "evidence": _evidence(done["fence"]),
        "history": {key: value for key, value in history.items() if key != "staged"} if history else None,
        "seeded": done["verify"].get("seeded"),
        "checks": {name: done["verify"][name] for name in ("passed", "skipped")},
        "first_duty": {key: _iso(value) for key, value in done["duty"].items()} if "duty" in done else None,
        "recovery_seconds": round(recovery, 1),
        "recovery_point_seconds": _rounded(recovery_point(history, begun)) if history else 0.0,
        "bare_boot_seconds": _rounded(boot),
        "ratio": round(recovery / boot, 2) if boot else None,
    }


def _phase(name: str, progress: Progress) -> dict[str, Any]:
    spans = progress.spans.get(name, [])
    return {"name": name, "seconds": round(sum(end - begin for begin, end in spans), 1), "times": len(spans)}


def _end(progress: Progress, phase: str) -> float:
    return progress.spans[phase][-1][1]


def _evidence(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in found.items() if key != "asked_at"}, "at": _iso(found["asked_at"])}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def as_json(found: Mapping[str, Any]) -> str:
    """For programs."""
    return json.dumps(found, indent=2) + "\n"


def as_markdown(found: Mapping[str, Any]) -> str:
    """For people."""
    return "\n".join([*_head(found), *_table(found), *_facts(found), *_refusals(found), ""])


def _head(found: Mapping[str, Any]) -> Sequence[str]:
    return (
        f"# Rebuild of {found['node']} ({found['kind']}, stack {found['stack']})",
        "",
        f"- Begun {found['begun']}, back {found['back']}: **{_seconds(found['recovery_seconds'])}**.",
        f"- Recovery point: {_point(found)}.",
        f"- A bare server took {_seconds(found['bare_boot_seconds'])} to boot; "
        f"ratio {found['ratio'] or 'not measured'}.",
        f"- Commands until it was done: {found['runs']}.",
        "",
    )


def _point(found: Mapping[str, Any]) -> str:
    history = found["history"]
    if history is None or history["how"] == "kept":
        return "nothing was lost"
    if history["how"] in _WITHOUT:
        return _WITHOUT[history["how"]]
    lost = _seconds(found["recovery_point_seconds"])
    return f"{lost}, from backup {history['backup']}; marks raised to what the chain shows"


def _table(found: Mapping[str, Any]) -> Sequence[str]:
    rows = [
        f"| {each['name']} | {WORDS[each['name']]} | {each['seconds']} | {each['times']} |" for each in found["phases"]
    ]
    return ("| phase | to | seconds | times |", "|---|---|---:|---:|", *rows, "")


def _facts(found: Mapping[str, Any]) -> Sequence[str]:
    proof, duty = found["evidence"], found["first_duty"]
    lines = [
        f"- Old server {proof['server']}: {proof['status']}, by the cloud's word of {proof['at']}.",
        f"- New server {found['servers']['new']}: {found['checks']['passed']} checks passed.",
    ]
    if "volume" in proof:
        claim = proof["claim"]
        held = f"held by {claim['server']}" if claim["server"] else "released"
        plugged = ", ".join(proof["attached"]) or "no server"
        lines.append(
            f"- Key volume {proof['volume']}: attached to {plugged}; claim {held} (generation {claim['generation']})."
        )
    if found["seeded"]:
        lines.append(_seeded(found["seeded"]))
    if duty:
        lines.append(f"- First duty of the new server signed {duty['signed_at']}, seen on chain {duty['seen_at']}.")
    return lines


def _seeded(found: Mapping[str, Any]) -> str:
    quiet = "the chain showed no message of them"
    if found["quiet_epochs"] is not None:
        quiet = f"silent on chain for {found['quiet_epochs']} epochs and {_seconds(found['quiet_seconds'])}"
    names = sorted({name for marks in found["marks"].values() for name in marks})
    least = ", ".join(f"{name} {min(marks[name] for marks in found['marks'].values())}" for name in names)
    return f"- Keys without their history: {len(found['marks'])}, {quiet} at {found['at']}; they start above {least}."


def _refusals(found: Mapping[str, Any]) -> Sequence[str]:
    if not found["refusals"]:
        return ()
    return ("", "Refused on the way:", "", *(f"- {each['at']}: {each['sentence']}" for each in found["refusals"]))


def _seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:g} s"
