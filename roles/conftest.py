"""What every role's checks can ask for besides testinfra's `host`."""

import json
import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """What the program knows of the node (checks of one node) or of all nodes of the kind (`nodes`, fleet checks).

    A node: name, kind, address, host (where the control machine reaches it), variables, ports, egress, peers, volumes,
    files. For one node these are at the top as well as in `nodes[0]`. `ssh_config` reaches every node by its name.
    """
    known: dict[str, Any] = json.loads(Path(os.environ["STAKEYARD_FACTS"]).read_text())
    return known
