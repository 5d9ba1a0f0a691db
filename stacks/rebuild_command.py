"""`stakeyard rebuild` and `stakeyard backup`: put together from the stack file, the state and the console."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from stacks import backup_fetch, rebuild, rebuild_plan, rebuild_run, role_files
from stacks.backup_store import repository
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.exported import exported
from stacks.fleet import Fleet, load_stack_file
from stacks.hosts import host_of
from stacks.paths import REPOSITORY
from stacks.rebuild import Request
from stacks.rebuild_journal import Journal
from stacks.rebuild_outside import Kept, OpenStack, Stack, World, patience
from stacks.rebuild_state import target
from stacks.runner import converge
from stacks.ssh import session
from stacks.workspace import Workspace

_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - how Pulumi marks a secret in an exported state
_FAILED = 1


def rebuild_node(workspace: Workspace, request: Request, console: Console, *, dry_run: bool, anew: bool) -> int:
    """Rebuild a node, or say what would be done; the status to end with. Raises StakeyardError for what is refused."""
    catalogue = load_catalogue()
    fleet = load_stack_file(workspace.stack_file, catalogue)
    _known(fleet, request.node, workspace)
    directory = workspace.state / "rebuild" / workspace.stack
    journal = Journal(directory, request.node)

    def say(seconds: float, phase: str, text: str) -> None:
        console.print(f"[dim]{seconds:6.0f} s[/dim]  {phase:<9} {escape(text)}", highlight=False)

    outside = World(
        OpenStack(fleet.cloud),
        Stack(workspace, lambda text: say(0, "recover", text)),
        Kept(repository(fleet.backup), fleet.backup.identity_file if fleet.backup else None),
        directory,
        patience(fleet, catalogue, request.node),
    )
    if dry_run:
        entries = [] if anew else journal.read()
        steps = rebuild_plan.plan(request, rebuild.progress(entries), outside)
        for step in steps:
            mark = "[red]would refuse:[/red] " if step.refused else ""
            console.print(f"{step.phase:<9} {mark}{escape(step.text)}", highlight=False)
        return _FAILED if any(step.refused for step in steps) else 0
    made = rebuild_run.run(request, outside, journal, say, anew)
    for path in made:
        console.print(f"Report: {path}", highlight=False, markup=False)
    return 0


def back_up(workspace: Workspace, node: str, console: Console) -> None:
    """Take a backup of a node now and fetch what the repository lacks. Raises StakeyardError with what failed."""
    fleet = load_stack_file(workspace.stack_file, load_catalogue())
    _known(fleet, node, workspace)
    if fleet.backup is None:
        raise StakeyardError(f"stack {workspace.stack} has no `backup`: say in its file who reads backups and where.")
    kept = repository(fleet.backup)
    assert kept is not None  # noqa: S101 - there is a `backup`
    # Both stop and start the client: what retires the node at the same time would not know that it runs again.
    with workspace.lock():
        kept.snapshots(node)  # a repository that cannot be read is no reason to stop a client
        inputs = plain(target(exported(workspace, secrets=True), node).inputs)
        host = host_of(inputs, inputs)
        with session([host]) as opened:
            # A kind whose content must be made ready from here has tasks for it.
            roles = role_files.with_entry(inputs["roles"], REPOSITORY / "roles", "export")
            if roles:
                secret = inputs["secret_variables"]
                converge(host, roles, inputs["variables"], console.print, entry="export", secret=secret, opened=opened)
            backup_fetch.take(opened, node)
            fetched = backup_fetch.fetch(opened, node, kept, lambda text: console.print(text, highlight=False))
    if not fetched:
        raise StakeyardError(f"{node}: a backup was taken, but nothing new came of it: look at the clocks.")


def _known(fleet: Fleet, node: str, workspace: Workspace) -> None:
    if node not in fleet.nodes:
        known = ", ".join(sorted(fleet.nodes))
        raise StakeyardError(f"stack {workspace.stack} has no node {node}: it has {known}.")


def plain(value: Any) -> Any:
    """A value of an exported state with its secrets as they are."""
    if isinstance(value, Mapping):
        if _SECRET in value:
            return plain(json.loads(value["plaintext"]))
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value
