"""Two revisions' programs side by side: what is left for an engine to say, without there being one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from stacks.preview.checkout import Checkout
from stacks.preview.programs import Programs, Waiting

PROGRAM = """
import pulumi

class Thing(pulumi.CustomResource):
    def __init__(self, name, size, **options):
        super().__init__("x:index:Thing", name, {"size": size}, pulumi.ResourceOptions(**options))

class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("x:index:Group", name)

found = pulumi.runtime.invoke("x:index:find", {"name": "public"}).value["id"]
group = Group("group")
"""
GROUP = "urn:pulumi:s::stakeyard::x:index:Group::group"
STACK = "urn:pulumi:s::stakeyard::pulumi:pulumi:Stack::stakeyard-s"
SAME = """
first = Thing("first", found, parent=group)
second = Thing("second", first.size)
third = Thing("third", 1, depends_on=[second])
"""


def urns(*names: str) -> set[str]:
    """Of things without a parent."""
    return {f"urn:pulumi:s::stakeyard::x:index:Thing::{name}" for name in names}


FIRST = "urn:pulumi:s::stakeyard::x:index:Group$x:index:Thing::first"


def checkout(directory: Path, text: str) -> Checkout:
    """A revision with this program."""
    (directory / "stacks").mkdir(parents=True)
    (directory / "stacks" / "__main__.py").write_text(PROGRAM + text)
    return Checkout(directory, {"stakeyard:fleet": {"b": 1, "a": 2}}, {"digest": "0", "command_line": ""})


def run(folder: Path, head: str, base: str | None, **more: Any) -> tuple[Waiting, list[dict[str, Any]]]:
    """What the head's program waits for, and what the base's declares."""
    with Programs("s", folder) as programs:
        told = checkout(folder / "base", base) if base is not None else None
        programs.start(checkout(folder / "head", head), told, **more)
        waiting = programs.wait()
        lines = programs.declared.read_text().splitlines() if told else []
        return waiting, list(map(json.loads, lines))


def test_of_two_that_are_alike_nothing_is_in_question(tmp_path: Path) -> None:
    waiting, declared = run(tmp_path, SAME, SAME)
    assert waiting.questions == 0
    assert waiting.unchanged == {STACK, GROUP, FIRST} | urns("second", "third")
    assert {each["urn"] for each in declared} == waiting.unchanged
    assert declared[0]["urn"] == STACK


@pytest.mark.parametrize(
    ("change", "questions", "unchanged"),
    [
        # What depends on a change waits for its answer, and is no question yet.
        (("found, parent", "2, parent"), 1, set()),
        (("first.size", "5"), 1, {FIRST}),
        (("1, depends_on", "9, depends_on"), 1, {FIRST} | urns("second")),
        (("\nfirst", '\nThing("new", 1)\nfirst'), 1, {FIRST} | urns("second", "third")),
        (("1, depends_on=[second]", "1"), 1, {FIRST} | urns("second")),
    ],
)
def test_a_change_and_what_waits_for_it_is_in_question(
    change: tuple[str, str], questions: int, unchanged: set[str], tmp_path: Path
) -> None:
    assert change[0] in SAME
    waiting, _ = run(tmp_path, SAME.replace(*change), SAME)
    assert waiting.questions == questions
    assert waiting.unchanged == {STACK, GROUP} | unchanged


def test_another_look_up_is_a_question(tmp_path: Path) -> None:
    waiting, _ = run(tmp_path, SAME + 'pulumi.runtime.invoke("x:index:find", {"name": "other"})\n', SAME)
    assert waiting.questions == 1


@pytest.mark.parametrize("more", [{"base": None}, {"base": SAME, "compared": False}])
def test_without_a_comparison_all_is_in_question(more: dict[str, Any], tmp_path: Path) -> None:
    waiting, declared = run(tmp_path, SAME, **more)
    assert waiting.unchanged == frozenset()
    assert bool(declared) is (more["base"] is not None)


@pytest.mark.parametrize(
    ("head", "base", "sentence"),
    [
        (SAME, 'raise pulumi.RunError("no fleet")', r"^no fleet$"),
        (SAME, "1 / 0", r"^the program of the base could not be run: ZeroDivisionError: division by zero$"),
        ('raise pulumi.RunError("no\\n fleet")', SAME, r"^`pulumi preview` failed: error: no fleet$"),
        (
            "1 / 0",
            SAME,
            r"^`pulumi preview` failed: error: Program failed .*__main__.py\", .*ZeroDivisionError",
        ),
        ("import os; os._exit(3)", SAME, r"^`pulumi preview` failed: error: "),
    ],
)
def test_a_program_that_fails_says_why(head: str, base: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(StakeyardError, match=sentence):
        run(tmp_path, head, base)


def test_a_program_that_waits_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    checkout(tmp_path / "head", SAME)
    request = tmp_path / "head.json"
    told = {"directory": str(tmp_path / "head"), "stack": "s", "project": "stakeyard", "config": {}}
    request.write_text(json.dumps(told))
    text = (
        "import os, subprocess, sys\n"
        "r, w = os.pipe(); a, b = os.pipe(); os.close(w)\n"
        "command = [sys.executable, '-P', '-m', 'dryrun.head', sys.argv[1], str(r), str(b)]\n"
        "process = subprocess.Popen(command, pass_fds=[r, b], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "os.close(b); os.read(a, 1); print(process.pid)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", text, str(request)], env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    left = Path("/proc") / shown.stdout.strip()
    for _ in range(300):
        if not left.exists() or "Z" in (left / "stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.1)
    raise AssertionError("it goes on")
