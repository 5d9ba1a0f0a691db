"""The signer's part of a node's convergence: take the claim, settle what its keys start with, release it at the end.

The inputs' `signer` has: kind, volume_id, public_keys, uses, silence_epochs, silence_seconds.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks import remote, role_library
from stacks.errors import StakeyardError
from stacks.lifecycle import Report
from stacks.signer import SEED, Record, Registration, Seeding, fingerprint, raised, require
from stacks.signer_claim import release, take
from stacks.signer_cloud import SignerCloud
from stacks.ssh import Session

RESTORE = "STAKEYARD_RESTORE"
"""Names a file with what is to be restored, by node: history (a file's path), holder (a server), accept_older."""
EPOCHS_BACK = 12
"""How far back the chain is asked about the keys; more than any kind's silence."""


@dataclass(frozen=True)
class Restoration:
    """What an operator gives for keys whose volume is new."""

    history: bytes | None = None
    holder: str | None = None
    accept_older: bool = False


def restoration(node: str) -> Restoration:
    """That of a node, from the file that the environment names. Raises StakeyardError where it cannot be read."""
    name = os.environ.get(RESTORE)
    if not name:
        return Restoration()
    try:
        found = json.loads(Path(name).read_text()).get(node) or {}
        history = Path(found["history"]).read_bytes() if found.get("history") else None
    except (OSError, ValueError, AttributeError) as error:
        raise StakeyardError(f"{name} does not say what to restore ({error}): give it anew.") from None
    return Restoration(history, found.get("holder"), bool(found.get("accept_older")))


def prepare(inputs: Mapping[str, Any], opened: Session, report: Report, cloud: SignerCloud) -> dict[str, object]:
    """The variables with which the roles may make this server the signer.

    Raises StakeyardError when another server, or a server that may be alive, has the claim, or when the keys would
    start without a history that is safe.
    """
    signer, volume = inputs["signer"], inputs["signer"]["volume_id"]
    keys = frozenset(map(fingerprint, signer["public_keys"]))
    claim = take(cloud, volume, inputs["server_id"], keys, report.progress)
    begun = cloud.begun(volume)
    granted = {"server": claim.server, "generation": claim.generation, "keys": sorted(keys), "new": not begun}
    if begun:
        return {"stakeyard_claim": granted}
    report.progress("asking the chain about the keys")
    return {"stakeyard_claim": granted, "stakeyard_history": history(inputs, opened, keys, cloud)}


def history(inputs: Mapping[str, Any], opened: Session, keys: frozenset[str], cloud: SignerCloud) -> str:
    """The history, in the kind's own form, with which keys start on a volume that has none."""
    signer, given = inputs["signer"], restoration(inputs["name"])
    kind = role_library.load(signer["kind"], "signer")
    asked = [f"--beacon={url}" for url in kind.endpoints(signer["uses"])]
    asked += [f"--key={key}" for key in kind.public_keys(signer["public_keys"])]
    shown = remote.ask(
        opened, inputs["name"], signer["kind"], kind.REMOTE, ["record", f"--epoch=-{EPOCHS_BACK}", *asked]
    )
    record = Record(shown["synced"], shown["seen"], shown["present"], shown["quiet_epochs"], shown["quiet_seconds"])
    known = kind.marks(given.history) if given.history else {}
    marks = raised(keys, known, record)
    holder = cloud.server(given.holder) if given.holder else None
    require(
        SEED,
        Seeding(
            keys=keys,
            history=known,
            marks=marks,
            record=record,
            holder=holder,
            silence_epochs=signer["silence_epochs"],
            silence_seconds=signer["silence_seconds"],
            accept_older=given.accept_older,
            now=cloud.now(),
        ),
    )
    made: bytes = kind.seed(given.history, signer["public_keys"], marks, shown["genesis_validators_root"])
    return made.decode()


def finish(inputs: Mapping[str, Any], cloud: SignerCloud) -> None:
    """Note that the keys sign with the history on this volume from now on."""
    cloud.begin(inputs["signer"]["volume_id"])


def held(inputs: Mapping[str, Any], cloud: SignerCloud) -> dict[str, object]:
    """The claim as the cloud has it now, for the tasks that release it."""
    return as_held(inputs, cloud.registration(inputs["signer"]["volume_id"]))


def as_held(inputs: Mapping[str, Any], found: Registration | None) -> dict[str, object]:
    """The variable that tells the roles of this server's claim, from the registration on its key volume."""
    generation = found.claim.generation if found else 0
    keys = sorted(map(fingerprint, inputs["signer"]["public_keys"]))
    return {"server": inputs["server_id"], "generation": generation, "keys": keys, "new": False}


def retired(inputs: Mapping[str, Any], cloud: SignerCloud) -> None:
    """Release the claim in the cloud, after the host has released it on the volume."""
    release(cloud, inputs["signer"]["volume_id"], inputs["server_id"])
