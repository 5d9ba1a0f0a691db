"""The last word of a program's output, and locks between processes."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stacks.locks import exclusive
from stacks.text import last_line

HOLD = """
import pathlib, sys
from stacks.locks import exclusive
with exclusive(pathlib.Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("one\ntwo\n\n", "two"), ("  padded  ", "padded"), ("\n \n", "nothing said"), ("", "nothing said")],
)
def test_the_last_line_is_the_last_that_says_something(text: str, expected: str) -> None:
    assert last_line(text, "nothing said") == expected


def test_a_second_process_is_told_and_waits(tmp_path: Path) -> None:
    path, told, entered = tmp_path / "new" / "lock", threading.Event(), threading.Event()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def enter() -> None:
            with exclusive(path, told.set):
                entered.set()

        waiter = threading.Thread(target=enter)
        waiter.start()
        assert told.wait(10)
        assert not entered.is_set()
        holder.communicate("")
    waiter.join(10)
    assert entered.is_set()


def test_a_refusal_takes_the_place_of_the_wait(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RuntimeError("in use")

    with exclusive(tmp_path / "lock", refuse), pytest.raises(RuntimeError, match="in use"):  # noqa: SIM117
        with exclusive(tmp_path / "lock", refuse):
            pass
