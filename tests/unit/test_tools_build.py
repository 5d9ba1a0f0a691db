"""When the tools are built, and what is said when that fails."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks.errors import StakeyardError
from tests.unit.scripts import script
from tools import build, golang, parts, present


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            ["go: downloading a/b v1.0.0\n", "verifying a/b@v1.0.0: checksum mismatch\n"],
            "verifying a/b@v1.0.0: checksum mismatch",
        ),
        (
            [
                "verifying a/b@v1.0.0: checksum mismatch\n",
                "\tdownloaded: h1:x\n",
                "\n",
                "SECURITY ERROR\n",
                "For more information, see 'go help module-auth'.\n",
            ],
            "verifying a/b@v1.0.0: checksum mismatch",
        ),
        (
            ["go: a/b@v1: reading proxy: 403 Forbidden\n", "\tserver response: not carried\n"],
            "go: a/b@v1: reading proxy: 403 Forbidden",
        ),
        (["\tsomething indented\n"], "something indented"),
        (
            ["# example.com/x\n", "./main.go:7:2: undefined: foo\n", "too many errors\n", "example.com/y\n", "\n"],
            "./main.go:7:2: undefined: foo",
        ),
        (
            ["go: a/b@v1.0.0: reading proxy: 403 Forbidden\n", "net/http\n", "internal/abi\n"],
            "go: a/b@v1.0.0: reading proxy: 403 Forbidden",
        ),
        (["compile: signal: killed\n", "go: downloading c/d v1.2.3\n"], "compile: signal: killed"),
        (["go: downloading c/d v1.2.3\n"], "go gave no reason"),
        ([], "go gave no reason"),
    ],
)
def test_the_reason_of_a_failed_build_is_the_last_line_that_says_something(output: list[str], sentence: str) -> None:
    assert golang.failure(output) == sentence


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.21 linux/arm64", (1, 21)),
        ("go version devel go1.27-abc linux/amd64", (1, 27)),
        ("", None),
        ("bash: go: command not found", None),
    ],
)
def test_the_version_of_go_is_read(text: str, version: tuple[int, int] | None) -> None:
    assert golang.parse_version(text) == version


def test_a_machine_without_go_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(golang, "places", list)
    with pytest.raises(StakeyardError, match=r"^Go is not installed: run tools/bootstrap\.sh, or put Go 1\.21"):
        golang.find()


def test_a_go_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = script(tmp_path / "go", "echo go version go1.19.8 linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(golang, "places", list)
    with pytest.raises(StakeyardError, match=f"^{old} is too old: run"):
        golang.find()


GO = """case "$1" in
version) echo go version go1.26.0 linux/amd64 ;;
list) case "$*" in *" -m "*) echo {sources} ;; *) printf 'a/b\\nc/d\\n' ;; esac ;;
build)
  echo "$PWD" >>{calls}
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\n' >"$2"; chmod +x "$2" ;;
esac"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing but a Go that notes what it is asked to build."""
    sources = tmp_path / "modcache"
    for part in parts.load().values():
        for path in part.scripts.values():
            script(sources / path)
    go = script(tmp_path / "go" / "go", GO.format(sources=sources, calls=tmp_path / "calls"))
    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    # Only the folders of the basic programs: no Pulumi that the developer may have installed.
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setattr(present, "choose", _nothing_present)
    return tmp_path


def _nothing_present(_parts: object, _env: object, _ignore: object) -> present.Choice:
    return present.Choice({}, dict.fromkeys(parts.load(), "not installed"))


def builds(machine: Path) -> list[str]:
    calls = machine / "calls"
    return [Path(line).name for line in calls.read_text().split()] if calls.exists() else []


def test_everything_is_built_once_and_not_again(machine: Path) -> None:
    said: list[str] = []
    binaries = build.ensure(said.append)
    assert builds(machine) == ["cli", "language", "plugin"]
    assert sorted(path.name for path in binaries.iterdir()) == sorted(
        name for part in parts.load().values() for name in part.files
    )
    assert any("pulumi 3.253.0: built in" in line for line in said)
    said.clear()
    assert build.ensure(said.append) == binaries
    assert builds(machine) == ["cli", "language", "plugin"]
    assert said == []


def test_a_program_that_has_gone_from_the_cache_is_built_again_alone(machine: Path) -> None:
    binaries = build.ensure(lambda _line: None)
    plugin = parts.load()["plugin"]
    (build.part_directory(plugin) / present.PLUGIN).unlink()
    (binaries / present.PLUGIN).unlink()
    assert build.ensure(lambda _line: None) == binaries
    assert builds(machine) == ["cli", "language", "plugin", "plugin"]
    assert os.access(binaries / present.PLUGIN, os.X_OK)


def test_what_a_killed_build_left_is_swept_away(machine: Path) -> None:
    leftover = build.home() / "parts" / ".new-killed" / "pulumi"
    script(leftover)
    build.ensure(lambda _line: None)
    assert not leftover.parent.exists()
    assert not list(build.home().glob(".new-*"))


def test_a_failed_build_names_the_part_and_the_reason_and_leaves_nothing(machine: Path) -> None:
    script(
        machine / "go" / "go",
        """case "$1" in
version) echo go version go1.26.0 linux/amd64 ;;
*) echo "go: downloading x/y v1.0.0" >&2; echo "go: x/y@v1.0.0: 403 Forbidden" >&2; exit 1 ;;
esac""",
    )
    with pytest.raises(StakeyardError) as caught:
        build.ensure(lambda _line: None)
    assert str(caught.value).startswith(
        "building pulumi from tools/cli/go.mod failed: go: x/y@v1.0.0: 403 Forbidden (all of it: "
    )
    assert not list(build.home().glob("parts/.new-*"))
    assert not list(build.home().glob("parts/cli-*/"))


def test_a_second_builder_waits_for_the_first(machine: Path) -> None:
    build.home().mkdir(parents=True)
    said: list[str] = []
    waiting = threading.Event()

    def report(line: str) -> None:
        said.append(line)
        waiting.set()

    with (build.home() / "lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = threading.Thread(target=build.ensure, args=[report])
        second.start()
        assert waiting.wait(10)
        assert said == ["waiting for another build of the tools to finish"]
        assert builds(machine) == []
    second.join(20)
    assert builds(machine) == ["cli", "language", "plugin"]


def test_a_cache_that_cannot_be_written_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "file").write_text("")
    monkeypatch.setenv("STAKEYARD_CACHE", str(machine / "file"))
    with pytest.raises(StakeyardError, match=r"^the tools cannot be kept in .*/file/tools: "):
        build.ensure(lambda _line: None)


def test_the_plugin_is_put_where_pulumi_knows_its_version(machine: Path) -> None:
    home = machine / "pulumi"
    binaries = build.ensure(lambda _line: None)
    for _ in range(2):
        build.install_plugin(binaries, home)
        link = home / "plugins" / "resource-openstack-v5.5.3" / present.PLUGIN
        assert link.samefile(binaries / present.PLUGIN)
    assert [path.name for path in link.parent.iterdir()] == [present.PLUGIN]


def test_a_build_that_is_told_to_stop_takes_go_with_it(machine: Path) -> None:
    script(
        machine / "go" / "go",
        f"""[ "$1" = version ] && echo go version go1.26.0 linux/amd64 && exit
echo $$ >{machine}/pid; exec sleep 60""",
    )
    with subprocess.Popen([sys.executable, build.__file__], stderr=subprocess.DEVNULL) as process:
        pid = machine / "pid"
        wait_until(lambda: pid.exists() and pid.read_text() != "")
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
    wait_until(lambda: not Path("/proc", pid.read_text().strip()).exists())
    assert not list(build.home().glob("parts/.new-*"))


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for at most 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
