"""The look inside a real host: it shows what an update would change, and leaves everything as it is."""

from collections.abc import Mapping
from typing import Any

import pytest

from stacks import role_files
from stacks.paths import REPOSITORY
from stacks.preview.hosts import RealHosts
from stacks.preview.inside import Folders, Subject, look
from stacks.preview.model import Inside
from stacks.signer import Claim, Registration
from stacks.signing import as_held
from stacks.variables import Plan
from tests.roles.helpers import converge, variables
from tests.roles.machine import Machine

pytestmark = pytest.mark.host
FOLDER = REPOSITORY / "roles"
ROLES = ("host", "service", "signer")
SERVER, VOLUME = "5f1c1f53-0dd9-4c68-a9b5-0b9f8a2e2d11", "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"
MOUNT = "/var/lib/keys"
SIGNER: dict[str, Any] = {"kind": "trial", "volume_id": VOLUME, "public_keys": ["0xab"], "uses": []}
UNIT = "/etc/systemd/system/trial.service"
SETTINGS: dict[str, Any] = {
    "service_name": "trial",
    "service_description": "A signer that no role knows",
    "service_exec_start": "/usr/bin/sleep 100000",
    "service_user": "trial",
    "service_state_directory": "trial",
    "signer_volume_id": VOLUME,
    "signer_mount": MOUNT,
}


class Claims:
    """The cloud's word on a claim. It has no way to take or to register one: whoever tries fails."""

    def __init__(self, generation: int, server: str = SERVER) -> None:
        self.claim = Claim(server, generation)

    def registration(self, volume: str) -> Registration | None:
        return Registration(volume, frozenset({"k"}), self.claim)


@pytest.fixture(scope="module")
def signing(host: Machine) -> Machine:
    """A host that signs: its unit runs, and its key volume has a claim of generation 2."""
    host.root(f"mkdir -p {MOUNT} && mount -t tmpfs -o mode=0700 keys {MOUNT}")
    claim = {"server": SERVER, "generation": 2, "keys": ["k"], "new": True}
    converge(host, ROLES, {**variables(host), **SETTINGS, "signer_claim": claim})
    assert host.root("systemctl is-active trial").strip() == "active"
    return host


def snapshot(host: Machine) -> str:
    """Every file that a role could write with its content, owner, mode and time, and what runs since when."""
    places = f"/etc /usr/local /opt /root {MOUNT} /var/lib/trial /var/tmp /var/spool"
    return host.root(
        f"find {places} -printf '%p %y %u %g %m %T@ %l\\n' 2>/dev/null | sort\n"
        f"find {places} -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum\n"
        "systemctl show -P MainPID -P ActiveEnterTimestampMonotonic trial ssh chrony\n"
        "nft list ruleset\nfindmnt --list --output TARGET,SOURCE\n"
    )


def seen(host: Machine, claims: Claims, changes: Mapping[str, Any], **inputs: Any) -> Inside:
    """A look at what these changes of the variables would do."""
    # A kind's role hands the claim that the look asks for on to the role `signer`; here is none, so it is given twice.
    claim = as_held({"server_id": SERVER, "signer": SIGNER}, claims.registration(VOLUME))
    now = {**variables(host), **SETTINGS, "signer_claim": claim}
    plan = Plan(
        name=host.name,
        kind="trial",
        roles=ROLES,
        roles_digest=role_files.digest(ROLES, FOLDER),
        units=("trial.service",),
        managed=(),
        variables={**now, **changes},
        own=(),
        secret=(),
        mounts={},
        sizes={},
        throwaway=True,
        cloud="lab",
        private_key_file=host.ssh.private_key_file,
        backup=None,
        signer=SIGNER,
    )
    old = {
        "name": host.name,
        "host": host.address,
        "host_key": host.ssh.host_key,
        "user": host.ssh.user,
        "private_key_file": host.ssh.private_key_file,
        "server_id": SERVER,
        "cloud": "lab",
        "roles_digest": "older",
        "variables": now,
        "secret_variables": ["service_description"],
        "signer": SIGNER,
        **inputs,
    }
    hosts = RealHosts(FOLDER, claims=lambda _cloud: claims)
    return look([Subject(plan, ROLES, old)], Folders(FOLDER, FOLDER), hosts)[host.name]


def test_a_host_that_is_as_it_should_be_shows_nothing(signing: Machine) -> None:
    before = snapshot(signing)
    found = seen(signing, Claims(2), {})
    # The fingerprint of the key is another one than the one with which the claim was made up.
    assert [(task.role, task.name) for task in found.tasks] == [("signer", "Hold the claim")]
    assert (found.how, found.reason) == ("seen", "")
    assert snapshot(signing) == before


def test_a_change_is_shown_and_neither_made_nor_is_anything_stopped(signing: Machine) -> None:
    before = snapshot(signing)
    changes = {"service_exec_start": "/usr/bin/sleep 200000", "service_description": "A secret of the signer"}
    found = seen(signing, Claims(3), changes)
    assert (found.how, found.reason) == ("seen", "")
    shown = "\n".join(task.diff for task in found.tasks)
    assert "-ExecStart=/usr/bin/sleep 100000\n+ExecStart=/usr/bin/sleep 200000" in shown
    assert f"+++ {UNIT}" in shown
    assert "secret of the signer" not in shown
    assert "no role knows" not in shown
    assert ("signer", "Hold the claim") in [(task.role, task.name) for task in found.tasks]
    assert snapshot(signing) == before
    assert '"generation": 2' in signing.root(f"cat {MOUNT}/claim.json")


@pytest.mark.parametrize("claims", [Claims(1), Claims(9, "another")], ids=["moved on", "of another server"])
def test_a_claim_that_is_not_this_servers_is_told_and_stays(signing: Machine, claims: Claims) -> None:
    before = snapshot(signing)
    found = seen(signing, claims, {})
    assert "claim" in found.reason
    assert ("signer", "Hold the claim") not in [(task.role, task.name) for task in found.tasks]
    assert snapshot(signing) == before


def test_a_host_with_another_key_is_not_looked_at(signing: Machine) -> None:
    before = snapshot(signing)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJqa2prams7amtqa2prO2pramtqa2pramtqa2pr"
    found = seen(signing, Claims(2), {"service_exec_start": "/usr/bin/sleep 1"}, host_key=other)
    assert found.how != "seen"
    assert found.reason.startswith("the host did not answer: ")
    assert snapshot(signing) == before
