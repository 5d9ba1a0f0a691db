"""A look put together from state and stack file, and the way to a signer's claim, which only reads."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacks import variables
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet
from stacks.paths import REPOSITORY
from stacks.preview.hosts import RealHosts
from stacks.preview.inside import Folders, Subject, look
from stacks.preview.looked import look_at
from stacks.signer import Claim, Registration
from stacks.task_changes import TaskChange
from stacks.variables import Plan
from stacks.workspace import Workspace
from tests.unit.program_mocks import fleet_of

ROOT = "urn:pulumi:lab::stakeyard::stakeyard:index:Site$stakeyard:index:Node"
HOST = {"name": "bitcoin-1", "host": "192.0.2.1", "host_key": "ssh-ed25519 AAAA", "user": "u", "private_key_file": "/k"}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    given = fleet_of("lab")
    for key, text in (("public_key_file", "ssh-ed25519 AAAA\n"), ("private_key_file", "-----BEGIN PRIVATE KEY-----\n")):
        path = tmp_path / key
        path.write_text(text)
        path.chmod(0o600)
        given["operators"][key] = str(path)
    return load_fleet(given, load_catalogue())


def old_inputs(fleet: Fleet, **more: Any) -> dict[str, Any]:
    """What the state has of bitcoin-1: as the fleet says, but with other role files."""
    plan = variables.plan("bitcoin-1", fleet.nodes["bitcoin-1"], fleet, load_catalogue())
    volumes = {
        name: {"device_id": "d-1", "mount": mount, "size_gib": plan.sizes[name]} for name, mount in plan.mounts.items()
    }
    own = {**plan.variables, "stakeyard_volumes": volumes, **more}
    return {**HOST, "variables": own, "secret_variables": [], "roles_digest": "old", "server_id": "s-1", "cloud": "lab"}


def deployment(inputs: Mapping[str, Any]) -> dict[str, Any]:
    component = {"urn": f"{ROOT}::bitcoin-1", "type": "stakeyard:index:Node"}
    convergence = {
        "urn": f"{ROOT}$stakeyard:index:Convergence::bitcoin-1",
        "type": "stakeyard:index:Convergence",
        "parent": component["urn"],
        "inputs": dict(inputs),
    }
    return {"deployment": {"resources": [component, convergence]}}


def asked(fleet: Fleet, cloud: str, inputs: Mapping[str, Any], **more: Any) -> Any:
    steps = {"bitcoin-1": SimpleNamespace(old_inputs=inputs, operation=more.pop("operation", "update"))}
    given = {"stack": "lab", "head": REPOSITORY, "base": REPOSITORY, "base_fleet": fleet, **more}
    return SimpleNamespace(cloud=cloud, fleet=fleet, catalogue=load_catalogue(), steps=steps, **given)


class Hosts:
    """A host that answers, and what it was asked."""

    asked: list[tuple[Mapping[str, Any], Mapping[str, object], set[str]]]

    def __init__(self) -> None:
        self.asked = []

    def claim(self, inputs: Mapping[str, Any]) -> Mapping[str, object]:
        raise AssertionError("no signer here")

    def check(
        self,
        inputs: Mapping[str, Any],
        plan: Plan,
        variables: Mapping[str, object],
        secret: Iterable[str],
        found: Callable[[TaskChange], None],
    ) -> None:
        self.asked.append((inputs, variables, set(secret)))
        found(TaskChange("bitcoin", "Write"))


def test_a_deployed_node_is_looked_at_with_what_the_state_says_of_it(fleet: Fleet) -> None:
    hosts, inputs = Hosts(), old_inputs(fleet)
    found = look_at(asked(fleet, "asked", inputs), state=lambda _: deployment(inputs), way=lambda _: hosts)
    assert found["bitcoin-1"].how == "seen"
    seen, given, secret = hosts.asked[0]
    assert (seen["host"], secret) == ("192.0.2.1", set())
    assert given["stakeyard_volumes"] == inputs["variables"]["stakeyard_volumes"]


def test_of_a_new_server_the_old_one_is_not_asked(fleet: Fleet) -> None:
    hosts, inputs = Hosts(), old_inputs(fleet, bitcoin_dbcache=1)
    given = asked(fleet, "asked", inputs, operation="replace")
    found = look_at(given, state=lambda _: deployment(inputs), way=lambda _: hosts)["bitcoin-1"]
    assert (found.how, found.complete, hosts.asked) == ("told", True, [])
    assert "-bitcoin_dbcache: 1" in found.tasks[0].diff


def test_a_mocked_preview_compares_what_was_declared_and_asks_nobody(fleet: Fleet) -> None:
    def state(_workspace: Workspace) -> Mapping[str, Any]:
        raise AssertionError("there is no state")

    found = look_at(asked(fleet, "mocked", old_inputs(fleet, bitcoin_dbcache=1)), state=state)["bitcoin-1"]
    assert (found.how, [task.name for task in found.tasks]) == ("told", ["variables"])
    assert "-bitcoin_dbcache: 1" in found.tasks[0].diff
    # Pulumi shows the variables of a stack file with secrets as one word.
    masked = {**old_inputs(fleet), "variables": "[secret]"}
    assert look_at(asked(fleet, "mocked", masked), state=state)["bitcoin-1"].tasks == ()


def test_encrypted_values_are_the_real_ones_for_the_host_and_stars_for_the_reader(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.lab.yaml").write_text("config:\n  a: {secure: x}\n")
    (tmp_path / "roles").symlink_to(REPOSITORY / "roles")
    real = json.loads(fleet.model_dump_json(exclude_none=True, exclude_defaults=True))
    real["nodes"]["bitcoin-1"].setdefault("vars", {})["bitcoin_externalip"] = "hunter22"
    answers = [
        subprocess.CompletedProcess([], 1, "", "error: passphrase missing\n"),
        subprocess.CompletedProcess([], 0, json.dumps({"stakeyard:fleet": {"objectValue": real}}), ""),
    ]
    monkeypatch.setattr(Workspace, "pulumi", lambda *_arguments, **_options: answers.pop(0))
    hosts, inputs = Hosts(), old_inputs(fleet)
    given = asked(fleet, "asked", inputs, head=tmp_path)
    with pytest.raises(StakeyardError, match="encrypted values of stack lab could not be read: error: passphrase"):
        look_at(given, state=lambda _: deployment(inputs), way=lambda _: hosts)
    look_at(given, state=lambda _: deployment(inputs), way=lambda _: hosts)
    assert hosts.asked[0][1]["bitcoin_externalip"] == "hunter22"
    assert "bitcoin_externalip" in hosts.asked[0][2]


class Claims:
    """A cloud in which whoever writes is caught."""

    def __init__(self, server: str | None) -> None:
        self.server = server

    def registration(self, volume: str) -> Registration | None:
        assert volume == "v-1"
        return Registration(volume, frozenset({"k"}), Claim(self.server, 4))

    def register(self, _registration: Registration) -> None:
        raise AssertionError("a look registers nothing")


SIGNER = {"name": "n1", "cloud": "lab", "server_id": "s-1", "signer": {"volume_id": "v-1", "public_keys": ["0xab"]}}


def test_a_claim_is_read_and_neither_taken_nor_registered(tmp_path: Path) -> None:
    claim = RealHosts(tmp_path, claims=lambda _cloud: Claims("s-1")).claim(SIGNER)
    assert (claim["server"], claim["generation"], claim["new"]) == ("s-1", 4, False)


@pytest.mark.parametrize(("server", "said"), [("s-2", "server s-2 has it"), (None, "nobody has it")])
def test_the_claim_of_another_server_is_not_pretended_to_be_ours(tmp_path: Path, server: str | None, said: str) -> None:
    with pytest.raises(StakeyardError, match=rf"n1: the claim is not this server's \({said}\)"):
        RealHosts(tmp_path, claims=lambda _cloud: Claims(server)).claim(SIGNER)


def test_a_host_that_is_not_there_is_told(fleet: Fleet, tmp_path: Path) -> None:
    """Over SSH to a port of this machine where nobody listens."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJqa2prams7amtqa2prO2pramtqa2pramtqa2pr"
    inputs = {**old_inputs(fleet), "host": "127.0.0.2", "host_key": key}
    plan = variables.plan("bitcoin-1", fleet.nodes["bitcoin-1"], fleet, load_catalogue())
    subject = Subject(plan, load_catalogue().kind("bitcoin").role_names, inputs)
    folder = REPOSITORY / "roles"
    hosts = RealHosts(folder, os.devnull)
    found = look([subject], Folders(folder, folder), hosts)["bitcoin-1"]
    assert found.how == "told"
    assert found.reason.startswith("the host did not answer: ")
