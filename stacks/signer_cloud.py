"""What OpenStack says of key volumes and the servers that hold their claims; an answer that fails is no evidence."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from openstack.exceptions import NotFoundException

from stacks import cancellation
from stacks.cloud_login import CLOUD_ERRORS, connect
from stacks.errors import StakeyardError
from stacks.signer import Registration, ServerView, VolumeView
from stacks.signer_metadata import as_metadata, from_metadata, surplus
from stacks.text import last_line

T = TypeVar("T")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux has a clock of its own for that; elsewhere the monotonic one goes on."""


class SignerCloud:
    """A `stacks.signer_claim.Cloud`. Only the project of the credentials is seen: a key in two projects is not."""

    def __init__(self, cloud: str, connection: Any = None) -> None:
        """`cloud` is an entry of clouds.yaml; tests give a connection."""
        self._cloud = cloud
        self._connection = connection or connect(cloud)

    def registrations(self) -> tuple[Registration, ...]:
        """See `Cloud`."""
        volumes = self._ask(lambda: list(self._connection.block_storage.volumes(details=True)))
        found = (from_metadata(volume.id, volume.metadata or {}) for volume in volumes)
        return tuple(registration for registration in found if registration)

    def registration(self, volume: str) -> Registration | None:
        """See `Cloud`."""
        return from_metadata(volume, self._volume(volume).metadata or {})

    def register(self, registration: Registration) -> None:
        """See `Cloud`; the volume's other metadata stays."""
        storage: Any = self._ask(lambda: self._connection.block_storage)
        wanted = as_metadata(registration)
        volume = self._volume(registration.volume)
        self._ask(lambda: storage.set_volume_metadata(volume, **wanted))
        gone = surplus(volume.metadata or {}, wanted)
        if gone:
            self._ask(lambda: storage.delete_volume_metadata(volume, gone))

    def server(self, server: str) -> ServerView:
        """See `Cloud`."""
        asked = self.now()
        try:
            status = str(self._ask(lambda: self._connection.compute.get_server(server)).status)
        except NotFoundException:
            return ServerView(server, None, asked)
        return ServerView(server, status, asked)

    def volume(self, volume: str) -> VolumeView:
        """See `Cloud`; by Cinder's own word, which a server that Nova has forgotten cannot change."""
        asked = self.now()
        try:
            found = self._ask(lambda: self._connection.block_storage.get_volume(volume))
        except NotFoundException:
            return VolumeView(volume, frozenset(), asked)
        return VolumeView(volume, frozenset(entry["server_id"] for entry in found.attachments or ()), asked)

    def _volume(self, volume: str) -> Any:
        try:
            return self._ask(lambda: self._connection.block_storage.get_volume(volume))
        except NotFoundException:
            raise StakeyardError(
                f"key volume {volume} does not exist any more: run `stakeyard pulumi refresh`, then restore the "
                "history of its keys."
            ) from None

    def now(self) -> float:
        """See `Cloud`: also while the control machine is suspended, so that answers from before that are old."""
        return time.clock_gettime(_CLOCK)

    def sleep(self, seconds: float) -> None:
        """See `Cloud`."""
        cancellation.pause(seconds)

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except NotFoundException:
            raise
        except CLOUD_ERRORS as error:
            raise StakeyardError(
                f"cloud {self._cloud} does not do as asked ({last_line(str(error))}): nothing is known of the signer's "
                "server, so nothing more is done; put that right, then try again."
            ) from None
