"""The comment: what stands in it, in which order, how long it may be, and that no text breaks out of its place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacks.preview import as_json, markdown, report, sarif
from stacks.preview.escape import block, code, prose
from stacks.preview.locations import line_of, lines
from stacks.preview.model import Change, Difference, Finding, Inside, Node, Preview, Task
from stacks.preview.secrets import scrubbed
from stacks.task_changes import cut
from tests.unit.previews import CONVERGENCE, RULE, SERVER, change, filled, preview


def big(nodes: int, diff: int = 300) -> Preview:
    """Many nodes of which something else is said each."""
    made = [
        Node(
            f"n-{number}",
            "k",
            signs=False,
            changes=(change("update", CONVERGENCE, f"n-{number}", Difference("x", "1", str(number))),),
            inside=Inside("told", "", (Task("role", "task", f"+{number}\n" * (diff // 4)),)),
            downtime=f"about {number} s",
        )
        for number in range(nodes)
    ]
    signer = Node("signer", "k", True, (change("replace", SERVER, "signer"),), None, True, "about 1 min")
    findings = tuple(Finding("r", "error", f"nodes.n-{n}.zone", "w" * 200) for n in range(nodes))
    return preview(*made, signer, findings=findings, notes=tuple(f"note {n} {'x' * 100}" for n in range(nodes)))


@pytest.mark.parametrize("nodes", [1, 100, 1000])
def test_a_comment_is_never_too_long_and_keeps_what_decides(nodes: int) -> None:
    text = markdown.render(big(nodes))
    assert len(text) < markdown.LIMIT
    assert text.startswith("<!-- stakeyard-preview:s -->\n### Preview of `s`: **Refused**\n")
    assert "| `signer` | replace server | **yes** | **yes** | about 1 min |" in text
    assert text.index("`signer`") < text.index("`n-0`")
    assert text.count("<details>") == text.count("</details>")
    assert text.count("```") % 2 == 0
    if nodes == 1000:
        left = re.search(r"\*(\d+) parts left out for want of room", text.replace(",", ""))
        assert left
        assert int(left[1]) + text.count("<details>") == nodes + 1
        assert re.search(r"\| \d+ more nodes \| see `preview.json`", text.replace(",", ""))


@pytest.mark.parametrize("character", ["x", "@a", "\U000e0001", "[", "//"])
def test_a_failure_is_never_too_long_and_says_what_is_left_out(character: str, tmp_path: Path) -> None:
    report.write_failure("s", character * 100_000, tmp_path)
    text = (tmp_path / "preview.md").read_text()
    assert len(text) < markdown.LIMIT
    assert text.startswith("<!-- stakeyard-preview:s -->\n### Preview of `s`: **Failed**\n")
    assert f"({len(character) * 100_000 - 5000:,} more characters in preview.json)" in text
    assert text.endswith("Nothing was previewed, and no policy was judged.\n")
    assert json.loads((tmp_path / "preview.json").read_text())["error"] == character * 100_000


def test_what_the_comment_cuts_of_a_diff_is_in_the_json() -> None:
    last = "+  shell: the last line"
    diff = "\n".join([*["+# a remark"] * 2000, "+" + " " * 1000 + "the end of a line", last])
    inside = Inside("told", "", (Task("role", "task", cut(diff)),))
    found = preview(Node("n1", "k", signs=False, changes=(change("update", CONVERGENCE, "n1"),), inside=inside))
    assert last not in markdown.render(found)
    assert re.search(r"\.\.\. [0-9,]+ more characters", markdown.render(found))
    assert json.loads(as_json.render(found))["nodes"][0]["inside"]["tasks"][0]["diff"] == diff


def test_the_order_in_which_things_were_found_changes_no_byte() -> None:
    one = big(30)
    other = preview(*one.nodes[::-1], findings=one.findings[::-1], notes=one.notes[::-1])
    for render in (markdown.render, as_json.render, lambda p: sarif.render(p, "f", "")):
        assert render(one) == render(other)


def test_nodes_of_which_the_same_is_said_share_a_row() -> None:
    nodes = [Node(f"n-{n}", "k", signs=False, changes=(change("update", CONVERGENCE, "x"),)) for n in range(9)]
    text = markdown.render(preview(*nodes))
    assert "| `n-0`, `n-1`, `n-2`, `n-3`, `n-4`, `n-5` and 3 more | change software | no | no | none |" in text


VARIABLES = Task("all roles", "variables")
RELEASES = Task("r", "pinned releases")
FILE = Task("r", "artifacts.yml")


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (Inside("seen", "", (FILE, FILE)), "2 tasks inside"),
        (Inside("seen", "it broke off", (FILE,), complete=False), "at least 1 task inside"),
        (Inside("told", "", (RELEASES, FILE)), "1 file differs inside"),
        (Inside("told", "", (VARIABLES, FILE)), "variables and 1 file differ inside"),
        (Inside("told", "", (VARIABLES,)), "variables differ inside"),
        (Inside("told", "", (FILE, Task("r", "x"))), "2 files differ inside"),
        (Inside("told", ""), ""),
    ],
)
def test_the_table_says_tasks_only_where_somebody_looked(inside: Inside, said: str) -> None:
    assert markdown.inside_in_short(inside) == said
    assert markdown.what(Node("n", "k", signs=False, inside=inside)) == said


@pytest.mark.parametrize(
    ("operations", "new", "told", "server"),
    [
        (("create",), True, "new node: create server", "no"),
        (("create",), False, "create server", "**yes**"),
        (("create", "delete"), False, "create server; delete server", "**yes**"),
        (("delete",), False, "delete server", "**deleted**"),
    ],
)
def test_only_a_node_that_was_not_there_is_new(operations: Any, new: bool, told: str, server: str) -> None:
    changes = tuple(change(operation, SERVER, f"n-{operation}") for operation in operations)
    assert markdown.cells(Node("n", "k", False, changes, new=new))[:2] == (told, server)


def test_many_differences_are_cut_where_they_are_shown_and_nowhere_else() -> None:
    differences = tuple(Difference(f"path{n:03}", "1", "2") for n in range(100))
    found = preview(Node("n", "k", signs=False, changes=(change("update", CONVERGENCE, "n", *differences),)))
    text = markdown.render(found)
    assert "`path059`" in text
    assert "`path060`" not in text
    assert "40 more values in `preview.json`" in text
    assert "path099" in as_json.render(found)


def test_waived_findings_are_told_last_and_say_so() -> None:
    waived = Finding("a", "error", "nodes.n1", "wrong.", waived="reason, until 2027-01-31")
    text = markdown.render(preview(findings=(waived, Finding("b", "warning", "nodes.n2", "odd."))))
    assert text.index("**warning** `b`") < text.index("**waived** `a`")
    assert "reason, until 2027-01-31" in text
    assert "**Needs review**" in text


def test_drift_is_told_by_node() -> None:
    text = markdown.render(preview(drift={"n1": ("/etc/x was changed",), "n2": ()}))
    assert "#### Drift\n\n- `n1`: /etc/x was changed" in text
    assert "1 drifted" in text


HOSTILE = [
    "</details><script>alert(1)</script>",
    "`", "``", "```\n# heading", "````diff",
    "@everyone please merge",
    "| a | b |",
    "[x](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<!-- stakeyard-preview:other -->",
    "\n/merge",
    "# heading",
    "- [ ] task",
    "line\r\nline\u2028line",
    "\u202eright to left",
    "fixes #1 and !2 and &3",
    "a\\",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_in_its_place(text: str) -> None:
    comment = markdown.render(scrubbed(filled(text)))
    # All that may be read as Markdown or HTML: without code spans and fenced blocks.
    open_text = re.sub(r"(?s)(?m:^)(`{3,})\w*\n.*?\n\1$", "", comment, flags=re.MULTILINE)
    open_text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", open_text)
    assert not re.search(r"(?<!\\)<script", open_text)
    open_text = re.sub("<summary>.*?</summary>", "", open_text)  # there is no Markdown in it
    assert comment.count("<!-- stakeyard-preview:") == 1, "whoever looks for a comment finds one"
    assert not re.search(r"@\w", open_text)
    assert "](http" not in open_text.replace("\\]", "")
    assert open_text.count("<details>") == open_text.count("</details>")
    for line in open_text.splitlines():
        assert not line.lstrip().startswith("/")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_row_of_the_table_has_its_five_cells_whatever_is_in_them(text: str) -> None:
    node = Node(text, text, signs=False, changes=(Change("update", text, text, text),), downtime=text)
    table = markdown.table([node]).splitlines()
    assert len(table) == 3
    row = table[2]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60))
def test_any_text_is_one_line_of_code_and_its_block_ends_where_it_should(text: str) -> None:
    span = code(text)
    assert "\n" not in span
    if span.startswith("`"):
        fence = re.match("`+", span)
        assert fence
        inner = span[len(fence.group()) : -len(fence.group())]
        assert fence.group() not in re.findall("`+", inner)
    assert "\n" not in prose(text)
    made = block(text, "diff", 1000).split("\n")
    assert [n for n, line in enumerate(made) if re.fullmatch("`{3,}", line) and len(line) >= len(made[-1])] == [
        len(made) - 1
    ]


def test_a_long_diff_is_cut_and_says_how_much_is_left() -> None:
    assert block("a\n" * 100, "diff", 50).endswith("more characters\n```")


STACK_FILE = """config:
  stakeyard:fleet:
    nodes:
      n1:
        zone: a
        peers:
          - n2
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("nodes.n1.zone", 5),
        ("nodes.n1.peers[0]", 7),
        ("nodes.n1.volumes.keys", 4),
        ("nodes", 3),
        ("openstack:x::y", None),
        ("", None),
    ],
)
def test_a_key_is_found_on_its_line_or_that_of_what_is_above_it(key: str, line: int | None) -> None:
    assert line_of(key, lines(STACK_FILE)) == line


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "config: 3"])
def test_a_file_that_cannot_be_read_has_no_lines(text: str) -> None:
    assert line_of("nodes.n1", lines(text)) is None


def test_the_log_has_what_sarif_requires() -> None:
    findings = (
        Finding("zone-share", "error", "nodes.n1.zone", "too many."),
        Finding("protected", "warning", "a:b:C::x", "it goes.", node="n1"),
        Finding("zone-share", "warning", "nodes.n9.zone", "waived.", waived="reason"),
    )
    log = json.loads(sarif.render(preview(findings=findings), "stacks/Pulumi.s.yaml", STACK_FILE))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "stakeyard"
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == sorted({f.rule for f in findings})
    assert len(run["results"]) == 3
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note", "none")
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "stacks/Pulumi.s.yaml"
        assert place["region"]["startLine"] >= 1
    by_key = {r["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: r for r in run["results"]}
    line = {key: r["locations"][0]["physicalLocation"]["region"]["startLine"] for key, r in by_key.items()}
    assert line == {"nodes.n1.zone": 5, "a:b:C::x": 4, "nodes.n9.zone": 3}
    assert by_key["nodes.n9.zone"]["suppressions"][0]["justification"] == "reason"
    prints = {json.dumps(r["partialFingerprints"]) for r in run["results"]}
    assert len(prints) == 3


def test_json_has_all_of_it_and_what_it_comes_to() -> None:
    found = json.loads(as_json.render(big(50)))
    assert found["verdict"] == "refused"
    assert found["exit_code"] == 3
    assert len(found["nodes"]) == 51
    assert found["nodes"][0]["name"] == "signer"
    assert found["nodes"][0]["replaced"] is True


def test_shared_changes_that_need_review_stand_before_nodes_that_do_not() -> None:
    quiet = Node("n1", "k", signs=False, changes=(change("update", CONVERGENCE, "n1"),))
    text = markdown.render(preview(quiet, shared=(change("create", RULE, "rule"),)))
    assert text.index("What nodes share") < text.index("<summary>n1")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    from stacks.errors import StakeyardError

    (tmp_path / "file").write_text("")
    with pytest.raises(StakeyardError, match=r"^the preview cannot be written to .*file: "):
        report.write(preview(), tmp_path / "file")
