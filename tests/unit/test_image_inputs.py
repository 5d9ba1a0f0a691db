"""The golden image: what it is made of, when it is made again, and what it says of itself."""

import dataclasses
import fcntl
import json
import os
from pathlib import Path

import pytest

from images.node import build as image
from images.node import inputs
from images.node.inputs import Input, digest
from stacks.errors import StakeyardError

FILES = [Input("a", False, b"one"), Input("b", True, b"two")]


def test_the_digest_changes_with_every_part_of_every_input() -> None:
    first = FILES[0]
    changed = [
        dataclasses.replace(first, content=b"One"),
        dataclasses.replace(first, name="c"),
        dataclasses.replace(first, executable=True),
    ]
    found = {digest(FILES), digest(FILES, suite="trixie"), digest(FILES[:1])}
    found |= {digest([item, FILES[1]]) for item in changed}
    assert len(found) == 6


def test_the_digest_depends_on_no_order_and_no_border_between_parts() -> None:
    assert digest(FILES) == digest(FILES[::-1])
    assert digest([Input("a", False, b"bc")]) != digest([Input("ab", False, b"c")])


def test_every_file_of_the_image_is_an_input() -> None:
    names = {item.name for item in inputs.read_inputs()}
    assert {"images/node/packages.txt", "images/node/configure.sh", "images/node/build.py"} <= names
    assert "roles/host/files/root/etc/ssh/sshd_config" in names
    assert "images/node/files/usr/local/lib/stakeyard/publish-host-key" in names


def test_a_change_of_a_static_file_keeps_the_packages() -> None:
    names = inputs.package_names()
    assert inputs.package_digest(names, image.RECIPE) == inputs.package_digest(names[::-1], image.RECIPE)
    assert inputs.package_digest([*names, "less"], image.RECIPE) != inputs.package_digest(names, image.RECIPE)
    assert inputs.package_digest(names, image.RECIPE[1:]) != inputs.package_digest(names, image.RECIPE)


def test_the_image_has_what_nodes_need_and_no_compiler_cloud_tool_or_shell_comfort() -> None:
    names = set(inputs.package_names())
    assert {"cloud-init", "openssh-server", "nftables", "chrony", "python3", "unattended-upgrades"} <= names
    assert not names & {"gcc", "build-essential", "curl", "wget", "vim", "docker.io", "snapd", "cron", "rsyslog"}
    assert "--aptopt=APT::Install-Recommends false" in image.RECIPE


def test_installed_packages_are_read_from_dpkgs_status() -> None:
    status = (
        "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nDescription: x\n Version: 9\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    )
    assert image.installed_packages(status) == {"a": "1:2-3"}


def test_files_are_copied_as_root_whoever_checked_them_out(tmp_path: Path) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    (tree / "etc/new").mkdir(parents=True)
    (root / "etc").mkdir(parents=True)
    (root / "etc").chmod(0o755)
    (tree / "etc/new/plain").write_text("x")
    (tree / "etc/new/plain").chmod(0o660)
    (tree / "etc/run").write_text("y")
    (tree / "etc/run").chmod(0o700)
    image.copy_tree(tree, root, owner=os.getuid(), group=os.getgid())
    modes = {path.name: path.stat().st_mode & 0o7777 for path in root.rglob("*")}
    assert modes == {"etc": 0o755, "new": 0o755, "plain": 0o644, "run": 0o755}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path))
    return tmp_path / "node-image"


def make(cache: Path, name: str, age: int = 0) -> Path:
    (cache / name).mkdir(parents=True)
    manifest = cache / name / "manifest.json"
    manifest.write_text(json.dumps({"digest": name}))
    os.utime(cache / name, (1_700_000_000 - age, 1_700_000_000 - age))
    return cache / name


def test_a_current_image_is_returned_without_a_build(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = digest(inputs.read_inputs())
    expected = make(cache, name)
    (cache / "current").symlink_to(name)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert image.build(pytest.fail) == expected


def test_an_image_without_a_manifest_is_not_finished(cache: Path) -> None:
    (make(cache, "abc") / "manifest.json").unlink()
    assert image.current("abc") is None


def test_without_root_the_refusal_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(StakeyardError, match="needs root: run it with sudo"):
        image.build(pytest.fail)
    assert not cache.exists()


def test_a_missing_program_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(StakeyardError, match="`mmdebstrap` is missing"):
        image.build(pytest.fail)


def test_the_image_before_this_one_is_kept_and_older_ones_go(cache: Path) -> None:
    for age, name in enumerate(["new", "before", "older", "oldest"]):
        make(cache, name, age)
    (cache / "packages-x.tar.zst").touch()
    image.forget_old("new")
    assert sorted(path.name for path in cache.iterdir()) == ["before", "new", "packages-x.tar.zst"]


def test_a_second_build_waits_for_the_first_and_says_so(cache: Path) -> None:
    cache.mkdir(parents=True)
    said: list[str] = []
    with (cache / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def report(line: str) -> None:
            said.append(line)
            fcntl.flock(held, fcntl.LOCK_UN)

        with image.locked(report):
            assert said == ["waiting for another build of the node image"]


def test_credentials_of_a_proxy_stay_out_of_the_image() -> None:
    options = 'Acquire::http::Proxy "http://user:secret@proxy:3128";\nAcquire::Check-Valid-Until "false";\n'
    assert image.without_credentials(options) == 'Acquire::Check-Valid-Until "false";\n'
