"""The seam between the role ethereum_validator and its client: what is one client's alone is in that client's files."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY
from tests.unit.role_checks import FakeHost, load

checks = load("ethereum_validator", "test_node_ethereum_validator")
ROLE = REPOSITORY / "roles" / "ethereum_validator"
CLIENTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROLE / "clients").glob("*.yml"))}
GENERIC = sorted(
    path
    for pattern in ("tasks/*.yml", "vars/*.yml", "verify/*.py")
    for path in ROLE.glob(pattern)
    if not path.name.startswith(tuple(f"{client}_" for client in CLIENTS))
)
MOUNT, RECIPIENT, KEY = "/var/lib/ethereum-validator", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "8f" * 48
FACTS = {"variables": {"ethereum_validator_fee_recipient": RECIPIENT}}


def flags(value: object) -> Iterator[str]:
    """The names of the arguments that are anywhere in a client's file."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from flags(inner)
    else:
        yield from re.findall(r"--[a-z][a-z0-9.-]+", str(value))


def words_of_clients(text: str) -> set[str]:
    """What only a client's own file may say: the client's name, its arguments, and what its keys are kept in."""
    words = {*CLIENTS, *flags(CLIENTS), "wallet"}
    return {word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![a-z0-9-])", text, re.IGNORECASE)}


@pytest.mark.parametrize("path", GENERIC, ids=lambda path: str(path.relative_to(ROLE)))
def test_what_holds_for_every_client_names_none(path: Path) -> None:
    assert words_of_clients(path.read_text()) == set()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("# As Prysm does.", "prysm"),
        ("--used {{ ethereum_validator_mount }}/wallet/made-from.json", "wallet"),
        ('assert "--enable-doppelganger" in arguments(host)', "--enable-doppelganger"),
        ("['\"--graffiti=' ~ ethereum_validator_graffiti ~ '\"']", "--graffiti"),
    ],
)
def test_a_word_of_a_client_is_found(text: str, word: str) -> None:
    assert words_of_clients(text) == {word}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_all_its_files(name: str) -> None:
    assert (ROLE / CLIENTS[name]["ethereum_validator_manifest"]).is_file()
    assert [task for task in ("keys", "export") if not (ROLE / f"tasks/{name}_{task}.yml").is_file()] == []
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert name in options["ethereum_validator_client"]["choices"]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_says_the_same_things_as_the_others(name: str) -> None:
    """Beside what only its own tasks and arguments read."""
    needed = {
        "manifest", "network_flags", "arguments", "graffiti_arguments", "credentials", "used", "least_listen_epochs",
        "verified",
    }  # fmt: skip
    assert {f"ethereum_validator_{word}" for word in needed} <= set(CLIENTS[name])
    assert CLIENTS[name]["ethereum_validator_least_listen_epochs"] >= 0
    verified = CLIENTS[name]["ethereum_validator_verified"]
    assert set(verified) == {"arguments", "secret_argument", "secret_file", "readable", "list_keys", "listed_key"}
    assert set(verified["arguments"]) == {"keys", "fee_recipient", "doppelganger"}
    # An empty word would be found everywhere.
    assert all([*verified.values(), *verified["arguments"].values()])
    assert "{fee_recipient}" in verified["arguments"]["fee_recipient"]


def process(*left_out: str, **instead: str) -> FakeHost:
    """A host whose client was started with all that its file says, but for what a test takes away."""
    given = {
        "keys": f"--wallet-dir={MOUNT}/wallet",
        "access": "--wallet-password-file=/run/credentials/ethereum-validator.service/wallet",
        "doppelganger": "--enable-doppelganger",
        "recipient": f"--suggested-fee-recipient={RECIPIENT}",
    } | instead
    command = "".join(f"{argument}\n" for name, argument in given.items() if name not in left_out)

    def says(asked: str) -> str:
        if asked.startswith("systemctl show"):
            return "7"
        if " accounts list " in asked:
            return f"[validating public key] 0x{KEY}\n" if f"--wallet-dir={MOUNT}/wallet " in asked else ""
        if asked.startswith("cat /var/lib"):
            return "of-the-wallet\nof-a-keystore\n" if f"{MOUNT}/wallet.password;" in asked else ""
        assert "/proc/7/cmdline" in asked, asked
        return command

    return FakeHost(says)


def keys(host: FakeHost, words: Mapping[str, Any]) -> None:
    checks.test_the_client_has_exactly_the_declared_keys(host, MOUNT, "/opt/validator", words, {KEY})


def fees(host: FakeHost, words: Mapping[str, Any]) -> None:
    checks.test_it_pays_fees_to_whom_it_should(host, FACTS, words)


def secrets(host: FakeHost, words: Mapping[str, Any]) -> None:
    checks.test_no_secret_is_in_its_arguments_or_environment(host, MOUNT, {"signer": {"keys": "keys"}}, words)


CHECKS = (keys, fees, checks.test_it_looks_for_doppelgangers, secrets)
PRYSM = CLIENTS["prysm"]["ethereum_validator_verified"]


@pytest.mark.parametrize("check", CHECKS)
def test_a_client_as_the_role_starts_it_passes(check: Callable[[FakeHost, Mapping[str, Any]], None]) -> None:
    check(process(), PRYSM)


@pytest.mark.parametrize(
    ("check", "host"),
    [
        (keys, process(keys="--wallet-dir=/elsewhere")),
        (fees, process(recipient="--suggested-fee-recipient=0x" + "11" * 20)),
        (fees, process("recipient")),
        (checks.test_it_looks_for_doppelgangers, process("doppelganger")),
        (checks.test_it_looks_for_doppelgangers, process(doppelganger="--enable-doppelganger=false")),
        (secrets, process(access="--wallet-password=of-the-wallet")),
        (secrets, process("access")),
    ],
    ids=[
        "other keys",
        "another's fees",
        "no fees",
        "does not look",
        "told not to look",
        "a secret",
        "no secret's file",
    ],
)
def test_a_client_that_was_started_otherwise_is_named(
    check: Callable[[FakeHost, Mapping[str, Any]], None], host: FakeHost
) -> None:
    with pytest.raises(AssertionError):
        check(host, PRYSM)
