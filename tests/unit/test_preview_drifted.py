"""Drift that a preview finds when it asks the cloud: it is told, and never safe."""

from typing import Any

import pytest

from stacks.preview import risk
from stacks.preview.drift import EVERYWHERE
from stacks.preview.drifted import NOT_TOLD, drifted
from stacks.preview.model import Verdict
from tests.unit.previews import CONVERGENCE, SERVER, preview, told

CHECKS = "stakeyard:index:FleetChecks"


def step(kind: str, name: str, drift: object, node: str | None = "n1", **more: Any) -> dict[str, Any]:
    made = told("update", kind, name, {"a": 1}, {"a": 1}, node=node, **more)
    made["oldState"]["outputs"] = {"drift": drift}
    return made


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([step(CONVERGENCE, "n1", ["/etc/x was\nchanged", "y"])], {"n1": ("/etc/x was changed", "y")}),
        ([step(CONVERGENCE, "n1", [])], {}),
        ([step(SERVER, "n1", ["x"])], {}),
        ([step(CONVERGENCE, "n1", None, detailedDiff={"drift": {}})], {"n1": (NOT_TOLD,)}),
        ([step(CONVERGENCE, "n1", "[secret]")], {"n1": ("[secret]",)}),
        ([step(CONVERGENCE, "n1", None, detailedDiff={"variables": {}})], {}),
    ],
)
def test_what_a_refresh_found_is_told_by_node(steps: Any, found: Any) -> None:
    assert drifted({"steps": steps}) == found


def test_what_an_earlier_refresh_saw_and_this_one_does_not_is_no_drift() -> None:
    seen = {**step(CONVERGENCE, "n1", ["x"]), "op": "refresh"}
    seen["newState"] = {**seen["newState"], "outputs": {"drift": []}}
    assert drifted({"steps": [seen]}) == {}
    seen["newState"]["outputs"]["drift"] = ["y"]
    assert drifted({"steps": [seen]}) == {"n1": ("y",)}


def test_checks_of_several_nodes_drift_for_all_and_secrets_are_hidden() -> None:
    one = step(CHECKS, "bitcoin", ["check 'ports' failed: hunter2"], node=None)
    one["urn"] = f"urn:pulumi:s::stakeyard::{CHECKS}::bitcoin"
    found = drifted({"steps": [one]}, lambda text: text.replace("hunter2", "***"))
    assert found == {EVERYWHERE: ("check 'ports' failed: ***",)}
    assert risk.verdict(preview(drift=found)) is Verdict.REVIEW
