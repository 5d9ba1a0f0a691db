"""Previews made by hand, and Pulumi's words for them."""

from collections.abc import Mapping
from typing import Any

from stacks.preview.model import Change, Difference, Finding, Inside, Node, Preview, Task

STACK_URN = "urn:pulumi:s::stakeyard::"
SERVER = "openstack:compute/instance:Instance"
VOLUME = "openstack:blockstorage/volume:Volume"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
CONVERGENCE = "stakeyard:index:Convergence"
NODE_TYPE = "stakeyard:index:Node"


def urn(kind: str, name: str) -> str:
    """The URN of a resource of a node."""
    return f"{STACK_URN}stakeyard:index:Site${NODE_TYPE}${kind}::{name}"


def told(
    op: str,
    kind: str,
    name: str,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A step as `pulumi preview --json` tells it; `old` and `new` are inputs."""
    node = more.pop("node", name)
    state = {"type": kind, "custom": more.pop("custom", True), "protect": more.pop("protect", False)}
    if node:
        state["parent"] = f"{STACK_URN}stakeyard:index:Site${NODE_TYPE}::{node}"
    step: dict[str, Any] = {"op": op, "urn": urn(kind, name), **more}
    if old is not None:
        step["oldState"] = {**state, "inputs": old}
    if new is not None:
        step["newState"] = {**state, "inputs": new}
    return step


def change(operation: Any, kind: str, name: str, *differences: Difference, protected: bool = False) -> Change:
    """A change of a node of that name."""
    return Change(operation, kind, name, name, differences, protected)


def preview(*nodes: Node, **more: Any) -> Preview:
    """A preview of these nodes."""
    return Preview(**{"stack": "s", "base": "main", "cloud": "mocked", "nodes": nodes, **more})


def filled(text: str) -> Preview:
    """A preview with `text` in every field that holds free text, beside something harmless in front of it."""
    differences = (Difference(f"path {text}", f"before {text}", f"after {text}"), Difference("plain", text, text))
    one = Change("replace", f"type {text}", f"name {text}", f"node {text}", differences)
    inside = Inside("told", f"reason {text}", (Task(f"role {text}", f"task {text}", f"-old\n+new {text}\n"),))
    node = Node(f"node {text}", f"kind {text}", True, (one,), inside, True, f"downtime {text}")
    finding = Finding(f"rule {text}", "error", f"key {text}", f"sentence {text}", f"node {text}", f"waived {text}")
    return Preview(
        f"stack {text}",
        f"base {text}",
        "asked",
        (node,),
        (one,),
        (finding,),
        (f"note {text}",),
        {f"drifted {text}": (f"line {text}",)},
    )
