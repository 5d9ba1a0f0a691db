"""The Ethereum stack of the lab: a private network on two containers and two validators with a key volume each."""

import json
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import yaml

from stacks.devnet import make
from stacks.paths import REPOSITORY, lab

NETWORK = "10.79.0"
VALIDATORS, SETS = 64, 16
SECONDS_PER_SLOT = 12
"""As on mainnet: on shared cores, a block of a shorter slot comes after that slot's votes, and none is built on."""
NODES_SETS = 2
"""Of the sets, those of the stack's own validators; the rest are the network's others."""
# An address whose key nobody has; EIP-55 checksum.
FEE_RECIPIENT = "0x00000000219ab540356cBB839Cbe05303d7705Fa"


def network(directory: Path, delay: int) -> dict[str, Any]:
    """Make the private network; what is to be known of it."""
    size = ["--validators", str(VALIDATORS), "--sets", str(SETS), "--seconds-per-slot", str(SECONDS_PER_SLOT)]
    made = make("ethereum_beacon", directory, ["--delay", str(delay), *size], print)
    encrypt_keys(directory)
    known: dict[str, Any] = json.loads(made.read_text())
    return known


def encrypt_keys(directory: Path) -> Path:
    """Encrypt every key of the network with age, as an operator keeps keys; the file of the identity."""
    identity = pyrage.x25519.Identity.generate()
    file = directory / "identity.txt"
    file.touch(mode=0o600)
    file.write_text(f"{identity}\n")
    for path in sorted(directory.glob("keys-*/*")):
        encrypted = directory / path.parent.name.replace("keys", "age") / f"{path.name}.age"
        encrypted.parent.mkdir(exist_ok=True)
        encrypted.write_bytes(pyrage.encrypt(path.read_bytes(), [identity.to_public()]))
    return file


def stack_file(
    path: Path,
    directory: Path,
    known: dict[str, Any],
    network: str = NETWORK,
    *,
    validators: bool = True,
    larger: str | None = None,
) -> Path:
    """Write the stack file: two nodes, two validators unless they come later, and where their backups go.

    `larger` names a validator that gets another flavor than the rest.
    """
    lab_file = yaml.safe_load((REPOSITORY / "stacks" / "Pulumi.lab.yaml").read_text())
    fleet = lab_file["config"]["stakeyard:fleet"]
    common = {"zone": "nova"}
    shared = {"ethereum_network": "devnet", "ethereum_devnet": str(directory)}
    made: dict[str, Any] = {}
    for number in (1, 2):
        made[f"eth-{number}"] = {
            "kind": "ethereum_node",
            "address": f"{network}.{10 + number}",
            "image": "container",
            "flavor": "lab.medium",  # the first also has the other validators' client
            **common,
            "peers": [f"eth-{3 - number}"],
            "vars": {**shared, "ethereum_execution_cache": 128},
        }
        made[f"validator-{number}"] = {
            "kind": "ethereum_validator",
            "address": f"{network}.{20 + number}",
            "image": "machine",
            "flavor": "lab.medium" if larger == f"validator-{number}" else "lab.small",
            **common,
            "volumes": {"keys": {"size_gib": 1, "type": "lab"}},
            "uses": ["eth-1", "eth-2"],
            "signing_keys": known["sets"][number - 1],
            "vars": {
                **shared,
                "ethereum_validator_fee_recipient": FEE_RECIPIENT,
                "ethereum_validator_keys_directory": str(directory / f"age-{number}"),
                "ethereum_validator_age_identity_file": str(directory / "identity.txt"),
            },
        }
    fleet["network"] = {"cidr": f"{network}.0/24", "external": "public"}
    fleet["groups"] = {}
    fleet["nodes"] = {name: node for name, node in made.items() if validators or name.startswith("eth-")}
    fleet["waves"] = [["eth-1", "eth-2"]] + ([["validator-1", "validator-2"]] if validators else [])
    identity = directory / "identity.txt"
    (directory / "backups").mkdir(exist_ok=True)
    fleet["backup"] = {
        "recipients": [str(pyrage.x25519.Identity.from_str(identity.read_text().strip()).to_public())],
        "identity_file": str(identity),
        "repository": {"type": "directory", "path": str(directory / "backups")},
    }
    path.write_text(yaml.safe_dump(lab_file, sort_keys=False))
    path.chmod(0o600)
    return path


def place() -> Path:
    """Where the stack's state is."""
    return lab().parent / "ethereum"
