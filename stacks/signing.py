"""The signer's part of a node's convergence: take the claim, settle what its keys start with, release it at the end.

The inputs' `signer` has: kind, volume_id, public_keys, uses, silence_epochs, silence_seconds.
"""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stacks import remote, role_library
from stacks.errors import StakeyardError
from stacks.lifecycle import Report, State
from stacks.signer import SEED, Claim, Record, Registration, Seeding, Signed, fingerprint, fingerprints, raised, require
from stacks.signer_claim import release, settle, take
from stacks.signer_cloud import SignerCloud
from stacks.ssh import Session

RESTORE = "STAKEYARD_RESTORE"
"""Names a file with what is to be restored, by node: history (a file's path), holder (server, keys), accept_older."""
CLAIM_FILE = "claim.json"
"""In the root of a key volume."""


@dataclass(frozen=True)
class Restoration:
    """What an operator gives for keys whose volume is new."""

    history: bytes | None = None
    holder: Signed | None = None
    accept_older: bool = False


def restoration(node: str) -> Restoration:
    """That of a node, from the file that the environment names. Raises StakeyardError where it cannot be read."""
    name = os.environ.get(RESTORE)
    if not name:
        return Restoration()
    try:
        found = json.loads(Path(name).read_text()).get(node) or {}
        history = Path(found["history"]).read_bytes() if found.get("history") else None
        holder = Signed.of(found.get("holder"))
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise StakeyardError(f"{name} does not say what to restore ({error}): give it anew.") from None
    return Restoration(history, holder, bool(found.get("accept_older")))


@dataclass(frozen=True)
class Noted:
    """What the file on a key volume says that is mounted on the node."""

    claim: Claim
    begun: frozenset[str]


def prepare(
    inputs: Mapping[str, Any], opened: Session, report: Report, cloud: SignerCloud, state: State
) -> dict[str, object]:
    """The variables with which the roles may make this server the signer.

    Where keys start without their history, `state["seeded"]` keeps why they may: what the chain showed, what the cloud
    said, and the marks that they start with.
    Raises StakeyardError when another server, or a server that may be alive, has the claim, or when keys would start
    without a history that is safe.
    """
    signer, volume = inputs["signer"], inputs["signer"]["volume_id"]
    keys = fingerprints(signer["public_keys"])
    noted = noted_on(inputs, opened)
    claim = take(cloud, volume, inputs["server_id"], keys, report.progress, noted=noted.claim if noted else None)
    registered = cloud.registration(volume)
    begun = (registered.begun if registered else frozenset()) | (noted.begun if noted else frozenset())
    granted = {"server": claim.server, "generation": claim.generation, "keys": sorted(keys), "new": not begun}
    granted["begun"] = sorted(begun & keys)
    if keys <= begun:
        return {"stakeyard_claim": granted}
    report.progress("asking the chain about the keys")
    return {"stakeyard_claim": granted, "stakeyard_history": history(inputs, opened, keys - begun, cloud, state)}


def noted_on(inputs: Mapping[str, Any], opened: Session) -> Noted | None:
    """What is noted on the key volume; None where it is not mounted yet, or has no claim of this volume's.

    The gate writes there that a signer begins, before it does: the cloud hears of it only when the roles are through.
    """
    volume = inputs["signer"]["volume_id"]
    mounts = [
        each["mount"] for each in inputs["variables"]["stakeyard_volumes"].values() if each["device_id"] == volume
    ]
    for mount in map(shlex.quote, mounts):
        answer = opened.run(inputs["name"], f"sudo sh -c 'mountpoint -q {mount} && cat {mount}/{CLAIM_FILE}'")
        if answer.returncode == 0:
            return _understood(answer.stdout, volume)
    return None


def _understood(text: str, volume: str) -> Noted | None:
    try:
        found = json.loads(text)
        if found["volume"] != volume:
            return None
        return Noted(Claim(found["server"], int(found["generation"])), frozenset(map(str, found["begun"])))
    except (ValueError, KeyError, TypeError):
        return None  # the roles refuse it with a sentence


def history(inputs: Mapping[str, Any], opened: Session, keys: frozenset[str], cloud: SignerCloud, state: State) -> str:
    """The history, in the kind's own form, with which these keys start on a volume that has none of theirs."""
    signer, given = inputs["signer"], restoration(inputs["name"])
    public_keys = [key for key in signer["public_keys"] if fingerprint(key) in keys]
    kind = role_library.load(signer["kind"], "signer")
    shown = remote.ask(opened, inputs["name"], signer["kind"], kind.REMOTE, kind.question(signer["uses"], public_keys))
    record = Record(**{each.name: shown[each.name] for each in fields(Record)})
    known = kind.marks(given.history) if given.history else {}
    marks = raised(keys, known, record)
    # A server that signed with other keys, such as those of before a change, says nothing of the last signer of these.
    holder = given.holder.server if given.holder and keys <= given.holder.keys else None
    question = Seeding(
        keys=keys,
        history=known,
        marks=marks,
        record=record,
        holder=cloud.server(holder) if holder else None,
        silence_epochs=signer["silence_epochs"],
        silence_seconds=signer["silence_seconds"],
        accept_older=given.accept_older,
        now=cloud.now(),
    )
    require(SEED, question)
    state["seeded"] = seeded(question)
    made: bytes = kind.seed(given.history, public_keys, marks, shown["chain"])
    return made.decode()


def seeded(allowed: Seeding) -> dict[str, Any]:
    """Why keys were allowed to start without their history, for the stack's outputs; marks by fingerprint."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quiet_epochs": allowed.record.quiet_epochs,
        "quiet_seconds": allowed.record.quiet_seconds,
        "holder": {"server": allowed.holder.server, "status": allowed.holder.status} if allowed.holder else None,
        "accepted_older": allowed.accept_older and bool(allowed.older),
        "present": dict(allowed.record.present),
        "seen": {key: dict(allowed.record.seen[key]) for key in sorted(allowed.keys & allowed.record.seen.keys())},
        "backup": {key: dict(allowed.history[key]) for key in sorted(allowed.keys & allowed.history.keys())},
        "marks": {key: dict(allowed.marks[key]) for key in sorted(allowed.keys)},
    }


def finish(inputs: Mapping[str, Any], cloud: SignerCloud, generation: int) -> dict[str, Any]:
    """Note that exactly these keys sign with the history on this volume from now on.

    `generation` is that of the claim with which the roles made them sign. Gives what the stack's outputs keep: the
    server, and the keys by fingerprint. Raises StakeyardError where the claim is not the volume's any more.
    """
    signer, keys = inputs["signer"], fingerprints(inputs["signer"]["public_keys"])
    settle(cloud, signer["volume_id"], inputs["server_id"], keys, generation=generation)
    return Signed(inputs["server_id"], keys).noted()


def held(inputs: Mapping[str, Any], cloud: SignerCloud) -> dict[str, object]:
    """The claim as the cloud has it now, for the tasks that release it."""
    return as_held(inputs, cloud.registration(inputs["signer"]["volume_id"]))


def as_held(inputs: Mapping[str, Any], found: Registration | None) -> dict[str, object]:
    """The variable that tells the roles of this server's claim, from the registration on its key volume."""
    generation = found.claim.generation if found else 0
    keys = sorted(fingerprints(inputs["signer"]["public_keys"]))
    return {"server": inputs["server_id"], "generation": generation, "keys": keys, "new": False}


def retired(inputs: Mapping[str, Any], cloud: SignerCloud) -> None:
    """Release the claim in the cloud, after the host has released it on the volume."""
    release(cloud, inputs["signer"]["volume_id"], inputs["server_id"])
