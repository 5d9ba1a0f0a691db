"""The other validators of the private network: most of its keys, run by the client alone on a server with native speed.

They make the network what a validator finds in the world: one that goes on, and finalises, without it. Nothing of the
role is shown by them. They have to be many for another reason too: the 512 seats of the sync committee are shared among
all keys, a client signs once for each seat before every slot's duties, and an emulated server has time for a few only.
"""

import base64
import tempfile
from pathlib import Path
from typing import Any

from stacks.artifacts import prefetch, unpack
from stacks.workspace import Workspace
from tests.lab import chain
from tests.lab.ethereum import FEE_RECIPIENT, NODES_SETS

UNIT = "other-validators"
FOLDER = f"/var/lib/{UNIT}"


def start(workspace: Workspace, network: Path, known: dict[str, Any]) -> None:
    """Start them on the first beacon node unless they run there; their history stays on it."""
    server = chain.BEACONS[0]
    if chain.on(workspace, server, f"systemctl is-active {UNIT} || true").strip() == "active":
        return
    first = sum(len(keys) for keys in known["sets"][:NODES_SETS])
    total = sum(map(len, known["sets"]))
    chain.on(workspace, server, f"sudo install -d -m 700 {FOLDER} {FOLDER}/data")
    for name, content in (("validator", _program()), ("config.yml", (network / "config.yml").read_bytes())):
        sent = base64.b64encode(content).decode()
        chain.on(workspace, server, f"base64 -d | sudo tee {FOLDER}/{name} >/dev/null", stdin=sent)
    flags = [
        *("--accept-terms-of-use", "--disable-monitoring", f"--datadir={FOLDER}/data"),
        *(f"--interop-start-index={first}", f"--interop-num-validators={total - first}"),
        *(f"--chain-config-file={FOLDER}/config.yml", f"--suggested-fee-recipient={FEE_RECIPIENT}"),
        *("--enable-beacon-rest-api", "--beacon-rest-api-provider=http://127.0.0.1:3500"),
    ]
    chain.on(
        workspace,
        server,
        f"sudo chmod 700 {FOLDER}/validator && sudo systemd-run --quiet --unit={UNIT} --property=Restart=on-failure"
        f" --property=RestartSec=5 {FOLDER}/validator {' '.join(flags)}",
    )


def _program() -> bytes:
    """The client of the pinned release."""
    with tempfile.TemporaryDirectory() as folder:
        return unpack(prefetch("ethereum_validator", lambda _line: None), "bin/validator", Path(folder)).read_bytes()
