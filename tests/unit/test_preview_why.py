"""The terminal says what led to the verdict: every reason for a review, and what the policies say."""

import re
from typing import Any

import pytest

from stacks.catalogue import HOST
from stacks.preview import markdown, risk, terminal
from stacks.preview.model import Finding, Inside, Node, Task, Verdict
from stacks.preview.why import reasons
from tests.unit.previews import CONVERGENCE, RULE, SERVER, VOLUME, change, preview


def node(*changes: Any, **more: Any) -> Any:
    return preview(Node("n1", "bitcoin", more.pop("signs", False), tuple(changes), **more))


@pytest.mark.parametrize(
    ("found", "reason", "name"),
    [
        (node(change("replace", SERVER, "n1")), "a server is replaced", "n1"),
        (node(change("delete", VOLUME, "n1-chain")), "a volume is replaced or deleted", "n1"),
        (preview(shared=(change("create", RULE, "x-tcp-22"),)), "a security group or a rule of one", "x-tcp-22"),
        (
            preview(shared=(change("create", "other:thing:Thing", "t"),)),
            "something that this preview has no rule for",
            "t",
        ),
        (node(signs=True, touches_signer=True), "a signer is touched", "n1"),
        (node(inside=Inside("unknown", "no host was asked")), "what would change inside the host is not known", "n1"),
        (node(inside=Inside("seen", tasks=(Task(HOST, "Users"),))), "the users, SSH or firewall", "n1"),
        (
            node(inside=Inside("told", "no answer", complete=False)),
            "the look inside the host did not get through",
            "n1",
        ),
        (preview(findings=(Finding("shares", "warning", "k", "odd."),)), "a finding asks for it", "shares"),
        (preview(drift={"n1": ("a file differs",)}), "something is not as the last update left it", "n1"),
    ],
)
def test_every_review_has_a_reason_with_a_name(found: Any, reason: str, name: str) -> None:
    assert risk.verdict(found) is Verdict.REVIEW
    ((told, names),) = reasons(found).items()
    assert told.startswith(reason)
    assert names == (name,)
    for shown in (terminal.render(found), markdown.render(found)):
        assert re.search(rf"#### What needs review\n\n- {reason}.*: `{name}`", shown)


def test_what_is_safe_has_no_reason() -> None:
    assert reasons(node(change("update", CONVERGENCE, "n1"))) == {}
    assert "needs review" not in terminal.render(node(change("update", CONVERGENCE, "n1")))


def test_what_the_policies_say_is_shown() -> None:
    findings = (
        Finding("ssh-open", "error", "operators.ranges", "wrong."),
        Finding("shares", "warning", "nodes.n1", "odd."),
        Finding("forks", "error", "nodes.n1", "late.", waived="it is a test (until 2027-01-31)"),
    )
    shown = terminal.render(preview(findings=findings, notes=("Read this.",)))
    for line in (
        "**error** `ssh-open`",
        "wrong.",
        "**warning** `shares`",
        "odd.",
        "*Waived: it is a test",
        "Read this.",
    ):
        assert line in shown
