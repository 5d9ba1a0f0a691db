"""The file around a fleet: Pulumi.<stack>.yaml."""

from pathlib import Path
from typing import Any

from pydantic import Field

from stacks.errors import StakeyardError
from stacks.fleet_text import near, refusal, require_plain, shown
from stacks.fleet_types import Model, Text
from stacks.fleet_yaml import parse_yaml, read_bytes

FLEET_KEY = "stakeyard:fleet"


class StackFile(Model):
    """The keys that Pulumi knows in a stack file."""

    config: dict[Text, Any] = Field(description="Configuration by `namespace:key`; Stakeyard reads `stakeyard:fleet`.")
    secretsprovider: Text | None = Field(
        default=None, description="What encrypts the stack's secrets; Pulumi writes it."
    )
    encryptionsalt: Text | None = Field(default=None, description="Salt of the stack's passphrase; Pulumi writes it.")
    encryptedkey: Text | None = Field(default=None, description="Encrypted key of the stack; Pulumi writes it.")
    environment: Any = Field(default=None, description="Environments of Pulumi ESC.")


def read_fleet_part(path: Path) -> object:
    """What the stack file says under `stakeyard:fleet`. Raises `StakeyardError`."""
    data = parse_yaml(read_bytes(path))
    if not isinstance(data, dict):
        raise StakeyardError(f"must be a mapping with the key config, not {shown(data)}; see docs/stack-file.md.")
    require_plain(data, "the file")
    for key in data:
        if key not in StackFile.model_fields:
            raise refusal(key, f"is not a key of a Pulumi stack file; {near(key, StackFile.model_fields)}")
    config = data.get("config")
    if not isinstance(config, dict):
        raise refusal("config", f"must be a mapping with the key {FLEET_KEY}, not {shown(config)}; write it.")
    for key in config:
        if key.rpartition(":")[0] in ("", "stakeyard") and key != FLEET_KEY:
            raise refusal(f"config.{key}", f"is not read by Stakeyard; write {FLEET_KEY}.")
    if FLEET_KEY not in config:
        raise refusal(f"config.{FLEET_KEY}", "this key is missing; describe the fleet under it.")
    fleet: object = config[FLEET_KEY]
    return fleet
