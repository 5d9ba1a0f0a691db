"""The control machine's half of `ethereum_keystores`: gets keystores, decides, and hands on what the host lacks.

A plugin and no module: what it decrypts stays in this process, in no argument list and on no disk here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail  # type: ignore[import-untyped]
from ansible.plugins.action import ActionBase  # type: ignore[import-untyped]

_REPOSITORY = str(Path(__file__).resolve().parents[3])
if _REPOSITORY not in sys.path:
    sys.path.append(_REPOSITORY)

from roles.ethereum_validator.module_utils.stakeyard_ethereum import age, interchange, keystore  # noqa: E402
from roles.ethereum_validator.module_utils.stakeyard_ethereum.keystore import Keystore, KeystoreError  # noqa: E402


def given(arguments: Mapping[str, Any], declared: Sequence[str], *, looking: bool = False) -> list[Keystore]:
    """The keystores that the operator gives. Raises KeystoreError.

    `looking` is check mode, also from machines that must not have keys, such as one that previews pull requests: where
    the directory is not there, what counts is what the host has.
    """
    own, directory = arguments.get("keystores") or [], arguments.get("directory") or ""
    if own and directory:
        raise KeystoreError("keystores are given both as a variable and as a directory: give one of them.")
    if directory and (Path(directory).exists() or not looking):
        own = age.keystores(Path(directory), Path(arguments.get("identity_file") or ""))
    found = []
    for index, entry in enumerate(own):
        where = f"keystore {index + 1}"
        if not isinstance(entry, Mapping) or set(entry) != {"keystore", "password"}:
            raise KeystoreError(f"{where} must be a mapping of keystore and password: correct it.")
        found.append(keystore.read(entry["keystore"], entry["password"], where))
    keystore.exactly(found, declared if found else ())
    return found


def lacking(found: Sequence[Keystore], declared: Sequence[str], held: Mapping[str, str]) -> list[Keystore]:
    """The keystores that the host is to be given, each of them opened and found right. Raises KeystoreError."""
    for stranger in sorted(set(held) - set(declared)):
        raise KeystoreError(
            f"the key volume holds 0x{stranger}, which is not among signing_keys: declare it, or move its files away."
        )
    if not found:
        for missing in sorted(key for key in declared if not held.get(key)):
            raise KeystoreError(f"0x{missing} has no keystore, here or on the key volume: give it, with its password.")
    new = [entry for entry in found if held.get(entry.public_key) != entry.digest]
    for entry in new:
        keystore.verify(entry)
    return new


class ActionModule(ActionBase):  # type: ignore[misc]
    """Ansible's entry."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Decide here, write there. Raises AnsibleActionFail with one sentence, in which there is no secret."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        try:
            declared = [interchange.public_key(key) for key in arguments["public_keys"]]
            found = given(arguments, declared, looking=self._task.check_mode)
            host = {"public_keys": declared, "folder": arguments["folder"]}
            seen = self._ask({**host, "state": "held"}, task_vars)
            new = lacking(found, declared, seen["held"])
        except (KeystoreError, interchange.InterchangeError) as refusal:
            raise AnsibleActionFail(str(refusal)) from None
        entries = [{"public_key": e.public_key, "keystore": e.text, "password": e.password} for e in new]
        result = self._ask({**host, "keystores": entries}, task_vars)
        return {"changed": result["changed"], "keys": sorted(declared)}

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module("ethereum_keystores", module_args=arguments, task_vars=task_vars)
        if result.get("failed"):
            raise AnsibleActionFail(str(result.get("msg", "the host could not look at its key volume.")))
        return result
