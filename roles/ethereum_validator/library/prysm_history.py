#!/usr/bin/python
"""Prysm's history of what its keys signed: given to keys that start, and exported."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_ethereum import client, interchange  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: prysm_history
short_description: Give keys the history with which they start, or export what they signed since
description:
  - C(started) sees to it that each key has a history in the client's database before it first starts. Keys without
    one get theirs from I(history), and are refused when it does not have them. What the database already knows stays.
  - A new database is made beside its place, and taken only when the client exports the same marks that were given.
    Prysm's complete database blocks a key for ever when one of its entries is imported twice, so nothing ever is.
  - C(exported) writes an EIP-3076 file. For both the client must not run.
options:
  program: {description: The validator client., type: path, required: true}
  user: {description: User of the client., type: str, required: true}
  database: {description: Folder of the client's database., type: path, required: true}
  export: {description: File of the exported history., type: path, required: true}
  public_keys: {description: Keys that must have a history., type: list, elements: str, default: []}
  history: {description: EIP-3076 file as text., type: str, default: ""}
  genesis_validators_root: {description: Chain that a given history must be of; empty for any., type: str, default: ""}
  state: {description: What to see to., type: str, default: started, choices: [started, exported]}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Give the keys their history.
  prysm_history:
    program: /opt/stakeyard/prysm-validator/current/bin/validator
    user: ethereum-validator
    database: /var/lib/ethereum-validator/client
    export: /var/lib/ethereum-validator/export/history.json
    public_keys: "{{ stakeyard_signing_keys }}"
    history: "{{ seeded }}"
"""

RETURN = r"""
needed: {description: Whether keys lacked a history., type: bool, returned: when started}
seeded: {description: Highest target epoch that was given; -1 when nothing was., type: int, returned: success}
"""

DATABASE = "validator.db"
KNOWN = "known-keys.json"
GIVEN = "given.sha256"
LISTEN = "listen.json"


def exported(module: AnsibleModule, database: Path) -> interchange.History:
    """What the client's database holds."""
    user = module.params["user"]
    with client.workplace(user) as work:
        options = [f"--datadir={database}", f"--slashing-protection-export-dir={work}", "--accept-terms-of-use"]
        command = [module.params["program"], "slashing-protection-history", "export", *options]
        client.run(module, user, work, command, "the client's export of its history")
        return interchange.parse((work / "slashing_protection.json").read_bytes())


def imported(module: AnsibleModule, database: Path, history: bytes) -> None:
    """Give the client's database a history."""
    user = module.params["user"]
    with client.workplace(user) as work:
        file = work / "history.json"
        client.put(file, history.decode(), user)
        options = [f"--datadir={database}", f"--slashing-protection-json-file={file}", "--accept-terms-of-use"]
        command = [module.params["program"], "slashing-protection-history", "import", *options]
        client.run(module, user, work, command, "the client's import of a history")


def known(database: Path) -> set[str]:
    """Keys that were found in the database when they started; none where there is no database, or no note to read.

    None is the safe side: the note only spares a look into the database, which alone says which keys have a history.
    """
    note = database / KNOWN
    if not (database / DATABASE).exists() or not note.exists():
        return set()
    try:
        found = json.loads(note.read_text())
    except ValueError:
        return set()
    return {key for key in found if isinstance(key, str)} if isinstance(found, list) else set()


def seed_for(text: str, missing: set[str], root: str) -> interchange.History:
    """The given history, in which no key may be missing. Raises InterchangeError or ClientError."""
    if not text:
        # `pulumi up` gives one for every key that is not known to have begun with its history on this volume.
        raise client.ClientError(
            f"0x{min(missing)} has no history of what it signed, and none was given: these keys have signed and their "
            "history is not on the volume; give the volume up as docs/rebuild.md says."
        )
    given = interchange.parse(text.encode())
    if root and given.genesis_validators_root != root.lower():
        raise client.ClientError(f"the history is of the chain {given.genesis_validators_root}, not of {root}.")
    lacking: dict[str, interchange.Marks] = {key: {} for key in missing if key not in given.keys}
    interchange.require_complete(interchange.History(given.genesis_validators_root, {**given.keys, **lacking}))
    return given


def start(module: AnsibleModule) -> dict[str, Any]:
    """See to it that each key has a history: its own where it has begun to sign here, else the one that is given."""
    database, text = Path(module.params["database"]), module.params["history"]
    wanted = {interchange.public_key(key) for key in module.params["public_keys"]}
    if not module.check_mode:
        client.unswapped(database)
    if wanted <= known(database) and given_before(database, text):
        return {"changed": False, "needed": False, "seeded": -1}
    if module.check_mode:
        return {"changed": True, "needed": True, "seeded": -1}
    there = exported(module, database) if (database / DATABASE).exists() else None
    missing = {key for key in wanted if there is None or "target" not in there.keys.get(key, {})}
    if not missing and not text:
        write(database / KNOWN, json.dumps(sorted(wanted | known(database))))
        return {"changed": True, "needed": True, "seeded": -1}
    given = seed_for(text, missing, module.params["genesis_validators_root"])
    target = max(marks["target"] for marks in given.keys.values())
    # Noted first: a run that is killed after the import must not forget that these keys have to listen.
    write(database.parent / LISTEN, json.dumps({"target": target}))
    make(module, database, interchange.merge([given, *([there] if there else [])]), digest(text))
    return {"changed": True, "needed": True, "seeded": target}


def digest(text: str) -> str:
    """What is kept of a history that was given."""
    return hashlib.sha256(text.encode()).hexdigest()


def given_before(database: Path, text: str) -> bool:
    """Whether this very history is in the database already, which has only risen since; also where none is given."""
    note = database / GIVEN
    return not text or (note.exists() and note.read_text() == digest(text))


def make(module: AnsibleModule, database: Path, history: interchange.History, given: str) -> None:
    """Import into a new database, look whether the client now has these marks, and put it in the old one's place.

    Never into one that knows a key: that would not raise what it has (docs/decisions/0031-prysm-history.md).
    """
    user, keys = module.params["user"], {key: marks for key, marks in history.keys.items() if marks}
    fresh = database.with_name(f"{database.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    (fresh / DATABASE).touch(mode=0o600)
    for path in (fresh, fresh / DATABASE):
        client.give(path, user)
    imported(module, fresh, interchange.minimal(interchange.History(history.genesis_validators_root, keys)))
    found = exported(module, fresh)
    for key, marks in keys.items():
        if found.keys.get(key) != marks or found.genesis_validators_root != history.genesis_validators_root:
            raise client.ClientError(f"0x{key}: the client did not take the history that was given: it is not started.")
    write(fresh / KNOWN, json.dumps(sorted(keys)))
    write(fresh / GIVEN, given)
    with unused(database / DATABASE):
        client.swap(fresh, database)


@contextlib.contextmanager
def unused(path: Path) -> Iterator[None]:
    """Keep a database from being opened; raises ClientError where a client has it open.

    One that somebody started since it was exported would sign on into a file that is no longer there. The client's
    database library takes the same lock (flock), and gives up after a second.
    """
    if not path.exists():
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise client.ClientError(
                f"{path} is open: a client was started while keys were given a history; stop it, then run this again."
            ) from None
        yield


def write(path: Path, content: str) -> None:
    """Replace a file of root's alone in one step that survives a power cut."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def export(module: AnsibleModule) -> dict[str, Any]:
    """Write what the keys signed to the export file."""
    file = Path(module.params["export"])
    if module.check_mode:
        return {"changed": False, "seeded": -1}
    client.unswapped(Path(module.params["database"]))
    content = interchange.minimal(exported(module, Path(module.params["database"]))).decode()
    changed = not file.exists() or file.read_text() != content
    if changed:
        write(file, content)
    return {"changed": changed, "seeded": -1}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "database": {"type": "path", "required": True},
            "export": {"type": "path", "required": True},
            "public_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "history": {"type": "str", "default": ""},
            "genesis_validators_root": {"type": "str", "default": ""},
            "state": {"type": "str", "default": "started", "choices": ["started", "exported"]},
        },
        supports_check_mode=True,
    )
    try:
        result = start(module) if module.params["state"] == "started" else export(module)
    except (client.ClientError, interchange.InterchangeError, OSError) as reason:
        module.fail_json(msg=str(reason))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
