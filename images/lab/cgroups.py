"""The lab's control groups: they say which processes are the lab's, whatever became of the ones that started them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def hierarchies(mounts: str) -> list[Path]:
    """Mount points of control group file systems, from the text of /proc/mounts."""
    found = [line.split()[1] for line in mounts.splitlines() if line.split()[2] in ("cgroup", "cgroup2")]
    return [Path(path) for path in dict.fromkeys(found) if Path(path).is_relative_to(ROOT)]


def groups(name: str) -> list[Path]:
    """The lab's top group in every hierarchy, existing or not."""
    return [hierarchy / name for hierarchy in hierarchies(Path("/proc/mounts").read_text())]


def inside(name: str, command: Sequence[str]) -> list[str]:
    """A command line that runs `command` in the group `name`, of one hierarchy.

    What a killed `up` was about to build goes on without it, and would meet the next `up`: the group tells who it is.
    """
    # A process may not enter a new cpuset before that is filled in.
    group = next(group for group in reversed(groups(name)) if not (group.parent / "cpuset.cpus").exists())
    script = 'mkdir -p "$1" && echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
    return ["sh", "-c", script, "sh", str(group), *command]


def members(group: Path) -> Iterator[int]:
    """Processes in a group and those below it. Groups may vanish while this reads."""
    for folder, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            for line in Path(folder, "cgroup.procs").read_text().split():
                if line != "0":  # a process of another namespace
                    yield int(line)


def processes(name: str) -> set[int]:
    """All processes of the group `name`, in any hierarchy."""
    return {process for group in groups(name) for process in members(group)}


def freeze(name: str, frozen: bool) -> None:
    """Stop or continue all processes of a group, at a point where each is between two system calls."""
    for group in groups(name):
        version1, version2 = group / "freezer.state", group / "cgroup.freeze"
        if version1.exists():
            version1.write_text("FROZEN" if frozen else "THAWED")
            _await_state(version1, "FROZEN" if frozen else "THAWED")
        elif version2.exists() and not (ROOT / "freezer").exists():
            version2.write_text("1" if frozen else "0")
            _await_state(group / "cgroup.events", f"frozen {int(frozen)}")


def _await_state(file: Path, wanted: str, seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while wanted not in file.read_text():
        if time.monotonic() > limit:
            raise TimeoutError(f"{file} did not become {wanted}")
        time.sleep(0.05)


def kill(name: str, seconds: float = 20) -> None:
    """SIGKILL everything in the group, frozen or not, until it is empty."""
    if not any(group.exists() for group in groups(name)):
        return
    freeze(name, False)
    limit = time.monotonic() + seconds
    while found := processes(name):
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > limit:
            raise TimeoutError(f"processes of control group {name} do not end: {sorted(found)}")
        time.sleep(0.1)


def remove(name: str) -> None:
    """Remove the group's folders, deepest first, in every hierarchy. Only empty groups can go."""
    for group in groups(name):
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
