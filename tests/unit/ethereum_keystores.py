"""Keystores for tests: EIP-2335 files of made-up secrets, and modules of the role with its library."""

import hashlib
import json
import sys
from functools import cache
from types import ModuleType

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from py_ecc.bls.ciphersuites import G2ProofOfPossession

from roles.ethereum_validator.module_utils import stakeyard_ethereum
from roles.ethereum_validator.module_utils.stakeyard_ethereum import beacon, client, interchange
from tests.unit.artifact_modules import load


def module(name: str) -> ModuleType:
    """A module of the role, with the role's library where Ansible would put it."""
    package = "ansible.module_utils.stakeyard_ethereum"
    sys.modules.setdefault(package, stakeyard_ethereum)
    for part in (beacon, client, interchange):
        sys.modules.setdefault(f"{package}.{part.__name__.rpartition('.')[2]}", part)
    return load("ethereum_validator", name)


@cache
def public_key_of(secret: int) -> str:
    """The public key of a secret, without 0x."""
    return bytes(G2ProofOfPossession.SkToPk(secret)).hex()


def keystore_of(secret: int, password: str, *, rounds: int = 4, public_key: str | None = None) -> str:
    """The keystore of a secret; `public_key` is what it says of itself where that is to be something else."""
    salt, start = b"salt" * 8, b"0123456789abcdef"
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds, 32)
    encryptor = Cipher(algorithms.AES(key[:16]), modes.CTR(start)).encryptor()
    message = encryptor.update(secret.to_bytes(32, "big")) + encryptor.finalize()
    checksum = hashlib.sha256(key[16:32] + message).hexdigest()
    kdf = {"dklen": 32, "c": rounds, "prf": "hmac-sha256", "salt": salt.hex()}
    content = {
        "crypto": {
            "kdf": {"function": "pbkdf2", "params": kdf, "message": ""},
            "checksum": {"function": "sha256", "params": {}, "message": checksum},
            "cipher": {"function": "aes-128-ctr", "params": {"iv": start.hex()}, "message": message.hex()},
        },
        "description": "",
        "pubkey": public_key or public_key_of(secret),
        "path": "",
        "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f",
        "version": 4,
    }
    return json.dumps(content)
