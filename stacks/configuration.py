"""What the program is configured with."""

import json
from pathlib import Path

import pulumi

FILE = "fleetFile"
"""Key of a path to the fleet as JSON, for a fleet that is too large to hand over.

Pulumi gives a program its configuration in one variable of the environment, and Linux takes 128 KiB in one: about 300
nodes. Only a preview without a cloud writes it (stacks/preview/mocked.py).
"""
LARGEST = 100 * 1024
"""Bytes of JSON that are handed over directly; the rest of the variable is for other keys and quotes."""


def fleet() -> object:
    """The value of `stakeyard:fleet`."""
    config = pulumi.Config("stakeyard")
    file = config.get(FILE)
    return json.loads(Path(file).read_text()) if file else config.require_object("fleet")
