"""Make a private Ethereum network: its files, and keystores for its validators.

The validators' keys are the well-known interoperability keys (key i is the SHA-256 of i as 32 little-endian bytes,
modulo the order of the curve; ethereum/consensus-specs and eth2.0-pm, interop/mocked_start): everybody has them, and
they are worth nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import secrets
import subprocess
import sys
import time
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HERE = Path(__file__).parent
CURVE_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
CHAIN_ID = 32382
PROGRAM = "bin/prysmctl"
DEPOSIT_CONTRACT = "0x4242424242424242424242424242424242424242"
NO_DEPOSITS = "0x6020600052600860205260606000f3"
"""A stand-in for the deposit contract, which a beacon node asks for its count: to every question it answers eight zero
bytes (the ABI's offset 32, length 8, nothing), that is, no deposits. Nobody can deposit on a devnet."""
ROUNDS = 1024
"""PBKDF2 rounds: few, as these keys are public and every start of a signer derives them anew."""


def secret_key(index: int) -> int:
    """The interoperability key of a validator."""
    return int.from_bytes(hashlib.sha256(index.to_bytes(32, "little")).digest(), "little") % CURVE_ORDER


def public_key(index: int) -> str:
    """Its public key in hexadecimal, without 0x."""
    # On import, the library lets every function of the process call itself 100,000 times deep.
    limit = sys.getrecursionlimit()
    from py_ecc.bls.ciphersuites import G2ProofOfPossession  # noqa: PLC0415

    sys.setrecursionlimit(limit)
    return bytes(G2ProofOfPossession.SkToPk(secret_key(index))).hex()


def keystore(secret: int, public: str, password: str) -> dict[str, object]:
    """An EIP-2335 keystore (version 4) with PBKDF2 and AES-128-CTR."""
    salt, vector = secrets.token_bytes(32), secrets.token_bytes(16)
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS, 32)
    cipher = Cipher(algorithms.AES(key[:16]), modes.CTR(vector)).encryptor()
    message = cipher.update(secret.to_bytes(32, "big")) + cipher.finalize()
    checksum = hashlib.sha256(key[16:32] + message).hexdigest()
    return {
        "crypto": {
            "kdf": {
                "function": "pbkdf2",
                "params": {"dklen": 32, "c": ROUNDS, "prf": "hmac-sha256", "salt": salt.hex()},
                "message": "",
            },
            "checksum": {"function": "sha256", "params": {}, "message": checksum},
            "cipher": {"function": "aes-128-ctr", "params": {"iv": vector.hex()}, "message": message.hex()},
        },
        "description": "devnet",
        "pubkey": public,
        "path": "",
        "uuid": str(uuid.uuid4()),
        "version": 4,
    }


def configuration(seconds_per_slot: int, slots_per_epoch: int, validators: int) -> str:
    """The network's config.yml: every fork up to Deneb from the first slot on, and none after it."""
    forks = ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB"]
    lines = ["CONFIG_NAME: interop", "PRESET_BASE: interop", "GENESIS_FORK_VERSION: 0x20000089"]
    for index, fork in enumerate(forks):
        lines += [f"{fork}_FORK_EPOCH: 0", f"{fork}_FORK_VERSION: 0x{0x20000090 + index:08x}"]
    for index, fork in enumerate(["ELECTRA", "FULU"], start=len(forks)):
        lines += [f"{fork}_FORK_EPOCH: {2**64 - 1}", f"{fork}_FORK_VERSION: 0x{0x20000090 + index:08x}"]
    lines += [
        "MIN_GENESIS_TIME: 0",
        "GENESIS_DELAY: 0",
        f"MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: {validators}",
        "TERMINAL_TOTAL_DIFFICULTY: 0",
        f"SECONDS_PER_SLOT: {seconds_per_slot}",
        # Without it the beacon node keeps slots of 12 s, whatever the line above says.
        f"SLOT_DURATION_MS: {seconds_per_slot * 1000}",
        f"SLOTS_PER_EPOCH: {slots_per_epoch}",
        f"DEPOSIT_CONTRACT_ADDRESS: {DEPOSIT_CONTRACT}",
        f"DEPOSIT_CHAIN_ID: {CHAIN_ID}",
        f"DEPOSIT_NETWORK_ID: {CHAIN_ID}",
    ]
    return "\n".join(lines) + "\n"


def execution_genesis() -> dict[str, object]:
    """Block 0 of the execution chain before the beacon chain's genesis is known to it."""
    blocks = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul"]
    blocks += ["berlin", "london"]
    return {
        "config": {
            "chainId": CHAIN_ID,
            **{f"{name}Block": 0 for name in blocks},
            "shanghaiTime": 0,
            "cancunTime": 0,
            "terminalTotalDifficulty": 0,
            "terminalTotalDifficultyPassed": True,
            "blobSchedule": {"cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477}},
        },
        "alloc": {
            "0x123463a4b065722e99115d6c222f267d9cabb524": {"balance": hex(10**24)},
            DEPOSIT_CONTRACT: {"balance": "0x0", "code": NO_DEPOSITS},
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": "0x",
        "gasLimit": hex(30_000_000),
        "difficulty": "0x0",
        "mixHash": "0x" + "00" * 32,
        "coinbase": "0x" + "00" * 20,
        "baseFeePerGas": hex(10**9),
    }


def make(directory: Path, prysmctl: Path, asked: argparse.Namespace) -> dict[str, object]:
    """Write the network into `directory`; what devnet.json says of it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yml").write_text(
        configuration(asked.seconds_per_slot, asked.slots_per_epoch, asked.validators), encoding="utf-8"
    )
    (directory / "execution.json").write_text(json.dumps(execution_genesis()), encoding="utf-8")
    genesis_time = int(time.time()) + asked.delay
    subprocess.run(
        [
            *(str(prysmctl), "testnet", "generate-genesis", "--fork=deneb", f"--num-validators={asked.validators}"),
            *(f"--genesis-time={genesis_time}", f"--chain-config-file={directory / 'config.yml'}"),
            f"--geth-genesis-json-in={directory / 'execution.json'}",
            *(f"--geth-genesis-json-out={directory / 'genesis.json'}", f"--output-ssz={directory / 'genesis.ssz'}"),
        ],
        check=True,
        capture_output=True,
    )
    sets: list[list[str]] = [[] for _ in range(asked.sets)]
    for index in range(asked.validators):
        public, password = public_key(index), secrets.token_hex(16)
        number = index * asked.sets // asked.validators
        folder = directory / f"keys-{number + 1}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, text in (
            (f"{public}.json", json.dumps(keystore(secret_key(index), public, password))),
            (f"{public}.password", password),
        ):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text, encoding="utf-8")
        sets[number].append(f"0x{public}")
    # A beacon state begins with the time and the root of its genesis (consensus-specs, BeaconState).
    state = (directory / "genesis.ssz").read_bytes()
    return {
        "chain_id": CHAIN_ID,
        "genesis_time": int.from_bytes(state[:8], "little"),
        "genesis_validators_root": f"0x{state[8:40].hex()}",
        "seconds_per_slot": asked.seconds_per_slot,
        "slots_per_epoch": asked.slots_per_epoch,
        "sets": sets,
    }


def options() -> argparse.ArgumentParser:
    """What can be asked of a devnet."""
    parser = argparse.ArgumentParser(prog="stakeyard devnet ethereum_beacon DIRECTORY", description=__doc__)
    parser.add_argument("--validators", type=int, default=64, help="how many; at least 8 a slot make it finalise")
    parser.add_argument("--sets", type=int, default=2, help="folders of keys, one for each validator node")
    parser.add_argument("--delay", type=int, default=300, help="seconds from now to the first slot")
    parser.add_argument("--seconds-per-slot", type=int, default=6)
    parser.add_argument("--slots-per-epoch", type=int, default=6)
    return parser


def problem(asked: argparse.Namespace) -> str | None:
    """Why there can be no such network, in one sentence; None where there can."""
    least = {"validators": 1, "sets": 1, "delay": 0, "seconds_per_slot": 1, "slots_per_epoch": 1}
    for name, number in least.items():
        if getattr(asked, name) < number:
            return f"--{name.replace('_', '-')} {getattr(asked, name)}: must be at least {number}."
    if asked.sets > asked.validators:
        return (
            f"--sets {asked.sets}: the keys of {asked.validators} validators fill no more than {asked.validators}; ask "
            "for fewer sets, or for more --validators."
        )
    return None
