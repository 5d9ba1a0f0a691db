"""What must hold on converged hosts: the roles' own testinfra checks, run over SSH.

`roles/*/verify/test_node*.py` look at one host, `roles/*/verify/test_fleet*.py` at all hosts of a kind together.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.catalogue import Kind, load_catalogue
from stacks.errors import StakeyardError
from stacks.hosts import facts_of, host_of
from stacks.lifecycle import Diff, Report, State, compare
from stacks.paths import REPOSITORY
from stacks.ssh import Session, session
from stacks.text import last_line

TIMEOUT_SECONDS = 1800
"""For all checks of one run; where a kind's keys must be seen on chain, the time that it has for that comes on top."""


@dataclass(frozen=True)
class Check:
    """One check: `outcome` is passed, failed or skipped; `reason` is one line, empty when it passed."""

    name: str
    outcome: str
    reason: str

    def as_output(self) -> dict[str, str]:
        """For a stack's outputs; the reason only where there is one."""
        return {key: value for key, value in vars(self).items() if value}

    def said(self) -> str:
        """For people who watch: its name, and why it was skipped where it was."""
        return f"{self.name}: skipped: {self.reason}" if self.outcome == "skipped" else self.name


def check_files(roles: Iterable[str], scope: str, directory: Path = REPOSITORY / "roles") -> list[Path]:
    """The check files of `roles` for a scope, `node` or `fleet`."""
    return [path for role in roles for path in sorted((directory / role / "verify").glob(f"test_{scope}*.py"))]


def limit_seconds(kind: Kind) -> int:
    """Seconds after which the checks of a fleet are stopped: more than the longest that one of them waits."""
    waited = kind.signer.duty_seconds if kind.signer else 0
    return TIMEOUT_SECONDS + (max(waited.values()) if isinstance(waited, dict) else waited)


def run(
    opened: Session,
    files: Sequence[Path],
    facts: Mapping[str, object],
    progress: Callable[[str], None],
    limit: float = TIMEOUT_SECONDS,
) -> list[Check]:
    """Run check files on the session's hosts; `facts` is what the fixture of that name gives them.

    Raises StakeyardError when the checks could not be run at all, or were not through after `limit` seconds.
    """
    if not files:
        return []
    facts_file, ini = opened.directory / "facts.json", opened.directory / "pytest.ini"
    facts_file.write_text(json.dumps({**facts, "ssh_config": str(opened.config)}))
    ini.write_text("[pytest]\n")
    reader, writer = os.pipe()
    log = opened.directory / "pytest.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command(opened, files, ini), stdout=output, stderr=subprocess.STDOUT,
            pass_fds=[writer], env=environment(os.environ, facts_file, writer), cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip
    os.close(writer)
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(limit, stop)
    timer.start()
    checks: list[Check] = []
    try:
        with os.fdopen(reader) as lines:
            for line in lines:
                checks.append(check_from(json.loads(line), several=len(opened.hosts) > 1))
                progress(f"verify: check {len(checks)}: {checks[-1].said()}")
        process.wait()
    finally:
        timer.cancel()
        process.kill()
    if late.is_set():
        last = f"the last one that ended was {checks[-1].name!r}" if checks else "none had ended"
        raise StakeyardError(
            f"{names(opened)}: the checks were stopped after {limit / 60:.0f} minutes, and {last}: see why the next "
            "takes so long, then run this again."
        )
    # 0: all passed, 1: some failed; anything else means that pytest itself did not get through.
    if process.returncode not in (0, 1) or not checks:
        raise StakeyardError(f"{names(opened)}: the checks could not be run: {complaint(log.read_text())}")
    return checks


def environment(base: Mapping[str, str], facts_file: Path, descriptor: int) -> dict[str, str]:
    """What pytest runs with: `base` without what would change pytest or Python, as a check left out looks like none."""
    kept = {name: value for name, value in base.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    return kept | {
        "STAKEYARD_FACTS": str(facts_file),
        "STAKEYARD_REPORT_FD": str(descriptor),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def command(opened: Session, files: Sequence[Path], ini: Path) -> list[str]:
    """pytest with testinfra over the session's SSH configuration, and no setting or plugin from anywhere else."""
    hosts = ",".join(f"ssh://{host.name}" for host in opened.hosts)
    return [
        sys.executable, "-m", "pytest", "-c", str(ini), "--rootdir", str(REPOSITORY), "--import-mode=importlib",
        "--disable-plugin-autoload", "-p", "testinfra.plugin", "-p", "no:cacheprovider", "-p", "stacks.check_report",
        "-q", "--no-header", "--tb=short",
        f"--hosts={hosts}", f"--ssh-config={opened.config}", "--sudo",
        *(str(file) for file in files),
    ]  # fmt: skip


def check_from(line: Mapping[str, Any], several: bool = False) -> Check:
    """A check from a line of stacks/check_report.py; its name says which host where there are several.

    >>> check_from({"id": "roles/host/verify/test_node.py::test_the_clock_is_right[ssh://n1]", "outcome": "passed",
    ...             "reason": ""}).name
    'host: the clock is right'
    """
    path, _, test = str(line["id"]).partition("::")
    found = re.fullmatch(r"(?:\w+::)?test_(\w+)(?:\[(.*)\])?", test)
    parameters = re.sub(r"ssh://([\w-]+)", r"\1" if several else "", found[2] or "").strip("-") if found else ""
    role = Path(path).parts[-3] if len(Path(path).parts) >= 3 else ""
    text = found[1].replace("_", " ") if found else test
    suffix = f" ({parameters})" if parameters else ""
    return Check(f"{role}: {text}{suffix}", str(line["outcome"]), " ".join(str(line.get("reason", "")).split())[:300])


def complaint(output: str) -> str:
    """The line of pytest's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E ", "ERROR", "INTERNALERROR"))]
    return (errors or lines or ["pytest said nothing"])[0][:300]


def names(opened: Session) -> str:
    """The session's hosts, for a message."""
    return ", ".join(host.name for host in opened.hosts)


def failure(where: str, checks: Iterable[Check]) -> str | None:
    """One sentence about the checks that failed, or None."""
    failed = [check for check in checks if check.outcome == "failed"]
    if not failed:
        return None
    rest = f"; {len(failed) - 1} more failed: {', '.join(c.name for c in failed[1:])}" if failed[1:] else ""
    return f"{where}: check {failed[0].name!r} failed: {failed[0].reason}{rest}"


class FleetVerification:
    """The resource that checks all nodes of a kind together, after each of them has converged.

    Inputs: kind, roles, roles_digest, user, private_key_file, nodes (name, kind, address, host, host_key, revision and
    what the node's checks know). Outputs add: checks, drift.
    """

    def diff(self, old_inputs: Mapping[str, Any], old_state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Diff:
        """Any node that converged again has a new revision, and so asks for the checks."""
        return Diff(compare(old_inputs, old_state, inputs, ignored=("private_key_file",)))

    def apply(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Run the checks; raises StakeyardError with the first that failed."""
        checks = self._run(inputs, report)
        state["checks"], state["drift"] = [check.as_output() for check in checks], []
        problem = failure(f"fleet of {inputs['kind']}", checks)
        if problem:
            raise StakeyardError(problem)

    def read(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Run the checks again; what failed is drift."""
        try:
            checks = self._run(inputs, report)
        except StakeyardError as error:
            state["drift"] = [str(error)]
        else:
            state["checks"] = [check.as_output() for check in checks]
            state["drift"] = [f"check {c.name!r} failed: {c.reason}" for c in checks if c.outcome == "failed"]
        for line in state["drift"]:
            report.warning(f"fleet of {inputs['kind']}: {line}")

    def delete(self, inputs: Mapping[str, Any], state: Mapping[str, Any], report: Report) -> None:
        """There is nothing to take away."""

    def _run(self, inputs: Mapping[str, Any], report: Report) -> list[Check]:
        with session([host_of(inputs, node) for node in inputs["nodes"]]) as opened:
            for host in opened.hosts:
                answer = opened.run(host.name, "true", timeout=45)
                if answer.returncode != 0:
                    raise StakeyardError(f"{host.name} is unreachable: {last_line(answer.stderr)}")
            facts = {"kind": inputs["kind"], "nodes": [facts_of(node) for node in inputs["nodes"]]}
            limit = limit_seconds(load_catalogue().kind(inputs["kind"]))
            checks = run(opened, check_files(inputs["roles"], "fleet"), facts, report.progress, limit)
        # A progress line passes, and whoever reads `3 passed, 1 skipped` should not have to look for the reason.
        for check in checks:
            if check.outcome == "skipped":
                report.warning(f"fleet of {inputs['kind']}: {check.said()}")
        return checks
