"""What `stakeyard recover` decides about objects that an interrupted update left."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacks import orphans, recovery
from stacks.errors import StakeyardError
from stacks.orphans import FINDERS, same_rule
from stacks.recovery import Pending, deletion_order, known_ids, pending_creates, too_old

CHECKPOINT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PORT = "openstack:networking/port:Port"


URN = "urn:pulumi:lab::stakeyard::pulumi:providers:openstack::cloud"


def provider(cloud: str | None = "nowhere", identifier: str = "p1") -> dict[str, Any]:
    return {"urn": URN, "id": identifier, "type": "pulumi:providers:openstack", "inputs": {"cloud": cloud}}


def exported(*operations: dict[str, Any], resources: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "version": 3,
        "deployment": {
            "manifest": {"time": CHECKPOINT.isoformat()},
            "resources": [provider()] if resources is None else resources,
            "pending_operations": list(operations),
        },
    }


def operation(kind: str, urn_name: str, action: str = "creating", **inputs: object) -> dict[str, Any]:
    urn = f"urn:pulumi:lab::stakeyard::{kind}::{urn_name}"
    return {"type": action, "resource": {"type": kind, "urn": urn, "inputs": inputs, "provider": f"{URN}::p1"}}


def test_only_interrupted_creates_leave_orphans() -> None:
    state = exported(operation(PORT, "a", name="lab-a"), operation(PORT, "b", action="deleting"))
    assert [p.name for p in pending_creates(state)] == ["a"]


def test_a_state_without_pending_operations_has_none() -> None:
    assert pending_creates({"deployment": {}}) == []


def test_known_ids_leave_out_components() -> None:
    assert known_ids(exported(resources=[{"urn": "u"}, {"id": "7"}])) == {"7"}


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        (None, False),
        ("2026-11-23T11:59:00Z", False),
        ("2026-11-23T11:59:00.000000", False),
        ("2026-11-23T10:59:00Z", True),
        ("2020-01-01T00:00:00+00:00", True),
    ],
)
def test_an_object_older_than_the_update_is_not_its_orphan(created_at: str | None, expected: bool) -> None:
    assert too_old(created_at, CHECKPOINT) is expected


def test_what_uses_an_object_goes_before_it() -> None:
    kinds = list(FINDERS)
    order = [p.type for p in deletion_order(Pending(k, k, {}) for k in kinds)]
    assert order.index("openstack:compute/instance:Instance") < order.index(PORT)
    assert order.index("openstack:compute/volumeAttach:VolumeAttach") < order.index(
        "openstack:compute/instance:Instance"
    )
    assert order.index("openstack:networking/routerInterface:RouterInterface") < order.index(
        "openstack:networking/subnet:Subnet"
    )
    assert order.index("openstack:networking/subnet:Subnet") < order.index("openstack:networking/network:Network")
    assert sorted(order) == sorted(kinds)


RULE = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}


@pytest.mark.parametrize(("change", "same"), [({}, True), ({"portRangeMin": 23}, False), ({"protocol": "udp"}, False)])
def test_a_rule_is_recognised_by_all_it_says(change: dict[str, Any], same: bool) -> None:
    rule = SimpleNamespace(
        direction="ingress",
        ether_type="IPv4",
        protocol="tcp",
        port_range_min=22,
        port_range_max=22,
        remote_ip_prefix=None,
    )
    assert same_rule({**RULE, **change}, rule) is same


class FakeWorkspace:
    """Answers like Pulumi's CLI with a state on file."""

    stack = "lab"
    shared = False

    def __init__(self, state: dict[str, Any], directory: Path) -> None:
        self.state = state
        self.replaced: str | None = None
        self.stack_file = directory / "Pulumi.lab.yaml"
        self.stack_file.write_text("config: {'stakeyard:fleet': {cloud: nowhere}}")

    def pulumi(self, *arguments: str, capture: bool = False) -> SimpleNamespace:
        assert capture
        return SimpleNamespace(returncode=0, stdout=json.dumps(self.state), stderr="")

    def lock(self) -> AbstractContextManager[None]:
        return nullcontext()

    def replace_state(self, text: str) -> None:
        self.replaced = text


class FakeNetwork:
    def __init__(self, ports: list[SimpleNamespace]) -> None:
        self.there = ports
        self.deleted: list[str] = []

    def ports(self, name: str) -> list[SimpleNamespace]:
        return [p for p in self.there if p.name == name]

    def delete_port(self, port: SimpleNamespace) -> None:
        self.deleted.append(port.id)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[FakeWorkspace, FakeNetwork]]:
    def go(state: dict[str, Any], *ports: SimpleNamespace, file: str = "") -> tuple[FakeWorkspace, FakeNetwork]:
        network = FakeNetwork(list(ports))

        def connect(cloud: str) -> SimpleNamespace:
            assert cloud == "nowhere"
            return SimpleNamespace(network=network, current_project_id="ours")

        monkeypatch.setattr(recovery, "connect", connect)
        workspace = FakeWorkspace(state, tmp_path)
        if file:
            workspace.stack_file.write_text(file)
        recovery.recover(workspace, lambda _line: None)  # type: ignore[arg-type]
        return workspace, network

    return go


def port(
    identifier: str, name: str = "lab-a", created_at: str = "2026-11-23T11:59:30Z", project: str = "ours"
) -> SimpleNamespace:
    return SimpleNamespace(id=identifier, name=name, created_at=created_at, project_id=project)


Run = Callable[..., tuple[FakeWorkspace, FakeNetwork]]


def test_what_others_may_be_making_is_left_until_the_operator_has_looked(tmp_path: Path) -> None:
    workspace = FakeWorkspace(exported(), tmp_path)
    workspace.shared = True
    with pytest.raises(StakeyardError, match=r"see that none runs, then `stakeyard recover --stack lab --alone`\.$"):
        recovery.recover(workspace, print)  # type: ignore[arg-type]
    assert recovery.recover(workspace, print, alone=True) == 0  # type: ignore[arg-type]


def test_an_orphan_goes_and_what_the_state_knows_stays(run: Run) -> None:
    state = exported(operation(PORT, "a", name="lab-a"), resources=[provider(), {"id": "known"}])
    workspace, network = run(
        state, port("known"), port("orphan"), port("other", name="else"), port("x", project="theirs")
    )
    assert network.deleted == ["orphan"]
    assert workspace.replaced is not None


def test_an_old_object_of_that_name_is_refused_and_the_state_is_left_alone(run: Run) -> None:
    state = exported(operation(PORT, "a", name="lab-a"))
    with pytest.raises(StakeyardError, match=r"older than the interrupted update: look at it by hand"):
        run(state, port("old", created_at="2026-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("config: {}", "config.stakeyard:fleet: this key is missing; describe the fleet under it."),
        ("config: [", "line 1: expected the node content, but found '<stream end>'; correct the YAML."),
        (
            "config: {'stakeyard:fleet': {cloud: elsewhere}}",
            "cloud: is 'elsewhere', but the interrupted update was at work in nowhere: write that until the stack is "
            "recovered.",
        ),
        (
            "config: {'stakeyard:fleet': []}",
            "cloud: is nothing, but the interrupted update was at work in nowhere: write that until the stack is "
            "recovered.",
        ),
    ],
)
def test_a_stack_file_that_does_not_name_the_cloud_of_the_update_is_refused(
    run: Run, tmp_path: Path, file: str, expected: str
) -> None:
    with pytest.raises(StakeyardError) as refused:
        run(exported(operation(PORT, "a", name="lab-a")), port("orphan"), file=file)
    assert str(refused.value) == f"{tmp_path / 'Pulumi.lab.yaml'}: {expected}"


@pytest.mark.parametrize("resources", [[], [provider(None)], [provider(identifier="p2")]])
def test_a_state_that_does_not_name_it_is_refused(run: Run, resources: list[dict[str, Any]]) -> None:
    with pytest.raises(StakeyardError, match=r"^the state of stack lab does not say in which one cloud a was begun: "):
        run(exported(operation(PORT, "a", name="lab-a"), resources=resources), port("orphan"))


def test_no_cloud_is_asked_where_nothing_was_begun_in_one(run: Run) -> None:
    ours = operation("stakeyard:index:Convergence", "a")
    workspace, _ = run(exported(ours, operation(PORT, "b", action="deleting"), resources=[]), file="config: [")
    assert workspace.replaced is not None


def test_nothing_interrupted_changes_nothing(run: Run) -> None:
    workspace, network = run(exported(), port("x"))
    assert network.deleted == []
    assert workspace.replaced is None


def test_an_attachment_that_is_still_being_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "POLL_SECONDS", 0)
    statuses, gone = ["reserved", "attaching", "in-use"], []

    def get_volume(_volume: str) -> SimpleNamespace:
        return SimpleNamespace(status=statuses.pop(0) if len(statuses) > 1 else statuses[0])

    compute = SimpleNamespace(
        # Nova shows it only when Cinder is done.
        volume_attachments=lambda _server: [SimpleNamespace(volume_id="v")] if statuses == ["in-use"] else [],
        delete_volume_attachment=lambda server, volume: gone.append((server, volume)),
    )
    storage = SimpleNamespace(get_volume=get_volume, wait_for_status=lambda *_arguments, **_options: None)
    cloud = SimpleNamespace(compute=compute, block_storage=storage)
    found = list(FINDERS["openstack:compute/volumeAttach:VolumeAttach"](cloud, {"instanceId": "s", "volumeId": "v"}))
    assert [orphan.identifier for orphan in found] == ["s/v"]
    found[0].delete()
    assert gone == [("s", "v")]
    monkeypatch.setattr(orphans, "SETTLE_SECONDS", 0)
    statuses[:] = ["reserved"]
    with pytest.raises(StakeyardError, match="volume v has been reserved for 0 s: look at it by hand"):
        list(FINDERS["openstack:compute/volumeAttach:VolumeAttach"](cloud, {"instanceId": "s", "volumeId": "v"}))


@pytest.mark.parametrize(
    "metadata",
    [
        {"stakeyard_signer": "1", "stakeyard_keys_00": "0123456789abcdef"},
        {"stakeyard_signer": "1", "stakeyard_claim": "released:3"},
    ],
)
def test_a_volume_on_which_keys_are_registered_is_never_an_orphan(metadata: dict[str, str]) -> None:
    """As with the state of an earlier day, which does not know the key volume that has been made since."""
    volume = SimpleNamespace(
        id="v", name="validator-1-keys", project_id="ours", created_at=None, attachments=[], metadata=metadata
    )
    # It has nothing with which to delete one.
    cloud = SimpleNamespace(current_project_id="ours", block_storage=SimpleNamespace(volumes=lambda **_: [volume]))
    (found,) = FINDERS["openstack:blockstorage/volume:Volume"](cloud, {"name": volume.name})
    with pytest.raises(StakeyardError, match=r"validator-1-keys \(v\) is not in the state, but keys are registered"):
        found.delete()


def test_a_cloud_that_does_not_know_the_filter_loses_no_address_of_others() -> None:
    """Floating addresses are found by their description, which not every cloud can be asked for."""
    mine, others = {"project_id": "ours", "created_at": None}, {"project_id": "theirs", "created_at": None}
    there = [
        SimpleNamespace(id="orphan", floating_ip_address="192.0.2.1", description="stakeyard-lab-a", **mine),
        SimpleNamespace(id="by hand", floating_ip_address="192.0.2.2", description="", **mine),
        SimpleNamespace(id="another's", floating_ip_address="192.0.2.3", description="stakeyard-lab-a", **others),
    ]
    network = SimpleNamespace(ips=lambda **_: there, delete_ip=print)
    cloud = SimpleNamespace(network=network, current_project_id="ours")
    found = orphans.find(cloud, "openstack:networking/floatingIp:FloatingIp", {"description": "stakeyard-lab-a"})
    assert [each.identifier for each in found] == ["orphan"]
