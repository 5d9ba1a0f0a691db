"""The role `service`: the one unit that every kind of node gets."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from stacks.paths import REPOSITORY

SERVICE = REPOSITORY / "roles/service"
DEFAULTS: dict[str, Any] = yaml.safe_load((SERVICE / "defaults/main.yml").read_text())
THRESHOLD = 1.5  # aim of every unit; a hand-written one such as Bitcoin Core's own has 7.9


def unit(**variables: object) -> str:
    """The unit for these variables, as Ansible renders it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SERVICE / "templates"),
        trim_blocks=True,
        autoescape=False,  # noqa: S701  configuration, not HTML
    )
    environment.tests["match"] = lambda value, pattern: re.match(pattern, value) is not None
    values = {**DEFAULTS, "service_name": "node", "service_exec_start": "/usr/bin/node", **variables}
    return environment.get_template("service.j2").render(**values)


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def score(text: str, directory: Path) -> float:
    """The exposure that systemd itself computes, from 0 (safe) to 10."""
    file = directory / "node.service"
    file.write_text(text)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"Overall exposure level for \S+: ([\d.]+)", output)
    assert match, output
    return float(match[1])


@pytest.mark.parametrize(
    "variables",
    [
        {"service_user": "node"},
        {"service_user": "node", "service_jit": True},
        {
            "service_user": "node",
            "service_supplementary_groups": ["secrets"],
            "service_address_families": ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"],
        },
        {},
    ],
    ids=["plain", "jit", "netlink and a group", "dynamic user"],
)
def test_a_network_daemon_scores_at_most_the_threshold(variables: dict[str, object], tmp_path: Path) -> None:
    assert score(unit(**variables), tmp_path) <= THRESHOLD


def test_the_score_notices_what_is_taken_away(tmp_path: Path) -> None:
    weak = "\n".join(line for line in unit(service_user="node").splitlines() if not line.startswith("SystemCallFilter"))
    assert score(weak, tmp_path) > THRESHOLD


def test_a_service_without_internet_sockets_has_a_network_of_its_own() -> None:
    assert "PrivateNetwork" not in unit()
    assert settings(unit(service_address_families=["AF_UNIX"]))["PrivateNetwork"] == ["true"]
    assert settings(unit(service_address_families=[]))["RestrictAddressFamilies"] == ["none"]


def test_addresses_close_all_others() -> None:
    found = settings(unit(service_addresses=["localhost", "192.0.2.0/24"]))
    assert found["IPAddressAllow"] == ["localhost 192.0.2.0/24"]
    assert found["IPAddressDeny"] == ["any"]


def test_values_of_the_environment_cannot_end_their_quotes() -> None:
    assert settings(unit(service_environment={"A": 'say "50%" \\'}))["Environment"] == ['"A=say \\"50%%\\" \\\\"']


def test_conditions_come_in_the_order_given_and_before_the_start() -> None:
    text = unit(service_exec_conditions=["/bin/first", "/bin/second"])
    assert settings(text)["ExecCondition"] == ["/bin/first", "/bin/second"]
    assert text.index("/bin/second") < text.index("ExecStart=")


def test_a_restart_loop_ends() -> None:
    found = settings(unit(service_restart_policy="on-failure"))
    seconds, burst = int(found["StartLimitIntervalSec"][0]), int(found["StartLimitBurst"][0])
    assert burst * int(found["RestartSec"][0]) < seconds, "the limit could never be reached"


def test_only_a_service_that_asks_for_it_starts_without_a_limit() -> None:
    assert settings(unit(service_start_seconds=600))["TimeoutStartSec"] == ["600"]
    assert settings(unit(service_start_seconds=600, service_start_unlimited=True))["TimeoutStartSec"] == ["infinity"]


def test_lines_that_may_be_added_are_none_that_the_unit_sets_itself() -> None:
    allowed = set(yaml.safe_load((SERVICE / "vars/main.yml").read_text())["service_lines_allowed"])
    own = set(settings(unit(service_user="x", service_state_directory="x", service_memory_max="1G")))
    assert allowed & own == set()


def test_a_user_with_data_on_a_volume_has_the_same_number_on_every_server() -> None:
    """Or its files would belong to nobody, or to another service, after a new image."""
    template = jinja2.Template((SERVICE / "templates/sysusers.conf.j2").read_text())
    values = {**DEFAULTS, "service_name": "node", "service_user": "node"}
    assert "u node 5009 " in template.render({**values, "service_user_id": 5009})
    assert "u node - " in template.render(values)
    numbers = {}
    for file in sorted(REPOSITORY.glob("roles/*/node.yml")):
        role = file.parent
        if yaml.safe_load(file.read_text()).get("volumes"):
            (number,) = re.findall(r"^\w+_user_id: (\d+)$", (role / "vars/main.yml").read_text(), re.MULTILINE)
            numbers[role.name] = int(number)
            users = [text.count("service_user:") for text in _tasks(role)]
            assert users == [text.count("service_user_id:") for text in _tasks(role)], role.name
    assert len(set(numbers.values())) == len(numbers) >= 4
    # Above those that systems give out by themselves, below those of containers and of units with a user for a moment.
    assert all(5000 < number < 60000 for number in numbers.values())


def _tasks(role: Path) -> list[str]:
    return [file.read_text() for file in sorted((role / "tasks").glob("*.yml"))]
