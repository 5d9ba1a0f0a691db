"""Which history the keys of a rebuilt signer start with: that on their volume, a backup's, or none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from stacks import backup
from stacks.backup import Snapshot
from stacks.errors import StakeyardError
from stacks.rebuild import Request
from stacks.rebuild_seams import Outside

How = Literal["kept", "partly", "unproven", "fresh", "restored"]


@dataclass(frozen=True)
class Way:
    """What becomes of the history, in a sentence for people; `backup` is what is restored."""

    how: How
    text: str
    backup: Snapshot | None = None


def way(request: Request, found: Mapping[str, Any], outside: Outside, earlier: Mapping[str, Any] | None = None) -> Way:
    """The way for a node of which `found` was inspected; `earlier` is what an earlier run of this rebuild noted.

    Raises StakeyardError where the operator has to allow more.

    That Cinder knows the volume proves nothing: after a loss, `pulumi up` makes an empty one in its place. The keys
    that have their history there have begun, by the volume's registration. Where a first convergence died, the cloud
    may not have heard of it: a history that is given then is merged with the one on the volume, so marks only rise.
    """
    volume, keys = found["key_volume"], frozenset(found["keys"])
    there = outside.cloud.volume(volume) is not None
    registered = outside.cloud.registration(volume) if there else None
    begun = keys & registered.begun if registered else frozenset()
    if begun:
        # The same command again does not restore a second time.
        restored = earlier is not None and earlier["how"] == "restored"
        return _kept(replace(request, restore=None) if restored else request, volume, keys, begun)
    known = outside.backups.snapshots(request.node)
    if not known and not request.restore:
        return _unproven(volume) if there else _fresh(request, volume)
    chosen = backup.choose(
        known, node=request.node, now=outside.now(), asked=request.restore, accept_older=request.accept_older
    )
    why = (
        f"key volume {volume} is there, but no key is known to have begun on it" if there else "the key volume is lost"
    )
    return Way(
        "restored",
        f"{why}: restore the history of backup {chosen.name} (taken {chosen.when}, claim of generation "
        f"{chosen.generation}), its marks raised to what the chain shows",
        chosen,
    )


def noted(way: Way, request: Request) -> dict[str, Any]:
    """What the journal keeps of it."""
    if way.backup is None:
        return {"how": way.how}
    return {
        "how": way.how,
        "backup": way.backup.name,
        "taken": way.backup.taken,
        "generation": way.backup.generation,
        "sha256": way.backup.sha256,
        "accepted_older": request.accept_older,
    }


def _kept(request: Request, volume: str, keys: frozenset[str], begun: frozenset[str]) -> Way:
    if request.restore:
        raise StakeyardError(
            f"key volume {volume} of {request.node} is there, with a history that no backup can be newer than: leave "
            "--restore away."
        )
    if begun == keys:
        return Way("kept", f"key volume {volume} is there with its history: nothing is lost")
    return Way(
        "partly",
        f"key volume {volume} is there with the history of {len(begun)} keys; {len(keys - begun)} are not known to "
        "have begun on it, and start above what the chain shows",
    )


def _unproven(volume: str) -> Way:
    # Asks for no word of the operator's: these may be keys that never signed, and the guards ask where they did.
    return Way(
        "unproven",
        f"key volume {volume} is there, but no key is known to have begun on it, and there is no backup: the keys "
        "start above what the chain shows",
    )


def _fresh(request: Request, volume: str) -> Way:
    if not request.accept_older:
        raise StakeyardError(
            f"key volume {volume} of {request.node} is lost and there is no backup of its history: with "
            "--accept-older-backup the keys start above what the chain shows, once the old server is deleted and they "
            "have been silent."
        )
    return Way("fresh", "the key volume is lost and there is no backup: the keys start above what the chain shows")
