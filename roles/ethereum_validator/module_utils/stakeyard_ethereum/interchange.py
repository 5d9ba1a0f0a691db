"""Histories of what validators signed, in the interchange format of EIP-3076, version 5.

Everything here is about the highest values: EIP-3076 lets a signer keep only those ("minimal" condition), because a
signer that never goes below them can neither vote twice for a target nor surround a vote, nor propose twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

VERSION = "5"
SOURCE, TARGET, SLOT = "source", "target", "slot"
HIGHEST = 2**64 - 1
DEEPEST = 16
_NUMBER = re.compile("0|[1-9][0-9]{0,19}")
_ROOT = re.compile("0x[0-9a-fA-F]{64}")
_KEY = re.compile("(?:0x)?([0-9a-f]{96})")

Marks = Mapping[str, int]
"""`source` and `target` (epochs of attestations) and `slot` (of blocks), each the highest signed, where one was."""


class InterchangeError(Exception):
    """One sentence about what is wrong with a history or a key."""


@dataclass(frozen=True)
class History:
    """Marks by public key (96 hexadecimal digits, lower case), on the chain with this genesis validators root."""

    genesis_validators_root: str
    keys: Mapping[str, Marks]


def fingerprint(public_key: str) -> str:
    """The 16 digits by which the rest of the toolkit knows a key."""
    return hashlib.sha256(public_key.casefold().removeprefix("0x").encode()).hexdigest()[:16]


def public_key(text: object) -> str:
    """A validator's public key as 96 lower-case hexadecimal digits without 0x. Raises InterchangeError.

    The point of BLS12-381 is in its compressed form (flag in the highest bit), and is not the point at infinity.
    """
    found = _KEY.fullmatch(text.casefold()) if isinstance(text, str) else None
    if found is None:
        raise InterchangeError(f"{_shown(text)} is no public key of a validator: it has 96 hexadecimal digits.")
    if not 0x80 <= int(found[1][:2], 16) < 0xC0:
        raise InterchangeError(f"{_shown(text)} is no compressed point of BLS12-381: copy the whole public key.")
    return found[1]


def parse(data: bytes) -> History:
    """The history in an interchange file. Raises InterchangeError with one sentence for anything malformed.

    A key that is there several times has the highest marks of all; EIP-3076 asks importers to merge.
    """
    try:
        _shallow(data)
        content = json.loads(data.decode(), object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InterchangeError("the history is no JSON text: it was cut off or is another file.") from None
    _keys(content, {"metadata", "data"}, set(), "the history")
    metadata, entries = content["metadata"], content["data"]
    _keys(metadata, {"interchange_format_version", "genesis_validators_root"}, set(), "metadata")
    version = metadata["interchange_format_version"]
    if version != VERSION:
        raise InterchangeError(f"the history has format version {_shown(version)}: only {VERSION} is known.")
    root = _root(metadata["genesis_validators_root"], "metadata.genesis_validators_root")
    keys: dict[str, Marks] = {}
    for index, entry in enumerate(_list(entries, "data")):
        key, marks = _entry(entry, f"data[{index}]")
        keys[key] = highest(keys.get(key, {}), marks)
    return History(root, keys)


def merge(histories: Iterable[History]) -> History:
    """One history with the highest marks of all. Raises InterchangeError for none, or for those of several chains."""
    merged: dict[str, Marks] = {}
    roots = set()
    for history in histories:
        roots.add(history.genesis_validators_root)
        for key, marks in history.keys.items():
            merged[key] = highest(merged.get(key, {}), marks)
    if len(roots) != 1:
        raise InterchangeError(f"histories of {len(roots)} chains cannot be merged: take those of one chain.")
    return History(roots.pop(), merged)


def highest(*several: Marks) -> dict[str, int]:
    """The highest of each mark."""
    names = sorted({name for marks in several for name in marks})
    return {name: max(marks[name] for marks in several if name in marks) for name in names}


def by_fingerprint(history: History) -> dict[str, Marks]:
    """Marks by the keys' fingerprints."""
    return {fingerprint(key): marks for key, marks in history.keys.items()}


def minimal(history: History) -> bytes:
    """An interchange file with at most one attestation and one block a key, at its marks. Raises InterchangeError."""
    root = _root(history.genesis_validators_root, "the genesis validators root")
    data = [_minimal_entry(key, marks) for key, marks in sorted(history.keys.items())]
    metadata = {"interchange_format_version": VERSION, "genesis_validators_root": root}
    return json.dumps({"metadata": metadata, "data": data}, indent=1).encode()


def require_complete(history: History) -> None:
    """Refuse a history with which a key would start without one of the marks. Raises InterchangeError."""
    for key, marks in sorted(history.keys.items()):
        for mark in (SOURCE, TARGET, SLOT):
            if mark not in marks:
                raise InterchangeError(f"0x{key} would start without a {mark} mark: give source, target and slot.")


def _minimal_entry(key: str, marks: Marks) -> dict[str, Any]:
    name = f"0x{public_key(key)}"
    source, target = marks.get(SOURCE), marks.get(TARGET)
    wrong = (source is None) != (target is None) or any(not 0 <= mark <= HIGHEST for mark in marks.values())
    if wrong or (source is not None and target is not None and source > target):
        raise InterchangeError(f"{name} cannot have signed {dict(marks)}: correct its marks.")
    votes = [] if source is None else [{"source_epoch": str(source), "target_epoch": str(target)}]
    blocks = [{"slot": str(marks[SLOT])}] if SLOT in marks else []
    return {"pubkey": name, "signed_blocks": blocks, "signed_attestations": votes}


def _entry(entry: object, where: str) -> tuple[str, Marks]:
    content = _keys(entry, {"pubkey", "signed_blocks", "signed_attestations"}, set(), where)
    try:
        key = public_key(content["pubkey"])
    except InterchangeError as error:
        raise InterchangeError(f"{where}.pubkey: {error}") from None
    marks: dict[str, int] = {}
    for index, block in enumerate(_list(content["signed_blocks"], f"{where}.signed_blocks")):
        marks = highest(marks, _block(block, f"{where}.signed_blocks[{index}]"))
    for index, vote in enumerate(_list(content["signed_attestations"], f"{where}.signed_attestations")):
        marks = highest(marks, _attestation(vote, f"{where}.signed_attestations[{index}]"))
    return key, marks


def _block(block: object, where: str) -> Marks:
    content = _keys(block, {"slot"}, {"signing_root"}, where)
    _signing_root(content, where)
    return {SLOT: _number(content["slot"], f"{where}.slot")}


def _attestation(vote: object, where: str) -> Marks:
    content = _keys(vote, {"source_epoch", "target_epoch"}, {"signing_root"}, where)
    _signing_root(content, where)
    source = _number(content["source_epoch"], f"{where}.source_epoch")
    target = _number(content["target_epoch"], f"{where}.target_epoch")
    if source > target:
        raise InterchangeError(f"{where}: its source {source} is after its target {target}: the file is damaged.")
    return {SOURCE: source, TARGET: target}


def _signing_root(content: Mapping[str, Any], where: str) -> None:
    if content.get("signing_root", "") != "":
        _root(content["signing_root"], f"{where}.signing_root")


def _root(value: object, where: str) -> str:
    if not isinstance(value, str) or not _ROOT.fullmatch(value):
        raise InterchangeError(f"{where} is {_shown(value)}: it must be 0x and 64 hexadecimal digits.")
    return value.lower()


def _number(value: object, where: str) -> int:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or int(value) > HIGHEST:
        raise InterchangeError(f"{where} is {_shown(value)}: it must be a whole number of 64 bits, as text.")
    return int(value)


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InterchangeError(f"{where} is {_shown(value)}: it must be a list.")
    return value


def _keys(value: object, needed: set[str], allowed: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InterchangeError(f"{where} is {_shown(value)}: it must be an object.")
    for name in sorted(needed - value.keys()):
        raise InterchangeError(f"{where} has no {name}: the file is not complete.")
    for name in sorted(value.keys() - needed - allowed):
        raise InterchangeError(f"{where} has the unknown key {_shown(name)}: the file is damaged.")
    return value


def _shallow(data: bytes) -> None:
    """The format is five levels deep; a parser of JSON may run out of stack for less than a crafted file has."""
    depth = 0
    for bracket in re.finditer(rb"[\[\]{}]", data):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEEPEST:
            raise ValueError


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."
