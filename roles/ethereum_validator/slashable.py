"""Look for slashable pairs in all that beacon nodes show: canonical and orphaned blocks, slashings, pools.

Prints JSON. Ends with 0 when there is none, with 1 when there is one, and with 2 when there is none in what
it saw and it could not see everything that it was asked about.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

_REPOSITORY = str(Path(__file__).resolve().parents[2])
if _REPOSITORY not in sys.path:  # run by its path
    sys.path.append(_REPOSITORY)

from roles.ethereum_validator.module_utils.stakeyard_ethereum.beacon import BeaconError  # noqa: E402
from roles.ethereum_validator.module_utils.stakeyard_ethereum.interchange import (  # noqa: E402
    InterchangeError,
    public_key,
)
from roles.ethereum_validator.module_utils.stakeyard_ethereum.survey import look  # noqa: E402

__all__ = ["look", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beacon", action="append", required=True, help="address of a beacon node; may be repeated")
    parser.add_argument("--from-epoch", type=int, default=0, help="first epoch to look at")
    parser.add_argument("--to-epoch", type=int, help="last one; the head's when not given")
    parser.add_argument("--key", action="append", default=[], help="a public key to look at; all when not given")
    asked = parser.parse_args(arguments)
    try:
        keys = [public_key(key) for key in asked.key]  # stack files write them with 0x
        found = look(asked.beacon, asked.from_epoch, asked.to_epoch, keys)
    except (BeaconError, InterchangeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1))
    return 1 if found["slashable"] else 0


if __name__ == "__main__":
    sys.exit(main())
