"""`stakeyard drift`: what is no longer as the last update left it, in the cloud and inside the hosts.

`pulumi refresh --preview-only` reads every resource and writes nothing down; our own provider's `Read` then runs the
checks of the hosts. What it found is in the new state of each step, whatever Pulumi calls the step.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from stacks.catalogue import Catalogue, load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_stack_file
from stacks.preview.encrypted import decrypted
from stacks.preview.model import Node, Preview
from stacks.preview.report import write
from stacks.preview.steps import node_of, parents_in
from stacks.runner import hider, strings
from stacks.text import last_line
from stacks.urns import OURS, name_of, type_of
from stacks.workspace import Workspace

REFRESH = ("refresh", "--preview-only", "--json", "--non-interactive")
EVERYWHERE = "(all)"
"""Stands for a node where something belongs to none alone."""
NO_DRIFT, FAILED, DRIFT = 0, 1, 2
_LONGEST_VALUE = 120


def look(workspace: Workspace, console: Console, out: Path | None) -> int:
    """Look, write the report to `out` and say what drifted; the exit status. Raises StakeyardError where it fails."""
    catalogue = load_catalogue()
    encrypted = decrypted(workspace, catalogue)
    fleet = encrypted or load_stack_file(workspace.stack_file, catalogue)
    console.print(f"looking at the cloud and into {len(fleet.nodes)} hosts of {workspace.stack}", highlight=False)
    found = preview(workspace.stack, fleet, catalogue, refreshed(workspace), hider(own_words(encrypted)))
    if out:
        write(found, out)
    for node, lines in found.drift.items():
        for line in lines:
            console.print(f"{node}: {line}", markup=False, highlight=False)
    if not found.drift:
        console.print("nothing has drifted", highlight=False)
    return DRIFT if found.drift else NO_DRIFT


def refreshed(workspace: Workspace) -> Mapping[str, Any]:
    """What Pulumi sees when it reads every resource. Raises StakeyardError where it cannot."""
    answer = workspace.pulumi(*REFRESH, capture=True)
    try:
        digest = json.loads(answer.stdout)
    except ValueError:
        digest = None
    if answer.returncode != 0:
        raise StakeyardError(f"stack {workspace.stack} could not be read: {complaint(digest, answer.stderr)}")
    if not isinstance(digest, dict):
        raise StakeyardError(f"Pulumi said nothing of stack {workspace.stack} that can be understood: run it again.")
    if not digest.get("steps"):
        raise StakeyardError(f"stack {workspace.stack} has nothing to look at: run `stakeyard pulumi up` first.")
    return digest


def complaint(digest: object, stderr: str) -> str:
    """The first error that Pulumi reports, in one line."""
    diagnostics = digest.get("diagnostics") if isinstance(digest, dict) else None
    for each in diagnostics or ():
        if each.get("severity") == "error" and str(each.get("message", "")).strip():
            return last_line(str(each["message"]))
    return last_line(stderr)


def preview(
    stack: str, fleet: Fleet, catalogue: Catalogue, digest: Mapping[str, Any], hide: Callable[[str], str]
) -> Preview:
    """The report: all nodes of the stack file, and what drifted by node in a stable order."""
    nodes = tuple(
        Node(name, node.kind, signs=catalogue.kind(node.kind).signer is not None)
        for name, node in sorted(fleet.nodes.items())
    )
    return Preview(stack=stack, base="state", cloud="asked", nodes=nodes, drift=drift(digest, hide))


def drift(digest: Mapping[str, Any], hide: Callable[[str], str] = str) -> dict[str, tuple[str, ...]]:
    """By node, one line for each thing that is not as it was left; nodes without drift are left out."""
    steps = digest.get("steps") or ()
    parents = parents_in(digest)
    found: dict[str, list[str]] = {}
    for step in steps:
        for line in _lines(step):
            found.setdefault(node_of(step["urn"], parents) or EVERYWHERE, []).append(" ".join(hide(line).split()))
    return {node: tuple(dict.fromkeys(found[node])) for node in sorted(found)}


def own_words(encrypted: Fleet | None) -> Iterator[str]:
    """What operators say in variables, where something is encrypted: which of it is secret only Pulumi knows."""
    for node in encrypted.nodes.values() if encrypted else ():
        yield from strings(node.vars)


def _lines(step: Mapping[str, Any]) -> Iterator[str]:
    old, new = step.get("oldState") or {}, step.get("newState")
    kind, name = type_of(step["urn"]), name_of(step["urn"])
    what = f"{kind.rpartition(':')[2]} {name}"
    if kind.startswith(OURS):
        outputs = (new or {}).get("outputs") or {}
        yield from map(str, outputs.get("drift") or ())
    elif not kind.startswith("openstack:"):
        return
    elif not new or step.get("op") == "delete":
        yield f"{what} is gone"
    elif step.get("op") == "update":
        yield from (f"{what}: {line}" for line in _differences(old, new, step.get("detailedDiff")))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], detailed: Mapping[str, Any] | None) -> Iterator[str]:
    """Only what the program asked for can drift; what the cloud computes for itself is its own business."""
    wanted = {name for name in old.get("inputs") or {} if not name.startswith("__")}
    paths = sorted(detailed) if detailed else sorted(wanted)
    before, after = old.get("outputs") or {}, new.get("outputs") or {}
    for name in dict.fromkeys(path.partition(".")[0].partition("[")[0] for path in paths):
        if name in wanted and before.get(name) != after.get(name):
            yield f"{name} is {_shown(after.get(name))}, not {_shown(before.get(name))}"


def _shown(value: object) -> str:
    text = "nothing" if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
