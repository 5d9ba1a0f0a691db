"""A connection to an entry of clouds.yaml, and what becomes of one that cannot be used."""

from typing import Any

import openstack
from keystoneauth1.exceptions import ClientException
from openstack.exceptions import ConfigException, SDKException

from stacks.errors import StakeyardError
from stacks.text import last_line

CLOUD_ERRORS = (SDKException, ClientException, OSError)
"""What a cloud that does not answer or refuses raises; a certificate file that is not there is an `OSError`."""


def connect(cloud: str) -> Any:
    """A connection to the entry `cloud`; no cloud is asked yet.

    Raises StakeyardError where there is no such entry, or none that a login could be made with.
    """
    try:
        return openstack.connect(cloud=cloud)
    # The library trusts an entry to have the right form: one with a list for a mapping breaks it anywhere.
    except (*CLOUD_ERRORS, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, ConfigException) and "was not found" in str(error):
            # So it says, too, of a file that is no YAML or cannot be read.
            raise StakeyardError(
                f"no clouds.yaml that can be read has an entry `{cloud}`: write it into "
                "~/.config/openstack/clouds.yaml, or correct `cloud` in the stack file."
            ) from None
        raise StakeyardError(
            f"the entry `{cloud}` of clouds.yaml cannot be used ({_reason(error)}): correct it."
        ) from None


def log_in(cloud: str) -> Any:
    """A connection to the entry `cloud` that is let in. Raises StakeyardError where it is not."""
    connection = connect(cloud)
    try:
        connection.authorize()
    except CLOUD_ERRORS as error:
        raise StakeyardError(
            f"the login at cloud `{cloud}` failed ({_reason(error)}): correct its entry in clouds.yaml, or try again "
            "when it answers."
        ) from None
    return connection


def _reason(error: Exception) -> str:
    return last_line(str(error), type(error).__name__).rstrip(".")
