"""What must hold on every node: the way in, the firewall, the clock, the journal, the files."""

import ipaddress
import json
import re
import time
from typing import Any

import pytest

SSHD = {
    "permitrootlogin": "no",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "authenticationmethods": "publickey",
    "permitemptypasswords": "no",
    "allowgroups": "operators",
    "maxauthtries": "3",
    "disableforwarding": "yes",
    "allowtcpforwarding": "no",
    "allowagentforwarding": "no",
    "x11forwarding": "no",
    "permittunnel": "no",
    "permituserenvironment": "no",
    "hostkey": "/etc/ssh/ssh_host_ed25519_key",
    "hostkeyalgorithms": "ssh-ed25519",
    "ciphers": "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com",
    "macs": "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com",
    "kexalgorithms": "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org",
}
JOURNAL = {"Storage": "persistent", "SystemMaxUse": "500M", "SystemKeepFree": "500M", "MaxRetentionSec": "3month"}
USER = "stakeyard"  # vars/main.yml
# Where a packet filter's rule does not name a range, it is from (or to) everywhere.
EVERYWHERE = "0.0.0.0/0"


def test_ssh_lets_in_operators_with_a_key_and_nobody_else(host: Any) -> None:
    effective: dict[str, list[str]] = {}
    for line in host.check_output("sshd -T").splitlines():
        key, _, value = line.partition(" ")
        effective.setdefault(key, []).append(value)
    assert {key: effective.get(key) for key in SSHD} == {key: [value] for key, value in SSHD.items()}


def test_only_operators_are_in_the_group_that_may_log_in(host: Any) -> None:
    assert set(host.group("operators").members) == {USER}
    # `passwd --status`: L is locked, P a usable password
    usable = [line.split()[0] for line in host.check_output("passwd --status --all").splitlines() if " P " in line]
    assert usable == []


def _rules(host: Any, chain: str) -> tuple[str, list[str], list[dict[str, Any]]]:
    """Policy, families of tables, and the rules of our chain as nft's JSON has them."""
    items = json.loads(host.check_output("nft --json list ruleset"))["nftables"]
    tables = [f"{item['table']['family']} {item['table']['name']}" for item in items if "table" in item]
    policies = [item["chain"].get("policy") for item in items if "chain" in item and item["chain"]["name"] == chain]
    found = [item["rule"] for item in items if "rule" in item and item["rule"]["chain"] == chain]
    return ",".join(policies), tables, found


def _ranges(value: Any) -> set[str]:
    if isinstance(value, dict) and "set" in value:
        return {text for part in value["set"] for text in _ranges(part)}
    if isinstance(value, dict) and "prefix" in value:
        return {f"{value['prefix']['addr']}/{value['prefix']['len']}"}
    if isinstance(value, dict) and "range" in value:  # neighbours, as nft joins them
        first, last = (ipaddress.IPv4Address(end) for end in value["range"])
        return {str(network) for network in ipaddress.summarize_address_range(first, last)}
    return {str(ipaddress.ip_network(str(value)))}


def _named(rule: dict[str, Any]) -> tuple[str, str, int | None, frozenset[str]]:
    """Name, protocol, port and ranges of a rule that accepts new connections."""
    protocol, port, ranges = "", None, {EVERYWHERE}
    for part in rule["expr"]:
        match = part.get("match")
        if match is None:
            continue
        left = match["left"]
        if left.get("payload", {}).get("field") == "dport":
            protocol, port = left["payload"]["protocol"], int(match["right"])
        elif left.get("payload", {}).get("field") in ("saddr", "daddr"):
            ranges = _ranges(match["right"])
        elif left.get("meta", {}).get("key") == "l4proto":
            protocol = match["right"]
    return rule["comment"], protocol, port, frozenset(ranges)


def _wanted(entries: list[dict[str, Any]], key: str) -> set[tuple[str, str, int | None, frozenset[str]]]:
    wanted = set()
    for entry in entries:
        networks = [ipaddress.IPv4Network(text) for text in entry[key]]
        merged = frozenset(str(network) for network in ipaddress.collapse_addresses(networks))
        ranges = frozenset({EVERYWHERE}) if EVERYWHERE in merged else merged
        wanted.add((entry["name"], entry["protocol"], entry.get("port"), ranges))
    return wanted


def _accepts(rule: dict[str, Any]) -> bool:
    return any("accept" in part for part in rule["expr"] if isinstance(part, dict))


def test_the_firewall_opens_the_ports_of_this_kind_and_no_other(host: Any, facts: dict[str, Any]) -> None:
    policy, tables, rules = _rules(host, "input")
    assert (policy, tables) == ("drop", ["inet stakeyard"])
    named = {_named(rule) for rule in rules if "comment" in rule}
    assert named == _wanted(facts["ports"], "sources")
    # established, loopback, ICMP and ICMPv6 need no name; anything else that accepts was not put there by the role
    assert len([rule for rule in rules if _accepts(rule) and "comment" not in rule]) == 4


def test_the_firewall_lets_out_only_named_traffic(host: Any, facts: dict[str, Any]) -> None:
    policy, _, rules = _rules(host, "output")
    assert policy == "drop"
    named = {_named(rule) for rule in rules if "comment" in rule and rule["comment"] != "dhcp"}
    assert named == _wanted(facts["egress"], "destinations")
    assert len([rule for rule in rules if _accepts(rule) and "comment" not in rule]) == 4


def test_nothing_is_forwarded(host: Any) -> None:
    policy, _, rules = _rules(host, "forward")
    assert (policy, rules) == ("drop", [])


def test_nothing_listens_beyond_loopback_that_is_no_port_of_this_kind(host: Any, facts: dict[str, Any]) -> None:
    allowed = {(port["protocol"], port["port"]) for port in facts["ports"]} | {("udp", 68)}  # DHCP client
    unexpected = []
    for line in host.check_output("ss --no-header --numeric --tcp --udp --listening --processes").splitlines():
        fields = line.split()
        address, _, port = fields[4].rpartition(":")
        address = address.strip("[]").partition("%")[0]
        if address not in ("0.0.0.0", "*", "::") and ipaddress.ip_address(address.strip("[]")).is_loopback:  # noqa: S104
            continue
        if (fields[0], int(port)) not in allowed:
            unexpected.append(line)
    assert unexpected == []


def test_the_clock_is_right(host: Any) -> None:
    """Chrony keeps it; the offset is against the control machine, as a lab has no time server to ask."""
    before = time.time()
    there = float(host.check_output("date +%s.%N"))
    after = time.time()
    offset = there - (before + after) / 2
    assert before - 1 < there < after + 1, f"it differs by {offset:.1f} s from the control machine's"
    in_container = host.run("systemd-detect-virt --container --quiet").rc == 0
    chrony = host.service("chrony")
    assert chrony.is_enabled
    if not in_container:  # there the clock is the hypervisor's, and chrony's own condition keeps it off
        assert chrony.is_running


def test_the_journal_is_kept_and_limited(host: Any) -> None:
    effective: dict[str, str] = {}
    for line in host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines():
        if match := re.match(r"(\w+)=(.*)", line):
            effective[match[1]] = match[2]  # the last one wins
    assert {key: effective.get(key) for key in JOURNAL} == JOURNAL
    assert host.file("/var/log/journal").is_directory


def test_security_updates_are_installed_without_a_reboot(host: Any) -> None:
    settings = dict(
        re.findall(r'^([\w:-]+) "(.*)";$', host.check_output("apt-config dump"), re.MULTILINE),
    )
    assert settings.get("APT::Periodic::Update-Package-Lists") == "1"
    assert settings.get("APT::Periodic::Unattended-Upgrade") == "1"
    assert settings.get("Unattended-Upgrade::Automatic-Reboot") == "false"
    assert host.service("apt-daily-upgrade.timer").is_running


def test_managed_files_belong_to_whom_they_should(host: Any, facts: dict[str, Any]) -> None:
    if not facts["files"]:
        pytest.fail("The node has no list of managed files, so nothing was looked at.")
    paths = [file["path"] for file in facts["files"]]
    found = host.run("stat --format='%n %U %G %04a %F' -- " + " ".join(f"'{path}'" for path in paths))
    wanted = [f"{f['path']} {f['owner']} {f['group']} {f['mode']} regular file" for f in facts["files"]]
    assert found.stdout.splitlines() == wanted, found.stderr


def test_no_unit_has_failed(host: Any) -> None:
    assert host.check_output("systemctl list-units --state=failed --no-legend --plain") == ""
