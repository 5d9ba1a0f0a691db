"""Look for slashable pairs in all that beacon nodes show: canonical and orphaned blocks, slashings, pools.

Prints JSON. Ends with 0 when there is none, with 1 when there is one, and with 2 when it could not look.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

_REPOSITORY = str(Path(__file__).resolve().parents[2])
if _REPOSITORY not in sys.path:  # run by its path
    sys.path.append(_REPOSITORY)

from roles.ethereum_validator.module_utils.stakeyard_ethereum.beacon import Beacon, BeaconError, indices  # noqa: E402
from roles.ethereum_validator.module_utils.stakeyard_ethereum.conflicts import (  # noqa: E402
    proposal_conflicts,
    vote_conflicts,
)
from roles.ethereum_validator.module_utils.stakeyard_ethereum.interchange import (  # noqa: E402
    InterchangeError,
    public_key,
)
from roles.ethereum_validator.module_utils.stakeyard_ethereum.signed import Reader, Signed  # noqa: E402


def look(urls: Iterable[str], first_epoch: int, last_epoch: int | None, keys: Sequence[str] = ()) -> dict[str, Any]:
    """What all nodes show together, and every slashable pair in it; of `keys` (public keys) only, where some are named.

    Raises BeaconError when any of the nodes cannot be read, or when they are on different chains.
    """
    together, chains = Signed(), set()
    for url in urls:
        beacon = Beacon(url)
        wanted = indices(beacon, [public_key(key) for key in keys]) if keys else None
        reader = Reader(beacon, wanted)
        chains.add(reader.chain.genesis_validators_root)
        length = reader.chain.slots_per_epoch
        last = reader.head if last_epoch is None else min(reader.head, (last_epoch + 1) * length - 1)
        reader.read(first_epoch * length, last)
        found = reader.read_pools()
        together.votes |= found.votes
        together.proposals |= found.proposals
        together.unread += found.unread
        together.blocks += found.blocks
        together.orphans += found.orphans
    if len(chains) > 1:
        raise BeaconError("the beacon nodes are on different chains: name those of one chain.")
    pairs = [*vote_conflicts(together.votes), *proposal_conflicts(together.proposals)]
    signers = {message.validator for message in together.messages()}
    return {
        "validators": len(signers),
        "attestations": len(together.votes),
        "proposals": len(together.proposals),
        "blocks": together.blocks,
        "orphaned_blocks": together.orphans,
        "unread_attestations": together.unread,
        "slashable": [asdict(pair) for pair in pairs],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beacon", action="append", required=True, help="address of a beacon node; may be repeated")
    parser.add_argument("--from-epoch", type=int, default=0, help="first epoch to look at")
    parser.add_argument("--to-epoch", type=int, help="last one; the head's when not given")
    parser.add_argument("--key", action="append", default=[], help="a public key to look at; all when not given")
    asked = parser.parse_args(arguments)
    try:
        found = look(asked.beacon, asked.from_epoch, asked.to_epoch, asked.key)
    except (BeaconError, InterchangeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1))
    return 1 if found["slashable"] else 0


if __name__ == "__main__":
    sys.exit(main())
