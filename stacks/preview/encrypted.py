"""The fleet of a stack file that has encrypted values, with these as they are."""

import json

from stacks.catalogue import Catalogue
from stacks.encrypted_value import encrypted_paths
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet
from stacks.fleet_file import FLEET_KEY
from stacks.fleet_yaml import parse_yaml
from stacks.text import last_line
from stacks.workspace import Workspace


def decrypted(workspace: Workspace, catalogue: Catalogue) -> Fleet | None:
    """The fleet; None where nothing in the stack file is encrypted.

    Raises StakeyardError where Pulumi cannot decrypt it, or where it is no good fleet.
    """
    if not any(encrypted_paths(parse_yaml(workspace.stack_file_bytes()))):
        return None
    answer = workspace.pulumi("config", "--json", "--show-secrets", capture=True)
    if answer.returncode != 0:
        raise StakeyardError(
            f"the encrypted values of stack {workspace.stack} could not be read: {last_line(answer.stderr)}"
        )
    found = json.loads(answer.stdout).get(FLEET_KEY) or {}
    value = found["objectValue"] if "objectValue" in found else json.loads(found.get("value") or "null")
    return load_fleet(value, catalogue, secrets_in_clear=True)
