"""The passphrase of a checkout's local state."""

import secrets
from pathlib import Path

from stacks.errors import StakeyardError
from stacks.text import refused
from stacks.whole_files import make_once


def passphrase_file(state: Path) -> Path:
    """The file of a random passphrase in the folder `state`, made once, readable by its owner only.

    Raises StakeyardError where there is one that cannot be the passphrase.
    """
    path = state / "passphrase"
    try:
        if not path.exists():
            make_once(path, secrets.token_urlsafe(32))
        text = path.read_bytes()
    except OSError as error:
        raise StakeyardError(f"{path} cannot be read ({refused(error)}): let it be a file of yours.") from None
    if not text.strip():
        # Pulumi would take it, and encrypt with nothing.
        raise StakeyardError(
            f"{path} is empty: put the passphrase of this state back into it or, where no stack has been made yet, "
            "remove it."
        )
    return path
