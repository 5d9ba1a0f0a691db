"""Where Stakeyard keeps things on the control machine."""

import os
from pathlib import Path

from stacks.errors import StakeyardError

REPOSITORY = Path(__file__).resolve().parent.parent


def cache() -> Path:
    """Directory for what can be made again: tools, images, artifacts (`STAKEYARD_CACHE` overrides it).

    Raises StakeyardError where that is a relative path.
    """
    # XDG's specification: a relative path is to be ignored.
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = shared if shared.is_absolute() else Path.home() / ".cache"
    return _chosen("STAKEYARD_CACHE") or base / "stakeyard"


def lab() -> Path:
    """Directory of the lab cloud's state (`STAKEYARD_LAB` overrides it). Raises StakeyardError as `cache` does."""
    return _chosen("STAKEYARD_LAB") or Path("/var/lib/stakeyard/lab")


def _chosen(name: str) -> Path | None:
    """The path in this variable. Every command has another working directory, so a relative one would be many."""
    value = os.environ.get(name)
    if value and not Path(value).is_absolute():
        raise StakeyardError(f"{name} is {value}, a relative path: write it from /.")
    return Path(value) if value else None
