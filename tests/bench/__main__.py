"""Measure one run of everything and print a table: `python -m tests.bench [--cold]`.

Every figure comes from one run on one machine, and the ratios compare figures of that run: only they can be
compared between machines. `--cold` starts from an empty cache and empty Go caches.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from stacks.paths import REPOSITORY

# Pulumi's line for a resource that is done: type, name, what happened, seconds.
DONE = re.compile(r"(?P<type>\S+) (?P<name>\S+) (?P<what>created|updated|deleted|replaced) \((?P<seconds>\d+)s\)")


@dataclass(frozen=True)
class Figure:
    """One measurement in seconds."""

    name: str
    seconds: float


def run(command: list[str], env: dict[str, str]) -> tuple[float, str]:
    """Run a command, showing its output; its seconds and its text. Ends the benchmark when it fails."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        sys.stderr.write(line)
        lines.append(line)
    if process.wait() != 0:
        sys.exit(f"bench: {' '.join(command)} failed with status {process.returncode}")
    return time.monotonic() - started, "".join(lines)


def per_resource(text: str, kind: str) -> list[Figure]:
    """The seconds that Pulumi shows for each resource whose type ends in `kind`."""
    return [Figure(f"{kind} {m['name']}", float(m["seconds"])) for m in DONE.finditer(text) if m["type"].endswith(kind)]


def table(figures: list[Figure], base: Figure) -> str:
    """A Markdown table with each figure's ratio to `base`."""
    rows = [f"| {f.name} | {f.seconds:.1f} | {f.seconds / base.seconds:.2f} |" for f in figures]
    return "\n".join([f"| What | s | ratio to {base.name} |", "|---|---|---|", *rows])


def environment(cold: bool, scratch: Path) -> dict[str, str]:
    """This process' environment; for a cold run with caches that are empty."""
    env = dict(os.environ)
    if cold:
        for name in ("STAKEYARD_CACHE", "GOCACHE", "GOMODCACHE"):
            env[name] = str(scratch / name.lower())
        env["GOFLAGS"] = "-modcacherw"
    return env


def main() -> None:
    """Take down what runs, bring it up, and measure on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="with empty caches")
    cold = parser.parse_args().cold
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        env = environment(cold, Path(scratch))
        if cold:
            run([".venv/bin/stakeyard", "lab", "destroy"], env)
        up = Figure("cold `make up`" if cold else "warm `make up`", 0)
        seconds, text = run(["make", "up"], env)
        up = Figure(up.name, seconds)
        again, _ = run([".venv/bin/stakeyard", "pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes"], env)
        figures = [
            up,
            Figure("no-op `pulumi up`", again),
            *per_resource(text, "Instance"),
            *per_resource(text, "Convergence"),
            *per_resource(text, "FleetChecks"),
        ]
    print(table(figures, up))


if __name__ == "__main__":
    main()
