"""Take the claim on a key volume: register its keys, look at every other registration, move the claim on evidence.

Each step is safe to be the last: a registration without a claim lets nobody sign, and a claim in the cloud without its
file on the volume neither.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

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


def take(cloud: Cloud, volume: str, server: str, keys: frozenset[str], say: Callable[[str], None]) -> Claim:
    """Make the volume's claim that of `server`, or refuse.

    Raises StakeyardError with what to do, having changed nothing but the registration.
    """
    found = cloud.registration(volume)
    own = Registration(volume, keys, found.claim if found else Claim())
    claimed = found == own and own.claim.server == server
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
    require(REGISTER, Registering(own, others, written, listed))
    holder = cloud.server(own.claim.server) if own.claim.server not in (None, server) else None
    attached = cloud.volume(volume)
    require(CLAIM, Claiming(server, own.claim, holder, attached, cloud.now()))
    if claimed:
        return own.claim
    if holder:
        say(f"moving the claim from server {holder.server} ({_word(holder)})")
    claim = Claim(server, own.claim.generation + 1)
    cloud.register(replace(own, claim=claim))
    return claim


def release(cloud: Cloud, volume: str, server: str) -> None:
    """Note in the cloud that `server` has released the volume's claim; another server's claim stays as it is."""
    found = cloud.registration(volume)
    if found is not None and found.claim.server == server:
        cloud.register(replace(found, claim=Claim(None, found.claim.generation)))


def _word(holder: ServerView) -> str:
    return "shut off" if holder.status == OFF else "deleted"
