"""When a node is converged again, what a failure leaves, what counts as drift, and how a node is retired."""

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from typing import Any

import pytest

from stacks import convergence, hostkey, verification
from stacks.convergence import Convergence
from stacks.errors import StakeyardError
from stacks.hostkey import PinnedKey
from stacks.lifecycle import Report, State
from stacks.runner import RunResult
from stacks.verification import Check, FleetVerification

KEY = "ssh-ed25519 " + "A" * 68
FILE = "/etc/bitcoin/bitcoin.conf"
PINNED = "0a root:bitcoin 640"


def inputs(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "n1",
        "kind": "bitcoin",
        "host": "198.51.100.10",
        "host_key": KEY,
        "server_id": "server-1",
        "cloud": "lab",
        "user": "stakeyard",
        "private_key_file": "/home/me/.ssh/id",
        "roles": ["host", "bitcoin"],
        "roles_digest": "d1",
        "variables": {
            "stakeyard_address": "10.0.0.1",
            "stakeyard_ports": [],
            "stakeyard_egress": [],
            "stakeyard_peers": [],
        },
        "secret_variables": [],
        "managed": [{"path": FILE, "owner": "root", "group": "bitcoin", "mode": "0640"}],
        "units": ["bitcoind.service"],
        "throwaway": False,
    }
    return base | changes


class Hosts:
    """Stands for the cloud, SSH, Ansible and the checks; every part can be made to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key_reads = 0
        self.converged: list[dict[str, Any]] = []
        self.commands: list[str] = []
        self.warnings: list[str] = []
        self.ansible_error: str | None = None
        self.checks = [Check("host: the clock is right", "passed", "")]
        self.seen = ({"bitcoin": "31.0"}, {FILE: PINNED})
        self.answers = [0]
        self.server_runs = True
        for module, name, stand_in in (
            (hostkey, "CloudPaths", lambda *_: None),
            (hostkey, "read_host_key", self._read_key),
            (convergence, "wait_until_ready", lambda *_: None),
            (convergence, "converge", self._converge),
            (convergence, "session", self._session),
            (convergence, "observe", lambda *_: self.seen),
            (convergence, "server_runs", lambda *_: self.server_runs),
            (verification, "run", lambda *_: self.checks),
            (verification, "session", self._session),
        ):
            monkeypatch.setattr(module, name, stand_in)
        self.report = Report(progress=lambda _: None, warning=self.warnings.append)

    def _read_key(self, *_: Any) -> str:
        self.key_reads += 1
        return KEY

    def _converge(self, host: Any, roles: Any, variables: Any, progress: Any, **_: Any) -> RunResult:
        if self.ansible_error:
            raise StakeyardError(self.ansible_error)
        self.converged.append(variables)
        return RunResult(3, 1)

    @contextmanager
    def _session(self, hosts: Any) -> Iterator[Any]:
        self.hosts = tuple(hosts)
        yield self

    def run(self, name: str, command: str, **_: Any) -> CompletedProcess[str]:
        self.commands.append(command)
        code = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return CompletedProcess([], code, "", "" if code == 0 else "connect to host: timed out\n")


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(monkeypatch)


def converged(hosts: Hosts, **changes: Any) -> tuple[dict[str, Any], State]:
    given = inputs(**changes)
    state: State = dict(given)
    Convergence().apply(given, state, hosts.report)
    return given, state


def test_a_secret_that_a_failed_check_shows_is_blotted_out(hosts: Hosts) -> None:
    variables = {**inputs()["variables"], "a": "hushhush"}
    given, state = converged(hosts, variables=variables, secret_variables=["a"])
    hosts.checks = [Check("a: one", "failed", "assert 'hushhush' == 'x'")]
    Convergence().read(given, state, hosts.report)
    assert state["checks"][0]["outcome"] == "failed"
    assert "hushhush" not in str(state["checks"]) + str(state["drift"])


# What asks for an update


def test_equal_inputs_ask_for_nothing() -> None:
    found = Convergence().diff(inputs(), {"drift": []}, inputs())
    assert found.changed == ()
    assert found.replaces == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [("roles_digest", "d2"), ("host", "198.51.100.11"), ("variables", {"a": 1}), ("managed", []), ("roles", ["host"])],
)
def test_a_changed_input_asks_for_an_update_in_place(key: str, value: object) -> None:
    found = Convergence().diff(inputs(), {}, inputs(**{key: value}))
    assert found.changed == (key,)
    assert found.replaces == ()


def test_a_new_server_asks_for_a_new_convergence_so_that_the_old_one_is_retired() -> None:
    assert Convergence().diff(inputs(), {}, inputs(server_id="server-2")).replaces == ("server_id",)


@pytest.mark.parametrize("key", ["private_key_file", "cloud", "throwaway"])
def test_what_is_true_of_the_control_machine_only_asks_for_nothing(key: str) -> None:
    assert Convergence().diff(inputs(), {}, inputs(**{key: "other"})).changed == ()


def test_recorded_drift_asks_for_an_update() -> None:
    assert Convergence().diff(inputs(), {"drift": [f"{FILE} was changed"]}, inputs()).changed == ("drift",)


# Creating and updating


def test_a_success_records_key_versions_checks_and_files(hosts: Hosts) -> None:
    _, state = converged(hosts)
    assert state["versions"] == {"bitcoin": "31.0"}
    assert state["files"] == {FILE: PINNED}
    assert state["checks"] == [{"name": "host: the clock is right", "outcome": "passed"}]
    assert state["drift"] == []
    assert state["revision"]
    assert hosts.converged[0]["stakeyard_kind_digest"] == "d1"


def test_the_host_key_is_read_once_for_a_server(hosts: Hosts) -> None:
    given = {"name": "n1", "server_id": "server-1", "cloud": "lab"}
    state: State = dict(given)
    PinnedKey().apply(given, state, hosts.report)
    PinnedKey().apply(given, state, hosts.report)
    assert state["key"] == KEY
    assert hosts.key_reads == 1
    assert PinnedKey().diff(given, state, given | {"cloud": "renamed"}).changed == ()
    assert PinnedKey().diff(given, state, given | {"server_id": "server-2"}).replaces == ("server_id",)


def test_a_failed_task_raises_and_leaves_no_revision(hosts: Hosts) -> None:
    hosts.ansible_error = "n1: role bitcoin, task 'Start': no"
    state: State = dict(inputs())
    with pytest.raises(StakeyardError, match=r"^n1: role bitcoin, task 'Start': no$"):
        Convergence().apply(inputs(), state, hosts.report)
    assert "revision" not in state


def test_a_failed_check_raises_with_its_reason_and_the_names_of_the_others(hosts: Hosts) -> None:
    hosts.checks = [
        Check("a: one", "failed", "assert 1 == 2"),
        Check("b: two", "passed", ""),
        Check("c: x", "failed", ""),
    ]
    state: State = dict(inputs())
    with pytest.raises(StakeyardError, match=r"^n1: check 'a: one' failed: assert 1 == 2; 1 more failed: c: x$"):
        Convergence().apply(inputs(), state, hosts.report)
    assert [check["outcome"] for check in state["checks"]] == ["failed", "passed", "failed"]
    assert "revision" not in state


def test_a_node_that_nothing_is_checked_of_is_refused(hosts: Hosts) -> None:
    given = inputs(roles=["no-such-role"])
    with pytest.raises(StakeyardError, match=r"no verify/test_node\*\.py, so nothing would be proven"):
        Convergence().apply(given, dict(given), hosts.report)


# Refreshing


def test_a_host_as_it_was_has_no_drift(hosts: Hosts) -> None:
    given, state = converged(hosts)
    Convergence().read(given, state, hosts.report)
    assert state["drift"] == []
    assert hosts.warnings == []


def test_changed_files_and_versions_and_failed_checks_are_drift_until_repaired(hosts: Hosts) -> None:
    given, state = converged(hosts)
    hosts.seen = ({"bitcoin": "30.0"}, {FILE: "0b root:bitcoin 640"})
    hosts.checks = [Check("a: one", "failed", "no")]
    for _ in range(2):  # a second refresh must not take the drifted state for the right one
        Convergence().read(given, state, hosts.report)
        assert state["drift"] == [
            "version of bitcoin is 30.0, not 31.0",
            f"{FILE} was changed",
            "check 'a: one' failed: no",
        ]
    assert hosts.warnings[0] == "n1 drifted: version of bitcoin is 30.0, not 31.0"
    hosts.checks = []
    Convergence().apply(given, state, hosts.report)
    assert state["drift"] == []


def test_a_host_that_does_not_answer_is_drift_and_no_error(hosts: Hosts) -> None:
    given, state = converged(hosts)
    hosts.answers = [255]
    Convergence().read(given, state, hosts.report)
    assert state["drift"] == ["unreachable: connect to host: timed out"]


# Retiring


def test_a_reachable_node_is_stopped_in_an_orderly_way(hosts: Hosts) -> None:
    given, state = converged(hosts)
    Convergence().delete(given, state, hosts.report)
    assert [command.split(" || ")[0] for command in hosts.commands] == ["{ sudo systemctl stop bitcoind.service"]
    assert "= not-found" in hosts.commands[0], "a unit that was never installed has nothing to stop"
    assert hosts.warnings == []


def test_units_are_stopped_in_the_reverse_order_of_their_start(hosts: Hosts) -> None:
    given, state = converged(hosts, units=["first.service", "second.service"])
    Convergence().delete(given, state, hosts.report)
    (command,) = hosts.commands
    assert command.index("stop second.service") < command.index("stop first.service")


def test_a_dead_host_does_not_block_the_end_of_a_throwaway_stack(hosts: Hosts) -> None:
    given, state = converged(hosts, throwaway=True)
    hosts.answers = [255]
    Convergence().delete(given, state, hosts.report)
    assert hosts.warnings == ["n1: bitcoind.service not stopped in an orderly way (connect to host: timed out)."]


def test_a_server_that_runs_but_does_not_answer_is_not_taken_away(hosts: Hosts) -> None:
    given, state = converged(hosts)
    hosts.answers = [255]
    with pytest.raises(StakeyardError, match=r"could not be stopped .* and its server still runs"):
        Convergence().delete(given, state, hosts.report)
    hosts.server_runs = False
    Convergence().delete(given, state, hosts.report)
    assert len(hosts.warnings) == 1


# The checks of a fleet


def fleet_inputs() -> dict[str, Any]:
    return {"kind": "bitcoin", "roles": ["bitcoin"], "roles_digest": "d", "user": "u", "private_key_file": "/k",
            "nodes": [inputs(host_key=KEY, revision="1")]}  # fmt: skip


def test_a_node_that_converged_again_asks_for_the_fleets_checks() -> None:
    again = fleet_inputs() | {"nodes": [inputs(host_key=KEY, revision="2")]}
    assert FleetVerification().diff(fleet_inputs(), {}, again).changed == ("nodes",)
    assert FleetVerification().diff(fleet_inputs(), {}, fleet_inputs()).changed == ()


def test_a_failed_fleet_check_raises_at_an_update_and_is_drift_at_a_refresh(hosts: Hosts) -> None:
    hosts.checks = [Check("bitcoin: tips are equal (n1)", "failed", "7 and 9")]
    state: State = dict(fleet_inputs())
    with pytest.raises(
        StakeyardError, match=r"^fleet of bitcoin: check 'bitcoin: tips are equal .n1.' failed: 7 and 9$"
    ):
        FleetVerification().apply(fleet_inputs(), state, hosts.report)
    FleetVerification().read(fleet_inputs(), state, hosts.report)
    assert state["drift"] == ["check 'bitcoin: tips are equal (n1)' failed: 7 and 9"]
    hosts.checks = []
    FleetVerification().apply(fleet_inputs(), state, hosts.report)
    assert state["drift"] == []


def test_a_fleet_check_that_was_skipped_is_told_with_its_reason_and_is_no_drift(hosts: Hosts) -> None:
    hosts.checks = [Check("bitcoin: tips are equal", "skipped", "n1 (block 3 of 9)"), Check("bitcoin: b", "passed", "")]
    state: State = dict(fleet_inputs())
    FleetVerification().apply(fleet_inputs(), state, hosts.report)
    assert hosts.warnings == ["fleet of bitcoin: bitcoin: tips are equal: skipped: n1 (block 3 of 9)"]
    FleetVerification().read(fleet_inputs(), state, hosts.report)
    assert state["drift"] == []
    assert state["checks"][0] == hosts.checks[0].as_output()


def test_a_fleet_whose_hosts_do_not_answer_says_which(hosts: Hosts) -> None:
    hosts.answers = [255]
    state: State = dict(fleet_inputs())
    with pytest.raises(StakeyardError, match=r"^n1 is unreachable: connect to host: timed out$"):
        FleetVerification().apply(fleet_inputs(), state, hosts.report)
    FleetVerification().read(fleet_inputs(), state, hosts.report)
    assert state["drift"] == ["n1 is unreachable: connect to host: timed out"]
