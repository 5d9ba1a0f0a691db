"""What Pulumi really does when `stakeyard drift` asks it: every resource is read, and nothing is written."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from stacks.preview import drift
from stacks.workspace import Workspace

PROJECT = f"""name: stakeyard
runtime: python
plugins:
  providers:
    - {{name: stakeyard, path: {REPOSITORY}/stacks/plugin}}
"""
URN = "urn:pulumi:trial::stakeyard::"
ROOT = f"{URN}pulumi:pulumi:Stack::stakeyard-trial"
SITE = f"{URN}stakeyard:index:Site::stakeyard-trial"
NODE = f"{URN}stakeyard:index:Site$stakeyard:index:Node::n1"
OURS = f"{URN}pulumi:providers:stakeyard::default"
CLOUD = f"{URN}pulumi:providers:openstack::cloud"
IDENTIFIER = "11111111-1111-1111-1111-111111111111"
# On the loopback nobody listens at this address' SSH port: a host that does not answer.
INPUTS: dict[str, Any] = {
    "name": "n1",
    "kind": "bitcoin",
    "host": "127.0.0.2",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJqa2prams7amtqa2prO2pramtqa2pramtqa2pr",
    "server_id": "s1",
    "cloud": "nowhere",
    "user": "stakeyard",
    "private_key_file": "/nonexistent",
    "roles": ["host"],
    "roles_digest": "d",
    "variables": {"stakeyard_address": "10.0.0.1"},
    "secret_variables": [],
    "managed": [],
    "units": ["n.service"],
    "throwaway": True,
}


def resource(urn: str, kind: str, parent: str = ROOT, **more: Any) -> dict[str, Any]:
    return {"urn": urn, "custom": "id" in more, "type": kind, "parent": parent, **more}


def provider(urn: str, name: str, version: str, **inputs: str) -> dict[str, Any]:
    given = {"version": version, **inputs}
    return resource(urn, f"pulumi:providers:{name}", id=IDENTIFIER, inputs=given, outputs=given)


def deployment(*more: dict[str, Any]) -> str:
    outputs = {**INPUTS, "versions": {}, "checks": [], "files": {}, "drift": [], "revision": "r"}
    convergence = resource(
        f"{NODE.rpartition('::')[0]}$stakeyard:index:Convergence::n1",
        "stakeyard:index:Convergence",
        NODE,
        id="n1",
        inputs=INPUTS,
        outputs=outputs,
        provider=f"{OURS}::{IDENTIFIER}",
    )
    resources = [
        {"urn": ROOT, "custom": False, "type": "pulumi:pulumi:Stack"},
        provider(OURS, "stakeyard", "0.1.0"),
        resource(SITE, "stakeyard:index:Site"),
        resource(NODE, "stakeyard:index:Node", SITE),
        convergence,
        *more,
    ]
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    return json.dumps({"version": 3, "deployment": {"manifest": manifest, "resources": resources}})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A stack of its own with a state of its own, and no cloud."""
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_HOME"):
        monkeypatch.delenv(name, raising=False)
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "p", "project_name": "p"}
    domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(json.dumps({"clouds": {"nowhere": {"auth": {**auth, **domains}}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    (tmp_path / "stacks").mkdir()
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "stacks" / "Pulumi.trial.yaml").write_text("config: {}\n")
    made = Workspace("trial", tmp_path, tmp_path / ".state")
    made.prepare()
    return made


def digests(workspace: Workspace) -> dict[str, str]:
    """Every file of the backend."""
    files = (path for path in (workspace.state / "backend").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_host_that_does_not_answer_is_drift_and_the_state_stays_as_it_is(workspace: Workspace) -> None:
    workspace.replace_state(deployment())
    before = digests(workspace)
    found = drift.drift(drift.refreshed(workspace))
    assert list(found) == ["n1"]
    assert found["n1"][0].startswith("unreachable: ")
    assert digests(workspace) == before


def test_a_cloud_that_does_not_answer_is_a_failure_and_never_no_drift(workspace: Workspace) -> None:
    known = {"name": "gone", "adminStateUp": True}
    network = resource(
        f"{URN}openstack:networking/network:Network::gone",
        "openstack:networking/network:Network",
        id="22222222-2222-2222-2222-222222222222",
        inputs=known,
        outputs=known,
        provider=f"{CLOUD}::{IDENTIFIER}",
    )
    workspace.replace_state(deployment(provider(CLOUD, "openstack", "5.5.3", cloud="nowhere"), network))
    before = digests(workspace)
    with pytest.raises(StakeyardError, match=r"^stack trial could not be read: .*127\.0\.0\.1:1\b"):
        drift.refreshed(workspace)
    assert digests(workspace) == before


def test_a_stack_that_was_never_updated_is_not_one_without_drift(workspace: Workspace) -> None:
    with pytest.raises(StakeyardError, match="stack trial has nothing to look at"):
        drift.refreshed(workspace)
