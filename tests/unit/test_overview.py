"""The table at the end of `make up`."""

import io

import pytest
from rich.console import Console

from stacks import overview
from stacks.errors import StakeyardError

PASSED = {"name": "test_a", "outcome": "passed"}
FAILED = {"name": "test_b", "outcome": "failed"}


def shown(outputs: dict[str, object]) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(overview.table(outputs))
    return console.export_text()


def test_a_node_is_one_row() -> None:
    node = {"kind": "bitcoin", "address": "172.31.240.7", "versions": {"bitcoin-core": "31.0"}, "checks": [PASSED]}
    row = next(line for line in shown({"nodes": {"bitcoin-1": node}}).splitlines() if "bitcoin-1" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "bitcoin-1",
        "bitcoin",
        "172.31.240.7",
        "bitcoin-core 31.0",
        "1 passed",
    ]


def test_a_failed_check_is_named() -> None:
    text = shown({"nodes": {"n": {}}, "fleet_checks": {"bitcoin": [PASSED, FAILED]}})
    assert "failed: test_b" in text


def test_a_skipped_check_has_not_failed() -> None:
    assert overview.summary([PASSED, {"name": "c", "outcome": "skipped"}]) == "[green]1 passed[/green], 1 skipped"


def test_an_empty_stack_says_what_to_do() -> None:
    with pytest.raises(StakeyardError, match="pulumi up"):
        overview.table({})
