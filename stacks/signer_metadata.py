"""How a key volume's metadata in the cloud registers keys and names the claim's holder."""

import re
from collections.abc import Iterable, Mapping

from stacks.errors import StakeyardError
from stacks.signer import Claim, Registration

SIGNER = "stakeyard_signer"
CLAIM = "stakeyard_claim"
KEYS = "stakeyard_keys_"
BEGUN = "stakeyard_begun_"
"""Those of the keys that sign with their history on this volume."""
RELEASED = "released"
LONGEST = 255
"""Characters of a value in Cinder's metadata."""
_FINGERPRINT = re.compile("[0-9a-f]{16}")
_CLAIM = re.compile(rf"({RELEASED}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}):([0-9]{{1,9}})")


def as_metadata(registration: Registration) -> dict[str, str]:
    """The metadata of a registration."""
    claim = f"{registration.claim.server or RELEASED}:{registration.claim.generation}"
    return {SIGNER: "1", CLAIM: claim, **_lines(KEYS, registration.keys), **_lines(BEGUN, registration.begun)}


def _lines(name: str, keys: Iterable[str]) -> dict[str, str]:
    found, each = sorted(keys), LONGEST // 17
    lines = [",".join(found[start : start + each]) for start in range(0, len(found), each)]
    return {f"{name}{index:02}": line for index, line in enumerate(lines)}


def surplus(metadata: Iterable[str], wanted: Mapping[str, str]) -> list[str]:
    """Names of lines of keys that a shorter registration no longer needs."""
    return sorted(name for name in metadata if name.startswith((KEYS, BEGUN)) and name not in wanted)


def from_metadata(volume: str, metadata: Mapping[str, str]) -> Registration | None:
    """The registration of a volume; None for a volume that is none of ours.

    Raises StakeyardError where the metadata of a key volume cannot be understood: it may hide a key.
    """
    if metadata.get(SIGNER) != "1":
        return None
    keys, begun = _listed(KEYS, metadata), _listed(BEGUN, metadata)
    claim = _CLAIM.fullmatch(metadata.get(CLAIM, f"{RELEASED}:0"))
    if claim is None or not all(_FINGERPRINT.fullmatch(key) for key in keys | begun):
        raise StakeyardError(
            f"volume {volume}: its metadata {KEYS}*, {BEGUN}* and {CLAIM} cannot be understood: correct them by hand, "
            "or delete the volume if it is no key volume."
        )
    server, generation = claim.groups()
    held = Claim(None if server == RELEASED else server, int(generation))
    return Registration(volume, keys, held, begun & keys)


def _listed(name: str, metadata: Mapping[str, str]) -> frozenset[str]:
    text = ",".join(value for key, value in sorted(metadata.items()) if key.startswith(name))
    return frozenset(key for key in text.split(",") if key)
