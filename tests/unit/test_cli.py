"""What the `stakeyard` command refuses is one sentence on standard error, never a traceback."""

import re
import sys
from pathlib import Path

import pytest

from stacks import cli

LONG = "n" * 300


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that the command gives up with."""
    monkeypatch.setattr(sys, "argv", ["stakeyard", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("stakeyard: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("devnet ethereum_beacon FILE", r"FILE cannot be used \(not a directory\): name a new folder\."),
        (f"devnet ethereum_beacon {LONG}", rf"{LONG} cannot be used \(file name too long\): name a new folder\."),
        ("artifact prefetch bitcoin", r"FILE/\S* cannot be used \(not a directory\): .* that you may write to\."),
    ],
)
def test_a_path_that_will_not_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("STAKEYARD_CACHE", str(file))
    said = refusal(monkeypatch, capsys, *arguments.replace("FILE", str(file)).split())
    assert re.fullmatch(expected.replace("FILE", str(file)), said), said
