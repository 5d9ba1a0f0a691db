"""The role `backup` on a real host: what it takes, who can read it, and how the control machine fetches it."""

import base64
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from stacks import backup_fetch
from stacks.backup import open_backup
from stacks.backup_store import Directory
from stacks.errors import StakeyardError
from tests.roles.helpers import converge, variables
from tests.roles.machine import Machine

pytestmark = pytest.mark.host

ROLES = ("host", "backup")
IDENTITY = pyrage.x25519.Identity.generate()
DATA = "/srv/signer"
FOLDER = "/var/backups/stakeyard/signer"
BACKUP: dict[str, Any] = {
    "backup_name": "signer",
    "backup_paths": [f"{DATA}/keys", f"{DATA}/export.json"],
    "backup_before": [f"{DATA}/export"],
    "backup_writable_paths": [DATA],
    "backup_history": f"{DATA}/export.json",
    "backup_claim": f"{DATA}/claim.json",
    "backup_recipients": [str(IDENTITY.to_public())],
    "backup_keep": 2,
}
# Someone else's files, as a client that runs under its own user has them.
MAKE = f"""
install -d -m 0750 -o stakeyard {DATA}/keys
echo '{{"crypto": "secret"}}' > {DATA}/keys/aa.json
echo '{{"volume": "v-1", "generation": 4}}' > {DATA}/claim.json
printf '#!/bin/sh\\necho history > {DATA}/export.json\\necho "{{}}"\\n' > {DATA}/export
chmod 0700 {DATA}/export
chown stakeyard {DATA}/keys/aa.json && chmod 0600 {DATA}/keys/aa.json
"""


@pytest.fixture(scope="module")
def converged(host: Machine) -> Machine:
    """The host with something to back up; its image may be older than the one that has age."""
    if not host.run("command -v age").stdout:
        program = base64.b64encode(Path("/usr/bin/age").read_bytes()).decode()
        done = host.session.run(host.name, "base64 -d | sudo install -m 0755 /dev/stdin /usr/bin/age", stdin=program)
        assert done.returncode == 0, done.stderr
    host.root(MAKE)
    assert converge(host, ROLES, variables(host, **BACKUP)).changed > 0
    return host


def test_a_second_run_and_a_check_run_change_nothing(converged: Machine) -> None:
    given = variables(converged, **BACKUP)
    assert converge(converged, ROLES, given).changed == 0
    assert converge(converged, ROLES, given, check=True).changed == 0


def test_what_the_control_machine_fetches_has_every_byte(converged: Machine, tmp_path: Path) -> None:
    repository = Directory(tmp_path)
    backup_fetch.take(converged.session, converged.name)
    (found,) = backup_fetch.fetch(converged.session, converged.name, repository, print)
    assert (found.node, found.set, found.volume, found.generation) == (converged.name, "signer", "v-1", 4)
    content = open_backup(found, repository.read(found), str(IDENTITY))
    assert content.history == f"{DATA}/export.json"
    assert content.files == {
        f"{DATA}/keys/aa.json": b'{"crypto": "secret"}\n',
        f"{DATA}/export.json": b"history\n",
    }
    assert backup_fetch.fetch(converged.session, converged.name, repository, print) == []


def test_the_host_holds_nothing_that_opens_or_shows_its_backups(converged: Machine) -> None:
    assert converged.root("grep -rl AGE-SECRET-KEY /etc /root /var/backups || true") == ""
    assert converged.root(f"grep -rlE 'crypto|aa.json' {FOLDER} || true") == ""
    assert converged.run(f"ls {FOLDER}").returncode != 0, "others than root may look"


def test_only_the_last_ones_are_kept(converged: Machine) -> None:
    for _ in range(3):
        backup_fetch.take(converged.session, converged.name)
    assert len(converged.root(f"ls {FOLDER}").splitlines()) == 4, "two files for each of two backups"


def test_the_clock_takes_them_too_unless_it_is_told_not_to(converged: Machine) -> None:
    state = "systemctl is-active stakeyard-backup-signer.timer || true"
    assert converged.root(state) == "active\n"
    converge(converged, ROLES, variables(converged, **BACKUP, backup_schedule=""))
    assert converged.root(state) == "inactive\n"
    assert converged.root("ls /etc/systemd/system/stakeyard-*.timer 2>/dev/null || true") == ""
    converge(converged, ROLES, variables(converged, **BACKUP))
    assert converged.root(state) == "active\n"


def test_a_backup_that_fails_says_why(converged: Machine) -> None:
    converged.root(f"mv {DATA}/keys {DATA}/away")
    try:
        with pytest.raises(StakeyardError, match=f"no backup was taken: {DATA}/keys is missing"):
            backup_fetch.take(converged.session, converged.name)
    finally:
        converged.root(f"mv {DATA}/away {DATA}/keys")


def test_a_host_that_speaks_for_another_is_not_believed(converged: Machine, tmp_path: Path) -> None:
    newest = converged.root(f"ls {FOLDER}/*.json | tail -n 1").strip()
    converged.root(f'cp {newest} /root/kept && sed -i \'s/"node": "[^"]*"/"node": "other"/\' {newest}')
    try:
        with pytest.raises(StakeyardError, match="says that it is signer of other: nothing is fetched"):
            backup_fetch.fetch(converged.session, converged.name, Directory(tmp_path), print)
    finally:
        converged.root(f"mv /root/kept {newest}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"backup_recipients": []},
        {"backup_recipients": [str(IDENTITY)]},
        {"backup_recipients": ["ssh-ed25519 AAAA"]},
        {"backup_paths": ["keys"]},
        {"backup_name": "Signer; reboot"},
    ],
)
def test_a_backup_that_nobody_could_read_is_refused(converged: Machine, wrong: dict[str, Any]) -> None:
    with pytest.raises(StakeyardError, match="backup_recipients must list") as refused:
        converge(converged, ROLES, variables(converged, **{**BACKUP, **wrong}))
    assert "AGE-SECRET-KEY-" not in str(refused.value)
