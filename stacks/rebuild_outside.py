"""What a rebuild really touches: OpenStack, Pulumi, the operators' backups, the node, the clock."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from openstack.exceptions import ConflictException, NotFoundException

from stacks import recovery, remote, role_library, signing
from stacks.backup import Content, Snapshot, open_backup
from stacks.backup_store import Repository, read_identity
from stacks.catalogue import Catalogue
from stacks.errors import StakeyardError
from stacks.exported import exported
from stacks.fleet_models import Fleet
from stacks.hosts import host_of
from stacks.rebuild_state import Target, target
from stacks.signer import Signed, VolumeView
from stacks.signer_cloud import SignerCloud
from stacks.ssh import session
from stacks.urns import IMAGES
from stacks.whole_files import replace
from stacks.workspace import Workspace

DUTIES = 3
"""How often a kind's time for seeing its keys on chain is waited for: a history that came from a backup first listens
for another signer, and so does the client when it starts."""

USABLE = ("available", "reserved", "attaching", "detaching", "in-use", "maintenance", "backing-up")
"""What Cinder says of a volume whose content is there."""


class OpenStack(SignerCloud):
    """A `stacks.rebuild_seams.Cloud`."""

    @property
    def entry(self) -> str:
        """See `Cloud`."""
        return self._cloud

    def project(self) -> str | None:
        """See `Cloud`."""
        found: str | None = self._ask(lambda: self._connection.current_project_id)
        return found

    def created(self, server: str) -> float | None:
        """See `Cloud`."""
        try:
            text = self._ask(lambda: self._connection.compute.get_server(server)).created_at
        except NotFoundException:
            return None
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).timestamp()

    def volume(self, volume: str) -> VolumeView | None:  # type: ignore[override]
        """See `Cloud`: unlike a signer's claim, a rebuild must know whether the volume is lost."""
        try:
            status = str(self._ask(lambda: self._connection.block_storage.get_volume(volume)).status)
        except NotFoundException:
            return None
        if status not in USABLE:
            raise StakeyardError(
                f"key volume {volume} is {status}, so it is neither there nor lost: settle that in the cloud, then run "
                "this again."
            )
        return super().volume(volume)

    def stop(self, server: str) -> None:
        """See `Cloud`."""

        def shut_off() -> None:
            with suppress(ConflictException):  # one that cannot be stopped as it is stays so, as the next look shows
                self._connection.compute.stop_server(server)

        with suppress(NotFoundException):
            self._ask(shut_off)

    def delete(self, server: str) -> None:
        """See `Cloud`."""
        self._ask(lambda: self._connection.compute.delete_server(server, ignore_missing=True))

    def detach(self, server: str, volume: str) -> None:
        """See `Cloud`."""
        self._ask(lambda: self._connection.compute.delete_volume_attachment(server, volume, ignore_missing=True))


class Stack:
    """A `stacks.rebuild_seams.Pulumi`."""

    def __init__(self, workspace: Workspace, report: Callable[[str], object]) -> None:
        """`report` is where a recovery says what it does."""
        self._workspace, self._report = workspace, report

    def target(self, node: str) -> Target:
        """See `Pulumi`."""
        return target(exported(self._workspace), node)

    def recover(self) -> None:
        """See `Pulumi`. A lock alone may be that of somebody else; one that was left stops Pulumi itself."""
        if not self._workspace.shared or recovery.interrupted(exported(self._workspace)):
            recovery.recover(self._workspace, self._report)

    def refresh(self, resources: Sequence[str]) -> None:
        """See `Pulumi`."""
        self._run("refresh", *_targets(resources))

    def update(self, resources: Sequence[str], replace: Sequence[str], restore: Path | None) -> None:
        """See `Pulumi`. Images belong to no node, and a new server may need a newer one than the old."""
        images = f"urn:pulumi:{self._workspace.stack}::stakeyard::**{IMAGES}$**"
        replaced = [f"--replace={urn}" for urn in replace]
        with _named(restore):
            self._run("up", *_targets([*resources, images]), *replaced)

    def _run(self, command: str, *arguments: str) -> None:
        done = self._workspace.pulumi(command, "--yes", "--skip-preview", *arguments)
        if done.returncode != 0:
            raise StakeyardError(
                f"`pulumi {command}` of stack {self._workspace.stack} failed, as the lines above say: put that right, "
                "then run this again; it goes on from here."
            )


def _targets(resources: Sequence[str]) -> list[str]:
    return [f"--target={urn}" for urn in resources]


@contextmanager
def _named(restore: Path | None) -> Iterator[None]:
    """Tell the plugin, which inherits the environment, where it finds what is to be restored."""
    if restore is None:
        yield
        return
    os.environ[signing.RESTORE] = str(restore)
    try:
        yield
    finally:
        del os.environ[signing.RESTORE]


class Kept:
    """A `stacks.rebuild_seams.Backups`."""

    def __init__(self, repository: Repository | None, identity_file: Path | None) -> None:
        """No repository: there are no backups."""
        self._repository, self._identity_file = repository, identity_file

    def snapshots(self, node: str) -> list[Snapshot]:
        """See `Backups`."""
        return self._repository.snapshots(node) if self._repository else []

    def open(self, wanted: Snapshot) -> Content:
        """See `Backups`."""
        if self._repository is None or self._identity_file is None:
            raise StakeyardError("backup.identity_file is missing in the stack file: name the age identity's file.")
        return open_backup(wanted, self._repository.read(wanted), read_identity(self._identity_file))


def patience(fleet: Fleet, catalogue: Catalogue, node: str) -> float:
    """Seconds within which the keys of a node must be seen on chain, by its kind's node.yml; 0 for one without keys."""
    signer = catalogue.resolve(fleet.nodes[node].kind, fleet.nodes[node].vars).signer
    return float(DUTIES * signer.duty_seconds) if signer else 0.0


class World:
    """A `stacks.rebuild_seams.Outside`."""

    def __init__(self, cloud: OpenStack, pulumi: Stack, backups: Kept, directory: Path, duty_seconds: float) -> None:
        """`directory` is private to the operator: what is restored is put there, and stays."""
        self.cloud, self.pulumi, self.backups = cloud, pulumi, backups
        self._directory, self._duty_seconds = directory, duty_seconds

    def now(self) -> float:
        """See `Outside`."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """See `Outside`."""
        time.sleep(seconds)

    def stage(self, node: str, history: bytes | None, holder: Signed | None, accept_older: bool) -> Path:
        """See `Outside`."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        told: dict[str, object] = {"holder": holder.noted() if holder else None, "accept_older": accept_older}
        if history is not None:
            kept = self._directory / f"{node}.history"
            replace(kept, history)
            told["history"] = str(kept)
        staged = self._directory / f"{node}.restore.json"
        replace(staged, json.dumps({node: told}))
        return staged

    def last_signed(self, node: Target) -> float | None:
        """See `Outside`; the node itself asks, as nobody else reaches the services that it uses."""
        signer = node.inputs["signer"]
        kind = role_library.load(signer["kind"], "signer")
        asked = kind.question(signer["uses"], signer["public_keys"], recent=True)
        with session([host_of(node.inputs, node.inputs)]) as opened:
            shown = remote.ask(opened, node.node, signer["kind"], kind.REMOTE, asked)
        found: float | None = shown["last"] if shown["synced"] else None
        return found

    def patience(self) -> float:
        """See `Outside`."""
        return self._duty_seconds
