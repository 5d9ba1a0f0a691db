"""Where Stakeyard keeps things on the control machine."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def cache() -> Path:
    """Directory for what can be made again: tools, images, artifacts (`STAKEYARD_CACHE` overrides it)."""
    explicit = os.environ.get("STAKEYARD_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stakeyard"
    return Path(explicit) if explicit else base


def lab() -> Path:
    """Directory of the lab cloud's state (`STAKEYARD_LAB` overrides it)."""
    return Path(os.environ.get("STAKEYARD_LAB") or "/var/lib/stakeyard/lab")
