"""Everything that a rebuild touches, as it needs it; stacks/rebuild_outside.py has the real ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from stacks.backup import Content, Snapshot
from stacks.rebuild_state import Target
from stacks.signer import Registration, ServerView, Signed, VolumeView


class Cloud(Protocol):
    """What the cloud is asked and told about servers and volumes; times are of `now`, in seconds."""

    @property
    def entry(self) -> str:
        """Its name in clouds.yaml."""

    def project(self) -> str | None:
        """The project of the credentials: everything in another one looks as if it were gone; None without one."""

    def server(self, server: str) -> ServerView:
        """What it says of a server now."""

    def created(self, server: str) -> float | None:
        """When it began to make a server (seconds since 1970)."""

    def volume(self, volume: str) -> VolumeView | None:
        """What it says of a volume now; None when it has none of this identifier."""

    def registration(self, volume: str) -> Registration | None:
        """Keys and claim in the metadata of a volume that exists."""

    def stop(self, server: str) -> None:
        """Ask a server to shut itself off."""

    def delete(self, server: str) -> None:
        """Delete a server; one that is gone is no error."""

    def detach(self, server: str, volume: str) -> None:
        """Unplug a volume; one that is not plugged in is no error."""

    def now(self) -> float:
        """Seconds, by the clock of the views."""


class Pulumi(Protocol):
    """The stack's state and its updates."""

    def target(self, node: str) -> Target:
        """The node as the state has it now."""

    def recover(self) -> None:
        """Clear away what a killed update left."""

    def refresh(self, resources: Sequence[str]) -> None:
        """Compare these resources with the cloud."""

    def update(self, resources: Sequence[str], replace: Sequence[str], restore: Path | None) -> None:
        """Update these resources, some of them by new ones; `restore` is for the signer's part of a convergence."""


class Backups(Protocol):
    """The operators' repository."""

    def snapshots(self, node: str) -> list[Snapshot]:
        """Every backup of the node; none where no repository is configured."""

    def open(self, wanted: Snapshot) -> Content:
        """Fetch, decrypt and compare one."""


class Outside(Protocol):
    """Everything that a rebuild touches."""

    @property
    def cloud(self) -> Cloud:
        """Servers and volumes."""

    @property
    def pulumi(self) -> Pulumi:
        """The stack."""

    @property
    def backups(self) -> Backups:
        """The operators' repository."""

    def now(self) -> float:
        """Seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def stage(self, node: str, history: bytes | None, holder: Signed | None, accept_older: bool) -> Path:
        """Write what the convergence is to restore, for nobody else to read; the file to name to it."""

    def last_signed(self, node: Target) -> float | None:
        """When the last message of the node's keys that the chain shows was due (seconds since 1970); None where it
        shows none, or cannot be asked for its present."""

    def patience(self) -> float:
        """Seconds within which the node's keys must be seen signing."""
