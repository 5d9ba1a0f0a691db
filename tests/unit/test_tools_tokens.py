"""The OpenStack plugin serves every class of the Python SDK, under the names that the class sends and reads."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools import build, parts
from tools.plugin import sdk, tokens

# What the program is made of. Nothing may differ here, whatever is in differences.json.
USED = {
    "openstack:blockstorage/volume:Volume",
    "openstack:compute/flavor:Flavor",
    "openstack:compute/getFlavor:getFlavor",
    "openstack:compute/instance:Instance",
    "openstack:compute/keypair:Keypair",
    "openstack:compute/serverGroup:ServerGroup",
    "openstack:compute/volumeAttach:VolumeAttach",
    "openstack:images/getImage:getImage",
    "openstack:images/image:Image",
    "openstack:networking/floatingIp:FloatingIp",
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate",
    "openstack:networking/getNetwork:getNetwork",
    "openstack:networking/network:Network",
    "openstack:networking/port:Port",
    "openstack:networking/router:Router",
    "openstack:networking/routerInterface:RouterInterface",
    "openstack:networking/secGroup:SecGroup",
    "openstack:networking/secGroupRule:SecGroupRule",
    "openstack:networking/subnet:Subnet",
}


@cache
def sdk_tokens() -> frozenset[str]:
    """Every token of the SDK's classes and functions."""
    return frozenset({**sdk.resources(), **sdk.functions()})


@pytest.fixture(scope="module")
def plugin() -> Path:
    """The plugin as built here; Pulumi's own cannot be asked for its tokens, and need not be."""
    program = build.part_directory(parts.load()["plugin"]) / tokens.PLUGIN
    if not program.exists():
        pytest.skip("the OpenStack plugin is not built: run tools/build.py")
    return program


@pytest.fixture(scope="module")
def served(plugin: Path) -> dict[str, Any]:
    """What the plugin says that it serves."""
    return tokens.ask(plugin, "-tokens")


def test_the_table_names_every_class_of_the_sdk_and_nothing_else() -> None:
    table = json.loads(tokens.TABLE.read_text())
    listed = [name for kind in table.values() for row in kind for name in (row["token"], row.get("legacy")) if name]
    assert len(listed) == len(set(listed))
    assert set(listed) == sdk_tokens()
    assert len(listed) == 178


def test_the_table_is_as_its_generator_writes_it(plugin: Path) -> None:
    assert tokens.table(tokens.ask(plugin, "-terraform")) == tokens.TABLE.read_text()


def test_differences_between_plugin_and_sdk_are_those_that_are_listed(served: dict[str, Any]) -> None:
    assert tokens.differences(served) == json.loads(tokens.DIFFERENCES.read_text())["differences"]


def test_what_the_program_uses_does_not_differ(served: dict[str, Any]) -> None:
    assert sdk_tokens() >= USED
    assert [row for row in tokens.differences(served) if row["token"] in USED] == []


def test_the_plugin_reports_the_version_of_the_sdk(served: dict[str, Any]) -> None:
    assert served["version"] == parts.load()["plugin"].version


PORT = "openstack:networking/port:Port"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda port: port["properties"].pop("fixedIps"),
            {"token": PORT, "property": "inputs fixedIps", "plugin": "nothing", "sdk": "list[object]"},
        ),
        (
            lambda port: port["properties"]["fixedIps"]["properties"].pop("subnetId"),
            {"token": PORT, "property": "outputs fixedIps.subnetId", "plugin": "nothing", "sdk": "str"},
        ),
        (
            lambda port: port["properties"]["macAddress"].update(type="int"),
            {"token": PORT, "property": "inputs macAddress", "plugin": "int", "sdk": "str"},
        ),
        (
            lambda port: port["properties"]["macAddress"].update(input=False),
            {"token": PORT, "property": "inputs macAddress", "plugin": "nothing", "sdk": "str"},
        ),
        (
            lambda port: port["properties"].update(more={"type": "str", "input": False}),
            {"token": PORT, "property": "outputs more", "plugin": "str", "sdk": "nothing"},
        ),
    ],
    ids=["missing", "missing inside", "other type", "not an input", "too much"],
)
def test_a_property_that_differs_is_found(served: dict[str, Any], change: Any, expected: dict[str, str]) -> None:
    changed = copy.deepcopy(served)
    change(changed["resources"][PORT])
    assert expected in tokens.differences(changed)


def test_a_class_that_is_not_served_is_found(served: dict[str, Any]) -> None:
    changed = copy.deepcopy(served)
    del changed["resources"][PORT]
    changed["functions"]["openstack:a/b:c"] = {"properties": {}}
    found = tokens.differences(changed)
    assert {"token": PORT, "only": "sdk"} in found
    assert {"token": "openstack:a/b:c", "only": "plugin"} in found
