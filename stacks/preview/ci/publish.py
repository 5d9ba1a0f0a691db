#!/usr/bin/env python3
"""Publish a report where the review is: one comment that is kept up to date, and findings for code scanning.

    publish.py comment STACK FOLDER     GitHub and GitLab
    publish.py sarif STACK FOLDER       GitHub

Runs with the runner's Python and nothing else, in a job that has the right to write comments and no other credential.
The token comes from the environment: GITHUB_TOKEN, or STAKEYARD_COMMENT_TOKEN on GitLab.
"""

import base64
import gzip
import json
import os
import stat
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

PAGE = 100
LONGEST = {"github": 65_000, "gitlab": 900_000}
"""Characters of a comment: a little under what each takes."""
LARGEST = 20_000_000
"""Characters of a file that are read."""
TIMEOUT_SECONDS = 60
_BOT = "github-actions[bot]"


class PublishError(Exception):
    """One sentence for whoever reads the job's log."""


class Api:
    """JSON over HTTP, with a token in a header."""

    def __init__(self, address: str, header: tuple[str, str]) -> None:
        url = urllib.parse.urlsplit(address)
        # The loopback is where the tests' API is.
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname == "127.0.0.1"):
            raise PublishError(f"{address} is not https: a token is sent to nobody who can be overheard.")
        self.address, self.header = address.rstrip("/"), header

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer. Raises PublishError with the status and the API's own word."""
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at above
            f"{self.address}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={self.header[0]: self.header[1], "Content-Type": "application/json", "User-Agent": "stakeyard"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise PublishError(f"{method} {path} was refused with status {error.code}: {_said(error)}") from None
        except (OSError, ValueError) as error:
            raise PublishError(f"{method} {path} failed: {error}") from None

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list, page by page."""
        page = 1
        while True:
            found = self.ask("GET", f"{path}?per_page={PAGE}&page={page}")
            yield from found
            if len(found) < PAGE:
                return
            page += 1


def _said(error: urllib.error.HTTPError) -> str:
    try:
        told = json.loads(error.read())
        return str(told.get("message") or told.get("error") or "no reason")[:200]
    except (OSError, ValueError, AttributeError):
        return "no reason"


class Place(Protocol):
    """Where comments are."""

    longest: int

    def own(self) -> Iterator[tuple[str, str]]:
        """Our comments: identifier and text."""

    def post(self, text: str) -> None:
        """Write a new comment."""

    def replace(self, identifier: str, text: str) -> None:
        """Write another text into a comment of ours."""


class GitHub:
    """A pull request."""

    longest = LONGEST["github"]

    def __init__(self, env: Mapping[str, str]) -> None:
        self.api = github(env)
        self.repository, self.number = need(env, "GITHUB_REPOSITORY"), number(env, "STAKEYARD_PULL_REQUEST")
        self.author = env.get("STAKEYARD_COMMENT_AUTHOR") or _BOT

    def own(self) -> Iterator[tuple[str, str]]:
        """See `Place`: somebody else who quotes ours is not us."""
        for each in self.api.pages(f"/repos/{self.repository}/issues/{self.number}/comments"):
            if (each.get("user") or {}).get("login") == self.author:
                yield str(each["id"]), str(each.get("body") or "")

    def post(self, text: str) -> None:
        """See `Place`."""
        self.api.ask("POST", f"/repos/{self.repository}/issues/{self.number}/comments", {"body": text})

    def replace(self, identifier: str, text: str) -> None:
        """See `Place`."""
        self.api.ask("PATCH", f"/repos/{self.repository}/issues/comments/{identifier}", {"body": text})


class GitLab:
    """A merge request."""

    longest = LONGEST["gitlab"]

    def __init__(self, env: Mapping[str, str]) -> None:
        token = need(env, "STAKEYARD_COMMENT_TOKEN")
        self.api = Api(need(env, "CI_API_V4_URL"), ("PRIVATE-TOKEN", token))
        project, request = number(env, "CI_PROJECT_ID"), number(env, "CI_MERGE_REQUEST_IID")
        self.notes = f"/projects/{project}/merge_requests/{request}/notes"

    def own(self) -> Iterator[tuple[str, str]]:
        """See `Place`."""
        me = self.api.ask("GET", "/user")["id"]
        for each in self.api.pages(self.notes):
            if (each.get("author") or {}).get("id") == me and not each.get("system"):
                yield str(each["id"]), str(each.get("body") or "")

    def post(self, text: str) -> None:
        """See `Place`."""
        self.api.ask("POST", self.notes, {"body": text})

    def replace(self, identifier: str, text: str) -> None:
        """See `Place`."""
        self.api.ask("PUT", f"{self.notes}/{identifier}", {"body": text})


def github(env: Mapping[str, str]) -> Api:
    """GitHub's API with the job's own token."""
    address = env.get("GITHUB_API_URL") or "https://api.github.com"
    return Api(address, ("Authorization", f"Bearer {need(env, 'GITHUB_TOKEN')}"))


def need(env: Mapping[str, str], name: str) -> str:
    """The variable's value. Raises PublishError where it has none."""
    if not env.get(name):
        raise PublishError(f"{name} is empty: give it to the job.")
    return env[name]


def number(env: Mapping[str, str], name: str) -> int:
    """The same for a number, which is put into a path."""
    value = need(env, name)
    if not (value.isascii() and value.isdigit()):
        raise PublishError(f"{name} is {value!r}: it must be a number.")
    return int(value)


def comment(place: Place, stack: str, report: str) -> str:
    """Put the report into the one comment of this stack; says what was done."""
    marker = f"<!-- stakeyard:preview:{stack} -->"
    text = f"{marker}\n{report}"
    if len(text) > place.longest:
        text = f"{text[: place.longest]}\n\n(cut: all of it is in the job's artifact)"
    ours = [(identifier, body) for identifier, body in place.own() if body.startswith(marker)]
    if not ours:
        place.post(text)
        return "comment posted"
    identifier, body = ours[0]
    if body == text:
        return "comment is up to date"
    place.replace(identifier, text)
    return "comment updated"


def read(folder: Path, name: str) -> str:
    """A file of the report, which comes from the pull request's job. Raises PublishError for anything but a plain file.

    Behind a link there could be what this job alone may read: its token, to be posted for everybody.
    """
    path = folder / name
    for each in (folder, path):
        if each.is_symlink():
            raise PublishError(f"{each} is a symbolic link: nothing is published from behind it.")
    try:
        # Not blocking: nobody would ever write to a pipe that lies there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PublishError(f"{path} is no file: nothing is published from it.")
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PublishError(f"{path} cannot be read: {error.strerror}.") from None
    if len(text) > LARGEST:
        raise PublishError(f"{path} is longer than {LARGEST:,} characters: no report is.")
    return text


def report_of(folder: Path) -> str:
    """The report's Markdown, or a sentence where the preview did not get so far: an old report must not stand there."""
    try:
        return read(folder, "preview.md")
    except FileNotFoundError:
        return "**There is no preview**: the job ended before it could write one. Its log says why.\n"


def sarif(env: Mapping[str, str], stack: str, folder: Path) -> str:
    """Hand the findings to code scanning; says what was done."""
    try:
        found = json.loads(read(folder, "preview.sarif"))
    except (FileNotFoundError, ValueError):
        raise PublishError(f"{folder} has no findings to hand on: look at the preview's log.") from None
    for run in found.get("runs") or ():
        # One category a stack: without it, the findings of one stack would replace those of another.
        run["automationDetails"] = {"id": f"stakeyard/{stack}/"}
    repository, request = need(env, "GITHUB_REPOSITORY"), number(env, "STAKEYARD_PULL_REQUEST")
    body = {
        "commit_sha": need(env, "STAKEYARD_COMMIT"),
        "ref": f"refs/pull/{request}/merge",
        "sarif": base64.b64encode(gzip.compress(json.dumps(found).encode(), mtime=0)).decode(),
    }
    github(env).ask("POST", f"/repos/{repository}/code-scanning/sarifs", body)
    return "findings handed to code scanning"


def main(arguments: list[str], env: Mapping[str, str]) -> int:
    """The exit status: 0 done, 1 failed with one sentence, 2 used wrongly."""
    if len(arguments) != 3 or arguments[0] not in ("comment", "sarif"):
        print("usage: publish.py comment|sarif STACK FOLDER", file=sys.stderr)
        return 2
    action, stack, folder = arguments[0], arguments[1], Path(arguments[2])
    try:
        if not stack.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise PublishError(f"{stack!r} is no name of a stack.")
        if action == "sarif":
            print(f"ci: {sarif(env, stack, folder)}")
        else:
            place: Place = GitLab(env) if env.get("GITLAB_CI") else GitHub(env)
            print(f"ci: {comment(place, stack, report_of(folder))}")
    except PublishError as error:
        print(f"ci: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
