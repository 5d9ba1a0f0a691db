"""How a server tells its public SSH host key: once, over the metadata service, and harmlessly where there is none."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from images.node import boot, metadata
from images.node.inputs import NODE

SCRIPT = NODE / "files/usr/local/lib/stakeyard/publish-host-key"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzIGlzdCBub2NoIGtlaW4gU2NobHVlc3Nl"


class Service:
    """A metadata service that answers every POST with the next status."""

    def __init__(self, *statuses: int) -> None:
        self.seen: list[tuple[str, str]] = []
        waiting, seen = list(statuses), self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                seen.append((self.path, body))
                self.send_response(waiting.pop(0))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1/{self.server.server_port}"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key.pub"
    file.write_text(f"{KEY} root@node\n")
    return file


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service(503, 200)
    yield running
    running.server.shutdown()


def publish(key_file: Path, place: str, attempts: int = 2) -> str:
    """Run the script; what it wrote to the console."""
    console = key_file.with_name("console")
    subprocess.run(
        ["bash", SCRIPT, key_file, place, str(attempts)],
        check=True,
        capture_output=True,
        timeout=30,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "STAKEYARD_CONSOLE": str(console)},
    )
    return console.read_text() if console.exists() else ""


def test_the_key_is_posted_until_it_is_taken_and_without_its_comment(key_file: Path, service: Service) -> None:
    publish(key_file, service.place)
    assert service.seen == [("/openstack/latest/password", KEY)] * 2


def test_the_console_shows_the_block_that_cloud_tools_know(key_file: Path, service: Service) -> None:
    shown = publish(key_file, service.place)
    assert shown == f"-----BEGIN SSH HOST KEY KEYS-----\n{KEY}\n-----END SSH HOST KEY KEYS-----\n"


@pytest.mark.parametrize("status", [409, 404])
def test_a_key_that_is_known_already_or_not_wanted_is_offered_once(key_file: Path, status: int) -> None:
    service = Service(status)
    publish(key_file, service.place, attempts=5)
    service.server.shutdown()
    assert len(service.seen) == 1


def test_it_ends_quietly_when_nobody_answers(key_file: Path) -> None:
    publish(key_file, "127.0.0.1/1", attempts=1)


def test_it_ends_quietly_without_a_key(tmp_path: Path) -> None:
    assert publish(tmp_path / "none.pub", "127.0.0.1/1", attempts=1) == ""


def test_our_metadata_service_keeps_the_first_key_as_nova_does(tmp_path: Path) -> None:
    (tmp_path / "public_key").write_text("ssh-ed25519 operator\n")
    assert metadata.answer("POST", "/openstack/latest/password", KEY, tmp_path) == (200, "")
    assert metadata.answer("POST", "/openstack/latest/password", "ssh-ed25519 other", tmp_path) == (409, "")
    assert (tmp_path / "host_key").read_text() == KEY
    assert metadata.answer("GET", "/openstack/2018-08-27/meta_data.json", "", tmp_path)[0] == 200
    assert metadata.answer("GET", "/nothing", "", tmp_path) == (404, "")


def test_a_guest_gets_out_to_nothing_but_its_metadata_service(tmp_path: Path) -> None:
    line = boot.command(tmp_path / "disk.qcow2", None, 2222, "program")
    network = line[line.index("-netdev") + 1]
    assert "restrict=on" in network
    assert "hostfwd=tcp:127.0.0.1:2222-:22" in network
    assert "-kernel" not in line
    assert "-snapshot" in line, "a measured boot would change the image"
