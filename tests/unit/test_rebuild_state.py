"""What a rebuild reads from a stack's state."""

from typing import Any

import pytest

from stacks.errors import StakeyardError
from stacks.rebuild_command import plain
from stacks.rebuild_state import target
from stacks.signer import fingerprint

BASE = "urn:pulumi:lab::stakeyard::"
SITE = "stakeyard:index:Site"
NODE = f"{SITE}$stakeyard:index:Node"
SERVER = "openstack:compute/instance:Instance"


def resource(types: str, name: str, parent: str = "", **more: Any) -> dict[str, Any]:
    return {"urn": f"{BASE}{types}::{name}", "type": types.rpartition("$")[2], "parent": parent, **more}


def exported(*extra: dict[str, Any], signs: bool = True, **server: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {"server_id": "s-1", "cloud": "lab"}
    if signs:
        inputs["signer"] = {"volume_id": "v-1", "public_keys": ["0xAB"]}
    outputs = {"checks": [{"name": "host: all is well", "outcome": "passed"}]}
    node, other = f"{BASE}{NODE}::n1", f"{BASE}{NODE}::n1-keys"
    return {
        "deployment": {
            "resources": [
                resource(SITE, "site"),
                resource(NODE, "n1", f"{BASE}{SITE}::site"),
                resource(NODE, "n1-keys", f"{BASE}{SITE}::site"),
                resource(f"{NODE}${SERVER}", "n1", node, id="s-1", **server),
                resource(f"{NODE}${SERVER}", "n1-keys", other, id="s-2"),
                resource(f"{NODE}$openstack:blockstorage/volume:Volume", "n1-keys", node, id="v-1"),
                resource(f"{NODE}$stakeyard:index:HostKey", "n1", node, id="n1", created="2026-05-28T20:26:40.5Z"),
                resource(f"{NODE}$stakeyard:index:Convergence", "n1", node, id="n1", inputs=inputs, outputs=outputs),
                *extra,
            ]
        }
    }


def test_a_node_is_everything_below_its_component_and_nothing_else() -> None:
    found = target(exported(), "n1")
    assert (found.server, found.volumes, found.key_volume) == ("s-1", {"n1-keys": "v-1"}, "v-1")
    assert found.keys == {fingerprint("ab")}
    assert found.converged_on == "s-1"
    assert found.booted == 1780000000.5
    assert [urn.rpartition("$")[2] for urn in found.in_cloud] == [
        f"{SERVER}::n1",
        "openstack:blockstorage/volume:Volume::n1-keys",
    ]
    assert len(found.resources) == 5
    assert f"{BASE}{NODE}${SERVER}::n1-keys" not in found.resources


def test_a_node_that_does_not_sign_has_no_key_volume() -> None:
    found = target(exported(signs=False), "n1")
    assert (found.key_volume, found.keys) == (None, frozenset())


def test_a_server_that_is_gone_from_the_state_can_still_be_named() -> None:
    state = exported()
    resources = state["deployment"]["resources"]
    state["deployment"]["resources"] = [each for each in resources if each.get("id") != "s-1"]
    found = target(state, "n1")
    assert found.server is None
    assert found.server_urn == f"{BASE}{NODE}${SERVER}::n1"


def test_a_server_between_its_end_and_its_successors_beginning_is_none() -> None:
    assert target(exported(pendingReplacement=True), "n1").server is None


def test_what_waits_to_be_deleted_does_not_count() -> None:
    old = resource(f"{NODE}${SERVER}", "n1", f"{BASE}{NODE}::n1", id="s-0", delete=True)
    state = exported()
    state["deployment"]["resources"].insert(0, old)
    assert target(state, "n1").server == "s-1"


def test_why_keys_started_without_their_history_is_known() -> None:
    state = exported()
    assert target(state, "n1").seeded is None
    state["deployment"]["resources"][-1]["outputs"]["seeded"] = {"marks": {}}
    assert target(state, "n1").seeded == {"marks": {}}


def test_a_convergence_that_failed_was_for_no_server() -> None:
    state = exported()
    state["deployment"]["resources"][-1]["initErrors"] = ["a check failed"]
    assert target(state, "n1").converged_on is None


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"deployment": {}}, "the stack has no node n1: it has no node at all"),
        ({"deployment": {"resources": [resource(NODE, "n2")]}}, "the stack has no node n1: it has n2"),
        ({"deployment": {"resources": [resource(NODE, "n1")]}}, "n1 has never been converged"),
    ],
)
def test_a_node_that_is_not_there_is_refused(state: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StakeyardError, match=sentence):
        target(state, "n1")


def test_secrets_of_an_exported_state_are_read_wherever_they_are() -> None:
    mark = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    secret = {**mark, "plaintext": '{"password": "x", "list": [1]}'}
    assert plain({"a": [secret], "b": 1}) == {"a": [{"password": "x", "list": [1]}], "b": 1}
