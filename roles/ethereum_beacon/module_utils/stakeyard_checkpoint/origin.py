"""The block and the state that a beacon node begins with, as SSZ files, tied to one block root by their first bytes.

SSZ (consensus-specs) has a header's fields at fixed places of a block and of a state, and a block's root is that of its
header. So block and state together prove the root of a header. Nobody hashes the state here, which takes a client. It
need not be done: a client that is given the state right after its block, whose header has no state root yet, fills in
the root of all that it was given, and takes no next block that does not name the result as its parent (process_slot and
process_block_header). Another state has another root, so no block of the network continues it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK, STATE, GENESIS = "block.ssz", "state.ssz", "genesis.ssz"
BLOCK_BYTES, STATE_BYTES = 180, 176
"""How much of a file holds the fields of the header."""
SLOTS_PER_EPOCH, SECONDS_PER_SLOT = 32, 12
"""Of every public network; a private one starts from no checkpoint."""
_MESSAGE = 100
"""A signed block begins with the place of its message, 4 bytes, and the signature, 96."""
_NOTHING = bytes(32)


class OriginError(Exception):
    """What is wrong with a block or state, as a sentence that goes on from the name of its source."""


@dataclass(frozen=True)
class Header:
    """A block's header without the root of its body; the numbers are 8 bytes, little endian, the roots 32."""

    slot: int
    proposer: bytes
    parent_root: bytes
    state_root: bytes

    def root(self, body_root: bytes) -> str:
        """The block's root: the hash tree root of the header's five fields, padded to eight."""
        leaves = [self.slot.to_bytes(8, "little").ljust(32, b"\0"), self.proposer.ljust(32, b"\0")]
        leaves += [self.parent_root, self.state_root, body_root, _NOTHING, _NOTHING, _NOTHING]
        while len(leaves) > 1:
            leaves = [
                hashlib.sha256(left + right).digest() for left, right in zip(leaves[::2], leaves[1::2], strict=True)
            ]
        return f"0x{leaves[0].hex()}"

    @property
    def epoch(self) -> int:
        """The epoch of its slot."""
        return self.slot // SLOTS_PER_EPOCH


@dataclass(frozen=True)
class State:
    """What the first bytes of a state say."""

    genesis: bytes
    """Time and validators' root of the network's genesis."""
    slot: int
    header: Header
    """Of the last block before it."""
    body_root: bytes

    @property
    def network(self) -> str:
        """The network's genesis_validators_root."""
        return f"0x{self.genesis[8:].hex()}"


def header_of(block: bytes) -> Header:
    """The header of a signed block, from its first bytes at least. Raises OriginError."""
    if len(block) < BLOCK_BYTES or int.from_bytes(block[:4], "little") != _MESSAGE:
        raise OriginError("gave a block that is none")
    return _header(block[_MESSAGE:])


def state_of(content: bytes) -> State:
    """A state, from its first bytes at least. Raises OriginError."""
    if len(content) < STATE_BYTES:
        raise OriginError("gave a state that is none")
    slot = int.from_bytes(content[40:48], "little")
    return State(content[:40], slot, _header(content[64:]), content[144:176])


def _header(content: bytes) -> Header:
    return Header(int.from_bytes(content[:8], "little"), content[8:16], content[16:48], content[48:80])


def check(block: Header, state: State, root: str, network: str) -> None:
    """Refuse a state that does not continue the block of this root on this network. Raises OriginError."""
    if state.network != network:
        raise OriginError(f"gave a state of the network of {state.network}, not of {network}")
    if state.slot != block.slot or state.header.state_root != _NOTHING:
        raise OriginError(f"gave no state right after block {root}")
    own = Header(state.header.slot, state.header.proposer, state.header.parent_root, block.state_root)
    if own != block or block.root(state.body_root) != root:
        raise OriginError(f"gave a block and a state that are not those of {root}")


def check_genesis(content: bytes, state: State) -> None:
    """Refuse a genesis state whose time or network is not that of the state. Raises OriginError."""
    if len(content) < STATE_BYTES or content[:40] != state.genesis:
        raise OriginError("gave a genesis state of another network")


def kept(folder: Path, names: Sequence[str]) -> dict[str, str] | None:
    """Root and epoch of the block in a folder with these files; None where they are not there."""
    if not all((folder / name).is_file() for name in names):
        return None
    try:
        block, state = header_of(head(folder / BLOCK)), state_of(head(folder / STATE))
    except OriginError:
        return None
    return {"root": block.root(state.body_root), "epoch": str(block.epoch)}


def head(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(max(BLOCK_BYTES, STATE_BYTES))
