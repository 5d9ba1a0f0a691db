"""From Pulumi's steps to changes."""

from typing import Any

import pytest

from stacks.preview.model import Difference
from stacks.preview.steps import KNOWN_LATER, MASKED, UNKNOWN, change, compare, parsed, steps
from tests.unit.previews import CONVERGENCE, NODE_TYPE, RULE, SERVER, STACK_URN, VOLUME, told


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
        (["a", "b"], ["b", "c", "d"], [("[]", "a", None), ("[]", None, "c"), ("[]", None, "d")]),
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


def test_no_difference_is_cut_before_it_has_been_judged() -> None:
    found = differences(told("create", SERVER, "n1", None, {f"k{i:03}": i for i in range(100)}))
    assert len(found) == 100


RPC = {"name": "rpc", "protocol": "tcp", "port": 8332}
PEERS = {f"n{number}": 1 for number in range(100)}


@pytest.mark.parametrize(
    ("kind", "old", "new", "found"),
    [
        (
            CONVERGENCE,
            {"stakeyard_ports": [{**RPC, "sources": ["10.0.0.0/24"]}]},
            {"stakeyard_ports": [{**RPC, "port": 8332.0, "sources": ["10.0.0.0/24", "0.0.0.0/0"]}]},
            [("", "in tcp 8332 from 0.0.0.0/0")],
        ),
        (
            CONVERGENCE,
            {"stakeyard_egress": [{"name": "all", "protocol": "udp", "destinations": ["0.0.0.0/0"]}]},
            {"a_peer": PEERS, "stakeyard_ports": [{"name": "x", "protocol": "tcp", "port": 1, "sources": ["::/0"]}]},
            [("", "in tcp 1 from ::/0"), ("out udp any port to 0.0.0.0/0", "")],
        ),
        (CONVERGENCE, "[secret]", {"stakeyard_ports": [{"name": "x", "port": 1, "sources": ["a"]}]}, []),
    ],
)  # fmt: skip
def test_what_a_host_lets_through_is_told_whatever_else_differs(
    kind: str, old: object, new: object, found: object
) -> None:
    step = told("update", kind, "n1", {"variables": old}, {"variables": new}, detailedDiff={"variables": {}})
    assert [(each.before, each.after) for each in differences(step) if each.path == "lets through"] == found


INGRESS = {"direction": "ingress", "protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}


@pytest.mark.parametrize(
    ("op", "old", "new", "found"),
    [
        ("create", None, {**INGRESS, "remoteIpPrefix": "80.0.0.0/9"}, [("", "in tcp 22 from 80.0.0.0/9")]),
        ("delete", {**INGRESS, "portRangeMax": 30}, None, [("in tcp 22-30 from 0.0.0.0/0", "")]),
        (
            "create",
            None,
            {"direction": "egress", "ethertype": "IPv6", "remoteGroupId": UNKNOWN},
            [("", "out any protocol any port to security group what is known after the update")],
        ),
        ("replace", {**INGRESS, "description": "a"}, {**INGRESS, "description": "b"}, []),
    ],
)
def test_what_a_rule_lets_through_is_told_of_every_rule(op: str, old: Any, new: Any, found: object) -> None:
    step = told(op, RULE, "group-ingress-tcp", old, new, node=None)
    assert [(each.before, each.after) for each in differences(step) if each.path == "lets through"] == found


def test_masked_values_that_differ_are_a_difference() -> None:
    step = told(
        "update", CONVERGENCE, "n1", {"variables": MASKED}, {"variables": MASKED}, detailedDiff={"variables": {}}
    )
    assert differences(step) == (Difference("variables", "[secret]", "[secret] (another value)"),)


@pytest.mark.parametrize(("op", "operation"), [("same", "unprotect"), ("update", "update"), ("replace", "replace")])
def test_a_protection_that_is_lifted_is_a_change_also_where_pulumi_sees_none(op: str, operation: str) -> None:
    group = told(op, VOLUME, "n1-chain", {"size": 1}, {"size": 1})
    group["oldState"]["protect"] = True
    (step,) = steps({"steps": [group]})
    made = change(step)
    assert (made.operation, made.protected, made.differences) == (
        operation,
        True,
        (Difference("protect", "true", "false"),),
    )
    group["oldState"]["protect"], group["newState"]["protect"] = False, True
    assert all(change(step).differences == () for step in steps({"steps": [group]}))


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


def test_what_the_refresh_before_a_change_tells_is_not_taken_for_the_change() -> None:
    before, after = {"flavorName": "small", "user": "x", "more": "y"}, {"flavorName": "large", "user": "x"}
    found = steps({
        "steps": [
            told("refresh", SERVER, "n1", before, before),
            told("create-replacement", SERVER, "n1", before, after),
            told("replace", SERVER, "n1", before, after),
        ]
    })  # fmt: skip
    (step,) = found
    assert (step.operation, step.inputs) == ("replace", after)
    differences = {each.path: (each.before, each.after) for each in change(step).differences}
    assert differences["flavorName"] == ("small", "large")
