"""A stand-in for the few questions that a preview asks a cloud: log in, find a network, find an image.

It listens on 127.0.0.1 only, knows no password, and answers nothing that would change something: whoever asks for
more than these gets 404. The identifiers it gives are those of dryrun/answers.py.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dryrun.answers import made_up
from stacks.preview.sample import sample

_MOMENT = "2100-01-01T00:00:00.000000Z"
_REGION = "mocked"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, patterns: Iterable[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.images = [_image(pattern) for pattern in sorted(set(patterns))]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if urlsplit(self.path).path != "/v3/auth/tokens":
            self._answer(404, {})
            return
        self._answer(201, {"token": _token(self.server.url)}, {"X-Subject-Token": "mocked"})

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        match asked.path.rstrip("/"):
            case "" | "/v3":
                self._answer(200, {"version": {"id": "v3.14", "status": "stable", "links": _links(self.server.url)}})
            case "/network/v2.0/networks":
                self._answer(200, {"networks": [_network(query.get("name", "external"))]})
            case "/image/v2/images":
                self._answer(200, {"images": self.server.images})
            case _:
                self._answer(404, {})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Say nothing: standard error is the user's."""


def _links(url: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"{url}/v3/"}]


def _token(url: str) -> dict[str, Any]:
    services = [("network", "neutron", "/network/"), ("image", "glance", "/image/")]
    return {
        "methods": ["password"],
        "expires_at": _MOMENT,
        "issued_at": _MOMENT,
        "user": {"id": "mocked", "name": "mocked", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "mocked", "name": "mocked", "domain": {"id": "default", "name": "Default"}},
        "roles": [],
        "catalog": [
            {
                "id": name,
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": name,
                        "interface": "public",
                        "region": _REGION,
                        "region_id": _REGION,
                        "url": url + path,
                    }
                ],
            }
            for kind, name, path in services
        ],
    }


def _network(name: str) -> dict[str, Any]:
    return {
        "id": made_up(name),
        "name": name,
        "status": "ACTIVE",
        "admin_state_up": True,
        "router:external": True,
        "shared": True,
        "subnets": [],
        "tenant_id": "mocked",
        "project_id": "mocked",
    }


def _image(pattern: str) -> dict[str, Any]:
    return {
        "id": made_up(pattern),
        "name": sample(pattern),
        "status": "active",
        "visibility": "public",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
        "container_format": "bare",
        "disk_format": "qcow2",
        "min_disk": 0,
        "min_ram": 0,
        "protected": False,
        "size": 1,
        "checksum": "",
        "owner": "mocked",
        "tags": [],
        "file": "/v2/images/mocked/file",
        "schema": "/v2/schemas/image",
    }


@contextmanager
def stand_in(patterns: Iterable[str]) -> Iterator[str]:
    """The address of a server that knows one public image for each of `patterns`; it ends with the block.

    Raises StakeyardError for a pattern that no name can be made for.
    """
    server = _Server(patterns)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def clouds_yaml(entries: Iterable[str], url: str) -> str:
    """A clouds.yaml by which every one of `entries` is the stand-in at `url`."""
    login = {
        "auth_url": f"{url}/v3",
        "username": "mocked",
        "password": "mocked",
        "project_name": "mocked",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    entry = {"auth": login, "region_name": _REGION, "identity_api_version": 3}
    return json.dumps({"clouds": dict.fromkeys(sorted(set(entries)), entry)})  # JSON is YAML
