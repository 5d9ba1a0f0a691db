"""Take the claim on a key volume: register its keys, look at every other registration, move the claim on evidence.

Each step is safe to be the last: a registration without a claim lets nobody sign, and a claim in the cloud without its
file on the volume neither.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from stacks.errors import StakeyardError
from stacks.signer import (
    CLAIM,
    OFF,
    REGISTER,
    SETTLE_SECONDS,
    Claim,
    Claiming,
    Registering,
    Registration,
    ServerView,
    VolumeView,
    require,
)


class Cloud(Protocol):
    """What the cloud is asked and told; stacks/signer_cloud.py does it for OpenStack."""

    def registrations(self) -> tuple[Registration, ...]:
        """Every registration that can be seen. Raises StakeyardError when the cloud does not answer."""

    def registration(self, volume: str) -> Registration | None:
        """That of one volume."""

    def register(self, registration: Registration) -> None:
        """Write it into the volume's metadata."""

    def server(self, server: str) -> ServerView:
        """What the cloud says of a server now."""

    def volume(self, volume: str) -> VolumeView:
        """What the cloud says of a volume now."""

    def now(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


def take(
    cloud: Cloud,
    volume: str,
    server: str,
    keys: frozenset[str],
    say: Callable[[str], None],
    *,
    noted: Claim | None = None,
) -> Claim:
    """Make the volume's claim that of `server`, or refuse.

    `noted` is the claim in the file on the volume, where that can be read: it counts where the cloud has forgotten it.
    Raises StakeyardError with what to do, having registered no further key. The cloud has no write that depends on
    what was read: an update that overwrites another's within `SETTLE_SECONDS` is seen by that one, which refuses.
    """
    found = cloud.registration(volume) or Registration(volume)
    held = noted if noted and noted.generation > found.claim.generation else found.claim
    # A key that is not wanted any more stays registered until its signer has let go of it: see `settle`.
    own = replace(found, keys=found.keys | keys, claim=held)
    # Settled with exactly these keys there is nothing to write. Any other update gets a higher generation, by which
    # the volume's own file, and an update that overlaps, know that it was there.
    claimed = held.server == server and found == Registration(volume, keys, held, keys)
    if found != own:
        # First written, then looked around: of two that do so at once, at least one sees the other.
        cloud.register(own)
    written = cloud.now()
    if not claimed:
        say("registering the keys")
        cloud.sleep(SETTLE_SECONDS)
    others = cloud.registrations()
    # A claim that is there was looked at when it was taken: its registration has settled.
    listed = written + SETTLE_SECONDS if claimed else cloud.now()
    holder = cloud.server(held.server) if held.server not in (None, server) else None
    try:
        require(REGISTER, Registering(replace(own, keys=keys), others, written, listed))
        require(CLAIM, Claiming(server, held, holder, cloud.volume(volume), cloud.now()))
        if not claimed:
            _require_untouched(cloud, own)
    except StakeyardError:
        _undo(cloud, own, own.keys - found.keys)
        raise
    if claimed:
        return held
    if holder:
        say(f"moving the claim from server {holder.server} ({_word(holder)})")
    claim = Claim(server, held.generation + 1)
    cloud.register(replace(own, claim=claim))
    return claim


def _require_untouched(cloud: Cloud, own: Registration) -> None:
    """Raises StakeyardError where the registration is not what this update has written or found."""
    if (cloud.registration(own.volume) or Registration(own.volume)) != own:
        raise StakeyardError(
            f"another update of key volume {own.volume} is under way: wait until it is through, then run this again."
        )


def _undo(cloud: Cloud, own: Registration, added: frozenset[str]) -> None:
    """Take the keys away that this update has registered: nobody signs with them here, and others may want them.

    What has begun stays, and so do all once the claim has moved: who moved it found them registered and relies on it.
    """
    left = cloud.registration(own.volume)
    if left is None or left.claim != own.claim:
        return
    keys = left.keys - (added - left.begun)
    if keys != left.keys:
        cloud.register(replace(left, keys=keys))


def settle(cloud: Cloud, volume: str, server: str, keys: frozenset[str], generation: int) -> None:
    """Note that `server` signs with exactly these keys, with their history on this volume; others are free.

    `generation` is that of the claim that was taken for it. Raises StakeyardError where the claim is another server's
    by now, or another update's: its keys may sign already, and must stay registered.
    """
    found = cloud.registration(volume)
    if found is None or found.claim.server != server:
        raise StakeyardError(f"the claim on key volume {volume} was taken from server {server}: look at who did so.")
    if generation != found.claim.generation:
        raise StakeyardError(
            f"another update of key volume {volume} has begun since: run this again once that one is through."
        )
    settled = replace(found, keys=keys, begun=keys)
    if settled != found:
        cloud.register(settled)


def release(cloud: Cloud, volume: str, server: str) -> None:
    """Note in the cloud that `server` has released the volume's claim; another server's claim stays as it is."""
    found = cloud.registration(volume)
    if found is not None and found.claim.server == server:
        cloud.register(replace(found, claim=Claim(None, found.claim.generation)))


def _word(holder: ServerView) -> str:
    return "shut off" if holder.status == OFF else "deleted"
