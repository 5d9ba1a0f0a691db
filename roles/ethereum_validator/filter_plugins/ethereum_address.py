"""Addresses of accounts, for the preflight."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

_REPOSITORY = str(Path(__file__).resolve().parents[3])
if _REPOSITORY not in sys.path:
    sys.path.append(_REPOSITORY)

from roles.ethereum_validator.module_utils.stakeyard_ethereum.address import problem  # noqa: E402


def address_problem(address: object) -> str:
    """Why this cannot be the address that fees are paid to; nothing where it can."""
    return problem(address) or ""


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> Mapping[str, Callable[[object], str]]:
        """The filters by name."""
        return {"ethereum_address_problem": address_problem}
