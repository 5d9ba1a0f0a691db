"""What must hold on one converged Bitcoin node."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parent.parent
CLI = "/opt/stakeyard/bitcoin/current/bin/bitcoin-cli"
WORST_SCORE = 1.5
# Seconds that an answer may take: while a large cache is written to its volume, most calls wait.
PATIENCE = 600
# Block 0 of each network, from src/kernel/chainparams.cpp of Bitcoin Core.
GENESIS = {
    "main": "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    "testnet4": "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
    "signet": "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
    "regtest": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
}


@pytest.fixture(scope="module")
def node() -> Mapping[str, Any]:
    """The kind's own node.yml."""
    data: Mapping[str, Any] = yaml.safe_load((ROLE / "node.yml").read_text())
    return data


@pytest.fixture(scope="module")
def network(facts: Mapping[str, Any]) -> str:
    """The node's chain network."""
    return str(facts["variables"].get("bitcoin_network", "main"))


@pytest.fixture(scope="module")
def release(facts: Mapping[str, Any], network: str) -> Mapping[str, Any]:
    """The pinned release that the node shall run, with its name."""
    pins = yaml.safe_load((ROLE / "artifacts.yml").read_text())
    name = facts["variables"].get("bitcoin_version") or pins["default"][network]
    return {**pins["releases"][name], "name": name}


def rpc(host: Any, user: str, *arguments: str) -> Any:
    """bitcoin-cli as one of the node's RPC users; its result with exit status and output."""
    credentials = f"-conf=/etc/bitcoin/credentials/{user}.conf"
    return host.run(shlex.join([CLI, credentials, f"-rpcclienttimeout={PATIENCE}", *arguments]))


def test_the_version_is_the_pinned_one(host: Any, release: Mapping[str, Any]) -> None:
    answer = rpc(host, "monitor", "getnetworkinfo")
    assert answer.rc == 0, answer.stderr
    assert json.loads(answer.stdout)["subversion"].startswith(f"/Satoshi:{release['reports']}")
    assert host.file("/opt/stakeyard/bitcoin/current").linked_to.rsplit("/", 1)[1].startswith(f"{release['name']}-")


def test_the_running_program_is_the_installed_one(host: Any) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value bitcoind.service")
    running = host.check_output(f"sha256sum < /proc/{int(pid)}/exe")
    assert running == host.check_output("sha256sum < /opt/stakeyard/bitcoin/current/bin/bitcoind")


def test_the_chain_is_the_right_one(host: Any, network: str) -> None:
    assert rpc(host, "monitor", "getblockhash", "0").stdout.strip() == GENESIS[network]


def test_the_chain_is_downloaded(host: Any, network: str) -> None:
    """A node that is at it is skipped with how far it is, and not failed: on main that takes days."""
    answer = rpc(host, "monitor", "getblockchaininfo")
    assert answer.rc == 0, answer.stderr
    info = json.loads(answer.stdout)
    # Of a private chain it only says that no block is of the last day.
    if network != "regtest" and info["initialblockdownload"]:
        share = f"{info['verificationprogress']:.1%}"
        pytest.skip(f"it downloads the chain: block {info['blocks']} of {info['headers']}, about {share} of the work")


def test_the_unit_runs_at_boot_and_scores_at_most_1_5(host: Any) -> None:
    unit = host.service("bitcoind.service")
    assert unit.is_running
    assert unit.is_enabled
    # ends with 0 exactly when the exposure is below the threshold, which is in tenths
    score = host.run(f"systemd-analyze security --no-pager --threshold={int(WORST_SCORE * 10)} bitcoind.service")
    overall = [line for line in score.stdout.splitlines() if "Overall exposure level" in line]
    assert score.rc == 0, overall
    assert overall


def test_a_stop_may_take_ten_minutes(host: Any) -> None:
    stop = host.check_output("systemctl show --property=TimeoutStopUSec --value bitcoind.service")
    assert stop == "10min"


def test_a_start_may_take_as_long_as_it_needs(host: Any) -> None:
    """Killed in the middle of replaying blocks, it would begin anew."""
    assert host.check_output("systemctl show --property=TimeoutStartUSec --value bitcoind.service") == "infinity"


def test_the_service_user_cannot_log_in(host: Any) -> None:
    user = host.user("bitcoin")
    assert user.shell == "/usr/sbin/nologin"
    assert user.password in ("!", "!!", "*", "!*")
    pid = host.check_output("systemctl show --property=MainPID --value bitcoind.service")
    assert host.check_output(f"stat -c %U /proc/{int(pid)}") == "bitcoin"


def test_credentials_are_for_root_alone(host: Any) -> None:
    lines = host.check_output("stat -c '%U:%G %a %n' /etc/bitcoin/credentials /etc/bitcoin/credentials/*").splitlines()
    assert lines[0] == "root:root 700 /etc/bitcoin/credentials"
    assert {line.rpartition(" ")[0] for line in lines[1:]} == {"root:root 400"}, lines
    assert {line.rpartition("/")[2] for line in lines[1:]} >= {"operator.conf", "monitor.conf"}


def test_bitcoind_knows_only_digests_of_the_passwords(host: Any) -> None:
    for name in ("bitcoin.conf", "rpcauth.conf"):
        file = host.file(f"/etc/bitcoin/{name}")
        assert (file.user, file.group, file.mode) == ("root", "bitcoin", 0o640)
        assert "rpcpassword" not in file.content_string
    assert not host.run("test -e /var/lib/bitcoind/.cookie -o -e /var/lib/bitcoind/*/.cookie").succeeded


def test_the_chain_data_is_for_the_service_alone(host: Any, node: Mapping[str, Any]) -> None:
    # That it is on the right volume, the checks of the role `host` say.
    data = host.file(node["volumes"]["chain"]["mount"])
    assert (data.user, data.group, data.mode) == ("bitcoin", "bitcoin", 0o750)


def test_monitor_may_look(host: Any) -> None:
    assert rpc(host, "monitor", "getblockchaininfo").rc == 0


def test_monitor_may_not_act(host: Any) -> None:
    for call in (["stop"], ["setban", "192.0.2.1", "add"], ["addnode", "192.0.2.1", "add"]):
        answer = rpc(host, "monitor", *call)
        assert answer.rc != 0, call
        assert "403" in answer.stderr or "forbidden" in answer.stderr.lower(), answer.stderr
    assert host.service("bitcoind.service").is_running


def test_a_wrong_password_is_refused(host: Any, node: Mapping[str, Any], network: str) -> None:
    port = node["ports"]["rpc"]["port"][network]
    script = (
        "import urllib.request, urllib.error, base64\n"
        f"request = urllib.request.Request('http://127.0.0.1:{port}/', data=b'{{\"method\": \"uptime\"}}')\n"
        "request.add_header('Authorization', 'Basic ' + base64.b64encode(b'operator:wrong').decode())\n"
        "try:\n    print(urllib.request.urlopen(request, timeout=30).status)\n"
        "except urllib.error.HTTPError as error:\n    print(error.code)\n"
    )
    assert host.check_output("python3 -c %s", script) == "401"


def test_it_listens_on_its_ports_and_for_rpc_on_loopback_only(host: Any, node: Mapping[str, Any], network: str) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value bitcoind.service")
    lines = host.check_output("ss --no-header --numeric --listening --tcp --processes").splitlines()
    addresses = {line.split()[3] for line in lines if f"pid={pid}," in line}
    p2p, rpc_port = (node["ports"][name]["port"][network] for name in ("p2p", "rpc"))
    assert addresses == {f"0.0.0.0:{p2p}", f"127.0.0.1:{rpc_port}"}


def test_only_the_node_that_should_mines(host: Any, facts: Mapping[str, Any]) -> None:
    wanted = facts["variables"].get("bitcoin_regtest_mine_seconds", 0) > 0
    assert host.run("systemctl is-active --quiet bitcoin-mine.service").succeeded == wanted
