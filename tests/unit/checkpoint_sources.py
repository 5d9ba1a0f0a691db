"""A stand-in for sources of checkpoints: a chain of blocks and states, served over the Beacon API's paths on loopback.

Its blocks and states have the real places of a header's fields and real roots of headers. What follows these fields is
made up, and the root that a block names of its state is no hash of that state: what a client would find of the rest,
and what real beacon nodes and Checkpointz answer, this does not show.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from roles.ethereum_beacon.module_utils.stakeyard_checkpoint.origin import Header
from tests.unit.loopback import QuietHandler, serving

NETWORK = "0x" + "ab" * 32
BEGAN_AT = int(time.time()) - 400 * 12
"""When slot 0 was; 400 slots ago."""
BEGAN = BEGAN_AT.to_bytes(8, "little")
ROOTS = "/eth/v1/beacon/blocks/"
BLOCKS = "/eth/v2/beacon/blocks/"
STATES = "/eth/v2/debug/beacon/states/"


@dataclass(frozen=True)
class Made:
    """A block with the state after it."""

    root: str
    block: bytes
    state: bytes


def made(slot: int, chain: str = "ours", network: str = NETWORK) -> Made:
    """The block at a slot of a chain, which is the same whoever serves it."""
    body_root, parent = (hashlib.sha256(f"{chain} {slot} {what}".encode()).digest() for what in ("body", "parent"))
    header = slot.to_bytes(8, "little") + (7).to_bytes(8, "little") + parent
    state = BEGAN + bytes.fromhex(network[2:]) + slot.to_bytes(8, "little") + bytes(16)
    state += header + bytes(32) + body_root + chain.encode() * 1000
    state_root = hashlib.sha256(state).digest()
    block = (100).to_bytes(4, "little") + bytes(96) + header + state_root + (84).to_bytes(4, "little") + b"body"
    root = Header(slot, header[8:16], parent, state_root).root(body_root)
    return Made(root, block, state)


@dataclass
class StandIn:
    """One source. `final` is the slot of its last final block; each question for it takes `steps` on."""

    network: str = NETWORK
    chain: str = "ours"
    final: int = 320
    steps: int = 0
    checkpointz: bool = False
    """Whether it has Checkpointz's paths alone: no headers, blocks of epochs' first slots, 500 for all others."""
    missing: set[int] = field(default_factory=set)
    changed: dict[str, bytes] = field(default_factory=dict)
    """By path: what it answers instead."""
    cut: dict[str, str] = field(default_factory=dict)
    """By path: how the answer ends, `length` or `chunked` before its end, `unsaid` without having said where it is."""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes | None:
        """The whole answer; None where it has none."""
        if path in self.changed:
            return self.changed[path]
        if path == "/eth/v1/beacon/genesis":
            return self._data(genesis_validators_root=self.network, genesis_time=str(BEGAN_AT))
        for begins in (ROOTS, BLOCKS, STATES):
            if path.startswith(begins):
                found = self._named(path.removeprefix(begins).removesuffix("/root"))
                root = path.endswith("/root")
                known = {BLOCKS: not root, STATES: not root, ROOTS: root}[begins] and found is not None
                if not known or found is None:
                    return None
                return {ROOTS: self._data(root=found.root), BLOCKS: found.block, STATES: found.state}[begins]
        return None

    def _data(self, **values: str) -> bytes:
        return json.dumps({"data": values}).encode()

    def _named(self, name: str) -> Made | None:
        if name == "finalized":
            slot, self.final = self.final, self.final + self.steps
        elif name == "genesis":
            slot = 0
        elif name.startswith("0x"):
            named = [slot for slot in range(self.final + 1) if made(slot, self.chain, self.network).root == name]
            slot = named[0] if named else -1
        else:
            slot = int(name)
        unaligned = self.checkpointz and slot % 32 != 0
        there = 0 <= slot <= self.final and slot not in self.missing and not unaligned
        return made(slot, self.chain, self.network) if there else None


@contextmanager
def served(source: StandIn) -> Iterator[str]:
    """The source's address while the block runs."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            self.close_connection = True
            source.asked.append(self.path)
            content = source.answer(self.path)
            if content is None:
                self.send_error(500 if source.checkpointz else 404)
                return
            cut = source.cut.get(self.path)
            self.send_response(200)
            if cut == "chunked":
                self.send_header("Transfer-Encoding", "chunked")
            elif cut != "unsaid":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = content[: len(content) // 2] if cut in ("length", "chunked") else content
            self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half) if cut == "chunked" else half)

    with serving(Handler) as address:
        yield address
