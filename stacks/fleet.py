"""From what a stack file says to the typed fleet, from which everything else is made.

`load_fleet` takes what Pulumi read under `stakeyard:fleet` and gives a frozen `Fleet`, or one sentence that names
the key and says what to do. `load_stack_file` does the same for a file.
"""

from pathlib import Path

from pydantic import ValidationError

from stacks.catalogue import Catalogue
from stacks.fleet_file import read_fleet_part
from stacks.fleet_machine import ControlMachine, Machine, resolve_boot
from stacks.fleet_models import (
    ExistingImage,
    Fleet,
    GoldenImage,
    Group,
    Network,
    Node,
    Operators,
    RootVolume,
    Volume,
)
from stacks.fleet_rules import check
from stacks.fleet_rules_secrets import check_secrets
from stacks.fleet_text import refusal, require_no_template, require_plain, sentence, shown

__all__ = [
    "ExistingImage",
    "Fleet",
    "GoldenImage",
    "Group",
    "Machine",
    "Network",
    "Node",
    "Operators",
    "RootVolume",
    "Volume",
    "load_fleet",
    "load_stack_file",
]


def load_fleet(
    data: object, catalogue: Catalogue, machine: Machine | None = None, *, secrets_in_clear: bool = False
) -> Fleet:
    """The fleet that `data` (the value of `stakeyard:fleet`) describes.

    `machine` answers for the control machine (key files, lab); tests give their own. `secrets_in_clear` says that
    secrets may be readable in `data`, as Pulumi has decrypted them.
    Raises `StakeyardError` with one sentence for the first thing that is wrong.
    """
    machine = ControlMachine() if machine is None else machine
    require_plain(data)
    require_no_template(data)
    if not isinstance(data, dict):
        raise refusal("stakeyard:fleet", f"must be a mapping, not {shown(data)}; write the fleet under this key")
    try:
        fleet = Fleet.model_validate(data)
    except ValidationError as error:
        raise sentence(error, data) from None
    check(fleet, catalogue, machine)
    if not secrets_in_clear:
        check_secrets(fleet, catalogue)
    return fleet.model_copy(
        update={"images": {name: resolve_boot(image, machine) for name, image in fleet.images.items()}}
    )


def load_stack_file(path: Path, catalogue: Catalogue, machine: Machine | None = None) -> Fleet:
    """The fleet of a stack file. Raises `StakeyardError` with one sentence without the file's name."""
    return load_fleet(read_fleet_part(path), catalogue, machine)
