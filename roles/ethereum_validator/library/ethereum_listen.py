#!/usr/bin/python
"""Wait until keys that were given a history may look for another signer of theirs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_ethereum import beacon  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: ethereum_listen
short_description: Keep newly seeded keys silent for some epochs
description:
  - Clients look for a doppelganger in the epochs before their start, and leave out keys whose own history is younger,
    as they would find themselves. A seeded history ends in the present, so these keys wait until it is old enough.
options:
  note: {description: File that names the seeded target epoch; gone when the wait is over., type: path, required: true}
  endpoints: {description: Beacon nodes., type: list, elements: str, required: true}
  epochs: {description: Epochs after the seeded target., type: int, required: true}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Let seeded keys listen first.
  ethereum_listen:
    note: /var/lib/ethereum-validator/listen.json
    endpoints: ["http://10.77.0.21:3500"]
    epochs: 3
"""

RETURN = r"""
waited: {description: Seconds., type: int, returned: success}
"""


SLOTS_FOR_A_HEAD = 2


def chain(endpoints: list[str]) -> Any:
    """The chain of the first node that answers. Raises BeaconError with the reasons of all where none does."""
    problems = []
    for url in endpoints:
        try:
            return beacon.chain_of(beacon.Beacon(url))
        except beacon.BeaconError as problem:
            problems.append(str(problem))
    raise beacon.BeaconError(" ".join(problems) or "no beacon node is named: name one.")


def seconds_left(known: Any, target: int, epochs: int, now: float) -> float:
    """Seconds until epoch `target + epochs` has a head of its own: clients count by the slot of the head."""
    return float(known.time_of((target + epochs) * known.slots_per_epoch + SLOTS_FOR_A_HEAD) - now)


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "note": {"type": "path", "required": True},
            "endpoints": {"type": "list", "elements": "str", "required": True},
            "epochs": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    note = Path(module.params["note"])
    if not note.exists() or module.check_mode:
        module.exit_json(changed=note.exists(), waited=0)
    began = time.monotonic()
    try:
        target = int(json.loads(note.read_text())["target"])
        if module.params["epochs"] > 0:
            left = seconds_left(chain(module.params["endpoints"]), target, module.params["epochs"], time.time())
            time.sleep(max(0.0, left))
        note.unlink()
    except (beacon.BeaconError, OSError, ValueError, KeyError, TypeError) as reason:
        module.fail_json(msg=f"how long the keys must listen is not known: {reason}")
    module.exit_json(changed=True, waited=int(time.monotonic() - began))


if __name__ == "__main__":
    main()
