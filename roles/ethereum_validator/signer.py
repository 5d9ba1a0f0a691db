"""What the toolkit's signer core needs to know of Ethereum validators.

`question`, `REMOTE`, `marks` and `seed` are the seam of every kind that signs; see their own words.
Marks are `source` and `target` (epochs of attestations) and `slot` (of blocks), each the highest signed.
A key's slashable messages (consensus specification, phase 0) are two votes for one target, a vote that surrounds
another, and two blocks for one slot; who only ever raises the three marks signs none of them.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_REPOSITORY = str(Path(__file__).resolve().parents[2])
if _REPOSITORY not in sys.path:  # loaded by its path: `roles` is no package that is installed
    sys.path.append(_REPOSITORY)

from roles.ethereum_validator.module_utils.stakeyard_ethereum import interchange  # noqa: E402
from roles.ethereum_validator.module_utils.stakeyard_ethereum.beacon import BeaconError  # noqa: E402
from roles.ethereum_validator.module_utils.stakeyard_ethereum.interchange import (  # noqa: E402
    InterchangeError,
    Marks,
)
from roles.ethereum_validator.module_utils.stakeyard_ethereum.record import (  # noqa: E402
    ChainRecord,
    first_duty,
    record,
)

__all__ = [
    "BeaconError", "ChainRecord", "InterchangeError", "Marks", "endpoints", "first_duty", "marks", "public_keys",
    "question", "record", "seed",
]  # fmt: skip


REMOTE = "stakeyard_ethereum.remote"
"""What answers a `question` on a host (see `stacks.remote`): a mapping with the fields of `stacks.signer.Record`, with
`last`, when the last message seen of the keys was due (seconds since 1970, or None), and with `chain`, for `seed`."""
EPOCHS_BACK = 12
"""How far back the chain is asked about keys that are to start without their history: more than any silence."""
RECENT_EPOCHS = 2
"""How far back for what they signed of late; a beacon node that began at a checkpoint knows no more."""
BEACON_PORT = 3500
"""Of the standard API; as node.yml has it under `egress`."""


def endpoints(uses: Iterable[Mapping[str, str]]) -> list[str]:
    """The beacon nodes on the servers that a node uses (name, address)."""
    return [f"http://{used['address']}:{BEACON_PORT}" for used in uses]


def question(uses: Iterable[Mapping[str, str]], declared: Iterable[object], *, recent: bool = False) -> list[str]:
    """What `REMOTE` is asked for all that the chain shows of these public keys, or only for the `recent` past.

    Raises InterchangeError for what is no public key, or is there twice.
    """
    asked = ["record", f"--epoch=-{RECENT_EPOCHS if recent else EPOCHS_BACK}"]
    asked += [f"--beacon={url}" for url in endpoints(uses)]
    return asked + [f"--key={key}" for key in public_keys(declared)]


def public_keys(declared: Iterable[object]) -> list[str]:
    """The public keys that a stack file declares, each as 96 hexadecimal digits, in order. Raises InterchangeError."""
    found = [interchange.public_key(key) for key in declared]
    for index, key in enumerate(found):
        if key in found[:index]:
            raise InterchangeError(f"public key 0x{key} is there twice: name it once.")
    return found


def marks(history: bytes) -> dict[str, Marks]:
    """The marks by fingerprint in a history (an EIP-3076 file). Raises InterchangeError for a malformed one."""
    return interchange.by_fingerprint(interchange.parse(history))


def seed(history: bytes | None, keys: Iterable[str], watermarks: Mapping[str, Marks], chain: str) -> bytes:
    """A history with which keys start anew: for each of the public `keys` one attestation and one block.

    Their marks are the highest of `watermarks` (by fingerprint) and of `history`, an EIP-3076 file or None, so that the
    client refuses everything at or below: lower sources, and targets and slots that are lower or equal. `chain` is its
    genesis validators root. Which watermarks are right is `record`'s to say (`present` and `seen`); see there why a
    source is never raised to the present. A client without any history of a key signs whatever it is asked, so all
    three marks are required.

    Raises InterchangeError for a missing mark, a malformed history, or one of another chain.
    """
    known = interchange.parse(history) if history is not None else None
    if known and known.genesis_validators_root != chain.lower():
        raise InterchangeError(
            f"the history is of the chain {known.genesis_validators_root}, not of {chain}: "
            "take the history of this chain."
        )
    raised = {}
    for key in public_keys(keys):
        before = known.keys.get(key, {}) if known else {}
        raised[key] = interchange.highest(before, watermarks.get(interchange.fingerprint(key), {}))
    started = interchange.History(chain, raised)
    interchange.require_complete(started)
    return interchange.minimal(started)
