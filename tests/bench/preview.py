"""How long a preview takes, and how much memory, from 10 to 1,000 nodes: `python -m tests.bench.preview [NODES ...]`.

Each fleet is generated, committed as the base, and previewed with a mocked cloud after every tenth node got another
flavor: two whole programs and one run of Pulumi. Prints a Markdown table; each ratio is to a fleet of ten, and `a node`
shows whether the growth is linear: the time beyond the smallest fleet's, for each further node.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.preview import recorded

SIZES = (10, 100, 300, 1000)
EVERY = 10
_ZONES = ("a", "b", "c")
_PAGE = 4096


@dataclass(frozen=True)
class Figure:
    """One preview: seconds, the most memory that its processes held together (MiB), and what it came to."""

    nodes: int
    seconds: float
    memory: float
    exit: int


def fleet(nodes: int, signers: int = 0) -> dict[str, Any]:
    """A stack file's fleet of this many nodes, of which so many in a hundred sign."""
    base = yaml.safe_load((recorded.HERE / "base.yaml").read_text())["config"]["stakeyard:fleet"]
    templates = base["nodes"]
    made = {}
    for number in range(nodes):
        name = f"node-{number:04}"
        if number % 100 < signers and number > 0:
            node = {**templates["validator-1"], "uses": ["node-0000"], "signing_keys": [f"0x{number + 1:096x}"]}
        elif signers and number == 0:
            node = dict(templates["ethereum-1"])
        else:
            node = dict(templates["bitcoin-1"])
            node.pop("group")
            node["peers"] = []
        made[name] = {**node, "address": _address(number), "zone": _ZONES[number % 3]}
    return {**base, "network": {**base["network"], "cidr": "10.20.0.0/16"}, "zones": list(_ZONES), "nodes": made}


def _address(number: int) -> str:
    return f"10.20.{1 + number // 250}.{1 + number % 250}"


def write(directory: Path, told: dict[str, Any]) -> None:
    """Let this be the repository's stack file."""
    plain = json.loads(json.dumps({"config": {"stakeyard:fleet": told}}))  # without what YAML would write as aliases
    text = yaml.safe_dump(plain, sort_keys=False)
    (directory / recorded.stack_file()).write_text(text)


def measure(nodes: int, signers: int) -> Figure:
    """One preview in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="stakeyard-bench-") as folder:
        directory = Path(folder) / "fleet"
        recorded.repository(directory)
        told = fleet(nodes, signers)
        write(directory, told)
        recorded.git(directory, "commit", "--quiet", "--all", "--message=Fleet")
        for name in list(told["nodes"])[::EVERY]:
            told["nodes"][name] = {**told["nodes"][name], "flavor": "m.larger"}
        write(directory, told)
        started = time.monotonic()
        program = [sys.executable, "-m", "tests.bench.preview", "--one", str(directory)]
        with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
            peak = _Peak(process.pid)
            status = process.wait()
        return Figure(nodes, time.monotonic() - started, peak.end(), status)


class _Peak:
    """The most memory that a process and its descendants held at one moment."""

    def __init__(self, root: int) -> None:
        self._root, self._most, self._ended = root, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            self._most = max(self._most, tree_memory(self._root))

    def end(self) -> float:
        """MiB."""
        self._ended.set()
        self._thread.join()
        return self._most / (1 << 20)


def tree_memory(root: int) -> int:
    """Bytes that a process and its descendants hold (resident sets, so shared pages count more than once)."""
    parents, resident = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        pid = int(path.parent.name)
        parents[pid], resident[pid] = int(words[1]), int(words[21]) * _PAGE
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(resident.get(pid, 0) for pid in below)


def table(figures: list[Figure]) -> str:
    """A Markdown table; ratios are to the first figure."""
    first = figures[0]
    rows = []
    for figure in figures:
        more = figure.nodes - first.nodes
        each = f"{1000 * (figure.seconds - first.seconds) / more:.0f}" if more else ""
        rows.append(
            f"| {figure.nodes:,} | {figure.seconds:.1f} | {figure.seconds / first.seconds:.2f} | {each} "
            f"| {figure.memory:,.0f} | {figure.memory / first.memory:.2f} |"
        )
    head = "| Nodes | s | ratio | ms for each further node | MiB | ratio |\n|---|---|---|---|---|---|"
    return "\n".join([head, *rows])


def one(directory: Path) -> int:
    """The preview that is measured, with nothing around it."""
    from rich.console import Console

    from stacks.preview.command import Request, run

    request = Request(recorded.STACK, "main", directory.parent / "out", mocked=True, repository=directory)
    shown = io.StringIO()
    status = int(run(request, Console(file=shown)))
    if status == 1:
        print(shown.getvalue(), file=sys.stderr)
    return status


def main() -> int:
    """Exit status 1 where a preview failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--signers", type=int, default=0, help="of a hundred nodes")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return one(asked.one)
    figures = [measure(nodes, asked.signers) for nodes in asked.nodes]
    print(table(figures))
    return 1 if any(figure.exit not in (0, 2) for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
