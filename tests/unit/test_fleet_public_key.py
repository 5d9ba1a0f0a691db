"""Public keys of operators: what is accepted is what the hosts' sshd accepts."""

import base64

import pytest

from stacks.fleet_public_key import KINDS, RSA_BITS, key_problem, rsa_bits
from stacks.paths import REPOSITORY
from tests.unit.bad_stack_files.cases import rsa_blob

SIGNED_WITH = {"rsa-sha2-256": "ssh-rsa", "rsa-sha2-512": "ssh-rsa"}
"""The kinds of keys behind signature algorithms that are not named after their keys."""


def sshd(option: str) -> str:
    """What the hosts' sshd_config says for an option."""
    lines = (REPOSITORY / "roles/host/files/root/etc/ssh/sshd_config").read_text().splitlines()
    (found,) = (words[1] for line in lines if (words := line.split())[:1] == [option])
    return found


def test_the_kinds_and_the_least_size_are_those_of_the_hosts_sshd() -> None:
    accepted = {SIGNED_WITH.get(name, name) for name in sshd("PubkeyAcceptedAlgorithms").split(",")}
    assert set(KINDS) == accepted
    assert int(sshd("RequiredRSASize")) == RSA_BITS


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAAA (a placeholder)",
        "sk-ssh-ed25519@openssh.com AAAA token",
        f"ssh-rsa {rsa_blob(3072)} operator",
        f"ssh-rsa\t{rsa_blob(3072)}",
        f"ssh-rsa {rsa_blob(16384)} operator",
    ],
)
def test_keys_that_the_hosts_take_are_accepted(line: str) -> None:
    assert key_problem(line) == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "is a key of the kind ssh-ed25519-cert-v01@openssh.com, which"),
        ("ssh-ed25519AAAA", "is a key of the kind ssh-ed25519AAAA, which"),
        (f"ssh-rsa {rsa_blob(3064)}", "is an RSA key of 3064 bits"),
        (f"ssh-rsa {rsa_blob(1024)}", "is an RSA key of 1024 bits"),
        ("ssh-rsa", "holds an RSA key that cannot be read"),
        ("ssh-rsa J\u00fcrgen", "holds an RSA key that cannot be read"),
        (f"ssh-rsa {rsa_blob(3072)[:-4]}", "holds an RSA key that cannot be read"),
        (f"ssh-rsa {rsa_blob(3072)[:-1]}", "holds an RSA key that cannot be read"),
        (f"ssh-rsa {base64.b64encode(b'0123456789' * 60).decode()}", "holds an RSA key that cannot be read"),
    ],
)
def test_keys_that_they_do_not_take_are_named(line: str, sentence: str) -> None:
    assert key_problem(line).startswith(sentence)


@pytest.mark.parametrize("blob", [b"", b"\0", b"\0\0\0\0", b"\0\0\0\x07ssh-rsa", b"\0\0\0\x07ssh-dss" * 3])
def test_what_is_no_rsa_key_has_no_bits(blob: bytes) -> None:
    assert rsa_bits(base64.b64encode(blob).decode()) is None
