"""The role `host`: its firewall, its files, the module that writes them."""

import importlib.util
import ipaddress
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from images.node import inputs
from stacks.catalogue import load_catalogue
from stacks.paths import REPOSITORY
from stacks.resources import LOGIN

HOST = REPOSITORY / "roles/host"
STATIC = HOST / "files/root"


def load(path: Path) -> ModuleType:
    """A Python file of a role as a module."""
    spec = importlib.util.spec_from_file_location(f"roles_host_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


firewall = load(HOST / "filter_plugins/host_firewall.py")
managed_files = load(HOST / "library/managed_files.py")


def render(name: str, **variables: object) -> str:
    """A template as Ansible renders it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HOST / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  configuration, not HTML
    )
    environment.filters |= firewall.FilterModule().filters()
    return environment.get_template(name).render(**variables)


def rules(ports: list[dict[str, Any]], egress: list[dict[str, Any]]) -> list[str]:
    """The named rules of the firewall."""
    text = render("nftables.conf.j2", stakeyard_ports=ports, stakeyard_egress=egress)
    return [line.strip() for line in text.splitlines() if "comment" in line and '"dhcp"' not in line]


def port(sources: list[str], **more: object) -> dict[str, Any]:
    return {"name": "ssh", "protocol": "tcp", "port": 22, "sources": sources, **more}


def test_a_port_is_open_to_its_ranges_alone() -> None:
    assert rules([port(["192.0.2.0/24", "198.51.100.7/32"])], []) == [
        'ip saddr { 192.0.2.0/24, 198.51.100.7/32 } tcp dport 22 accept comment "ssh"'
    ]


def test_overlapping_ranges_become_one_as_nftables_refuses_them() -> None:
    assert rules([port(["192.0.2.0/24", "192.0.2.128/25", "192.0.3.0/24"])], []) == [
        'ip saddr { 192.0.2.0/23 } tcp dport 22 accept comment "ssh"'
    ]


def test_a_port_for_everyone_is_for_everyone_of_its_family() -> None:
    assert rules([port(["0.0.0.0/0", "192.0.2.0/24"])], []) == ['meta nfproto ipv4 tcp dport 22 accept comment "ssh"']
    assert rules([port(["fd00::/8"])], []) == ['ip6 saddr { fd00::/8 } tcp dport 22 accept comment "ssh"']


def test_a_port_without_ranges_is_closed() -> None:
    assert rules([port([])], []) == []


def test_egress_without_a_port_is_any_port_of_its_protocol() -> None:
    entry = {"name": "p2p", "protocol": "tcp", "destinations": ["192.0.2.1/32"]}
    assert rules([], [entry]) == ['ip daddr { 192.0.2.1/32 } meta l4proto tcp accept comment "p2p"']


def test_what_no_rule_names_is_dropped_or_rejected() -> None:
    text = render("nftables.conf.j2", stakeyard_ports=[], stakeyard_egress=[])
    assert text.count("policy drop;") == 3
    assert "flush ruleset" in text.splitlines()[2]


@given(st.lists(st.ip_addresses(v=4).flatmap(lambda a: st.integers(0, 32).map(lambda n: f"{a}/{n}")), max_size=8))
def test_merging_ranges_neither_adds_nor_loses_an_address(ranges: list[str]) -> None:
    before = [ipaddress.IPv4Network(text, strict=False) for text in ranges]
    after = [ipaddress.IPv4Network(text) for text in firewall.host_ranges(map(str, before))]
    for network in before:
        assert any(network.subnet_of(merged) for merged in after)
    assert sum(network.num_addresses for network in after) <= sum(network.num_addresses for network in before)
    assert not any(a.overlaps(b) for a in after for b in after if a != b)


def test_the_peers_of_this_connection_are_read_in_both_families() -> None:
    lines = ["0 0 [::ffff:192.0.2.5]:22 [::ffff:198.51.100.7]:51002", "0 36 192.0.2.5:22 198.51.100.8:1"]
    assert firewall.host_peers(lines) == ["198.51.100.7", "198.51.100.8"]
    assert firewall.host_admitted(["198.51.100.7", "198.51.100.8"], ["198.51.100.8/32"]) == ["198.51.100.8"]


def declared() -> dict[str, dict[str, Any]]:
    """The files that vars/main.yml has the role write, by path."""
    files = yaml.safe_load((HOST / "vars/main.yml").read_text())["host_files"]
    return {file["path"]: file for file in files}


def test_the_role_writes_every_static_file_that_the_image_has() -> None:
    static = {f"/{path.relative_to(STATIC)}" for path in STATIC.rglob("*") if path.is_file()}
    assert static
    for path in static:
        assert f"'root{path}'" in declared()[path]["content"], f"{path} is not written from the file of that path"
    assert inputs.TREES[0] == STATIC, "the image does not copy the very same files"


def test_the_checks_look_at_every_file_that_the_role_writes() -> None:
    checked = {file["path"]: file["mode"] for file in yaml.safe_load((HOST / "node.yml").read_text())["files"]}
    assert checked == {path: file.get("mode", "0644") for path, file in declared().items()}


def test_the_time_servers_of_the_image_are_the_default_ones() -> None:
    defaults = yaml.safe_load((HOST / "defaults/main.yml").read_text())
    baked = inputs.NODE / "files/etc/chrony/sources.d/stakeyard.sources"
    assert baked.read_text() == render("stakeyard.sources.j2", **defaults)


def test_the_user_that_logs_in_is_the_same_everywhere_and_no_variable_of_a_stack_file() -> None:
    assert yaml.safe_load((HOST / "vars/main.yml").read_text())["host_user"] == LOGIN
    assert load(HOST / "verify/test_node_host.py").USER == LOGIN
    assert f"--groups operators {LOGIN}\n" in (REPOSITORY / "images/node/configure.sh").read_text()
    assert [kind.name for kind in load_catalogue().kinds.values() if "host_user" in kind.options] == []


def test_what_a_program_can_check_is_checked_before_it_is_written() -> None:
    validated = {path for path, file in declared().items() if "%s" in file.get("validate", "")}
    assert validated == {"/etc/nftables.conf", "/etc/ssh/sshd_config", "/etc/sudoers.d/stakeyard"}


Write = Callable[..., dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Write:
    """The module managed_files, run in this process as this user."""
    owner, group = tmp_path.owner(), tmp_path.group()

    def run(*files: dict[str, str], check: bool = False) -> dict[str, Any]:
        items = [{"owner": owner, "group": group, **file} for file in files]
        with patch_module_args({"files": items, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            managed_files.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_files_are_written_once_and_then_left_alone(write: Write, tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "new/a"), "content": "one\n", "mode": "0640", "run": "reload a"}
    first = write(file)
    assert (first["changed"], first["changed_paths"], first["commands"]) == (True, [file["path"]], ["reload a"])
    assert (tmp_path / "new/a").read_text() == "one\n"
    assert (tmp_path / "new/a").stat().st_mode & 0o777 == 0o640
    second = write(file)
    assert (second["changed"], second["commands"]) == (False, [])


def test_a_changed_mode_is_put_right(write: Write, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "a").chmod(0o666)
    assert write({"path": str(tmp_path / "a"), "content": "one\n"})["changed"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_check_mode_tells_and_does_not_write(write: Write, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    (tmp_path / "b").chmod(0o600)
    files = [{"path": str(tmp_path / name), "content": "new"} for name in "ab"]
    assert write(*files, check=True)["changed_paths"] == [file["path"] for file in files]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "old"


def test_one_invalid_file_keeps_all_of_them_from_being_written(write: Write, tmp_path: Path) -> None:
    good = {"path": str(tmp_path / "good"), "content": "new"}
    bad = {"path": str(tmp_path / "bad"), "content": "new", "validate": f"{sys.executable} -c 1/0 %s"}
    result = write(good, bad)
    assert result["failed"]
    assert result["msg"].startswith(f"{tmp_path}/bad would not be valid, so nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("one\n")
    (tmp_path / "link").symlink_to("target")
    assert write({"path": str(tmp_path / "link"), "content": "two\n"})["changed"]
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "one\n"


def test_commands_run_once_and_in_the_order_of_the_files(write: Write, tmp_path: Path) -> None:
    files = [
        {"path": str(tmp_path / name), "content": name, "run": run} for name, run in zip("abc", "xyx", strict=True)
    ]
    assert write(*files)["commands"] == ["x", "y"]
