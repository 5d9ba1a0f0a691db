"""Host keys come over trusted paths only, and SSH talks to no other key: tried with a real SSH client and server."""

import io
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import paramiko
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keystoneauth1.exceptions import ConnectFailure
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from stacks import hostkey
from stacks.errors import StakeyardError
from stacks.ssh import Host, known_hosts, session, ssh_config, wait_until_ready

A, B = ("ssh-ed25519 " + letter * 68 for letter in "AB")


class Paths:
    """The two trusted paths, answering what a test says."""

    def __init__(self, metadata: list[str], console: str = "", fault: str | None = None) -> None:
        self.answers, self.output, self.reason = metadata, console, fault

    def metadata(self, server_id: str) -> str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def console(self, server_id: str) -> str:
        return self.output

    def fault(self, server_id: str) -> str | None:
        return self.reason


def block(*keys: str) -> str:
    return "boot\n-----BEGIN SSH HOST KEY KEYS-----\n" + "\n".join(keys) + "\n-----END SSH HOST KEY KEYS-----\nlogin:"


def read(paths: Paths, timeout: float = 900) -> str:
    return hostkey.read_host_key("n1", "id", paths, lambda _: None, timeout=timeout, sleep=lambda _: None)


def test_the_key_is_taken_from_either_path_when_the_other_is_silent() -> None:
    assert read(Paths([f"{A} root@n1\n"])) == A
    assert read(Paths([""], block("ecdsa-sha2-nistp256 xyz root", f"{A} root@n1"))) == A
    assert read(Paths(["", "", A])) == A, "it waits"


def test_a_server_that_the_cloud_could_not_start_is_named_with_the_way_out() -> None:
    with pytest.raises(StakeyardError, match=r"n1: the cloud could not start the server \(no host\).*Instance::n1'`"):
        read(Paths([""], fault="no host"))


def test_two_paths_that_differ_are_refused() -> None:
    with pytest.raises(StakeyardError, match=r"the host key on the server's console is not the one in its metadata"):
        read(Paths([A], block(B)))
    assert read(Paths([A], block(A))) == A


@pytest.mark.parametrize(
    "text", ["", "nonsense", "ssh-rsa " + "A" * 68, "ssh-ed25519 short", f"{A}\n{B}", "ssh-ed25519 " + "A" * 69]
)
def test_nothing_but_one_whole_ed25519_key_is_taken(text: str) -> None:
    with pytest.raises(StakeyardError, match=r"did not publish its SSH host key"):
        read(Paths([text], text), timeout=-1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: {"forbidden": {"message": "Policy doesn't allow it.", "code": 403}}, r"Policy doesn't allow it\."),
        (dict, "HTTP status 403"),
        (lambda: json.loads("<html>"), "HTTP status 403"),
    ],
)
def test_a_console_that_the_cloud_does_not_show_is_said(answer: Callable[[], object], reason: str) -> None:
    class Refusing(Paths):
        def console(self, server_id: str) -> str:
            raise hostkey.NoConsoleError(hostkey.refusal_in(SimpleNamespace(json=answer, status_code=403)))

    assert read(Refusing([A])) == A
    with pytest.raises(StakeyardError, match=rf"\(nothing is in its metadata, .* its console: {reason}\): look"):
        read(Refusing([""]), timeout=-1)


def test_the_cloud_is_asked_for_the_console_and_its_refusal_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        SimpleNamespace(ok=True, json=lambda: {"output": "boot"}),
        SimpleNamespace(ok=False, json=lambda: {"x": {"message": "no"}}, status_code=501),
    ]
    compute = SimpleNamespace(post=lambda _path, **_: answers.pop(0))
    monkeypatch.setattr("stacks.hostkey.connect", lambda _cloud: SimpleNamespace(compute=compute))
    paths = hostkey.CloudPaths("here")
    assert paths.console("s") == "boot"
    with pytest.raises(hostkey.NoConsoleError, match=r"^no$"):
        paths.console("s")


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_cloud_without_a_slot_for_passwords_leaves_the_console(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its refusal must not hide what the other path has; an answer of this moment is asked for again."""
    answer = requests.Response()
    answer.status_code = status
    compute = SimpleNamespace(get=lambda _path: answer)
    monkeypatch.setattr("stacks.hostkey.connect", lambda _cloud: SimpleNamespace(compute=compute))
    assert hostkey.CloudPaths("here").metadata("s") == ""
    answer.status_code = 429
    with pytest.raises(requests.HTTPError):
        hostkey.CloudPaths("here").metadata("s")


def test_an_unfinished_block_on_the_console_does_not_count() -> None:
    assert hostkey.key_on_console(f"-----BEGIN SSH HOST KEY KEYS-----\n{A}") is None


def test_a_session_without_a_pinned_key_is_refused() -> None:
    host = Host("n1", "127.0.0.1", "", "u", "/k")
    with pytest.raises(StakeyardError, match=r"no ed25519 host key is pinned"):
        known_hosts([host])


def test_the_configuration_never_turns_host_key_checking_off(tmp_path: Path) -> None:
    text = ssh_config([Host("n1", "127.0.0.1", A, "u", "/k")], tmp_path)
    assert "StrictHostKeyChecking yes" in text
    assert "UpdateHostKeys no" in text
    assert "PasswordAuthentication no" in text


class Server(paramiko.ServerInterface):
    """Lets the one key in and runs nothing: every command succeeds."""

    def __init__(self, allowed: paramiko.PKey) -> None:
        self.allowed = allowed

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL if key == self.allowed else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            channel.sendall(b"ran " + command)
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.1, answer).start()
        return True


def new_key(path: Path | None = None) -> paramiko.Ed25519Key:
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    if path is not None:
        path.touch(mode=0o600)
        path.write_bytes(private)
    return paramiko.Ed25519Key(file_obj=io.StringIO(private.decode()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Host]:
    """A real SSH server on loopback, and the host that rightly describes it."""
    assert shutil.which("ssh"), "the OpenSSH client is one of the packages in tools/packages.txt"
    host_key, user_key = new_key(), new_key(tmp_path / "id")
    listener = socket.create_server(("127.0.0.1", 0))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(host_key)
            transports.append(transport)
            try:
                transport.start_server(server=Server(user_key))
            except (paramiko.SSHException, EOFError):
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    pinned = f"ssh-ed25519 {host_key.get_base64()}"
    yield Host("n1", "127.0.0.1", pinned, "stakeyard", str(tmp_path / "id"), port=listener.getsockname()[1])
    listener.close()
    for transport in transports:
        transport.close()


def test_a_host_with_its_pinned_key_is_reached_and_nothing_is_left(server: Host) -> None:
    with session([server]) as opened:
        wait_until_ready(opened, server, lambda _: None, timeout=30)
        assert opened.run("n1", "true").stdout == "ran true"
        assert oct(opened.config.stat().st_mode & 0o777) == "0o600"
        directory = opened.directory
    assert not directory.exists()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(directory) not in listed, "the shared connection is closed"


def test_a_host_with_another_key_is_refused_at_once(server: Host) -> None:
    other = Host("n1", server.address, A.replace("A" * 68, new_key().get_base64()), server.user,
                 server.private_key_file, port=server.port)  # fmt: skip
    with session([other]) as opened, pytest.raises(StakeyardError, match=r"shows another host key than the one pinned"):
        wait_until_ready(opened, other, lambda _: None, timeout=30)


def test_a_key_that_the_host_does_not_know_ends_the_wait(server: Host, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    stranger = Host("n1", server.address, server.host_key, server.user, str(tmp_path / "stranger"), port=server.port)
    lines: list[str] = []
    with session([stranger]) as opened, pytest.raises(StakeyardError, match=r"was not ready after .*Permission denied"):
        wait_until_ready(opened, stranger, lines.append, timeout=1, sleep=lambda _: None)
    assert lines[0].startswith("waiting for SSH")


def test_a_cloud_that_hangs_up_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[Exception | str] = iter([ConnectFailure("hung up"), "there"])

    class Connection:
        @property
        def compute(self) -> str:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr("stacks.hostkey.connect", lambda _cloud: Connection())
    paths = hostkey.CloudPaths("here")
    with pytest.raises(ConnectFailure):
        _ = paths._compute
    assert paths._compute == "there"
