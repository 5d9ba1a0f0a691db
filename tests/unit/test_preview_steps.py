"""From Pulumi's steps to changes."""

import pytest

from stacks.preview.model import Difference
from stacks.preview.steps import KNOWN_LATER, UNKNOWN, change, compare, parsed, steps
from tests.unit.previews import CONVERGENCE, NODE_TYPE, SERVER, STACK_URN, VOLUME, told


def one(*group: dict[str, object]) -> object:
    found = steps({"steps": list(group)})
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("ops", "operation"),
    [
        (["create"], "create"),
        (["import"], "create"),
        (["update"], "update"),
        (["delete"], "delete"),
        (["replace"], "replace"),
        (["create-replacement", "replace", "delete-replaced"], "replace"),
        (["delete-replaced", "replace", "create-replacement"], "replace"),
        (["delete-replaced", "create-replacement"], "replace"),
        (["create", "delete"], "replace"),
    ],
)
def test_a_resource_is_one_step_however_many_pulumi_makes_of_it(ops: list[str], operation: str) -> None:
    group = [told(op, SERVER, "n1", {"a": 1}, {"a": 2}) for op in ops]
    found = steps({"steps": group})
    assert [step.operation for step in found] == [operation]


@pytest.mark.parametrize("op", ["same", "read", "refresh", "discard"])
def test_what_changes_nothing_is_left_out(op: str) -> None:
    assert steps({"steps": [told(op, SERVER, "n1", {"a": 1}, {"a": 1})]}) == ()


def test_components_and_providers_that_come_and_go_are_left_out() -> None:
    component = told("create", NODE_TYPE, "n1", None, {}, custom=False)
    provider = told("create", "pulumi:providers:openstack", "cloud", None, {"cloud": "x"})
    moved = told("update", "pulumi:providers:openstack", "cloud", {"cloud": "x"}, {"cloud": "y"})
    assert steps({"steps": [component, provider]}) == ()
    assert len(steps({"steps": [moved]})) == 1


def test_a_resource_belongs_to_the_node_above_it_and_others_to_none() -> None:
    below = told("update", VOLUME, "n1-chain", {"size": 1}, {"size": 2}, node="n1")
    deeper = told("update", "x:y:Z", "deep", {"a": 1}, {"a": 2})
    deeper["newState"]["parent"] = deeper["oldState"]["parent"] = below["urn"]
    shared = told("update", VOLUME, "other", {"size": 1}, {"size": 2}, node=None)
    looped = told("update", VOLUME, "loop", {"size": 1}, {"size": 2})
    looped["newState"]["parent"] = looped["oldState"]["parent"] = looped["urn"]
    found = {step.name: step.node for step in steps({"steps": [below, deeper, shared, looped]})}
    assert found == {"n1-chain": "n1", "deep": "n1", "other": None, "loop": None}


def test_a_name_may_hold_the_separator_of_urns() -> None:
    assert steps({"steps": [told("create", SERVER, "a::b", None, {})]})[0].name == "a::b"


def differences(*group: dict[str, object]) -> tuple[Difference, ...]:
    (step,) = steps({"steps": list(group)})
    return change(step).differences


def test_a_difference_is_one_value_with_what_makes_a_new_resource_marked() -> None:
    found = differences(
        told(
            "replace",
            SERVER,
            "n1",
            {"flavorName": "small", "networks": [{"port": "p1"}], "same": 1},
            {"flavorName": "large", "networks": [{"port": UNKNOWN}], "same": 1},
            detailedDiff={
                "flavorName": {"kind": "update-replace", "inputDiff": False},
                "networks[0].port": {"kind": "update", "inputDiff": True},
            },
        )
    )
    assert found == (
        Difference("flavorName", "small", "large", replaces=True),
        Difference("networks[0].port", "p1", KNOWN_LATER),
    )


def test_what_only_follows_another_replacement_is_compared_by_its_inputs() -> None:
    found = differences(
        told("replace", SERVER, "n1", {"a": 1, "b": {"c": 1}}, {"a": 1, "b": {"c": 2}}, replaceReasons=["b"])
    )
    assert found == (Difference("b.c", "1", "2", replaces=True),)


def test_a_whole_mapping_that_differs_is_told_value_by_value_and_lists_by_name() -> None:
    before = {"variables": {"x": 1, "ports": [{"name": "ssh", "port": 22}, {"name": "p2p", "port": 1}]}}
    after = {"variables": {"y": 1, "ports": [{"name": "p2p", "port": 2}, {"name": "ssh", "port": 22}]}}
    found = differences(
        told("update", CONVERGENCE, "n1", before, after, detailedDiff={"variables": {"kind": "update"}})
    )
    assert found == (
        Difference("variables.ports[p2p].port", "1", "2"),
        Difference("variables.x", "1", ""),
        Difference("variables.y", "", "1"),
    )


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ([1, 2], [1, 3], [("[1]", 2, 3)]),
        ([1, 2], [1], [("", [1, 2], [1])]),
        ([{"name": "a"}, {"name": "a"}], [{"name": "a"}], [("", [{"name": "a"}, {"name": "a"}], [{"name": "a"}])]),
        ({"a": {"__defaults": []}}, {"a": {"__defaults": ["x"]}}, []),
        ("[secret]", "[secret]", []),
        (None, {"a": 1}, [("a", None, 1)]),
        ({"a": 1}, None, [("a", 1, None)]),
        ({"a": 1}, "text", [("", {"a": 1}, "text")]),
    ],
)
def test_values_are_compared_as_far_down_as_they_can_be(before: object, after: object, found: object) -> None:
    assert list(compare(before, after)) == found


def test_many_differences_are_cut_with_their_number() -> None:
    found = differences(told("create", SERVER, "n1", None, {f"k{i:03}": i for i in range(100)}))
    assert len(found) == 61
    assert found[-1] == Difference("...", "", "40 more values differ")


def test_a_deleted_resource_has_no_differences_and_its_protection_is_told() -> None:
    (step,) = steps({"steps": [told("delete", VOLUME, "n1-chain", {"size": 1}, protect=True)]})
    assert change(step).differences == ()
    assert change(step).protected
    assert step.inputs == {}


def test_paths_are_read_as_pulumi_writes_them() -> None:
    assert list(parsed('a[0].b["c.d"].e')) == ["a", 0, "b", "c.d", "e"]


def test_the_order_of_steps_does_not_matter() -> None:
    group = [told("create", SERVER, name, None, {"a": 1}) for name in ("n2", "n1", "n3")]
    assert steps({"steps": group}) == steps({"steps": group[::-1]})
    assert STACK_URN in steps({"steps": group})[0].urn
