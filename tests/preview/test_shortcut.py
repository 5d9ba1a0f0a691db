"""A preview in which Pulumi is asked only for what is in question says what one says in which it is asked for all."""

from pathlib import Path
from typing import Any

import pytest

from stacks.errors import StakeyardError
from stacks.preview import checkout, mocked
from stacks.preview.steps import steps
from tests.preview import recorded

TOGETHER = ("flavor-change", "network-change", "port-opened", "image-bump", "node-removed", "throwaway-flipped")
"""Replacements with all that follows, protected ones among them; deletions; changes in place; placeholders' paths; what
Pulumi calls no change."""


def digests(repository: Path, scratch: Path) -> list[dict[str, Any]]:
    """What Pulumi says, first asked for what is in question, then for all."""
    base = scratch / "base"
    checkout.extract(repository, checkout.resolve(repository, "main"), base)
    found = []
    for compared in (True, False):
        own = scratch / str(compared)
        own.mkdir()
        both = [checkout.read(directory, recorded.STACK, own / "keys") for directory in (repository, base)]
        found.append(mocked.digest(both[0], both[1], recorded.STACK, own, compared=compared))
    return found


@pytest.mark.parametrize("name", TOGETHER)
def test_it_says_the_same(name: str, fleet: Path, tmp_path: Path) -> None:
    (scenario,) = [each for each in recorded.scenarios() if each.name == name]
    recorded.apply(scenario.change, fleet)
    short, whole = digests(fleet, tmp_path)
    assert steps(short) == steps(whole)
    assert steps(whole)
    errors = [sorted(str(each["message"]) for each in found.get("diagnostics") or ()) for found in (short, whole)]
    assert errors[0] == errors[1]
    assert len(short["steps"]) <= len(whole["steps"])


def test_a_program_that_refuses_to_run_is_no_preview(fleet: Path, tmp_path: Path) -> None:
    program = fleet / "stacks" / "__main__.py"
    program.write_text(program.read_text().replace("    deploy()\n", '    raise StakeyardError("not  today")\n'))
    with pytest.raises(StakeyardError, match=r"^`pulumi preview` failed: error: not today$"):
        digests(fleet, tmp_path)
