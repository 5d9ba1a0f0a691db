#!/usr/bin/python
"""A Prysm wallet with exactly the keystores of a key volume."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_ethereum import client  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: prysm_wallet
short_description: Make a Prysm wallet from the keystores of a key volume
description:
  - The wallet is made anew when a keystore changed, beside the old one, and takes its place only when the client
    itself lists exactly the wanted keys. The client must not run then.
  - The wallet's password is made on the host, stays on the key volume, and is root's alone.
options:
  program: {description: The validator client., type: path, required: true}
  user: {description: User of the client., type: str, required: true}
  public_keys: {description: Keys that the wallet shall hold., type: list, elements: str, required: true}
  keys: {description: Folder of the keystores and their passwords., type: path, required: true}
  wallet: {description: Folder of the wallet., type: path, required: true}
  password_file: {description: File of the wallet's password., type: path, required: true}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Make the wallet.
  prysm_wallet:
    program: /opt/stakeyard/prysm-validator/current/bin/validator
    user: ethereum-validator
    public_keys: "{{ stakeyard_signing_keys }}"
    keys: /var/lib/ethereum-validator/keys
    wallet: /var/lib/ethereum-validator/wallet
    password_file: /var/lib/ethereum-validator/wallet.password
"""

RETURN = r"""
needed: {description: Whether the wallet was, or in check mode is, to be made., type: bool, returned: success}
keys: {description: Number of keys in the wallet., type: int, returned: always}
"""

ACCOUNTS = Path("direct/accounts/all-accounts.keystore.json")
MARKER = "made-from.json"


def sources(folder: Path, public_keys: list[str]) -> dict[str, tuple[str, str]]:
    """Text and password of each keystore, by public key."""
    found = {}
    for key in sorted(key.casefold().removeprefix("0x") for key in public_keys):
        path = folder / f"{key}.json"
        if not path.exists():
            raise client.ClientError(f"0x{key} has no keystore on the key volume: give it, with its password.")
        found[key] = (path.read_text(), path.with_suffix(".password").read_text())
    return found


def digests(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    """What a wallet is made from."""
    return {key: hashlib.sha256("\0".join(pair).encode()).hexdigest() for key, pair in found.items()}


def marker(wallet: Path, keys: dict[str, str]) -> str:
    """The note in a wallet: what it is made from, and of which file that is true (see roles/signer/files/signer-gate).

    Prysm's own commands put further keys into that file.
    """
    held = hashlib.sha256((wallet / ACCOUNTS).read_bytes()).hexdigest()
    return json.dumps({"keys": keys, "files": {str(ACCOUNTS): held}})


def made(wallet: Path, keys: dict[str, str]) -> bool:
    """Whether the wallet is there, made from these keystores, and the same since."""
    note = wallet / MARKER
    return (wallet / ACCOUNTS).exists() and note.exists() and note.read_text() == marker(wallet, keys)


def password(path: Path) -> str:
    """The wallet's password; made when there is none."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return path.read_text()


def build(module: AnsibleModule, found: dict[str, tuple[str, str]], work: Path) -> Path:
    """A wallet in `work` that holds exactly these keys, by the client's own word."""
    program, user = module.params["program"], module.params["user"]
    wallet, secret = work / "wallet", work / "wallet.password"
    client.put(secret, password(Path(module.params["password_file"])), user)
    groups: dict[str, list[str]] = defaultdict(list)
    for key, (_, own) in found.items():
        groups[own].append(key)
    access = [f"--wallet-dir={wallet}", f"--wallet-password-file={secret}", "--accept-terms-of-use"]
    for own, keys in groups.items():
        folder, file = work / "keys", work / "keys.password"
        folder.mkdir(mode=0o700)
        client.give(folder, user)
        for key in keys:
            client.put(folder / f"{key}.json", found[key][0], user)
        client.put(file, own, user)
        command = [program, "accounts", "import", f"--keys-dir={folder}", f"--account-password-file={file}", *access]
        client.run(module, user, work, command, "the client's import of keystores")
        shutil.rmtree(folder)
        file.unlink()
    listed = set(
        re.findall(
            r"validating public key\S* 0x([0-9a-f]{96})\b",
            client.run(module, user, work, [program, "accounts", "list", *access], "the client's list of its keys"),
        )
    )
    for key in sorted(listed ^ set(found)):
        state = "was not imported by" if key in found else "is a stranger in the wallet of"
        raise client.ClientError(f"0x{key} {state} the client: look at its keystore.")
    return wallet


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, build beside, swap."""
    wallet = Path(module.params["wallet"])
    keys = module.params["public_keys"]
    folder = Path(module.params["keys"])
    if module.check_mode and not folder.is_dir():
        return {"changed": True, "needed": True, "keys": len(keys)}
    found = sources(folder, keys)
    wanted = digests(found)
    if made(wallet, wanted) and Path(module.params["password_file"]).exists():
        return {"changed": False, "needed": False, "keys": len(found)}
    if not module.check_mode:
        with client.workplace(module.params["user"]) as work:
            fresh = wallet.with_name(f"{wallet.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(build(module, found, work), fresh)
            (fresh / MARKER).write_text(marker(fresh, wanted))
            for path in (fresh, *fresh.rglob("*")):
                client.give(path, module.params["user"], 0o500 if path.is_dir() else 0o400)
            client.swap(fresh, wallet)
    return {"changed": True, "needed": True, "keys": len(found)}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "public_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "keys": {"type": "path", "required": True, "no_log": False},
            "wallet": {"type": "path", "required": True},
            "password_file": {"type": "path", "required": True, "no_log": False},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except (client.ClientError, OSError) as reason:
        module.fail_json(msg=str(reason))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
