"""Keystores come to a validator as declared or not at all, and no secret comes out again."""

import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from roles.ethereum_validator.module_utils.stakeyard_ethereum import age, keystore
from roles.ethereum_validator.module_utils.stakeyard_ethereum.keystore import Keystore, KeystoreError
from stacks.paths import REPOSITORY
from tests.unit.ethereum_keystores import keystore_of, module, public_key_of

ONE, TWO, THREE = (public_key_of(secret) for secret in (11, 12, 13))
PHRASE = "a password that must not be seen"

# The test vectors of EIP-2335.
EIP_PHRASE = (
    "\U0001d531\U0001d522\U0001d530\U0001d531\U0001d52d\U0001d51e"
    "\U0001d530\U0001d530\U0001d534\U0001d52c\U0001d52f\U0001d521\U0001f511"
)
EIP_KEY = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07"
EIP_HOLDS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
EIP_SALT = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
EIP_KDFS: dict[str, tuple[dict[str, object], str, str]] = {
    "scrypt": (
        {"dklen": 32, "n": 262144, "p": 1, "r": 8, "salt": EIP_SALT},
        "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
        "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
    ),
    "pbkdf2": (
        {"dklen": 32, "c": 262144, "prf": "hmac-sha256", "salt": EIP_SALT},
        "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
        "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
    ),
}


def eip_keystore(function: str) -> str:
    params, checksum, message = EIP_KDFS[function]
    crypto = {
        "kdf": {"function": function, "params": params, "message": ""},
        "checksum": {"function": "sha256", "params": {}, "message": checksum},
        "cipher": {
            "function": "aes-128-ctr",
            "params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
            "message": message,
        },
    }
    return json.dumps({"crypto": crypto, "pubkey": EIP_KEY, "path": "", "uuid": "", "version": 4})


@pytest.mark.parametrize("function", EIP_KDFS)
def test_the_keystores_of_the_standard_are_opened(function: str) -> None:
    entry = keystore.read(eip_keystore(function), EIP_PHRASE, "the standard's")
    assert keystore.open_secret(entry).hex() == EIP_HOLDS
    keystore.verify(entry)


def test_control_codes_in_a_password_do_not_count() -> None:
    assert keystore.password_bytes("pa\x00ss\x1f\x7f\x80word") == b"password"
    assert keystore.password_bytes(EIP_PHRASE) == "testpassword🔑".encode()


def entry(secret: int, password: str = PHRASE, **more: Any) -> Keystore:
    return keystore.read(keystore_of(secret, password, **more), password, f"keystore {secret}")


def refused(action: Callable[[], object], sentence: str) -> None:
    """It is refused with one sentence, which has no secret."""
    with pytest.raises(KeystoreError) as refusal:
        action()
    said = str(refusal.value)
    assert sentence in said
    assert said.endswith(".")
    assert PHRASE not in said


def test_a_wrong_password_is_refused_by_name() -> None:
    wrong = Keystore(ONE, keystore_of(11, PHRASE), "another password")
    refused(lambda: keystore.verify(wrong), f"0x{ONE}: the password does not open its keystore")


def test_the_secret_of_another_key_is_refused_by_name() -> None:
    refused(
        lambda: keystore.verify(entry(11, public_key=TWO)), f"0x{TWO}: its keystore holds the secret of another key"
    )


def changed(*path: str, to: object) -> str:
    content = json.loads(keystore_of(11, PHRASE))
    part = content
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = to
    return json.dumps(content)


READ = {
    "no JSON": ("not JSON", "is no keystore of version 4"),
    "a list": ("[]", "is no keystore of version 4"),
    "an older version": (changed("version", to=3), "is no keystore of version 4"),
    "no key": (changed("pubkey", to=""), "its pubkey is no public key of a validator"),
    "0x": (changed("pubkey", to=f"0x{ONE}"), "must be lower-case digits without 0x"),
    "capitals": (changed("pubkey", to=ONE.upper()), "must be lower-case digits without 0x"),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_no_keystore_is_refused(case: str) -> None:
    text, sentence = READ[case]
    refused(lambda: keystore.read(text, PHRASE, "keystore 1"), sentence)


def test_what_is_no_text_is_refused() -> None:
    refused(lambda: keystore.read({}, PHRASE, "keystore 1"), "keystore 1: keystore and password must both be text")
    refused(lambda: keystore.read(keystore_of(11, PHRASE), 7, "keystore 1"), "must both be text")
    refused(lambda: keystore.read(keystore_of(11, PHRASE), "", "keystore 1"), f"0x{ONE}: its password is empty")


OPEN = {
    "no function": (("crypto", "kdf", "function"), "argon2"),
    "no salt": (("crypto", "kdf", "params"), {}),
    "another checksum": (("crypto", "checksum", "function"), "md5"),
    "a short key": (("crypto", "kdf", "params", "dklen"), 16),
    "endless rounds": (("crypto", "kdf", "params", "c"), 10**12),
    "no rounds": (("crypto", "kdf", "params", "c"), 0),
    "no cipher": (("crypto", "cipher"), None),
    "odd digits": (("crypto", "cipher", "message"), "abc"),
}


@pytest.mark.parametrize("case", OPEN)
def test_a_keystore_that_cannot_be_opened_is_refused(case: str) -> None:
    path, value = OPEN[case]
    damaged = Keystore(ONE, changed(*path, to=value), PHRASE)
    refused(lambda: keystore.derived_key(damaged), f"0x{ONE}: its keystore")


def test_another_cipher_is_refused() -> None:
    other = Keystore(ONE, changed("crypto", "cipher", "function", to="aes-256-cbc"), PHRASE)
    refused(lambda: keystore.open_secret(other), f"0x{ONE}: its cipher cannot be understood")


def test_exactly_the_declared_keys_are_accepted() -> None:
    keystore.exactly([entry(12), entry(11)], [ONE, TWO])
    refused(lambda: keystore.exactly([entry(11), entry(13)], [ONE, TWO]), f"0x{THREE} is a stranger's key")
    refused(lambda: keystore.exactly([entry(11)], [ONE, TWO]), f"0x{TWO} has no keystore")
    refused(lambda: keystore.exactly([entry(11), entry(11)], [ONE]), f"0x{ONE} has two keystores")


def test_a_keystore_shows_no_secret_of_itself() -> None:
    assert PHRASE not in repr(entry(11))
    assert "crypto" not in repr(entry(11))


@pytest.fixture
def safe(tmp_path: Path) -> Callable[..., Path]:
    """A directory of age files for two keys, and the identity beside it; a function to change a file of it."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"# created: today\n{identity}\n")
    (tmp_path / "identity").chmod(0o600)
    folder = tmp_path / "keys"
    folder.mkdir()

    def put(name: str, content: str, recipient: Any = None) -> Path:
        (folder / name).write_bytes(pyrage.encrypt(content.encode(), [recipient or identity.to_public()]))
        return folder

    for secret in (11, 12):
        put(f"{public_key_of(secret)}.json.age", keystore_of(secret, PHRASE))
        put(f"{public_key_of(secret)}.password.age", f"{PHRASE}\n")
    return put


def test_a_directory_of_age_files_gives_the_same_keystores(safe: Callable[..., Path], tmp_path: Path) -> None:
    found = age.keystores(tmp_path / "keys", tmp_path / "identity")
    assert sorted(found, key=lambda each: each["keystore"]) == sorted(
        ({"keystore": keystore_of(secret, PHRASE), "password": PHRASE} for secret in (11, 12)),
        key=lambda each: each["keystore"],
    )


def test_what_is_not_as_it_should_be_in_a_directory_is_refused(safe: Callable[..., Path], tmp_path: Path) -> None:
    keys, identity = tmp_path / "keys", tmp_path / "identity"
    refused(lambda: age.keystores(tmp_path / "none", identity), "is no directory of keystores")
    refused(lambda: age.keystores(keys, tmp_path / "none"), "cannot be read: name its file")
    identity.chmod(0o640)
    refused(lambda: age.keystores(keys, identity), "can be read by others: make it yours alone with `chmod 600`")
    identity.chmod(0o600)
    safe(f"{ONE}.json.age", "{}", pyrage.x25519.Identity.generate().to_public())
    refused(lambda: age.keystores(keys, identity), f"{ONE}.json.age cannot be decrypted with the identity")
    (keys / f"{ONE}.json.age").unlink()
    refused(lambda: age.keystores(keys, identity), f"{ONE}.json.age is missing or cannot be read")
    (keys / "notes.txt").touch()
    refused(lambda: age.keystores(keys, identity), "notes.txt is neither *.json.age nor *.password.age")


def test_a_broken_identity_is_refused_without_being_shown(safe: Callable[..., Path], tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    for content in ("", "# nothing\n", "AGE-SECRET-KEY-1BROKEN\n"):
        identity.write_text(content)
        with pytest.raises(KeystoreError, match="holds no age identity") as refusal:
            age.keystores(tmp_path / "keys", identity)
        assert "BROKEN" not in str(refusal.value)


def plugin() -> Any:
    """The action plugin."""
    path = REPOSITORY / "roles/ethereum_validator/action_plugins/ethereum_keystores.py"
    spec = importlib.util.spec_from_file_location("ethereum_keystores_action", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def pair(secret: int, **more: Any) -> dict[str, str]:
    return {"keystore": keystore_of(secret, PHRASE, **more), "password": PHRASE}


def test_the_control_machine_takes_one_way_of_giving_keys(safe: Callable[..., Path], tmp_path: Path) -> None:
    action = plugin()
    directory = {"directory": str(tmp_path / "keys"), "identity_file": str(tmp_path / "identity")}
    from_variable = action.given({"keystores": [pair(11), pair(12)]}, [ONE, TWO])
    from_directory = action.given(directory, [ONE, TWO])
    assert sorted(from_variable, key=lambda e: e.public_key) == sorted(from_directory, key=lambda e: e.public_key)
    refused(lambda: action.given({**directory, "keystores": [pair(11)]}, [ONE]), "give one of them")
    refused(lambda: action.given({"keystores": [{"password": PHRASE}]}, [ONE]), "must be a mapping of keystore and")
    refused(lambda: action.given(directory, [ONE]), f"0x{TWO} is a stranger's key")


def test_only_for_a_look_the_machine_need_not_have_the_keystores(safe: Callable[..., Path], tmp_path: Path) -> None:
    action = plugin()
    nowhere = {"directory": str(tmp_path / "none"), "identity_file": str(tmp_path / "none")}
    assert action.given(nowhere, [ONE], looking=True) == []
    refused(lambda: action.given(nowhere, [ONE]), "the age identity")
    wrong = {"directory": str(tmp_path / "keys"), "identity_file": str(tmp_path / "identity")}
    refused(lambda: action.given(wrong, [ONE], looking=True), f"0x{TWO} is a stranger's key")


def test_only_what_the_host_lacks_is_opened_and_handed_on() -> None:
    action = plugin()
    found = action.given({"keystores": [pair(11), pair(12)]}, [ONE, TWO])
    both = {each.public_key: each.digest for each in found}
    assert action.lacking(found, [ONE, TWO], both) == []
    assert [each.public_key for each in action.lacking(found, [ONE, TWO], {ONE: both[ONE]})] == [TWO]
    assert [each.public_key for each in action.lacking(found, [ONE, TWO], {**both, TWO: "another"})] == [TWO]


def test_what_the_host_lacks_is_refused_when_it_is_wrong() -> None:
    action = plugin()
    lie = action.given({"keystores": [pair(11, public_key=TWO)]}, [TWO])
    refused(lambda: action.lacking(lie, [TWO], {}), f"0x{TWO}: its keystore holds the secret of another key")
    wrong = [Keystore(ONE, keystore_of(11, PHRASE), "wrong")]
    refused(lambda: action.lacking(wrong, [ONE], {}), f"0x{ONE}: the password does not open")


def test_with_none_given_the_host_must_hold_exactly_the_declared() -> None:
    action = plugin()
    assert action.given({"keystores": []}, [ONE]) == []
    assert action.lacking([], [ONE], {ONE: "digest"}) == []
    refused(
        lambda: action.lacking([], [ONE, TWO], {ONE: "digest"}), f"0x{TWO} has no keystore, here or on the key volume"
    )
    refused(lambda: action.lacking([], [ONE], {ONE: ""}), f"0x{ONE} has no keystore, here or on the key volume")
    stranger = {ONE: "digest", THREE: "digest"}
    refused(
        lambda: action.lacking([], [ONE], stranger), f"the key volume holds 0x{THREE}, which is not among signing_keys"
    )


def test_the_host_writes_files_of_roots_alone_and_says_only_digests(tmp_path: Path) -> None:
    host = module("ethereum_keystores")
    folder = tmp_path / "keys"
    wanted = [{"public_key": ONE, **pair(11)}]
    parameters = {"folder": str(folder), "keystores": wanted, "state": "present"}
    assert host.run(parameters, True) == {"changed": True, "held": {}}
    assert not folder.exists()
    result = host.run(parameters, False)
    digest = hashlib.sha256(f"{wanted[0]['keystore']}\0{PHRASE}".encode()).hexdigest()
    assert result == {"changed": True, "held": {ONE: digest}}
    assert entry(11).digest == digest
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()} == {
        f"{ONE}.json": 0o400,
        f"{ONE}.password": 0o400,
    }
    assert host.run({**parameters, "keystores": []}, False) == {"changed": False, "held": {ONE: digest}}
    assert host.run({**parameters, "state": "held"}, False) == {"changed": False, "held": {ONE: digest}}
    (folder / f"{ONE}.password").unlink()
    assert host.run({**parameters, "state": "held"}, False)["held"] == {ONE: ""}
