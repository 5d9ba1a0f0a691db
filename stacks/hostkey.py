"""The SSH host key of a new server, read through the cloud's authenticated API.

A server publishes its public key twice at first boot: on its console, and once to the metadata service, which
keeps the first value (Nova's `os-server-password`). Nobody on the network between us and the server can change
either, so the first SSH connection is already made to a known key.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

from stacks.cancellation import pause
from stacks.cloud_login import CLOUD_ERRORS, connect
from stacks.errors import StakeyardError
from stacks.lifecycle import Diff, Report, State, compare
from stacks.text import last_line

POLL_SECONDS = 5.0
_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}(?![A-Za-z0-9+/=])")
_BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)


WITHOUT_SLOT = (400, 403, 404, 405, 501)
"""How a cloud says that a server, as it is or ever, has no password slot: then its console is the only path."""
CONSOLE_LINES = 100_000
"""How much of the console is asked for; more than a boot writes. Some clouds insist on a number."""
NOTHING = "it has published nothing yet"


class NoConsoleError(Exception):
    """The cloud does not show a server's console, and why; the metadata may have the key all the same."""


class Paths(Protocol):
    """The two trusted paths; tests give their own."""

    def metadata(self, server_id: str) -> str:
        """What the server posted to the metadata service, or nothing yet."""

    def console(self, server_id: str) -> str:
        """The server's console output so far. Raises NoConsoleError where the cloud does not show it."""

    def fault(self, server_id: str) -> str | None:
        """Why the server will never start, or None while it may."""


class CloudPaths:
    """The trusted paths of a real cloud."""

    def __init__(self, cloud: str) -> None:
        """`cloud` is an entry of clouds.yaml."""
        self._cloud = cloud

    @cached_property
    def _compute(self) -> Any:
        # Asks the cloud, so not before there is somebody who waits when it does not answer.
        return connect(self._cloud).compute

    def metadata(self, server_id: str) -> str:
        """See `Paths`."""
        answer = self._compute.get(f"/servers/{server_id}/os-server-password")
        if answer.status_code in WITHOUT_SLOT:
            return ""
        answer.raise_for_status()
        return str(answer.json().get("password") or "")

    def console(self, server_id: str) -> str:
        """See `Paths`."""
        asked = {"os-getConsoleOutput": {"length": CONSOLE_LINES}}
        answer = self._compute.post(f"/servers/{server_id}/action", json=asked)
        if not answer.ok:
            raise NoConsoleError(refusal_in(answer))
        return str(answer.json().get("output") or "")

    def fault(self, server_id: str) -> str | None:
        """See `Paths`."""
        server = self._compute.get_server(server_id)
        return str((server.fault or {}).get("message") or "no reason given") if server.status == "ERROR" else None


def refusal_in(answer: Any) -> str:
    """Why Nova refused, by the message in its answer, such as `{"forbidden": {"message": ...}}`; else the status."""
    try:
        (told,) = answer.json().values()
        return last_line(str(told["message"]))
    except (ValueError, AttributeError, TypeError, KeyError):
        return f"HTTP status {answer.status_code}"


def key_in(text: str) -> str | None:
    """The one ed25519 public key in `text`, without its comment; None when there is none or more than one."""
    found = set(_KEY.findall(text))
    return found.pop() if len(found) == 1 else None


def key_on_console(output: str) -> str | None:
    """The ed25519 key in the last complete host key block of a console output, or None."""
    blocks = _BLOCK.findall(output)
    return key_in(blocks[-1]) if blocks else None


def agreed(node: str, metadata: str | None, console: str | None) -> str | None:
    """The key that the paths which have one agree on; raises StakeyardError when they differ."""
    if metadata and console and metadata != console:
        raise StakeyardError(
            f"{node}: the host key on the server's console is not the one in its metadata: "
            "somebody else may have published one of them; delete the server and create it again."
        )
    return metadata or console


def read_host_key(
    node: str,
    server_id: str,
    paths: Paths,
    progress: Callable[[str], None],
    *,
    timeout: float = 900,
    sleep: Callable[[float], None] = pause,
) -> str:
    """Wait until the server has published its host key, and return it as `ssh-ed25519 AAAA...`.

    Raises StakeyardError when the two paths disagree, or after `timeout` seconds: there is no other way to learn
    the key, since one taken from the first connection could be anybody's.
    """
    started = time.monotonic()
    while True:
        fault, metadata, console, trouble = None, None, None, NOTHING
        try:
            fault = paths.fault(server_id)
            metadata = key_in(paths.metadata(server_id))
            console = key_on_console(paths.console(server_id))
        except NoConsoleError as refusal:
            trouble = f"nothing is in its metadata, and the cloud does not show its console: {refusal}"
        except CLOUD_ERRORS as error:
            metadata, trouble = None, f"the cloud's API says: {last_line(str(error), type(error).__name__)}"
        if fault is not None:
            # Pulumi takes a server that failed to start for an existing one from then on.
            raise StakeyardError(
                f"{node}: the cloud could not start the server ({fault}): make another one with "
                f"`stakeyard pulumi up --replace '**compute/instance:Instance::{node}'`."
            )
        key = agreed(node, metadata, console)
        if key is not None:
            return key
        waited = time.monotonic() - started
        if waited > timeout:
            raise StakeyardError(
                f"{node}: the server did not publish its SSH host key in {waited:.0f} s ({trouble}): "
                "look at its console with `openstack console log show`; without that key no connection is made."
            )
        progress(f"waiting for the host key ({waited:.0f} s)")
        sleep(POLL_SECONDS)


class PinnedKey:
    """The resource that holds a server's host key: created when the server has booted and published it.

    Inputs: name, server_id, cloud. Outputs add: key. Another server has another key, so it is a new resource.
    """

    def diff(self, old_inputs: Mapping[str, Any], old_state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Diff:
        """The key is the server's, whatever entry of clouds.yaml we use to ask for it."""
        changed = compare(old_inputs, old_state, inputs, ignored=("cloud",))
        return Diff(changed, tuple(name for name in changed if name == "server_id"))

    def apply(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Read the key, once: what is pinned stays pinned."""
        if not state.get("key"):
            paths = CloudPaths(inputs["cloud"])
            state["key"] = read_host_key(inputs["name"], inputs["server_id"], paths, report.progress)

    def read(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """A pinned key does not follow the server: one that shows another key is refused, and reported as drift."""

    def delete(self, inputs: Mapping[str, Any], state: Mapping[str, Any], report: Report) -> None:
        """There is nothing to take away."""
