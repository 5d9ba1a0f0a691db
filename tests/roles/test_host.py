"""The roles `host` and `service` on a real host, over SSH, as `pulumi up` applies them."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from tests.roles.helpers import OPERATORS, converge, failed, variables, verify
from tests.roles.machine import GATEWAY, Machine

pytestmark = pytest.mark.host

ROLES = ("host", "service")
PORT = 8080
STATIC = REPOSITORY / "roles/host/files/root"
BAKED = [f"/{path.relative_to(STATIC)}" for path in STATIC.rglob("*") if path.is_file()]
# Nothing but a web server of Python: what matters is that it listens on all addresses, with a port that is not open.
SERVICE: dict[str, Any] = {
    "service_name": "dummy",
    "service_description": "A server that no role knows",
    "service_exec_start": f"/usr/bin/python3 -m http.server {PORT} --directory /var/lib/dummy",
    "service_user": "dummy",
    "service_state_directory": "dummy",
    "service_health_command": ["ss", "--listening", "--no-header", f"( sport = :{PORT} )"],
}


@pytest.fixture(scope="module")
def converged(host: Machine) -> Machine:
    """The host after its first run, which had something to do, but not what the image has already."""
    look = "stat --format='%n %Y %U %G %a' " + " ".join(f"'{path}'" for path in BAKED)
    before = host.root(look)
    assert converge(host, ROLES, variables(host, **SERVICE)).changed > 0
    assert host.root(look) == before, "a file that is baked into the image was written again"
    return host


def test_a_second_run_and_a_check_run_change_nothing(converged: Machine) -> None:
    given = variables(converged, **SERVICE)
    assert converge(converged, ROLES, given).changed == 0
    assert converge(converged, ROLES, given, check=True).changed == 0


def test_every_check_holds_but_the_one_that_sees_the_undeclared_listener(converged: Machine) -> None:
    checks = verify(converged, ["host"], variables(converged, **SERVICE))
    assert failed(checks) == ["host: nothing listens beyond loopback that is no port of this kind"]
    assert len(checks) > 8


def test_ssh_refuses_root_passwords_and_forwarding(converged: Machine) -> None:
    converged.root("install -d -m 700 /root/.ssh && cp /home/stakeyard/.ssh/authorized_keys /root/.ssh/")

    def ssh(*options: str) -> subprocess.CompletedProcess[str]:
        command = ["ssh", "-F", str(converged.session.config), "-o", "ControlMaster=no", "-o", "ControlPath=none"]
        return subprocess.run([*command, *options], check=False, capture_output=True, text=True, timeout=30)

    assert ssh(converged.name, "true").returncode == 0
    assert "Permission denied (publickey)" in ssh("-l", "root", converged.name, "true").stderr
    assert "Permission denied (publickey)" in ssh("-o", "PubkeyAuthentication=no", converged.name, "true").stderr
    assert "forwarding failed" in ssh("-W", "127.0.0.1:22", converged.name).stderr
    converged.root("rm -r /root/.ssh")


def test_a_port_is_reached_from_outside_only_when_it_is_listed(converged: Machine) -> None:
    listen = f"ss --listening --no-header --tcp --numeric '( sport = :{PORT} )'"
    assert converged.root(listen) != "", "the server has to listen, or a closed port proves nothing"
    assert not converged.reaches(PORT)
    given = variables(converged, **SERVICE)
    ports = [*given["stakeyard_ports"], _port("dummy", [OPERATORS])]
    converge(converged, ["host"], {**given, "stakeyard_ports": ports})
    assert converged.reaches(PORT)
    assert failed(verify(converged, ["host"], {**given, "stakeyard_ports": ports})) == []
    elsewhere = [*given["stakeyard_ports"], _port("dummy", ["192.0.2.0/24", "192.0.2.128/25"])]
    converge(converged, ["host"], {**given, "stakeyard_ports": elsewhere})
    assert not converged.reaches(PORT)
    assert failed(verify(converged, ["host"], {**given, "stakeyard_ports": elsewhere})) == []


def _port(name: str, sources: list[str], port: int = PORT) -> dict[str, object]:
    return {"name": name, "protocol": "tcp", "port": port, "sources": sources}


def test_only_named_traffic_leaves_the_host(converged: Machine, listener: int) -> None:
    connect = f"timeout 5 bash -c 'echo >/dev/tcp/{GATEWAY}/{listener}'"
    assert converged.run(connect).returncode != 0
    given = variables(converged, **SERVICE)
    entry = {"name": "out", "protocol": "tcp", "port": listener, "destinations": [OPERATORS]}
    egress = [*given["stakeyard_egress"], entry]
    converge(converged, ["host"], {**given, "stakeyard_egress": egress})
    assert converged.run(connect).returncode == 0


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on the control machine that accepts connections."""
    server = socket.create_server((GATEWAY, 0))

    def serve() -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


# What an intruder or a hurried colleague may do by hand, and the check that must see it.
TAMPERING = {
    "host: ssh lets in operators with a key and nobody else": "sed -i 's/^PermitRootLogin no/PermitRootLogin yes/' "
    "/etc/ssh/sshd_config; systemctl reload ssh",
    "host: only operators are in the group that may log in": "useradd --groups operators --create-home intruder",
    "host: the firewall opens the ports of this kind and no other": "nft add rule inet stakeyard input tcp dport 9 "
    "accept",
    "host: the firewall lets out only named traffic": "nft insert rule inet stakeyard output accept",
    "host: nothing is forwarded": "nft add rule inet stakeyard forward accept",
    "host: nothing listens beyond loopback that is no port of this kind": "systemctl is-active dummy",
    "host: the journal is kept and limited": "echo SystemMaxUse=9G >>/etc/systemd/journald.conf.d/10-stakeyard.conf",
    "host: security updates are installed without a reboot": "systemctl disable --now apt-daily-upgrade.timer",
    "host: managed files belong to whom they should": "chmod 666 /etc/chrony/chrony.conf",
    "host: no unit has failed": "systemd-run --unit=broken --wait false",
}


def test_every_change_by_hand_is_seen_and_repaired(converged: Machine) -> None:
    given = variables(converged, **SERVICE)
    converge(converged, ["host"], given)
    for command in TAMPERING.values():
        converged.root(f"{command} || true")
    assert set(failed(verify(converged, ["host"], given))) == set(TAMPERING)

    assert converge(converged, ["host"], given).changed > 0
    # What the role cannot know of stays an alarm until somebody looks: unknown users, failed units, strange servers.
    converged.root("systemctl reset-failed; userdel -r intruder; systemctl stop dummy")
    assert failed(verify(converged, ["host"], given)) == []
    assert converge(converged, ROLES, given).changed == 1, "the service is started again, and nothing else is amiss"


def test_the_service_cannot_reach_beyond_its_own_files(converged: Machine) -> None:
    score = converged.root("systemd-analyze security dummy.service | tail -1")
    assert float(score.split(":")[1].split()[0]) <= 1.5, score
    enter = "systemctl show --property=MainPID --value dummy.service"
    status = converged.root(f"cat /proc/$({enter})/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 0
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
    assert fields["Uid"].split()[0] != "0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stakeyard_ports": [_port("ssh", ["0.0.0.0/0"], 22)]}, "whole world"),
        ({"stakeyard_ports": [_port("ssh", [], 22)]}, "open to nobody"),
        ({"stakeyard_ports": [_port("ssh", ["192.0.2.0/24"], 22)]}, f"this connection comes from {GATEWAY}"),
        ({"service_lines": ["CapabilityBoundingSet=CAP_SYS_ADMIN"]}, "service_lines may only set"),
        ({"service_lines": ["ExecStartPre=-+/bin/sh -c true"]}, "service_lines may only set"),
    ],
)
def test_what_would_weaken_the_host_is_refused_before_anything_changes(
    converged: Machine, change: dict[str, Any], message: str
) -> None:
    look = "sha256sum /etc/nftables.conf /etc/systemd/system/dummy.service; nft list ruleset"
    before = converged.root(look)
    with pytest.raises(StakeyardError, match=message):
        converge(converged, ROLES, variables(converged, **{**SERVICE, **change}))
    assert converged.root(look) == before
