"""A stand-in for the comment APIs of GitHub and GitLab, on the loopback: it keeps what is posted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.loopback import QuietHandler, serving

BOT = {"login": "github-actions[bot]", "id": 7}
TOKEN = "token-of-the-job"  # noqa: S105 - of a server that only this test knows


@dataclass
class ReviewApi:
    """What is there; `comments` are in the order in which they were written."""

    address: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    writes: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refuse: int = 0

    def add(self, body: str, author: dict[str, Any] | None = None) -> None:
        """A comment; by the bot unless it is somebody else's."""
        user = author or BOT
        self.comments.append(
            {"id": len(self.comments) + 1, "body": body, "user": user, "author": user, "system": False}
        )

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]

    def answer(self, method: str, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        url = urlsplit(target)
        query = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        if self.refuse and method != "GET":
            return self.refuse, {"message": "Resource not accessible by integration"}
        if method == "GET" and url.path == "/user":
            return 200, {"id": BOT["id"]}
        if method == "GET":
            first = (query["page"] - 1) * query["per_page"]
            return 200, self.comments[first : first + query["per_page"]]
        self.writes.append((method, url.path))
        if url.path.endswith("/sarifs"):
            self.uploads.append(body)
        elif method == "POST":
            self.add(body["body"])
        else:
            self.comments[int(url.path.rpartition("/")[2]) - 1]["body"] = body["body"]
        return 201, {}


@contextmanager
def served() -> Iterator[ReviewApi]:
    """The API while the block runs."""
    api = ReviewApi()

    class Handler(QuietHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            api.tokens.add(self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or "none")
            status, answer = api.answer(self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815 - the names that http.server calls

    with serving(Handler) as api.address:
        yield api
