"""A pytest plugin (`-p stacks.check_report`): one JSON line a check, to the file descriptor STAKEYARD_REPORT_FD."""

import json
import os

import pytest

from stacks.text import last_line


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a line for every check that ran, was skipped, or could not even start."""
    if report.when != "call" and report.outcome == "passed":
        return
    if report.when == "teardown":
        return
    line = {
        "id": report.nodeid,
        "outcome": report.outcome,
        "reason": "" if report.passed else _reason(report),
        "properties": dict(report.user_properties),
    }
    os.write(int(os.environ["STAKEYARD_REPORT_FD"]), (json.dumps(line) + "\n").encode())


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message).splitlines()[0]
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return last_line(str(report.longrepr), "it gave no reason")
