#!/usr/bin/python
"""Take a checkpoint to start from only where two beacon nodes name the same block."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: ethereum_checkpoint
short_description: Compare the last finalised block of one beacon node with that of another
description:
  - Whoever names the first block of a synchronisation names the chain. So two sources are asked, of different people.
  - Refuses when they disagree, or when the first is of another network.
options:
  url: {description: Beacon API to start from., type: str, required: true}
  witness: {description: Beacon API that must name the same block., type: str, required: true}
  genesis_validators_root: {description: Identity of the network., type: str, required: true}
  creates: {description: Nothing is asked when this path exists., type: path, required: true}
  timeout: {description: Seconds for one answer., type: int, default: 30}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Compare the checkpoint of two sources.
  ethereum_checkpoint:
    url: https://beacon.example.org
    witness: https://beacon.example.net
    genesis_validators_root: "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
    creates: /var/lib/ethereum-beacon/beaconchaindata
"""

RETURN = r"""
root: {description: Root of the block that both name., type: str, returned: when asked}
epoch: {description: Its epoch., type: str, returned: when asked}
"""


class RefusalError(Exception):
    """One sentence for the operator."""


def ask(url: str, path: str, timeout: int) -> Any:
    """The `data` of one answer of the Beacon API."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}{path}", timeout=timeout) as answer:  # noqa: S310
            return json.load(answer)["data"]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        raise RefusalError(f"{url} does not answer {path} ({error}): name another source.") from None


def agree(checkpoint: dict[str, str], witnessed: str, url: str, witness: str) -> dict[str, str]:
    """The checkpoint, where the witness names the same root for its epoch's first block."""
    root = checkpoint["root"]
    if witnessed != root:
        raise RefusalError(
            f"{url} says that block {root} is final at epoch {checkpoint['epoch']}, {witness} says {witnessed}: one of "
            "them follows another chain; find out which before you start."
        )
    return {"root": root, "epoch": checkpoint["epoch"]}


def compare(url: str, witness: str, network: str, timeout: int) -> dict[str, str]:
    """Ask both; raises RefusalError."""
    for source in (url, witness):
        if not source.startswith(("https://", "http://")):
            raise RefusalError(f"{source} is no address of a Beacon API: write it from https://.")
        root = ask(source, "/eth/v1/beacon/genesis", timeout)["genesis_validators_root"]
        if root != network:
            raise RefusalError(f"{source} follows the network of {root}, not of {network}: name one of this network.")
    final = ask(url, "/eth/v1/beacon/states/finalized/finality_checkpoints", timeout)["finalized"]
    witnessed = ask(witness, f"/eth/v1/beacon/headers/{final['root']}", timeout)
    if not witnessed.get("canonical"):
        raise RefusalError(f"{witness} does not have block {final['root']} on its chain: one of them follows another.")
    return agree(final, witnessed["root"], url, witness)


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "witness": {"type": "str", "required": True},
            "genesis_validators_root": {"type": "str", "required": True},
            "creates": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    given = module.params
    if Path(given["creates"]).exists():
        module.exit_json(changed=False)
    try:
        found = compare(given["url"], given["witness"], given["genesis_validators_root"], given["timeout"])
    except RefusalError as reason:
        module.fail_json(msg=str(reason))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
