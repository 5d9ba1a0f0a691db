"""Recorded pull requests, previewed without a cloud: each comment is the one that was read and found right.

`STAKEYARD_GOLDEN=write` writes the comments anew; read them before they are committed.
"""

import io
import json
import os
import re
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from stacks.preview.command import Request, run
from stacks.preview.judged import Judged
from tests.preview.recorded import STACK, Scenario, apply, scenarios

TODAY = date(2026, 11, 26)
"""Forks come nearer with each day, and comments would change with them."""
# Digests are of the roles and the image as they are today, and a mocked cloud makes its identifiers of names with a
# digest in them; the comment must not change with these.
VOLATILE = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|(?<=-)[0-9a-f]{12}(?=`)")


def preview(fleet: Path, out: Path) -> tuple[int, str]:
    """Exit status and what the console shows."""
    shown = io.StringIO()
    request = Request(STACK, "main", out, mocked=True, repository=fleet)
    return int(run(request, Console(file=shown, width=200), Judged(TODAY))), shown.getvalue()


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_a_pull_request_has_the_comment_that_was_read(scenario: Scenario, fleet: Path, tmp_path: Path) -> None:
    apply(scenario.change, fleet)
    out = tmp_path / "out"
    status, _ = preview(fleet, out)
    comment = VOLATILE.sub("(digest)", (out / "preview.md").read_text())
    if os.environ.get("STAKEYARD_GOLDEN") == "write":
        scenario.golden.write_text(comment)
    assert comment == scenario.golden.read_text()
    assert status == scenario.exit
    assert json.loads((out / "preview.json").read_text())["exit_code"] == scenario.exit
    assert json.loads((out / "preview.sarif").read_text())["version"] == "2.1.0"
    for file in out.iterdir():
        assert "PLANTED" not in file.read_text()
