#!/usr/bin/python
"""Keep keystores and their passwords on a key volume; the action plugin of the same name runs first and decides."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: ethereum_keystores
short_description: Exactly the keystores of the declared keys on a key volume
description:
  - On the control machine the action of this name gets the keystores, from I(keystores) or decrypted from I(directory),
    compares them with I(public_keys), opens each that the host does not hold yet, and hands those on.
  - With none given, the host must hold exactly the declared ones already.
  - Secrets travel over the connection only, and no result has any of them.
options:
  public_keys: {description: The declared public keys., type: list, elements: str, required: true}
  folder: {description: Folder on the host., type: path, required: true}
  keystores:
    {description: Mappings of keystore (JSON text) and password., type: list, elements: dict, default: []}
  directory: {description: "Folder here with <key>.json.age and <key>.password.age.", type: str, default: ""}
  identity_file: {description: "age identity here, mode 0600.", type: str, default: ""}
  state:
    {description: "present writes; held only says what there is (the action's own use).", type: str, default: present,
     choices: [present, held]}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Keep the keystores.
  ethereum_keystores:
    public_keys: ["0x933ad9491b62059dd065b560d256d8957a8c402cc6e8d8ee7290ae11e8f7329267a8811c397529dac52ae1342ba58c95"]
    keystores: "{{ keystores }}"
    folder: /var/lib/ethereum-validator/keys
  no_log: true
"""

RETURN = r"""
held: {description: Digests of text and password by public key., type: dict, returned: always}
"""


def held(folder: Path) -> dict[str, str]:
    """Digests of what the folder holds, by public key; an empty digest where the password is missing."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        password = path.with_suffix(".password")
        text = f"{path.read_text()}\0{password.read_text()}" if password.exists() else None
        found[path.stem] = hashlib.sha256(text.encode()).hexdigest() if text is not None else ""
    return found


def write(path: Path, content: str) -> None:
    """Replace a file of root's alone in one step that survives a power cut."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def run(parameters: dict[str, Any], check: bool) -> dict[str, Any]:
    """Write what is given; nothing else is touched, and nothing is ever removed."""
    folder = Path(parameters["folder"])
    wanted = parameters["keystores"] if parameters["state"] == "present" else []
    if wanted and not check:
        folder.mkdir(mode=0o700, exist_ok=True)
        for keystore in wanted:
            # The password first: a keystore without one would be there, and of no use.
            write(folder / f"{keystore['public_key']}.password", keystore["password"])
            write(folder / f"{keystore['public_key']}.json", keystore["keystore"])
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return {"changed": bool(wanted), "held": held(folder) if folder.is_dir() else {}}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "public_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "folder": {"type": "path", "required": True},
            "keystores": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "directory": {"type": "str", "default": ""},
            "identity_file": {"type": "str", "default": ""},
            "state": {"type": "str", "default": "present", "choices": ["present", "held"]},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except OSError as reason:
        module.fail_json(msg=f"{reason}: look at the key volume.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
