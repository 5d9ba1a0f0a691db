"""The address that fees go to is a real one, written without a mistake."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.ethereum_validator.module_utils.stakeyard_ethereum import address

# The test cases of EIP-55.
EIP55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", EIP55)
def test_the_standards_addresses_are_right(text: str) -> None:
    assert address.checksummed(text) == text
    assert address.problem(text) is None
    assert address.problem(text.lower()) is None


@pytest.mark.parametrize("text", EIP55[4:])
def test_one_capital_too_few_is_a_wrong_checksum(text: str) -> None:
    place = next(i for i, digit in enumerate(text[2:], start=2) if digit.isupper())
    wrong = text[:place] + text[place].lower() + text[place + 1 :]
    assert "has a wrong checksum (EIP-55)" in str(address.problem(wrong))


REFUSED = {
    "": "it is missing",
    "0x": "is no address",
    "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed": "is no address",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe": "is no address",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n": "is no address",
    "stakeyard.eth": "is no address",
    "0x" + "0" * 40: "is nobody's address",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert REFUSED[text] in str(address.problem(text))


@given(st.binary(max_size=600))
def test_the_hash_is_that_of_hashlib_but_for_its_padding(data: bytes) -> None:
    assert address.keccak256(data, padding=0x06) == hashlib.sha3_256(data).digest()


def test_the_hash_of_nothing_is_that_of_ethereum() -> None:
    """The code hash of an account without code (yellow paper, section 4.1)."""
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert address.keccak256(b"").hex() == empty
