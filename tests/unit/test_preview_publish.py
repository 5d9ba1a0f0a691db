"""The report becomes one comment that is kept up to date, and findings; run as the workflow runs it."""

import base64
import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks.paths import REPOSITORY
from tests.unit.review_api import TOKEN, ReviewApi, served

SCRIPT = REPOSITORY / "stacks/preview/ci/publish.py"
MARKER = "<!-- stakeyard:preview:lab -->"
PLACES = ("github", "gitlab")
NOTES = {"github": "/repos/o/r/issues/5/comments", "gitlab": "/projects/3/merge_requests/5/notes"}
ONE = {"github": ("PATCH", "/repos/o/r/issues/comments/"), "gitlab": ("PUT", f"{NOTES['gitlab']}/")}


@pytest.fixture
def api() -> Iterator[ReviewApi]:
    with served() as running:
        yield running


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "preview.md").write_text("**Safe**\n")
    (tmp_path / "preview.sarif").write_text(json.dumps({"version": "2.1.0", "runs": [{"results": []}]}))
    return tmp_path


def environment(place: str, api: ReviewApi) -> dict[str, str]:
    if place == "gitlab":
        own = {"CI_API_V4_URL": api.address, "CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "5"}
        return {"GITLAB_CI": "true", "STAKEYARD_COMMENT_TOKEN": TOKEN, **own}
    own = {"GITHUB_REPOSITORY": "o/r", "STAKEYARD_PULL_REQUEST": "5", "STAKEYARD_COMMIT": "c" * 40}
    return {"GITHUB_API_URL": api.address, "GITHUB_TOKEN": TOKEN, **own}


def publish(
    place: str, api: ReviewApi, folder: Path, action: str = "comment", stack: str = "lab", **changed: str
) -> subprocess.CompletedProcess[str]:
    """The script by itself: an interpreter without this project's packages."""
    env = {"PATH": "/usr/bin:/bin", **environment(place, api), **changed}
    command = ["/usr/bin/env", "python3", "-S", "-E", str(SCRIPT), action, stack, str(folder)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("place", PLACES)
def test_a_comment_is_posted_once_and_then_kept_up_to_date(place: str, api: ReviewApi, report: Path) -> None:
    api.add("I like it", {"login": "somebody", "id": 8})
    assert publish(place, api, report).stdout == "ci: comment posted\n"
    assert publish(place, api, report).stdout == "ci: comment is up to date\n"
    (report / "preview.md").write_text("**Refused**\n")
    assert publish(place, api, report).stdout == "ci: comment updated\n"
    assert api.bodies == ["I like it", f"{MARKER}\n**Refused**\n"]
    method, path = ONE[place]
    assert api.writes == [("POST", NOTES[place]), (method, f"{path}2")]
    assert api.tokens == {f"Bearer {TOKEN}" if place == "github" else TOKEN}


@pytest.mark.parametrize("place", PLACES)
def test_somebody_elses_comment_with_the_same_mark_is_left_alone(place: str, api: ReviewApi, report: Path) -> None:
    api.add(f"{MARKER}\nmine", {"login": "somebody", "id": 8})
    api.add(f"> {MARKER}\nquoted by the bot")
    assert publish(place, api, report).stdout == "ci: comment posted\n"
    assert api.bodies[:2] == [f"{MARKER}\nmine", f"> {MARKER}\nquoted by the bot"]


@pytest.mark.parametrize("place", PLACES)
def test_our_comment_is_found_behind_many_others(place: str, api: ReviewApi, report: Path) -> None:
    for number in range(200):
        api.add(f"comment {number}", {"login": "somebody", "id": 8})
    api.add(f"{MARKER}\nold")
    assert publish(place, api, report).stdout == "ci: comment updated\n"
    assert len(api.comments) == 201


def test_each_stack_has_a_comment_of_its_own(api: ReviewApi, report: Path) -> None:
    publish("github", api, report)
    publish("github", api, report, stack="otc-eu-de")
    assert len(api.comments) == 2


def test_a_preview_that_never_came_does_not_leave_the_old_report_standing(api: ReviewApi, report: Path) -> None:
    publish("github", api, report)
    (report / "preview.md").unlink()
    assert publish("github", api, report).stdout == "ci: comment updated\n"
    assert "There is no preview" in api.bodies[0]


def test_a_report_that_is_too_long_keeps_its_beginning(api: ReviewApi, report: Path) -> None:
    (report / "preview.md").write_text("**Refused**\n" + "x" * 100_000)
    publish("github", api, report)
    assert len(api.bodies[0]) < 65_536
    assert api.bodies[0].startswith(f"{MARKER}\n**Refused**")
    assert api.bodies[0].endswith("(cut: all of it is in the job's artifact)")


def test_findings_are_handed_to_code_scanning_for_their_stack(api: ReviewApi, report: Path) -> None:
    assert publish("github", api, report, "sarif").stdout == "ci: findings handed to code scanning\n"
    sent = api.uploads[0]
    assert (sent["commit_sha"], sent["ref"]) == ("c" * 40, "refs/pull/5/merge")
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(sent["sarif"])))
    assert found["runs"] == [{"results": [], "automationDetails": {"id": "stakeyard/lab/"}}]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is empty: give it to the job."),
        ({"GITHUB_API_URL": "http://192.0.2.1"}, "http://192.0.2.1 is not https"),
        ({"STAKEYARD_PULL_REQUEST": "5/../6"}, "STAKEYARD_PULL_REQUEST is '5/../6': it must be a number."),
        ({"GITHUB_API_URL": "http://127.0.0.1:1"}, "failed: "),
    ],
)
def test_what_is_wrong_is_one_sentence_without_the_token(
    changed: dict[str, str], sentence: str, api: ReviewApi, report: Path
) -> None:
    answer = publish("github", api, report, **changed)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert sentence in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert TOKEN not in answer.stderr
    assert api.writes == []


def test_a_refusal_of_the_api_is_told(api: ReviewApi, report: Path) -> None:
    api.refuse = 403
    answer = publish("github", api, report)
    assert answer.returncode == 1
    assert "was refused with status 403: Resource not accessible by integration" in answer.stderr


def test_a_name_that_is_no_stack_reaches_no_comment(api: ReviewApi, report: Path) -> None:
    assert "is no name of a stack" in publish("github", api, report, stack="lab --><b>").stderr
    assert api.comments == []


def test_findings_that_are_not_there_fail(api: ReviewApi, tmp_path: Path) -> None:
    assert "has no findings to hand on" in publish("github", api, tmp_path, "sarif").stderr


@pytest.mark.parametrize("action", ["comment", "sarif"])
@pytest.mark.parametrize("linked", ["file", "folder", "to nothing"])
def test_nothing_is_published_from_behind_a_link(action: str, linked: str, api: ReviewApi, report: Path) -> None:
    folder = report
    if linked == "folder":
        folder = report / "link"
        folder.symlink_to(report)
    else:
        for name in ("preview.md", "preview.sarif"):
            (report / name).unlink()
            (report / name).symlink_to("/proc/self/environ" if linked == "file" else "/nowhere")
    answer = publish("github", api, folder, action)
    assert answer.returncode == 1
    assert "is a symbolic link: nothing is published from behind it." in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert (api.comments, api.uploads) == ([], [])


@pytest.mark.parametrize("what", ["pipe", "folder", "much"])
def test_what_is_no_report_is_not_published(what: str, api: ReviewApi, report: Path) -> None:
    path = report / "preview.md"
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"x" * 20_000_001)
    answer = publish("github", api, report)
    assert answer.returncode == 1
    assert {"pipe": "is no file", "folder": "preview.md", "much": "is longer than 20,000,000"}[what] in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert api.comments == []
