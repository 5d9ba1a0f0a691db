"""A beacon node for tests: a chain made up of blocks, served over the Beacon API on loopback."""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.loopback import QuietHandler, serving

ROOT = "0x" + "ab" * 32
SLOTS = 4
SECONDS = 6
GENESIS = 1_700_000_000
VALIDATORS = "/eth/v1/beacon/states/head/validators"


def key_of(validator: int) -> str:
    """The public key of a validator, without 0x."""
    return f"{0x80:02x}{validator:094x}"


def bits_of(length: int, positions: Sequence[int], *, delimiter: bool = True) -> str:
    """An SSZ bit list (with its delimiter) or bit vector in hexadecimal."""
    value = sum(1 << position for position in positions) | (1 << length if delimiter else 0)
    return "0x" + value.to_bytes((length + 8) // 8 if delimiter else (length + 7) // 8, "little").hex()


@dataclass
class FakeBeacon:
    """Sixteen validators, two committees of two in each of four slots an epoch; every epoch is shuffled anew."""

    validators: int = 16
    head: int = 40
    justified: int = 8
    root: str = ROOT
    syncing: dict[str, Any] = field(default_factory=dict)
    electra: bool = False
    blocks: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    pools: dict[str, list[Any]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    branches: dict[str, int] = field(default_factory=dict)
    """By the state of an orphan: how far its committees are from those of the chain. Without an entry it is unknown."""
    before: bool = True
    """Whether it has what was before the first of its blocks."""

    def committee(self, slot: int, index: int) -> list[int]:
        epoch, place = slot // SLOTS, (slot % SLOTS) * 2 + index
        return [(2 * place + member + epoch * 5) % self.validators for member in range(2)]

    def data(self, slot: int, source: int, target: int | None = None, block: str = "aa") -> dict[str, Any]:
        """The data of an attestation."""
        epoch = slot // SLOTS if target is None else target
        return {
            "slot": str(slot),
            "index": "0",
            "beacon_block_root": "0x" + block * 32,
            "source": {"epoch": str(source), "root": "0x" + "11" * 32},
            "target": {"epoch": str(epoch), "root": "0x" + "22" * 32},
        }

    def attestation(self, validators: Sequence[int], data: dict[str, Any]) -> dict[str, Any]:
        """An aggregate of these validators, who must all have their duty in the slot of `data`."""
        slot = int(data["slot"])
        committees = {index: self.committee(slot, index) for index in (0, 1)}
        used = [index for index, members in committees.items() if set(members) & set(validators)]
        if not self.electra:
            assert len(used) == 1
            members = committees[used[0]]
            positions = [members.index(validator) for validator in validators]
            return {
                "aggregation_bits": bits_of(2, positions),
                "data": {**data, "index": str(used[0])},
                "signature": "0x",
            }
        members = [member for index in used for member in committees[index]]
        return {
            "aggregation_bits": bits_of(len(members), [members.index(validator) for validator in validators]),
            "committee_bits": bits_of(64, used, delimiter=False),
            "data": data,
            "signature": "0x",
        }

    def block(
        self,
        slot: int,
        proposer: int,
        attestations: Sequence[Any] = (),
        *,
        canonical: bool = True,
        parent: str = "",
        **more: Any,
    ) -> str:
        """Put a block at a slot; its root. `parent` is another's, `more` are further lists of its body."""
        number = len(self.blocks.setdefault(slot, []))
        state = "0x" + ("44" if canonical else f"{slot:02x}") * 32
        if not canonical:
            self.branches.setdefault(state, 0)
        header = {
            "slot": str(slot),
            "proposer_index": str(proposer),
            "parent_root": parent or f"0x{slot:064x}",
            "state_root": state,
            "body_root": f"0x{number:064x}",
        }
        body = {"attestations": list(attestations), "attester_slashings": [], "proposer_slashings": [], **more}
        root = f"0x{slot:060x}{number:04x}"
        self.blocks[slot].append({"root": root, "canonical": canonical, "header": header, "body": body})
        return root

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Status and data for a path."""
        where, _, query = path.partition("?")
        if where in self.broken:
            return self.broken[where], {}
        if where == VALIDATORS and not all(re.fullmatch("0x[0-9a-f]{96}", key) for key in json.loads(body)["ids"]):
            return 400, {}
        fixed = {
            "/eth/v1/beacon/genesis": {"genesis_validators_root": self.root, "genesis_time": str(GENESIS)},
            "/eth/v1/config/spec": {"SLOTS_PER_EPOCH": str(SLOTS), "SECONDS_PER_SLOT": str(SECONDS)},
            "/eth/v1/node/syncing": {
                "head_slot": str(self.head), "sync_distance": "0", "is_syncing": False, "is_optimistic": False,
                "el_offline": False, **self.syncing,
            },
            "/eth/v1/beacon/states/head/finality_checkpoints": {"current_justified": {"epoch": str(self.justified)}},
            **self.pools,
        }  # fmt: skip
        found = fixed.get(where) or self._made(where, query.partition("=")[2], body)
        return (404, {}) if found is None else (200, found)

    def _made(self, where: str, number: str, body: bytes) -> Any:
        if where == VALIDATORS:
            known = {f"0x{key_of(index)}": index for index in range(self.validators)}
            asked = [key for key in json.loads(body)["ids"] if key in known]
            return [{"index": str(known[key]), "validator": {"pubkey": key}} for key in asked]
        if where.endswith("/committees"):
            state = where.removeprefix("/eth/v1/beacon/states/").removesuffix("/committees")
            if state.startswith("0x") and state not in self.branches:
                return None
            away, first = self.branches.get(state, 0), int(number) * SLOTS
            return [
                {
                    "slot": str(slot),
                    "index": str(index),
                    "validators": [str((v + away) % self.validators) for v in self.committee(slot, index)],
                }
                for slot in range(first, first + SLOTS)
                for index in (0, 1)
            ]
        if where == "/eth/v1/beacon/headers":
            blocks = self.blocks.get(int(number), [])
            return [{**block, "header": {"message": block["header"]}} for block in blocks] or None
        if where.startswith("/eth/v1/beacon/headers/"):
            root = where.rpartition("/")[2]
            return {"root": root} if self.before or min(self.blocks) < int(root, 16) else None
        root = where.removeprefix("/eth/v1/beacon/blinded_blocks/")
        named = [block for blocks in self.blocks.values() for block in blocks if block["root"] == root]
        return {"message": {"body": named[0]["body"]}} if named else None


def honest(electra: bool) -> FakeBeacon:
    """A chain on which every validator votes once an epoch and every block has one proposer."""
    node = FakeBeacon(electra=electra)
    for slot in range(1, node.head + 1):
        duties = node.data(slot - 1, source=max(0, (slot - 1) // 4 - 1))
        if electra:
            attestations = [node.attestation([*node.committee(slot - 1, 0), *node.committee(slot - 1, 1)], duties)]
        else:
            attestations = [node.attestation(node.committee(slot - 1, index), duties) for index in (0, 1)]
        # the same votes again in the next block, as aggregators do
        node.block(slot, slot % 16, attestations * 2)
    return node


def plant(node: FakeBeacon, what: str) -> tuple[str, int]:
    """Plant one pair; its kind and its validator."""
    slot, validator = 30, node.committee(30, 1)[0]
    again = node.attestation([validator], node.data(slot, source=6, block="bb"))
    data = node.data(slot, source=0, target=0)
    match what:
        case "double vote on chain":
            node.blocks[33][0]["body"]["attestations"].append(again)
        case "double vote in an orphaned block":
            node.block(31, 2, [again], canonical=False)
        case "double vote in the pool":
            node.pools["/eth/v2/beacon/pool/attestations"] = [again]
        case "double vote not aggregated yet":
            single = {"committee_index": "1", "attester_index": str(validator), "data": again["data"]}
            node.pools["/eth/v2/beacon/pool/attestations"] = [single]
        case "surround vote":
            outer = node.attestation([validator], {**data, "target": {"epoch": "9", "root": "0x"}})
            # the vote of epoch 9 itself is then a double vote too: leave this validator's out
            for block in itertools.chain(*node.blocks.values()):
                body = block["body"]
                if int(block["header"]["slot"]) in range(37, 41):
                    body["attestations"] = []
            node.block(32, 3, [outer], canonical=False)
            return "surround vote", validator
        case "slashing in a block":
            sides = [{"attesting_indices": [str(validator)], "data": node.data(slot, 6, block=b)} for b in ("bb", "cc")]
            slashing = {"attestation_1": sides[0], "attestation_2": sides[1]}
            for block in itertools.chain(*node.blocks.values()):
                if block["header"]["slot"] == "31":
                    block["body"]["attestations"] = []
            node.block(34, 4, canonical=False, attester_slashings=[slashing])
        case "double proposal":
            node.block(20, 20 % 16, canonical=False)
            return "double proposal", 20 % 16
        case "proposer slashing in the pool":
            header = {"slot": "21", "proposer_index": "5", "parent_root": "0x01", "state_root": "0x", "body_root": "0x"}
            sides = [{"message": header}, {"message": {**header, "parent_root": "0x02"}}]
            slashing = {"signed_header_1": sides[0], "signed_header_2": sides[1]}
            node.blocks.pop(21)
            node.pools["/eth/v1/beacon/pool/proposer_slashings"] = [slashing]
            return "double proposal", 5
    return "double vote", validator


@contextmanager
def served(node: FakeBeacon) -> Iterator[str]:
    """The node's address while the block runs."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, data = node.answer(self.path, content)
            text = json.dumps({"data": data}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

    with serving(Handler) as address:
        yield address
