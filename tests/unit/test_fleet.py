"""What a good stack file becomes, and how the control machine is asked."""

import copy
import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from stacks.catalogue_networks import Port
from stacks.errors import StakeyardError
from stacks.firewall import open_egress, open_ports, users
from stacks.fleet import Fleet, GoldenImage, load_fleet, load_stack_file
from stacks.fleet_machine import ControlMachine
from tests.unit.bad_stack_files.cases import FakeMachine, good, invented, put


def load(changes: dict[str, Any] | None = None, machine: FakeMachine | None = None) -> Fleet:
    """The good fleet with the keys at some paths changed."""
    data = good()
    for path, value in (changes or {}).items():
        put(data, path, value)
    return load_fleet(data, invented(), machine or FakeMachine())


def golden(fleet: Fleet, name: str) -> GoldenImage:
    image = fleet.images[name]
    assert isinstance(image, GoldenImage)
    return image


def test_a_fleet_cannot_be_changed() -> None:
    fleet = load()
    with pytest.raises(ValidationError):
        fleet.cloud = "elsewhere"  # type: ignore[misc]


def test_loading_leaves_the_data_as_it_was() -> None:
    data = good()
    before = copy.deepcopy(data)
    load_fleet(data, invented(), FakeMachine())
    assert data == before


def test_a_file_and_its_data_give_the_same_fleet(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.good.yaml"
    path.write_text(json.dumps({"config": {"stakeyard:fleet": good()}, "encryptionsalt": "v1:x"}))
    assert load_stack_file(path, invented(), FakeMachine()) == load()


def test_the_first_address_is_the_gateway_and_the_last_quarter_the_pool() -> None:
    network = load().network
    assert network.gateway == IPv4Address("10.77.0.1")
    assert network.pool == (IPv4Address("10.77.0.192"), IPv4Address("10.77.0.254"))


def test_the_smallest_network_has_room_for_nodes_and_a_pool() -> None:
    network = load({"network.cidr": "10.77.0.0/28", "nodes": _moved("10.77.0")}).network
    assert network.pool == (IPv4Address("10.77.0.12"), IPv4Address("10.77.0.14"))


@settings(deadline=None)
@given(st.integers(0, 255))
def test_an_address_is_accepted_exactly_between_the_gateway_and_the_pool(last: int) -> None:
    data = good()
    for node in ("ledger-2", "signer-1"):
        del data["nodes"][node]
    del data["waves"]
    data["nodes"]["ledger-1"] |= {"address": f"10.77.0.{last}", "peers": []}
    if 2 <= last < 192:
        assert load_fleet(data, invented(), FakeMachine()).nodes["ledger-1"].address == IPv4Address(f"10.77.0.{last}")
    else:
        with pytest.raises(StakeyardError, match=r"^nodes\.ledger-1\.address: "):
            load_fleet(data, invented(), FakeMachine())


def test_a_group_may_be_written_as_its_policy_alone() -> None:
    groups = load().groups
    assert (groups["spread"].policy, groups["spread"].hosts) == ("anti-affinity", 2)
    assert (groups["loose"].policy, groups["loose"].hosts) == ("soft-anti-affinity", None)


def test_as_many_nodes_as_hosts_fit_into_a_group() -> None:
    assert load({"nodes.signer-1.group": "spread", "groups.spread.hosts": 3}).groups["spread"].hosts == 3


@pytest.mark.parametrize(("containers", "boot", "hypervisor"), [(True, "container", "lxc"), (False, "kernel", "qemu")])
def test_auto_boots_what_the_lab_runs(containers: bool, boot: str, hypervisor: str) -> None:
    image = golden(load({"images.fast.boot": "auto"}, FakeMachine(containers=containers)), "fast")
    assert image.boot == boot
    assert image.properties == {"img_hv_type": hypervisor, "hw_rng_model": "virtio"}


def test_a_disk_boots_on_any_hypervisor() -> None:
    assert golden(load(), "whole").properties == {}


def test_a_property_of_the_stack_file_wins_over_the_routed_one() -> None:
    image = golden(load({"images.fast.properties": {"img_hv_type": "kvm"}}), "fast")
    assert image.properties == {"img_hv_type": "kvm"}


def test_without_waves_all_nodes_are_one_wave() -> None:
    assert load({"waves": []}).rollout == (("ledger-1", "ledger-2", "signer-1"),)
    assert load().rollout == (("ledger-1",), ("ledger-2", "signer-1"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ledger_release", {"secure": "v1:abc"}),
        ("ledger_extra", ["10.77.0.12", {"secure": "v1:abc"}]),
        ("ledger_options", {"token": {"secure": "v1:abc"}, "depth": 3}),
    ],
)
def test_a_text_among_the_variables_may_be_encrypted(name: str, value: Any) -> None:
    assert load({f"nodes.ledger-1.vars.{name}": value}).nodes["ledger-1"].vars[name] == value


def test_a_variable_of_the_host_or_of_an_imported_role_may_be_set() -> None:
    fleet = load({"nodes.ledger-1.vars": {"host_journal_mib": 100, "shared_mirror": "https://mirror.example"}})
    assert fleet.nodes["ledger-1"].vars["host_journal_mib"] == 100


def test_mac_addresses_are_compared_in_lower_case() -> None:
    assert load({"nodes.ledger-1.mac": "FA:16:3E:00:00:0A"}).nodes["ledger-1"].mac == "fa:16:3e:00:00:0a"


@pytest.mark.parametrize("wide", ["10.0.0.0/8", "172.16.0.0/13", "192.168.0.0/16", "52.28.0.0/16"])
def test_an_operator_range_may_be_a_private_network_or_a_public_16(wide: str) -> None:
    fleet = load({"operators.ranges": [wide], "network.cidr": "172.31.9.0/24", "nodes": _moved("172.31.9")})
    assert str(fleet.operators.ranges[0]) == wide


def _moved(prefix: str) -> Any:
    nodes = good()["nodes"]
    return {name: node | {"address": f"{prefix}.{index + 5}"} for index, (name, node) in enumerate(nodes.items())}


class TestControlMachine:
    """The real questions, with real files."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """A pair of key files, and the fleet that names them."""
        private, public = tmp_path / "key", tmp_path / "key.pub"
        private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
        private.chmod(0o600)
        public.write_text("ssh-ed25519 AAAAC3Nza operator\n")
        data = good()
        data["operators"] |= {"public_key_file": str(public), "private_key_file": str(private)}
        return data

    def test_good_key_files_are_accepted(self, keys: dict[str, Any]) -> None:
        assert load_fleet(keys, invented()).operators.private_key_file.name == "key"

    def test_no_more_than_the_first_line_of_a_private_key_is_read(self, keys: dict[str, Any]) -> None:
        file = ControlMachine().key_file(Path(keys["operators"]["private_key_file"]))
        assert (file.first_line, file.mode) == ("-----BEGIN OPENSSH PRIVATE KEY-----", 0o600)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_a_private_key_open_to_others_is_refused(self, keys: dict[str, Any], mode: int) -> None:
        path = Path(keys["operators"]["private_key_file"])
        path.chmod(mode)
        with pytest.raises(StakeyardError) as refused:
            load_fleet(keys, invented())
        assert str(refused.value) == (
            f"operators.private_key_file: {path} is open to other users (mode {mode:04o}); run chmod 600 on it."
        )

    def test_a_missing_key_is_refused(self, keys: dict[str, Any]) -> None:
        path = Path(keys["operators"]["public_key_file"])
        path.unlink()
        with pytest.raises(StakeyardError) as refused:
            load_fleet(keys, invented())
        assert str(refused.value) == (
            f"operators.public_key_file: {path} does not exist; make it with `ssh-keygen -t ed25519`."
        )

    @pytest.mark.parametrize(
        "raw",
        [
            "ssh-ed25519 AAAAC3Nza J\xfcrgen\n".encode("latin-1"),
            b"ssh-ed25519 AAAAC3Nza one\nssh-ed25519 AAAAC3Nzb two\n",
            b"ssh-ed25519 " + b"A" * 5000,
        ],
        ids=["Latin-1", "two keys", "endless"],
    )
    def test_a_public_key_that_is_not_one_line_of_text_is_refused(self, keys: dict[str, Any], raw: bytes) -> None:
        path = Path(keys["operators"]["public_key_file"])
        path.write_bytes(raw)
        with pytest.raises(StakeyardError) as refused:
            load_fleet(keys, invented())
        assert str(refused.value) == (
            f"operators.public_key_file: {path} is not one line of UTF-8; leave that one key in it, and correct its "
            "comment."
        )

    @pytest.mark.parametrize("comment", ["", " J\u00fcrgen", " operator\n\n"])
    def test_a_comment_of_a_public_key_may_be_any_text(self, keys: dict[str, Any], comment: str) -> None:
        path = Path(keys["operators"]["public_key_file"])
        path.write_text(f"ssh-ed25519 AAAAC3Nza{comment}", encoding="utf-8")
        assert load_fleet(keys, invented()).operators.public_key_file == path

    def test_a_directory_in_place_of_a_key_is_refused(self, keys: dict[str, Any], tmp_path: Path) -> None:
        keys["operators"]["public_key_file"] = str(tmp_path)
        with pytest.raises(
            StakeyardError, match=r"cannot be read \(is a directory\); name a file that you may read\.$"
        ):
            load_fleet(keys, invented())

    def test_a_home_directory_may_be_written_as_a_tilde(
        self, keys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        keys["operators"]["public_key_file"] = "~/key.pub"
        assert load_fleet(keys, invented()).operators.public_key_file == tmp_path / "key.pub"

    @pytest.mark.parametrize(
        ("facts", "containers"),
        [
            (None, True),
            ("not json", True),
            ('{"hypervisors": {"a": "qemu", "b": "lxc"}}', True),
            ('{"hypervisors": {"a": "kvm", "b": "kvm"}}', False),
            ('{"hypervisors": {"a": "qemu", "b": "qemu"}}', False),
        ],
    )
    def test_the_lab_says_whether_it_runs_containers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: str | None, containers: bool
    ) -> None:
        monkeypatch.setenv("STAKEYARD_LAB", str(tmp_path))
        if facts is not None:
            (tmp_path / "facts.json").write_text(facts)
        assert ControlMachine().lab_has_containers() is containers


def test_who_is_used_opens_its_port_to_its_users_alone() -> None:
    fleet = load()
    ledger, signer = fleet.nodes["ledger-1"], fleet.nodes["signer-1"]
    query = Port("query", "tcp", 7002, "users", "ledger")
    assert users(fleet, ledger, query, invented()) == [signer]
    assert users(fleet, fleet.nodes["ledger-2"], query, invented()) == []
    engine = Port("engine", "tcp", 7003, "users", "engine")
    assert users(fleet, ledger, engine, invented()) == [], "another service of the same server"
    ports = {port.name: port.sources for port in open_ports(fleet, ledger, invented())}
    assert ports["query"] == ("10.77.0.21/32",)
    assert "query" not in {port.name for port in open_ports(fleet, fleet.nodes["ledger-2"], invented())}
    egress = {rule.name: rule.destinations for rule in open_egress(fleet, signer, invented())}
    assert egress["query"] == ("10.77.0.11/32",)


def test_who_uses_whom_is_asked_of_the_fleet_at_hand_and_not_of_one_before() -> None:
    fleet = load()
    query = Port("query", "tcp", 7002, "users", "ledger")
    assert users(fleet, fleet.nodes["ledger-1"], query, invented())
    alone = {name: node.model_copy(update={"uses": ()}) for name, node in fleet.nodes.items()}
    changed = fleet.model_copy(update={"nodes": alone})
    assert users(changed, changed.nodes["ledger-1"], query, invented()) == []
    assert users(fleet, fleet.nodes["ledger-1"], query, invented()) == [fleet.nodes["signer-1"]]
