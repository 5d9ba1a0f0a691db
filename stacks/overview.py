"""What a stack runs, as a table for people."""

from collections.abc import Mapping

from rich.table import Table

from stacks.errors import StakeyardError


def table(outputs: Mapping[str, object]) -> Table:
    """Node, kind, address, version and checks from a stack's outputs.

    Raises StakeyardError when the stack has no nodes yet.
    """
    nodes = outputs.get("nodes")
    if not isinstance(nodes, Mapping) or not nodes:
        raise StakeyardError("the stack has no nodes yet: run `stakeyard pulumi up` first.")
    result = Table("node", "kind", "address", "version", "checks", title="Stakeyard")
    for name, node in sorted(nodes.items()):
        result.add_row(
            name,
            str(node.get("kind", "")),
            str(node.get("address", "")),
            ", ".join(f"{k} {v}" for k, v in sorted(node.get("versions", {}).items())),
            summary(node.get("checks", [])),
        )
    fleet = outputs.get("fleet_checks")
    if isinstance(fleet, Mapping):
        for kind, checks in sorted(fleet.items()):
            result.add_row("(all)", kind, "", "", summary(checks))
    return result


def summary(checks: object) -> str:
    """`12 passed`, or the names of those that did not."""
    if not isinstance(checks, list) or not checks:
        return "none"
    failed = [str(c["name"]) for c in checks if c["outcome"] == "failed"]
    if failed:
        return f"[red]failed: {', '.join(failed)}[/red]"
    skipped = sum(c["outcome"] == "skipped" for c in checks)
    passed = f"[green]{len(checks) - skipped} passed[/green]"
    return f"{passed}, {skipped} skipped" if skipped else passed
