"""How a fleet gets from a stack file to the program: in Pulumi's configuration, or beside it where that has no room."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks.fleet_file import FLEET_KEY
from stacks.whole_files import replace

FILE = "fleetFile"
"""Key, under `stakeyard`, of a path to the fleet as JSON."""
LARGEST = 100 * 1024
"""Bytes of JSON that are handed over directly: about 300 nodes.

Pulumi gives a program its configuration in one variable of the environment, and Linux takes 128 KiB in one; the rest of
it is for other keys and quotes.
"""


def too_large(fleet: object) -> bool:
    """Whether Pulumi's configuration has no room for this fleet."""
    return len(_text(fleet)) > LARGEST


def handed_over(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The configuration of a stack file; a fleet that is too large for it is written to `path`, which it then names."""
    fleet = config[FLEET_KEY]
    if not too_large(fleet):
        return dict(config)
    replace(path, _text(fleet))
    others = {key: value for key, value in config.items() if key != FLEET_KEY}
    return {**others, f"stakeyard:{FILE}": str(path)}


def _text(fleet: object) -> str:
    """As Pulumi hands it over: JSON with the keys of mappings sorted."""
    return json.dumps(fleet, sort_keys=True)
