"""The order and the failures of what is prepared side by side."""

import io
import threading

import pytest
from rich.console import Console

from stacks import prepare
from stacks.errors import StakeyardError


def console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=200), text


def test_jobs_run_side_by_side_and_each_line_names_its_job() -> None:
    both = threading.Barrier(2, timeout=10)
    screen, text = console()

    def job(report: prepare.Report) -> None:
        both.wait()
        report("half way")

    prepare.run({"first": job, "second": job}, screen)
    lines = text.getvalue().splitlines()
    assert sorted(line.split()[2] for line in lines if "half way" in line) == ["first", "second"]
    assert sum("ready (" in line for line in lines) == 2


def test_a_failure_names_the_job_and_stops_what_has_not_begun() -> None:
    begun = []

    def fails(_report: prepare.Report) -> None:
        raise StakeyardError("no disk.")

    with pytest.raises(StakeyardError, match=r"^lab: no disk\.$"):
        prepare.run({"lab": fails, "image": lambda _report: begun.append("image")}, console()[0], workers=1)
    assert begun == []
