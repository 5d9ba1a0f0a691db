#!/usr/bin/python
"""Fetch what a beacon node starts from: the last final block of one source, where a second names the same root."""

from __future__ import annotations

import os
import pwd
import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_checkpoint import origin  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_checkpoint.source import Source, SourceError  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: ethereum_checkpoint
short_description: Fetch the last final block of a beacon node and its state, where a second source names the same root
description:
  - Whoever names the first block of a synchronisation names the chain. So two sources are asked, of different people.
  - The first is asked for its last final block, and the witness for the root of its block at the same slot. Nothing is
    kept when they disagree, when one is of another network, when the block is older than a day, or when block and state
    are not those of the root.
  - The files are fetched before the client first runs, by root and by slot, so finality may go on meanwhile.
  - They stay, as the client wants to see them at each start. Once it has a database nothing is asked any more.
options:
  url: {description: Beacon API to start from., type: str, required: true}
  witness: {description: Beacon API or Checkpointz that must name the same root., type: str, required: true}
  genesis_validators_root: {description: Identity of the network., type: str, required: true}
  creates: {description: The client's database; nothing is asked when it exists., type: path, required: true}
  folder: {description: Where block.ssz and state.ssz are kept., type: path, required: true}
  genesis: {description: Whether genesis.ssz is needed as well., type: bool, default: false}
  user: {description: Who owns the files., type: str, required: true}
  silence: {description: Seconds without a byte after which a source is given up., type: int, default: 180}
  patience: {description: Seconds that one answer may take in all., type: int, default: 3600}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Fetch the checkpoint that two sources agree on.
  ethereum_checkpoint:
    url: https://beacon.example.org
    witness: https://beacon.example.net
    genesis_validators_root: "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
    creates: /var/lib/ethereum-beacon/beaconchaindata
    folder: /var/lib/ethereum-beacon/checkpoint
    user: ethereum-beacon
"""

RETURN = r"""
kept: {description: Whether the files are there; in check mode whether they would be., type: bool, returned: success}
root: {description: Root of the block., type: str, returned: when kept}
epoch: {description: Epoch of the block., type: str, returned: when kept}
"""

OLDEST_HOURS = 24
"""A block is final within a quarter of an hour; a day leaves room for a network in trouble. From a block of weeks ago
validators who have left since could lead a new node onto a chain of their own (weak subjectivity)."""


def agreed(source: Source, witness: Source, network: str) -> tuple[str, bytes]:
    """Root and block that the source calls final and the witness has too. Raises SourceError, OriginError."""
    for asked in (source, witness):
        found = asked.network()
        if found != network:
            raise SourceError(f"{asked.url} is on the network of {found}, not of {network}: name one of this network.")
    root = source.block_root("finalized")
    block = source.block(root)
    slot = origin.header_of(block).slot
    hours = (time.time() - witness.genesis_time() - slot * origin.SECONDS_PER_SLOT) / 3600
    if hours > OLDEST_HOURS:
        raise SourceError(
            f"The last final block of {source.url} is of slot {slot}, {hours:.0f} hours ago: it has stopped following "
            "the chain; name another source."
        )
    witnessed = witness.block_root(str(slot))
    if witnessed != root:
        raise SourceError(
            f"{source.url} says that block {root} of slot {slot} is final, {witness.url} says {witnessed}: one of them "
            "follows another chain; find out which before you start."
        )
    return root, block


def fetch(source: Source, root: str, block: bytes, network: str, fresh: Path, *, genesis: bool) -> None:
    """Fill a new folder, and check what can be. Raises SourceError, OriginError, OSError."""
    header = origin.header_of(block)
    (fresh / origin.BLOCK).write_bytes(block)
    source.save_state(str(header.slot), fresh / origin.STATE)
    state = origin.state_of(origin.head(fresh / origin.STATE))
    origin.check(header, state, root, network)
    if genesis:
        source.save_state("genesis", fresh / origin.GENESIS)
        origin.check_genesis(origin.head(fresh / origin.GENESIS), state)


def settle(fresh: Path, folder: Path, user: str) -> None:
    """Give the files to the user and put them in their place, whole on the disk."""
    owner = pwd.getpwnam(user)
    for path in (*fresh.iterdir(), fresh):
        os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(0o700 if path.is_dir() else 0o400)
    os.sync()
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    os.sync()


def run(given: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Look, ask, fetch beside, put in place. Raises SourceError, OriginError, OSError."""
    folder, genesis = Path(given["folder"]), given["genesis"]
    if Path(given["creates"]).exists():
        found = origin.kept(folder, [origin.BLOCK, origin.STATE, *([origin.GENESIS] if genesis else [])])
        return {"changed": False, "kept": found is not None, **(found or {})}
    # Files of an earlier run are fetched anew: without a database, they may be as old as the node.
    source, witness = (Source(given[name], given["silence"], given["patience"]) for name in ("url", "witness"))
    network = given["genesis_validators_root"]
    root, block = agreed(source, witness, network)
    if not check_mode:
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            fresh.mkdir(mode=0o700)
            fetch(source, root, block, network, fresh, genesis=genesis)
            settle(fresh, folder, given["user"])
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return {"changed": True, "kept": True, "root": root, "epoch": str(origin.header_of(block).epoch)}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "witness": {"type": "str", "required": True},
            "genesis_validators_root": {"type": "str", "required": True},
            "creates": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
            "genesis": {"type": "bool", "default": False},
            "user": {"type": "str", "required": True},
            "silence": {"type": "int", "default": 180},
            "patience": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        answer = run(given, check_mode=module.check_mode)
    except SourceError as reason:
        module.fail_json(msg=str(reason))
    except origin.OriginError as reason:
        module.fail_json(
            msg=f"{given['url']} {reason}: wait some minutes for its next final block, or name another source."
        )
    except OSError as error:
        module.fail_json(msg=f"The checkpoint cannot be kept in {given['folder']} ({error}): look at the disk.")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
