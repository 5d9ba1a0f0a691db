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

from stacks.cloud_login import CLOUD_ERRORS, connect
from stacks.errors import StakeyardError
from stacks.exported import exported_text
from stacks.fleet_file import read_fleet_part
from stacks.fleet_text import shown
from stacks.orphans import FINDERS, find
from stacks.text import last_line
from stacks.urns import (
    ATTACHMENT,
    FLOATING_IP,
    NETWORK,
    PORT,
    PROVIDER,
    ROUTER,
    ROUTER_INTERFACE,
    RULE,
    SECURITY_GROUP,
    SERVER,
    SUBNET,
    name_of,
)
from stacks.workspace import Workspace

# An object made by the interrupted update cannot be older than that; an hour covers clocks and long updates.
OLDEST = timedelta(hours=1)


@dataclass(frozen=True)
class Pending:
    """A create that was interrupted: its Pulumi type and the inputs it was given."""

    type: str
    urn: str
    inputs: Mapping[str, Any]
    provider: str = ""
    """URN and id of the provider that was to make it."""

    @property
    def name(self) -> str:
        """The Pulumi name of the resource."""
        return name_of(self.urn)


def pending_creates(deployment: Mapping[str, Any]) -> list[Pending]:
    """The interrupted creates of a `pulumi stack export`, in its order."""
    operations = deployment["deployment"].get("pending_operations") or []
    resources = [operation["resource"] for operation in operations if operation["type"] == "creating"]
    return [Pending(r["type"], r["urn"], r.get("inputs", {}), r.get("provider", "")) for r in resources]


def known_ids(deployment: Mapping[str, Any]) -> frozenset[str]:
    """Identifiers of everything that the state knows."""
    return frozenset(r["id"] for r in deployment["deployment"].get("resources") or [] if r.get("id"))


def clouds(deployment: Mapping[str, Any]) -> set[str | None]:
    """The clouds.yaml entries by which the interrupted creates were made; None for one of which the state says none.

    The stack file may name another by now.
    """
    made = {
        f"{resource['urn']}::{resource.get('id')}": resource.get("inputs", {}).get("cloud")
        for resource in deployment["deployment"].get("resources") or []
        if resource.get("type") == PROVIDER
    }
    return {made.get(pending.provider) for pending in pending_creates(deployment) if pending.type in FINDERS}


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
    ATTACHMENT,
    SERVER,
    FLOATING_IP,
    ROUTER_INTERFACE,
    PORT,
    RULE,
    SECURITY_GROUP,
    SUBNET,
    ROUTER,
    NETWORK,
)


def deletion_order(pending: Iterable[Pending]) -> list[Pending]:
    """`pending` sorted so that nothing is deleted before what uses it."""

    ranks = {kind: rank for rank, kind in enumerate(ORDER)}
    return sorted(pending, key=lambda item: ranks.get(item.type, len(ORDER)))


def interrupted(deployment: Mapping[str, Any]) -> bool:
    """Whether a `pulumi stack export` has operations that were begun and never ended."""
    return bool(deployment["deployment"].get("pending_operations"))


def recover(workspace: Workspace, report: Callable[[str], object], *, alone: bool = False) -> int:
    """Unlock the stack, remove what its interrupted update left in the cloud; returns how many objects.

    `alone` is the operator's word that no update of the stack runs anywhere. It is asked for where another machine can
    reach the state: its running update looks like one that was killed, and what it is making would be deleted.

    Raises StakeyardError without that word, when an update of this checkout still runs, the state cannot be read or
    written, the cloud does not answer, or an object cannot safely be removed.
    """
    if workspace.shared and not alone:
        raise StakeyardError(
            f"others can update stack {workspace.stack} too, and what an update of theirs is making would be deleted: "
            f"see that none runs, then `stakeyard recover --stack {workspace.stack} --alone`."
        )
    with workspace.lock():
        workspace.pulumi("cancel", "--yes", capture=True)  # fails when there is no lock, which is what we want
        text = exported_text(workspace)
        deployment = json.loads(text)
        if not interrupted(deployment):
            report("Nothing was interrupted.")
            return 0
        removed = 0
        cloud = _cloud(workspace, deployment)
        if cloud:
            try:
                removed = _remove(connect(cloud), deployment, report)
            except CLOUD_ERRORS as error:
                reason = last_line(str(error))
                raise StakeyardError(f"cloud {cloud} does not do as asked: {reason}; is it up?") from error
        # Importing a state drops its pending operations, and leaves the rest as it is.
        workspace.replace_state(text)
    report("The stack is unlocked and its interrupted operations are forgotten: run the update again.")
    return removed


def _cloud(workspace: Workspace, deployment: Mapping[str, Any]) -> str | None:
    """The cloud to look for orphans in, None where none can be; refused where that is not the stack file's."""
    found = clouds(deployment)
    if not found:
        return None
    cloud, *others = found
    if cloud is None or others:
        names = ", ".join(pending.name for pending in pending_creates(deployment))
        raise StakeyardError(
            f"the state of stack {workspace.stack} does not say in which one cloud {names} was begun: look for it by "
            "hand, delete what there is, then run `stakeyard pulumi refresh --clear-pending-creates`."
        )
    try:
        fleet = read_fleet_part(workspace.stack_file)
    except StakeyardError as error:
        raise StakeyardError(f"{workspace.stack_file}: {error}") from None
    named = fleet.get("cloud") if isinstance(fleet, dict) else None
    if named != cloud:
        raise StakeyardError(
            f"{workspace.stack_file}: cloud: is {shown(named)}, but the interrupted update was at work in {cloud}: "
            "write that until the stack is recovered."
        )
    return cloud


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
