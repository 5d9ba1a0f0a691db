"""What is wrong with a value of a stack file that only Ethereum can know (`needs.checked_by` in node.yml)."""

import sys
from pathlib import Path

_REPOSITORY = str(Path(__file__).resolve().parents[2])
if _REPOSITORY not in sys.path:  # loaded by its path: `roles` is no package that is installed
    sys.path.append(_REPOSITORY)

from roles.ethereum_validator.module_utils.stakeyard_ethereum import address  # noqa: E402


def problem(name: str, value: object) -> str | None:
    """Why the variable `name` cannot have this value, as it goes on after the variable; None where it can.

    The value is not shown, as none of a stack file's variables is.
    """
    if name != "ethereum_validator_fee_recipient":
        return None
    said = address.problem(value)
    return said.removeprefix(f"{value} ").replace(": ", "; ") if said else None
