"""Addresses of accounts, with their checksum (EIP-55)."""

from __future__ import annotations

import re

_ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
_MASK = 2**64 - 1


def problem(address: object) -> str | None:
    """Why this cannot be the address that fees are paid to, in one sentence; None where it can."""
    if not isinstance(address, str) or not address:
        return "it is missing: give the address that the fees of proposed blocks go to."
    if not _ADDRESS.fullmatch(address):
        return f"{address} is no address: write 0x and 40 hexadecimal digits."
    digits = address[2:]
    if int(digits, 16) == 0:
        return f"{address} is nobody's address and burns what is paid to it: give your own."
    if digits not in (digits.lower(), digits.upper()) and address != checksummed(address):
        return f"{address} has a wrong checksum (EIP-55), so a digit is wrong: copy it again."
    return None


def checksummed(address: str) -> str:
    """The address with the capitals that are its checksum: where the hash of its digits has 8 or more."""
    digits = address[2:].lower()
    capitals = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, capitals, strict=False)
    )


def keccak256(data: bytes, padding: int = 0x01) -> bytes:
    """Keccak-256 with the padding of the original submission, which hashlib does not have (its SHA-3 pads with 6)."""
    rate = 136
    padded = bytearray(data) + bytearray(rate - len(data) % rate)
    padded[len(data)] ^= padding
    padded[-1] ^= 0x80
    state = [0] * 25
    for start in range(0, len(padded), rate):
        for lane in range(rate // 8):
            state[lane] ^= int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK if by else lane


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]; a lane's place is x + 5 * y."""
    constant = 1
    for _ in range(24):
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[(x + 4) % 5] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[place % 5] for place, lane in enumerate(lanes)]
        moved, x, y = [lanes[0]] + [0] * 24, 1, 0
        for step in range(24):
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _turned(lanes[x + 5 * y], (step + 1) * (step + 2) // 2 % 64)
            x, y = y, (2 * x + 3 * y) % 5
        lanes = [
            moved[place] ^ (~moved[row + (place + 1) % 5] & moved[row + (place + 2) % 5])
            for row in range(0, 25, 5)
            for place in range(row, row + 5)
        ]
        lanes[0] ^= _round_constant(constant)
        for _ in range(7):
            constant = constant << 1 ^ (0x171 if constant >> 7 else 0)
    return lanes


def _round_constant(register: int) -> int:
    """The constant of a round, from seven steps of a shift register (x^8 + x^6 + x^5 + x^4 + 1)."""
    found = 0
    for power in range(7):
        if register & 1:
            found |= 1 << (2**power - 1)
        register = register << 1 ^ (0x171 if register >> 7 else 0)
    return found
