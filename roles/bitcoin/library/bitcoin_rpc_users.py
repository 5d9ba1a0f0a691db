#!/usr/bin/python
"""RPC users of bitcoind: passwords are made on the node and never leave it."""

from __future__ import annotations

import grp
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: bitcoin_rpc_users
short_description: Make RPC credentials on the node and give bitcoind only their salted digests
description:
  - Each user gets a file for C(bitcoin-cli -conf=) that only root can read, and a C(rpcauth) line for bitcoind.
  - Existing credentials stay; a user that is no longer named loses them.
options:
  users: {description: Names of the users., type: list, elements: str, required: true}
  chain: {description: Network that bitcoin-cli shall talk to., type: str, required: true}
  group: {description: Group that may read the configuration., type: str, required: true}
  folder: {description: Configuration folder., type: path, default: /etc/bitcoin}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Make the RPC users.
  bitcoin_rpc_users: {users: [operator, monitor], chain: main, group: bitcoin}
"""

RETURN = r"""
rpcauth_changed: {description: Whether bitcoind must read its users again., type: bool, returned: always}
"""


def hashed(password: str, salt: str) -> str:
    """What `rpcauth` holds after the salt (share/rpcauth/rpcauth.py of Bitcoin Core)."""
    return hmac.new(salt.encode(), password.encode(), hashlib.sha256).hexdigest()


def client_file(user: str, password: str, chain: str) -> str:
    """A configuration file for bitcoin-cli."""
    return f"chain={chain}\nrpcuser={user}\nrpcpassword={password}\n"


def password_in(content: str, user: str) -> str | None:
    """The password of a client file that belongs to `user`."""
    if f"\nrpcuser={user}\n" not in content:
        return None
    found = re.search(r"^rpcpassword=([A-Za-z0-9_-]{40,})$", content, re.MULTILINE)
    return found[1] if found else None


def rpcauth_file(passwords: dict[str, str], old: str) -> str:
    """The `rpcauth` lines; a line of `old` that still fits its password stays, so that nothing changes for nothing."""
    kept = dict(re.findall(r"^rpcauth=(\w+):(\S+)$", old, re.MULTILINE))
    lines = ["# Managed by Stakeyard. Salted digests only; the passwords are root's, in credentials/."]
    for user in sorted(passwords):
        salt, _, digest = kept.get(user, "").partition("$")
        if not digest or not hmac.compare_digest(digest, hashed(passwords[user], salt)):
            salt = secrets.token_hex(16)
            digest = hashed(passwords[user], salt)
        lines.append(f"rpcauth={user}:{salt}${digest}")
    return "\n".join(lines) + "\n"


def read(path: Path) -> str:
    """Content of a file, or nothing."""
    return path.read_text() if path.exists() else ""


class Writer:
    """Writes what differs and remembers that it did; in check mode it only remembers."""

    def __init__(self, check: bool) -> None:
        self.check, self.changed = check, False

    def _own(self, path: Path, mode: int, group: int) -> None:
        state = path.stat()
        if (state.st_mode & 0o7777, state.st_uid, state.st_gid) == (mode, 0, group):
            return
        self.changed = True
        if not self.check:
            os.chown(path, 0, group)
            path.chmod(mode)

    def folder(self, path: Path, mode: int, group: int) -> None:
        """A folder of root's."""
        if not path.is_dir():
            self.changed = True
            if self.check:
                return
            path.mkdir(mode)
        self._own(path, mode, group)

    def file(self, path: Path, content: str, mode: int, group: int) -> bool:
        """A file of root's, replaced in one rename; returns whether its content changed."""
        if read(path) == content:
            self._own(path, mode, group)
            return False
        self.changed = True
        if not self.check:
            fresh = path.with_name(f"{path.name}.new")
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as output:
                output.write(content)
            os.chown(fresh, 0, group)
            fresh.chmod(mode)
            fresh.replace(path)
        return True

    def gone(self, path: Path) -> None:
        """No such file."""
        self.changed = True
        if not self.check:
            path.unlink()


def run(parameters: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring folder, client files and rpcauth lines into the wanted state."""
    folder = Path(parameters["folder"])
    credentials = folder / "credentials"
    try:
        group = grp.getgrnam(parameters["group"]).gr_gid
    except KeyError:
        if not check:
            raise
        return {"changed": True, "rpcauth_changed": True}  # the group, too, would only be made now
    writer = Writer(check)
    writer.folder(folder, 0o750, group)
    writer.folder(credentials, 0o700, 0)
    passwords = {}
    for user in parameters["users"]:
        path = credentials / f"{user}.conf"
        passwords[user] = password_in(read(path), user) or secrets.token_urlsafe(32)
        writer.file(path, client_file(user, passwords[user], parameters["chain"]), 0o400, 0)
    for path in sorted(credentials.glob("*")):
        if path.stem not in passwords:
            writer.gone(path)
    rpcauth = folder / "rpcauth.conf"
    changed = writer.file(rpcauth, rpcauth_file(passwords, read(rpcauth)), 0o640, group)
    return {"changed": writer.changed, "rpcauth_changed": changed}


def main() -> None:
    """Ansible's entry; passwords appear in no result."""
    module = AnsibleModule(
        argument_spec={
            "users": {"type": "list", "elements": "str", "required": True},
            "chain": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "folder": {"type": "path", "default": "/etc/bitcoin"},
        },
        supports_check_mode=True,
    )
    bad = [user for user in module.params["users"] if not re.fullmatch(r"[a-z]+", user)]
    if bad:
        module.fail_json(msg=f"RPC user {bad[0]!r} must be lower-case letters only.")
    try:
        result = run(module.params, module.check_mode)
    except OSError as reason:
        module.fail_json(msg=str(reason))
    except KeyError:
        module.fail_json(msg=f"the group {module.params['group']} does not exist on this host.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
