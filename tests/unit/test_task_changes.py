"""What a task changes, as people may see it: unified diffs, short, without a secret."""

from typing import Any

import pytest

from stacks.runner import hider
from stacks.task_changes import LONGEST_DIFF, NOT_TEXT, PRIVATE, cut, of_result


def plain(text: str) -> str:
    return text


def result(diff: Any, **more: Any) -> dict[str, Any]:
    return {"changed": True, "diff": diff, **more}


CASES: list[tuple[str, dict[str, Any], str]] = [
    (
        "two texts",
        result([{"before": "a\nb\n", "after": "a\nc\n", "before_header": "/etc/x", "after_header": "/tmp/t.j2"}]),
        "--- /etc/x\n+++ /etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c",
    ),
    (
        "a new file is named by what was asked for, not by this machine's temporary file",
        result(
            {"before": "", "after": "a\n", "after_header": "/tmp/t"}, invocation={"module_args": {"dest": "/etc/n"}}
        ),
        "--- /etc/n\n+++ /etc/n\n@@ -0,0 +1 @@\n+a",
    ),
    (
        "owner and mode",
        result({"before": {"path": "/d", "mode": "0755"}, "after": {"path": "/d", "mode": "0700"}}),
        '--- /d\n+++ /d\n@@ -1,4 +1,4 @@\n {\n-  "mode": "0755",\n+  "mode": "0700",\n   "path": "/d"\n }',
    ),
    ("a prepared one", result({"prepared": "+ one\n"}), "+ one"),
    ("a binary file", result([{"before": "", "src_binary": 1}]), NOT_TEXT),
    ("a text that is none", result([{"before": "a\0", "after": "b"}]), NOT_TEXT),
    ("none at all", result(None), ""),
    ("something odd", result("odd"), ""),
    (
        "a loop: only the items that change, and not the one that hides its output",
        {
            "changed": True,
            "results": [
                result({"prepared": "first"}),
                {"changed": False, "diff": {"prepared": "unchanged"}},
                {"censored": "hidden", "changed": True, "diff": {"prepared": "never"}},
                result({"prepared": "last"}),
            ],
        },
        "first\nlast",
    ),
    (
        "the content of a file for its owner alone",
        result([{"before": "", "after": "key\n"}], invocation={"dest": "/k", "mode": "0600"}),
        PRIVATE,
    ),
    (
        "the same with the mode as a number",
        result({"prepared": "+key"}, invocation={"mode": 0o400}),
        PRIVATE,
    ),
    (
        "the owner of such a file",
        result({"before": {"owner": "a"}, "after": {"owner": "b"}}, path="/k", invocation={"mode": "0600"}),
        '--- /k\n+++ /k\n@@ -1,3 +1,3 @@\n {\n-  "owner": "a"\n+  "owner": "b"\n }',
    ),
]


@pytest.mark.parametrize(("given", "shown"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_result_is_shown_as(given: dict[str, Any], shown: str) -> None:
    assert of_result(given, plain) == shown


def test_secrets_are_blotted_out_before_lines_are_compared() -> None:
    hide = hider(["old-secret", "new-secret", "-----BEGIN\nfirst half\nlast half\n"])
    diff = {"before": "p=old-secret\n", "after": "p=new-secret\n  first half\n  last half\n", "before_header": "/etc/x"}
    shown = of_result(result([diff]), hide)
    assert "secret" not in shown
    assert "half" not in shown
    assert shown.splitlines()[-2:] == ["+  ***", "+  ***"]


def test_a_secret_in_the_name_of_a_file_is_blotted_out_too() -> None:
    assert "s3cret" not in of_result(
        result([{"before": "", "after": "a", "before_header": "/s3cret"}]), hider(["s3cret"])
    )


def test_a_diff_is_kept_but_for_what_nobody_could_read_any_more() -> None:
    long = "\n".join([f"+{'x' * 5000}"] + ["+y"] * 1000)
    assert cut(long) == long
    shown = cut("x" * (LONGEST_DIFF + 7))
    assert shown == f"{'x' * LONGEST_DIFF}\n... 7 more characters: read the change itself"
