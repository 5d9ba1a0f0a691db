"""Running and killing `pulumi up` as an operator's machine would."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from stacks.workspace import Workspace


@dataclass(frozen=True)
class Run:
    """One Pulumi command's end."""

    status: int
    text: str
    seconds: float

    @property
    def ansible_ran(self) -> bool:
        return re.search(r"\btask \d+/\d+", self.text) is not None


@dataclass
class Killer:
    """Kills the process tree when a line matches; remembers where."""

    pattern: str
    delay: float = 0.5
    killed_at: str | None = field(default=None)

    def see(self, line: str, process: subprocess.Popen[str]) -> None:
        if not re.search(self.pattern, line):
            return
        time.sleep(self.delay)
        kill_tree(process.pid)
        self.killed_at = line.strip()


def descendants(pid: int) -> list[int]:
    """`pid` and all processes below it, by the kernel's word (also those in sessions of their own)."""
    table = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in table.splitlines():
        child, parent = (int(x) for x in line.split())
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue += children.get(current, [])
    return found


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and everything below it, stopped first so that nothing is born meanwhile."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in descendants(pid):
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue


def pulumi(workspace: Workspace, arguments: Sequence[str], killer: Killer | None = None, limit: float = 1500) -> Run:
    """Run Pulumi on a stack of the tests; see `run`."""
    return run(workspace, [*workspace.command(arguments), "--color", "never"], killer, limit)


def stakeyard(workspace: Workspace, arguments: Sequence[str], killer: Killer | None = None, limit: float = 2400) -> Run:
    """Run `stakeyard ARGUMENTS --stack ...` on a stack of the tests; see `run`."""
    place = [str(workspace.state), str(workspace.stack_file)]
    command = [sys.executable, "-m", "tests.lab.command", *place, *arguments, "--stack", workspace.stack]
    return run(workspace, command, killer, limit)


def run(workspace: Workspace, command: Sequence[str], killer: Killer | None, limit: float) -> Run:
    """Run a command in the workspace, echoing its output; after `limit` seconds its tree is killed."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=workspace.directory,
        env={**workspace.environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(limit, kill_tree, [process.pid])
    watchdog.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        print(f"{time.monotonic() - started:6.0f} s  {line}", end="", flush=True)
        if killer and killer.killed_at is None:
            killer.see(line, process)
    status = process.wait()
    watchdog.cancel()
    return Run(status, "".join(lines), time.monotonic() - started)
