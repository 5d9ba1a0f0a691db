"""What the program declares for both committed stack files."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

from stacks import firewall, node
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import load_fleet
from stacks.images import golden
from tests.unit.program_mocks import ADDRESS, Program, cache_with_image, fleet_of, operator_files, run

STACKS = ("lab", "otc-eu-de")
KEPT = ("networking/port:Port", ":FloatingIp", "blockstorage/volume:Volume")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control machine with an operator's key and a golden image."""
    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STAKEYARD_LAB", str(tmp_path / "lab"))
    cache_with_image(tmp_path / "cache")
    operator_files(tmp_path)
    return tmp_path


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    """Each committed stack file."""
    return str(request.param)


@pytest.fixture
def fleet(stack: str, machine: Path) -> dict[str, Any]:
    """The stack file's fleet with this machine's key files."""
    return with_keys(fleet_of(stack), machine)


def with_keys(fleet: dict[str, Any], machine: Path) -> dict[str, Any]:
    fleet["operators"] |= {"public_key_file": str(machine / "key.pub"), "private_key_file": str(machine / "key")}
    return fleet


def test_a_stack_file_becomes_nodes_with_addresses_versions_and_checks(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    assert set(program.exports) == {"nodes", "fleet_checks"}
    assert set(program.exports["nodes"]) == set(fleet["nodes"])
    for exported in program.exports["nodes"].values():
        key = exported.pop("host_key")
        assert key == "ssh-ed25519 A", "an operator pins it in known_hosts"
        assert exported == {"kind": "bitcoin", "address": ADDRESS, "versions": {"x": "1"}, "checks": []}


def test_what_must_survive_is_protected_unless_the_stack_is_a_throwaway_one(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    for type_ in KEPT:
        for resource in program.of(type_):
            assert resource.request.protect is not fleet.get("throwaway", False), resource.name
    for resource in program.of("compute/instance:Instance"):
        assert not resource.request.protect, "a server is disposable"


def test_rules_are_in_the_form_that_neutron_gives_back(fleet: dict[str, Any], stack: str) -> None:
    for rule in run(fleet, stack).of("secGroupRule:SecGroupRule"):
        prefix = rule.inputs["remoteIpPrefix"]
        assert str(ip_network(prefix, strict=True)) == prefix
        assert rule.inputs["ethertype"] == "IPv4"
        low, high = rule.inputs.get("portRangeMin"), rule.inputs.get("portRangeMax")
        assert low == high
        assert low is None or 1 <= low <= 65535, "all ports is no range at all"


def test_groups_have_exactly_the_rules_of_node_yml(fleet: dict[str, Any], stack: str) -> None:
    catalogue = load_catalogue()
    loaded = load_fleet(fleet, catalogue)
    wanted: set[tuple[str, str, int | None, str]] = set()
    for member in loaded.nodes.values():
        resolved = catalogue.resolve(member.kind, member.vars)
        for port in resolved.ports:
            ranges = {
                "internet": ["0.0.0.0/0"],
                "operators": fleet["operators"]["ranges"],
                "site": [fleet["network"]["cidr"]],
                "peers": [f"{loaded.nodes[peer].address}/32" for peer in member.peers],
                "loopback": [],
            }[port.reach]
            wanted |= {("ingress", port.protocol, port.port, each) for each in ranges}
        for rule in resolved.egress:
            to = {"internet": "0.0.0.0/0", "metadata": "169.254.169.254/32"}[rule.to]
            wanted.add(("egress", rule.protocol, rule.port, to))
    program = run(fleet, stack)
    declared = [r.inputs for r in program.of("secGroupRule:SecGroupRule")]
    found = {(r["direction"], r["protocol"], r.get("portRangeMin"), r["remoteIpPrefix"]) for r in declared}
    assert found == wanted
    assert len(declared) == len(wanted), "no rule is declared twice"
    for group in program.of("secGroup:SecGroup"):
        assert group.inputs["deleteDefaultRules"] is True


def test_ssh_is_open_to_the_operators_and_to_nobody_else(fleet: dict[str, Any], stack: str) -> None:
    rules = [r.inputs for r in run(fleet, stack).of("secGroupRule:SecGroupRule") if r.inputs["direction"] == "ingress"]
    ssh = [r for r in rules if r.get("portRangeMin") in (22, None)]
    assert [r["remoteIpPrefix"] for r in ssh] == fleet["operators"]["ranges"]


def test_user_data_is_the_same_for_all_nodes_and_holds_nothing_of_them(fleet: dict[str, Any], stack: str) -> None:
    servers = run(fleet, stack).of("compute/instance:Instance")
    assert {server.inputs["userData"] for server in servers} == {node.USER_DATA}
    assert node.USER_DATA.startswith("#cloud-config\n")
    assert len(node.USER_DATA.splitlines()) == 3


def test_ports_have_fixed_addresses_and_floating_ones_hang_on_ports(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    for port in program.of("networking/port:Port"):
        assert [ip["ipAddress"] for ip in port.inputs["fixedIps"]] == [fleet["nodes"][port.name]["address"]]
    for association in program.of("FloatingIpAssociate"):
        assert association.inputs["portId"] == f"{association.name}-id"
    for server in program.of("compute/instance:Instance"):
        assert server.inputs["networks"] == [{"port": f"{server.name}-id"}], "an inline network loses its address"
        assert server.request.deleteBeforeReplace, "the port fits one server at a time"
        assert list(server.request.replaceOnChanges) == ["imageId", "flavorName"], "a rebuild keeps the host key"


def test_floating_addresses_say_whose_they_are(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    found = {ip.name: ip.inputs["description"] for ip in program.of(":FloatingIp")}
    assert found == {name: f"stakeyard-{stack}-{name}" for name in fleet["nodes"]}


def test_two_stacks_of_one_project_share_no_name_in_the_cloud(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    for kind in (
        "networking/port:Port",
        "compute/instance:Instance",
        "blockstorage/volume:Volume",
        "Network",
        "SecGroup",
    ):
        for resource in program.of(kind):
            assert str(resource.inputs["name"]).startswith(f"stakeyard-{stack}"), resource.name


def test_a_wave_waits_for_the_one_before_to_have_converged(fleet: dict[str, Any], stack: str) -> None:
    program = run(dict(fleet, waves=[["bitcoin-1"], ["bitcoin-2"]]), stack)
    first, second = (program.one("compute/instance:Instance", name) for name in ("bitcoin-1", "bitcoin-2"))
    canary = "stakeyard:index:Convergence::bitcoin-1"
    assert canary in second.depends_on
    assert canary not in first.depends_on
    together = dict(fleet, waves=[["bitcoin-1", "bitcoin-2"]])
    assert canary not in run(together, stack).one("compute/instance:Instance", "bitcoin-2").depends_on


def test_a_convergence_waits_for_all_that_it_needs(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    needs = program.one("Convergence", "bitcoin-1").depends_on
    assert {need.split("::")[0] for need in needs} >= {
        "openstack:compute/instance:Instance",
        "openstack:networking/floatingIpAssociate:FloatingIpAssociate",
        "openstack:compute/volumeAttach:VolumeAttach",
    }
    variables = program.one("Convergence", "bitcoin-1").inputs["variables"]
    size = fleet["nodes"]["bitcoin-1"]["volumes"]["chain"]["size_gib"]
    chain = {"device_id": "bitcoin-1-chain-id", "mount": "/var/lib/bitcoind", "size_gib": size}
    assert variables["stakeyard_volumes"] == {"chain": chain}
    assert variables["stakeyard_peers"] == [{"name": "bitcoin-2", "address": fleet["nodes"]["bitcoin-2"]["address"]}]


def test_the_checks_wait_for_all_convergences_and_are_never_asked_whether_they_must_be_replaced(
    fleet: dict[str, Any], stack: str
) -> None:
    program = run(fleet, stack, secret=True)
    (checks,) = program.of("FleetChecks")
    nodes = {name for name in fleet["nodes"] if f"stakeyard:index:Convergence::{name}" in checks.depends_on}
    assert nodes == set(fleet["nodes"])
    first = checks.inputs["nodes"][0]
    assert (first["host_key"], first["revision"]) == ("ssh-ed25519 A", "now")
    assert first["variables"][_special_sig_key] == _special_secret_sig, "a secret stays one"
    # An empty list for each property: without any, Pulumi takes each to depend on all that the resource waits for.
    by_property = {key: list(found.urns) for key, found in checks.request.propertyDependencies.items()}
    assert set(by_property) == set(checks.inputs)
    assert not [urn for urns in by_property.values() for urn in urns if ":Convergence::" in urn]


def test_volumes_are_plugged_in_when_the_server_has_booted(fleet: dict[str, Any], stack: str) -> None:
    for attachment in run(fleet, stack).of("VolumeAttach"):
        assert any(need.startswith("stakeyard:index:HostKey::") for need in attachment.depends_on), attachment.name


def test_every_cloud_resource_uses_the_stack_files_cloud(fleet: dict[str, Any], stack: str) -> None:
    program = run(fleet, stack)
    assert program.one("pulumi:providers:openstack", "cloud").inputs["cloud"] == fleet["cloud"]
    for resource in program.of(""):
        if resource.type.startswith("openstack:"):
            assert "::cloud::" in resource.request.provider, resource.name


def test_no_input_of_any_resource_holds_a_private_key(fleet: dict[str, Any], stack: str) -> None:
    for resource in run(fleet, stack).of(""):
        assert "PRIVATE KEY" not in str(resource.inputs), resource.name


def test_a_new_golden_image_changes_only_images_and_what_boots_them(machine: Path) -> None:
    fleet = with_keys(fleet_of("lab"), machine)
    before = run(fleet)
    cache_with_image(machine / "cache", "fedcba9876543210")
    after = run(fleet)
    gone = {name.partition("::")[0] for name in before.names() - after.names()}
    assert gone == {"openstack:images/image:Image"}
    changed = {
        f"{new.type}.{key}"
        for new in after.resources
        for old in before.resources
        if (old.type, old.name) == (new.type, new.name)
        for key in set(old.inputs) | set(new.inputs)
        if old.inputs.get(key) != new.inputs.get(key)
    }
    assert changed == {"openstack:compute/instance:Instance.imageId"}


def test_kernel_and_initrd_are_uploaded_and_named_by_the_disk(machine: Path) -> None:
    program = run(with_keys(fleet_of("lab"), machine))
    images = {image.name: image.inputs for image in program.of("images/image:Image")}
    disk = images["stakeyard-lab-machine-0123456789ab"]["properties"]
    assert disk["kernel_id"] == "stakeyard-lab-machine-kernel-0123456789ab-id"
    assert disk["ramdisk_id"] == "stakeyard-lab-machine-initrd-0123456789ab-id"
    assert disk["os_command_line"] == "root=/dev/vda"
    assert disk["img_hv_type"] == "qemu"
    assert images["stakeyard-lab-container-0123456789ab"]["properties"] == {"img_hv_type": "lxc"}
    for image in program.of("images/image:Image"):
        assert list(image.request.ignoreChanges) == ["localFilePath"], "another operator's cache is elsewhere"


def test_the_same_image_is_uploaded_once(machine: Path) -> None:
    fleet = with_keys(fleet_of("lab"), machine)
    fleet["images"]["again"] = dict(fleet["images"]["machine"])
    fleet["nodes"]["bitcoin-2"]["image"] = "again"
    assert len(run(fleet).of("images/image:Image")) == len(run(with_keys(fleet_of("lab"), machine)).of("Image"))


def test_an_existing_image_is_recorded_at_its_first_sight(machine: Path) -> None:
    program = run(with_keys(fleet_of("otc-eu-de"), machine), "otc-eu-de")
    stash = program.of("pulumi:index:Stash")
    assert len(stash) == 1
    assert stash[0].inputs["input"].startswith("id-of-^Standard_Debian_12")
    for server in program.of("compute/instance:Instance"):
        image = server.inputs.get("imageId") or server.inputs["blockDevices"][0]["uuid"]
        assert image == stash[0].inputs["input"]


def test_without_a_golden_image_the_error_says_how_to_make_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAKEYARD_CACHE", str(machine / "empty"))
    with pytest.raises(pulumi.RunError, match="make it with `stakeyard image build`"):
        run(with_keys(fleet_of("lab"), machine))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "0"}'])
def test_a_golden_image_whose_manifest_is_damaged_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(StakeyardError, match=r"manifest\.json is damaged: remove its folder and make the node image"):
        golden(tmp_path)


def test_a_wrong_stack_file_is_one_sentence(machine: Path) -> None:
    fleet = with_keys(fleet_of("lab"), machine)
    fleet["nodes"]["bitcoin-1"]["adress"] = "10.77.0.11"
    with pytest.raises(pulumi.RunError, match=r"^nodes\.bitcoin-1\.adress: is not a known key"):
        run(fleet)


def test_variables_of_a_stack_file_with_secrets_are_secret_and_others_are_not(machine: Path) -> None:
    fleet = with_keys(fleet_of("lab"), machine)
    mark = pulumi.runtime.rpc._special_sig_key
    for secret in (True, False):
        program: Program = run(fleet, secret=secret)
        inputs = program.one("Convergence", "bitcoin-1").inputs
        assert (mark in inputs["variables"]) is secret
        assert bool(inputs["secret_variables"]) is secret


def test_the_helper_refuses_to_prove_nothing(machine: Path) -> None:
    program = run(with_keys(fleet_of("lab"), machine))
    with pytest.raises(AssertionError, match="declared no Bucket"):
        program.of("Bucket")


def test_peers_and_site_reach_no_further_than_they_say(machine: Path) -> None:
    catalogue = load_catalogue()
    loaded = load_fleet(with_keys(fleet_of("lab"), machine), catalogue)
    one = loaded.nodes["bitcoin-1"]
    assert firewall._ranges(loaded, one, "peers") == ("10.77.0.12/32",)
    assert firewall._ranges(loaded, one, "site") == ("10.77.0.0/24",)
    assert firewall._ranges(loaded, one, "loopback") == ()
    alone = one.model_copy(update={"peers": ()})
    assert firewall._ranges(loaded, alone, "peers") == ()


def test_every_command_of_the_plugin_directory_is_executable() -> None:
    assert os.access("stacks/plugin/pulumi-resource-stakeyard", os.X_OK)
