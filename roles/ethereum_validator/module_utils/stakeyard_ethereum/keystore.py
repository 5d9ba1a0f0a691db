"""Keystores of validators (EIP-2335): read strictly, opened with their passwords, compared with what is declared.

For the control machine only, which has the packages cryptography and py_ecc.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from py_ecc.bls.ciphersuites import G2ProofOfPossession

from .interchange import InterchangeError, public_key

LARGEST_MEMORY = 2**30
MOST_ROUNDS = 2**24


class KeystoreError(Exception):
    """One sentence about a keystore; never with a password or a part of a secret."""


@dataclass(frozen=True)
class Keystore:
    """A keystore as its JSON text, with its password. `public_key` is what it says of itself, until it is verified."""

    public_key: str
    text: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def digest(self) -> str:
        """Digest of text and password, to see whether a host holds them already."""
        return hashlib.sha256(f"{self.text}\0{self.password}".encode()).hexdigest()


def read(text: object, password: object, where: str) -> Keystore:
    """A keystore from its text. `where` names it in refusals. Raises KeystoreError."""
    if not isinstance(text, str) or not isinstance(password, str):
        raise KeystoreError(f"{where}: keystore and password must both be text: correct what was given.")
    content = _content(text, where)
    try:
        key = public_key(content["pubkey"])
    except (KeyError, InterchangeError):
        raise KeystoreError(
            f"{where}: its pubkey is no public key of a validator: take an EIP-2335 keystore."
        ) from None
    if content["pubkey"] != key:
        raise KeystoreError(f"{where}: its pubkey must be lower-case digits without 0x (EIP-2335): correct it.")
    if not password:
        raise KeystoreError(f"0x{key}: its password is empty: give the password of its keystore.")
    return Keystore(key, text, password)


def exactly(keystores: Sequence[Keystore], declared: Iterable[str]) -> None:
    """Refuse unless there is one keystore for each declared public key, and no other. Raises KeystoreError."""
    wanted = set(declared)
    seen: set[str] = set()
    for keystore in keystores:
        name = f"0x{keystore.public_key}"
        if keystore.public_key not in wanted:
            raise KeystoreError(f"{name} is a stranger's key: it is not among signing_keys; remove it or declare it.")
        if keystore.public_key in seen:
            raise KeystoreError(f"{name} has two keystores: give one.")
        seen.add(keystore.public_key)
    for missing in sorted(wanted - seen):
        raise KeystoreError(f"0x{missing} has no keystore: give it, with its password.")


def password_bytes(password: str) -> bytes:
    """A password as EIP-2335 derives keys from it: NFKD, without control codes, in UTF-8."""
    normal = unicodedata.normalize("NFKD", password)
    return "".join(c for c in normal if not (ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F)).encode()


def derived_key(keystore: Keystore) -> bytes:
    """The key that opens the keystore. Raises KeystoreError when the password does not fit."""
    name = f"0x{keystore.public_key}"
    try:
        crypto = _content(keystore.text, name)["crypto"]
        key = _derive(crypto["kdf"], password_bytes(keystore.password))
        message = bytes.fromhex(crypto["cipher"]["message"])
        checksum = bytes.fromhex(crypto["checksum"]["message"])
        known = crypto["checksum"]["function"] == "sha256" and len(key) >= 32
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise KeystoreError(f"{name}: its keystore cannot be understood: take an EIP-2335 keystore.") from None
    if not known:
        raise KeystoreError(f"{name}: its keystore uses functions that EIP-2335 does not know: make it anew.")
    if not hmac.compare_digest(hashlib.sha256(key[16:32] + message).digest(), checksum):
        raise KeystoreError(f"{name}: the password does not open its keystore: give the right one.")
    return key


def open_secret(keystore: Keystore) -> bytes:
    """The signing key itself, 32 bytes. Raises KeystoreError."""
    key = derived_key(keystore)
    cipher = _content(keystore.text, f"0x{keystore.public_key}")["crypto"]["cipher"]
    try:
        start, message = bytes.fromhex(cipher["params"]["iv"]), bytes.fromhex(cipher["message"])
        if cipher["function"] != "aes-128-ctr" or len(message) != 32:
            raise ValueError
        decryptor = Cipher(algorithms.AES(key[:16]), modes.CTR(start)).decryptor()
        return decryptor.update(message) + decryptor.finalize()
    except (KeyError, TypeError, ValueError):
        raise KeystoreError(
            f"0x{keystore.public_key}: its cipher cannot be understood: make the keystore anew."
        ) from None


def verify(keystore: Keystore) -> None:
    """Refuse a keystore whose secret is not that of its public key. Raises KeystoreError.

    Clients take the public key of the file at its word: a secret under another key's name would sign unregistered.
    """
    secret = int.from_bytes(open_secret(keystore), "big")
    try:
        found = G2ProofOfPossession.SkToPk(secret).hex()
    except ValueError:
        found = "nothing"
    if found != keystore.public_key:
        raise KeystoreError(f"0x{keystore.public_key}: its keystore holds the secret of another key: do not use it.")


def _content(text: str, where: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("version") != 4:
        raise KeystoreError(
            f"{where} is no keystore of version 4 (EIP-2335): take the file that the deposit tool made."
        )
    return content


def _derive(kdf: Mapping[str, Any], password: bytes) -> bytes:
    params = kdf["params"]
    salt, length = bytes.fromhex(params["salt"]), int(params["dklen"])
    if not 32 <= length <= 64:
        raise ValueError
    if kdf["function"] == "scrypt":
        n, r, p = int(params["n"]), int(params["r"]), int(params["p"])
        if 128 * n * r > LARGEST_MEMORY or p > 16:
            raise ValueError
        return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=LARGEST_MEMORY + 2**26)
    if kdf["function"] == "pbkdf2" and params["prf"] == "hmac-sha256" and 1 <= int(params["c"]) <= MOST_ROUNDS:
        return hashlib.pbkdf2_hmac("sha256", password, salt, int(params["c"]), length)
    raise ValueError
