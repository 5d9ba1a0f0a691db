"""What the program is configured with."""

import json
from pathlib import Path

import pulumi

from stacks.handover import FILE


def fleet() -> object:
    """The value of `stakeyard:fleet`."""
    config = pulumi.Config("stakeyard")
    file = config.get(FILE)
    return json.loads(Path(file).read_text(encoding="utf-8")) if file else config.require_object("fleet")
