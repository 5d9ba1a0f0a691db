#!/usr/bin/python
"""Write the claim on a mounted key volume, never over one that says otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: signer_claim
short_description: Write or release the claim on a key volume
description:
  - The control machine decides who may hold a claim, on evidence, and counts each move in C(generation).
  - A claim on the volume with a higher generation, or with this generation and another server, is never replaced.
  - A volume without a claim gets one only when the control machine has found it new.
options:
  path: {description: File of the claim., type: path, required: true}
  volume: {description: Id of the volume in the cloud., type: str, required: true}
  server: {description: Id of the server in the cloud., type: str, required: true}
  generation: {description: Generation of the claim., type: int, required: true}
  keys: {description: Fingerprints of the keys., type: list, elements: str, required: true}
  begun: {description: Keys known to sign with their history here., type: list, elements: str, default: []}
  new: {description: Whether the volume may be without a claim., type: bool, default: false}
  state: {description: Hold or release the claim., type: str, default: held, choices: [held, released]}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Hold the claim.
  signer_claim:
    path: /var/lib/signer/claim.json
    volume: 2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f
    server: 5f1c1f53-0dd9-4c68-a9b5-0b9f8a2e2d11
    generation: 2
    keys: [1f0e3dad99908345]
"""

RETURN = r"""
claim: {description: The claim on the volume., type: dict, returned: success}
"""


FORMAT = 2


class RefusalError(Exception):
    """One sentence for the operator."""


def decide(
    found: Mapping[str, Any] | None, wanted: Mapping[str, Any], new: bool, begun: Sequence[str] = ()
) -> dict[str, Any]:
    """The claim that is to be on the volume. `found` is the one that is there. Raises RefusalError."""
    if found is None:
        if not new:
            raise RefusalError(
                "the volume has no claim although it should: it was wiped or is another one; attach the right one, or "
                "give it up as docs/rebuild.md says."
            )
        return {**wanted, "begun": []}
    if found.get("format") != wanted["format"]:
        raise RefusalError(f"the claim has format {found.get('format')}, which this version does not know: update it.")
    if found.get("volume") != wanted["volume"]:
        raise RefusalError(
            f"this is the claim of volume {found.get('volume')}: its files were copied here; remove them."
        )
    if found["generation"] > wanted["generation"]:
        raise RefusalError(
            f"the claim has moved on (generation {found['generation']}, not {wanted['generation']}): run `pulumi up` "
            "again."
        )
    if found["generation"] == wanted["generation"] and found.get("server") not in (wanted["server"], None):
        raise RefusalError(f"server {found['server']} holds the claim of this generation: look at who wrote it.")
    # Released and not claimed since: who is named for this generation may take it again. A key that was away is new.
    return {**wanted, "begun": sorted({*found["begun"], *begun} & set(wanted["keys"]))}


def release(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a release: only who holds the claim can release it."""
    if found is None:
        raise RefusalError("the volume has no claim that could be released: look at what is mounted.")
    if found.get("server") not in (wanted["server"], None):
        raise RefusalError(f"server {found['server']} holds the claim, not this one: only its holder releases it.")
    return {**found, "server": None}


def read(path: Path) -> dict[str, Any] | None:
    """The claim in the file, None where there is none. Raises RefusalError where it cannot be understood."""
    if not path.exists():
        return None
    try:
        claim = json.loads(path.read_text())
    except ValueError:
        claim = None
    if not isinstance(claim, dict) or not isinstance(claim.get("generation"), int):
        raise RefusalError(f"{path} cannot be understood: mend it, or give the volume up as docs/rebuild.md says.")
    return claim


def write(path: Path, claim: Mapping[str, Any]) -> None:
    """Replace the file in one step that survives a power cut."""
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(claim, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def run(parameters: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Read, decide, write."""
    path = Path(parameters["path"])
    if not os.path.ismount(path.parent):
        raise RefusalError(f"{path.parent} is no mounted volume: a claim is never written to the system disk.")
    found = read(path)
    wanted = {
        "format": FORMAT,
        "volume": parameters["volume"],
        "server": parameters["server"],
        "generation": parameters["generation"],
        "keys": sorted(parameters["keys"]),
    }
    if parameters["state"] == "released":
        claim = release(found, wanted)
    else:
        claim = decide(found, wanted, parameters["new"], parameters["begun"])
    changed = claim != found
    if changed and not check_mode:
        write(path, claim)
    return {"changed": changed, "claim": claim}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "volume": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "generation": {"type": "int", "required": True},
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "begun": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "new": {"type": "bool", "default": False},
            "state": {"type": "str", "default": "held", "choices": ["held", "released"]},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except (RefusalError, OSError) as reason:
        module.fail_json(msg=str(reason))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
