"""After an update that was killed: what Pulumi had begun to make and never wrote down.

Pulumi records an operation before it starts it. When its process is killed, the object may exist in the
cloud without being in the state: the next update would make it a second time, or stumble over its name.
`recover` unlocks the stack, finds those objects by what the operation was going to make, deletes them, and
forgets the operations. It touches nothing that the state knows, and nothing that is older than the update.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import openstack
import yaml
from keystoneauth1.exceptions import ClientException
from openstack.exceptions import SDKException

from stacks.errors import StakeyardError
from stacks.orphans import find
from stacks.text import last_line
from stacks.workspace import Workspace

# An object made by the interrupted update cannot be older than that; an hour covers clocks and long updates.
OLDEST = timedelta(hours=1)


@dataclass(frozen=True)
class Pending:
    """A create that was interrupted: its Pulumi type and the inputs it was given."""

    type: str
    urn: str
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The Pulumi name of the resource."""
        return self.urn.rsplit("::", 1)[-1]


def pending_creates(deployment: Mapping[str, Any]) -> list[Pending]:
    """The interrupted creates of a `pulumi stack export`, in its order."""
    operations = deployment["deployment"].get("pending_operations") or []
    return [
        Pending(op["resource"]["type"], op["resource"]["urn"], op["resource"].get("inputs", {}))
        for op in operations
        if op["type"] == "creating"
    ]


def known_ids(deployment: Mapping[str, Any]) -> frozenset[str]:
    """Identifiers of everything that the state knows."""
    return frozenset(r["id"] for r in deployment["deployment"].get("resources") or [] if r.get("id"))


def too_old(created_at: str | None, checkpoint: datetime) -> bool:
    """Whether an object was there before the interrupted update can have begun.

    `created_at` is the API's word (ISO 8601, UTC); where an API gives none, the name and the absence from the
    state must do.
    """
    if not created_at:
        return False
    moment = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment < checkpoint - OLDEST


# What other objects hang on goes last: attachments and servers before ports, rules before groups.
ORDER = (
    "volumeAttach",
    "instance",
    "floatingIp:",
    "routerInterface",
    "port:",
    "secGroupRule",
    "secGroup:",
    "subnet",
    "router:",
    "network:Network",
)


def deletion_order(pending: Iterable[Pending]) -> list[Pending]:
    """`pending` sorted so that nothing is deleted before what uses it."""

    def rank(item: Pending) -> int:
        return next((i for i, part in enumerate(ORDER) if part in item.type), len(ORDER))

    return sorted(pending, key=rank)


def connect(cloud: str) -> Any:
    """A connection to a clouds.yaml entry."""
    return openstack.connect(cloud=cloud)


def recover(workspace: Workspace, report: Callable[[str], object]) -> int:
    """Unlock the stack, remove what its interrupted update left in the cloud; returns how many objects.

    Raises StakeyardError when an update still runs, the state cannot be read or written, the cloud does not answer, or
    an object cannot safely be removed.
    """
    with workspace.lock():
        workspace.pulumi("cancel", "--yes", capture=True)  # fails when there is no lock, which is what we want
        exported = workspace.pulumi("stack", "export", capture=True)
        if exported.returncode != 0:
            reason = last_line(exported.stderr)
            raise StakeyardError(f"the state of stack {workspace.stack} could not be read: {reason}")
        deployment = json.loads(exported.stdout)
        if not deployment["deployment"].get("pending_operations"):
            report("Nothing was interrupted.")
            return 0
        cloud = yaml.safe_load(workspace.stack_file.read_text())["config"]["stakeyard:fleet"]["cloud"]
        try:
            removed = _remove(connect(cloud), deployment, report)
        except (SDKException, ClientException) as error:
            raise StakeyardError(f"cloud {cloud} does not do as asked: {last_line(str(error))}; is it up?") from error
        # Importing a state drops its pending operations, and leaves the rest as it is.
        workspace.replace_state(exported.stdout)
    report("The stack is unlocked and its interrupted operations are forgotten: run the update again.")
    return removed


def _remove(cloud: Any, deployment: Mapping[str, Any], report: Callable[[str], object]) -> int:
    known = known_ids(deployment)
    checkpoint = datetime.fromisoformat(deployment["deployment"]["manifest"]["time"]).astimezone(UTC)
    removed = 0
    for pending in deletion_order(pending_creates(deployment)):
        for orphan in find(cloud, pending.type, pending.inputs):
            if orphan.identifier in known:
                continue
            if too_old(orphan.created_at, checkpoint):
                raise StakeyardError(
                    f"{orphan.what} ({orphan.identifier}) looks like what {pending.name} was making but is older than "
                    "the interrupted update: look at it by hand, and delete or import it."
                )
            orphan.delete()
            removed += 1
            report(f"Removed {orphan.what} ({orphan.identifier}), begun as {pending.name}.")
    return removed
