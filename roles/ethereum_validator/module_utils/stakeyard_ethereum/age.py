"""Keystores in a directory of the control machine, encrypted with age: `<public key>.json.age`, `.password.age`.

For the control machine only, which has the package pyrage. What is decrypted stays in memory.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pyrage  # type: ignore[import-untyped]

from .keystore import KeystoreError

_KEYSTORE, _PASSWORD = ".json.age", ".password.age"


def keystores(directory: Path, identity_file: Path) -> list[dict[str, str]]:
    """Every keystore of the directory with its password, as mappings of `keystore` and `password`.

    Raises KeystoreError for a missing or foreign file, or an identity that others can read or that does not fit.
    """
    identities = _identities(identity_file)
    if not directory.is_dir():
        raise KeystoreError(f"{directory} is no directory of keystores: correct ethereum_validator_keys_directory.")
    names = sorted(path.name for path in directory.iterdir())
    strange = [name for name in names if not name.endswith((_KEYSTORE, _PASSWORD))]
    if strange:
        raise KeystoreError(f"{directory / strange[0]} is neither *{_KEYSTORE} nor *{_PASSWORD}: move it away.")
    keys = sorted({name.removesuffix(_KEYSTORE).removesuffix(_PASSWORD) for name in names})
    found = []
    for key in keys:
        texts = {}
        for part, suffix in (("keystore", _KEYSTORE), ("password", _PASSWORD)):
            texts[part] = _decrypted(directory / f"{key}{suffix}", identities)
        # An editor ends a file with a line break, which no password has.
        found.append({**texts, "password": texts["password"].rstrip("\r\n")})
    return found


def _identities(path: Path) -> list[object]:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise KeystoreError(f"{path} can be read by others: make it yours alone with `chmod 600`.")
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        raise KeystoreError(
            f"the age identity {path} cannot be read: name its file in ethereum_validator_age_identity_file."
        ) from None
    try:
        found: list[object] = [
            pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")
        ]
    except (pyrage.IdentityError, ValueError):  # its text could hold a part of the identity
        found = []
    if not found:
        raise KeystoreError(f"{path} holds no age identity: it has lines that begin with AGE-SECRET-KEY-1.")
    return found


def _decrypted(path: Path, identities: list[object]) -> str:
    try:
        encrypted = path.read_bytes()
    except OSError:
        raise KeystoreError(f"{path} is missing or cannot be read: each key has a keystore and a password.") from None
    try:
        return str(pyrage.decrypt(encrypted, identities).decode())
    except (pyrage.DecryptError, UnicodeDecodeError):
        raise KeystoreError(
            f"{path} cannot be decrypted with the identity that was given: encrypt it for it."
        ) from None
