"""Histories of signatures (EIP-3076): read strictly, merged upwards, and seeded so that nothing old is signed again."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.ethereum_validator import signer
from roles.ethereum_validator.module_utils.stakeyard_ethereum import interchange
from roles.ethereum_validator.module_utils.stakeyard_ethereum.interchange import History, InterchangeError
from stacks.signer import fingerprint as general_fingerprint
from tests.unit.ethereum_beacon import ROOT, key_of

KEY, OTHER = key_of(1), key_of(2)
MARKS = {"source": 4, "target": 6, "slot": 50}


def good() -> dict[str, Any]:
    """An interchange file as a client exports it."""
    return {
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": ROOT},
        "data": [
            {
                "pubkey": f"0x{KEY}",
                "signed_blocks": [{"slot": "50", "signing_root": "0x" + "00" * 32}, {"slot": "48"}],
                "signed_attestations": [
                    {"source_epoch": "3", "target_epoch": "6", "signing_root": "0x" + "0f" * 32},
                    {"source_epoch": "4", "target_epoch": "5"},
                ],
            },
            {"pubkey": OTHER, "signed_blocks": [], "signed_attestations": []},
        ],
    }


def changed(change: Callable[[Any], Any]) -> bytes:
    """The good file with one thing changed."""
    content = good()
    change(content)
    return json.dumps(content).encode()


def test_the_highest_of_each_is_read() -> None:
    history = interchange.parse(json.dumps(good()).encode())
    assert history == History(ROOT, {KEY: MARKS, OTHER: {}})


def test_a_key_that_is_there_twice_has_the_highest_of_both() -> None:
    twice = changed(lambda file: file["data"].append({**file["data"][0], "signed_blocks": [{"slot": "51"}]}))
    assert interchange.parse(twice).keys[KEY] == {**MARKS, "slot": 51}


VOTE = ("data", 0, "signed_attestations", 0)
MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no JSON text"),
    "not text": (b"\xff\xfe", "no JSON text"),
    "cut off": (json.dumps(good()).encode()[:-9], "no JSON text"),
    "very deep": (b"[" * 100_000, "no JSON text"),
    "not a number": (b'{"metadata": NaN}', "no JSON text"),
    "a name twice": (b'{"metadata": {}, "metadata": {}, "data": []}', "no JSON text"),
    "a list": (b"[]", "the history is []: it must be an object"),
    "no metadata": (changed(lambda file: file.pop("metadata")), "the history has no metadata"),
    "no data": (changed(lambda file: file.pop("data")), "the history has no data"),
    "data of another kind": (changed(lambda file: file.update(data=None)), "data is None: it must be a list"),
    "an older version": (changed(lambda file: file["metadata"].update(interchange_format_version="4")), "only 5"),
    "a version as a number": (changed(lambda file: file["metadata"].update(interchange_format_version=5)), "version 5"),
    "a short root": (changed(lambda f: f["metadata"].update(genesis_validators_root="0xab")), "64 hexadecimal digits"),
    "no public key": (changed(lambda file: file["data"][0].pop("pubkey")), "data[0] has no pubkey"),
    "a short key": (changed(lambda file: file["data"][0].update(pubkey="0xab")), "data[0].pubkey: '0xab' is"),
    "no point": (changed(lambda file: file["data"][0].update(pubkey="0x" + "01" * 48)), "no compressed point"),
    "infinity": (changed(lambda file: file["data"][0].update(pubkey="0xc0" + "00" * 47)), "no compressed point"),
    "no blocks": (changed(lambda file: file["data"][0].pop("signed_blocks")), "data[0] has no signed_blocks"),
    "a stranger": (changed(lambda file: file["data"][0].update(more=1)), "data[0] has the unknown key 'more'"),
    "a slot as a number": (
        changed(lambda file: file["data"][0]["signed_blocks"][0].update(slot=50)),
        "data[0].signed_blocks[0].slot is 50: it must be a whole number of 64 bits, as text",
    ),
    "a slot with a sign": (changed(lambda f: f["data"][0]["signed_blocks"][0].update(slot="-1")), "slot is '-1'"),
    "a slot too large": (changed(lambda f: f["data"][0]["signed_blocks"][0].update(slot=str(2**64))), "64 bits"),
    "a digit of another script": (changed(lambda f: f["data"][0]["signed_blocks"][0].update(slot="٣")), "64 bits"),
    "a wrong root": (changed(lambda f: f["data"][0]["signed_blocks"][0].update(signing_root="0x")), "signing_root is"),
    "no target": (
        changed(lambda file: file["data"][0]["signed_attestations"][0].pop("target_epoch")),
        "data[0].signed_attestations[0] has no target_epoch",
    ),
    "a target before its source": (
        changed(lambda file: file["data"][0]["signed_attestations"][0].update(target_epoch="2")),
        "its source 3 is after its target 2",
    ),
    "a vote of another kind": (changed(lambda f: f["data"][0].update(signed_attestations=[7])), "must be an object"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_history_is_refused_with_one_sentence(case: str) -> None:
    data, sentence = MALFORMED[case]
    with pytest.raises(InterchangeError) as refusal:
        signer.marks(data)
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.integers(0, 11), json_values)
def test_whatever_replaces_a_part_of_it_nothing_but_a_refusal_comes_out(place: int, value: object) -> None:
    file = good()
    first = file["data"][0]
    parts: list[tuple[Any, Any]] = [
        (file, "metadata"), (file, "data"), (file["metadata"], "genesis_validators_root"), (file["data"], 0),
        (first, "pubkey"), (first, "signed_blocks"), (first, "signed_attestations"), (first["signed_blocks"], 0),
        (first["signed_blocks"][0], "slot"), (first["signed_blocks"][0], "signing_root"),
        (first["signed_attestations"], 1), (first["signed_attestations"][1], "target_epoch"),
    ]  # fmt: skip
    container, name = parts[place]
    container[name] = value
    try:
        found = interchange.parse(json.dumps(file).encode())
    except InterchangeError:
        return
    assert all(isinstance(mark, int) for marks in found.keys.values() for mark in marks.values())


def test_histories_are_merged_upwards() -> None:
    one = History(ROOT, {KEY: {"source": 1, "target": 9}, OTHER: {"slot": 3}})
    two = History(ROOT, {KEY: {"source": 4, "target": 6, "slot": 50}})
    merged = {KEY: {"source": 4, "target": 9, "slot": 50}, OTHER: {"slot": 3}}
    assert interchange.merge([one, two]) == History(ROOT, merged)
    assert interchange.merge([two, one]) == History(ROOT, merged)


def test_histories_of_two_chains_are_not_merged() -> None:
    with pytest.raises(InterchangeError, match="histories of 2 chains"):
        interchange.merge([History(ROOT, {}), History("0x" + "cd" * 32, {})])


numbers = st.integers(0, 2**64 - 1)
votes = st.tuples(numbers, numbers).map(sorted)


@given(st.lists(votes, max_size=5), st.lists(numbers, max_size=5), votes, numbers)
def test_a_seed_is_never_below_history_or_watermarks(
    attestations: list[list[int]], slots: list[int], vote: list[int], slot: int
) -> None:
    entry = {
        "pubkey": f"0x{KEY}",
        "signed_blocks": [{"slot": str(number)} for number in slots],
        "signed_attestations": [{"source_epoch": str(s), "target_epoch": str(t)} for s, t in attestations],
    }
    history = json.dumps({**good(), "data": [entry]}).encode()
    name = interchange.fingerprint(KEY)
    seeded = signer.seed(history, [KEY], {name: {"source": vote[0], "target": vote[1], "slot": slot}}, ROOT)
    expected = {
        "source": max([vote[0], *(s for s, _ in attestations)]),
        "target": max([vote[1], *(t for _, t in attestations)]),
        "slot": max([slot, *slots]),
    }
    assert signer.marks(seeded) == {name: expected}
    written = json.loads(seeded)["data"][0]
    # One of each: what Prysm's complete database takes as the lowest is then the highest too.
    assert [len(written["signed_blocks"]), len(written["signed_attestations"])] == [1, 1]


def test_a_seed_has_exactly_the_keys_that_start() -> None:
    name = interchange.fingerprint(OTHER)
    seeded = signer.seed(json.dumps(good()).encode(), [f"0x{OTHER.upper()}"], {name: MARKS}, ROOT)
    assert signer.marks(seeded) == {name: MARKS}


@pytest.mark.parametrize("missing", ["source", "target", "slot"])
def test_a_key_without_a_mark_is_not_seeded(missing: str) -> None:
    marks = {name: value for name, value in MARKS.items() if name != missing}
    with pytest.raises(InterchangeError, match=f"0x{KEY} would start without a {missing} mark"):
        signer.seed(None, [KEY], {interchange.fingerprint(KEY): marks}, ROOT)
    with pytest.raises(InterchangeError, match="would start without"):
        signer.seed(None, [KEY, OTHER], {interchange.fingerprint(KEY): MARKS}, ROOT)


def test_a_source_above_the_target_is_not_seeded() -> None:
    with pytest.raises(InterchangeError, match=r"cannot have signed .*'source': 7.*: correct its marks"):
        signer.seed(None, [KEY], {interchange.fingerprint(KEY): {**MARKS, "source": 7}}, ROOT)


def test_a_history_of_another_chain_is_not_seeded() -> None:
    with pytest.raises(InterchangeError, match=f"the history is of the chain {ROOT}, not of 0xcdcd"):
        signer.seed(json.dumps(good()).encode(), [KEY], {interchange.fingerprint(KEY): MARKS}, "0x" + "cd" * 32)


def test_public_keys_are_read_in_any_spelling_and_once_only() -> None:
    assert signer.public_keys([f"0x{KEY}", OTHER.upper()]) == [KEY, OTHER]
    with pytest.raises(InterchangeError, match="is there twice"):
        signer.public_keys([KEY, f"0x{KEY.upper()}"])
    with pytest.raises(InterchangeError, match="7 is no public key"):
        signer.public_keys([7])


def test_fingerprints_are_those_of_the_signer_core() -> None:
    assert interchange.fingerprint(f"0x{KEY.upper()}") == general_fingerprint(KEY)
