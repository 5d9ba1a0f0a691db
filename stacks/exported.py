"""The state of a stack as `pulumi stack export` tells it."""

import json
from typing import Any

from stacks.errors import StakeyardError
from stacks.text import last_line
from stacks.workspace import Workspace


def exported_text(workspace: Workspace, *, secrets: bool = False) -> str:
    """As Pulumi writes it, with encrypted secrets unless `secrets`.

    Raises StakeyardError where it cannot be read.
    """
    answer = workspace.pulumi("stack", "export", *(["--show-secrets"] if secrets else []), capture=True)
    if answer.returncode != 0:
        raise StakeyardError(f"the state of stack {workspace.stack} could not be read: {last_line(answer.stderr)}")
    return answer.stdout


def exported(workspace: Workspace, *, secrets: bool = False) -> dict[str, Any]:
    """The same as data."""
    found: dict[str, Any] = json.loads(exported_text(workspace, secrets=secrets))
    return found
