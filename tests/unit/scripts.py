"""Programs that a test makes to stand in for real ones."""

import stat
from pathlib import Path


def script(path: Path, text: str = "") -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
