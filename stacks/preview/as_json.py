"""A preview as JSON for machines: everything that was found, and what it comes to."""

import json
from dataclasses import asdict
from typing import Any

from stacks.preview import risk
from stacks.preview.model import Node, Preview, Verdict
from stacks.preview.why import reasons

FORM = 1
"""Goes up when a reader of the form before would misunderstand it."""


def render(preview: Preview) -> str:
    """The preview in a stable order, with keys sorted."""
    preview = risk.ordered(preview)
    found = {"nodes": [_node(node) for node in preview.nodes], "reasons": reasons(preview)}
    return _text({**asdict(preview), **_head(risk.verdict(preview)), **found})


def failure(stack: str, sentence: str) -> str:
    """A preview that there is not."""
    return _text({**_head(Verdict.FAILED), "stack": stack, "error": sentence})


def _head(verdict: Verdict) -> dict[str, Any]:
    return {"form": FORM, "verdict": verdict.name.lower(), "exit_code": int(verdict)}


def _node(node: Node) -> dict[str, Any]:
    return {**asdict(node), "replaced": node.replaced, "needs_review": risk.node_needs_review(node)}


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
