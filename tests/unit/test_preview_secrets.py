"""Planted secrets are in no report, whatever field they are planted in; what is public stays readable."""

import base64
import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacks.preview import report
from stacks.preview.model import Difference, Verdict
from stacks.preview.secrets import HIDDEN, scrub, scrubbed
from tests.unit.previews import SERVER, change, filled, preview
from tests.unit.test_preview_risk import node

BODY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2g"
WORDS = ["abandon", "ability", "able", "about", "above", "absent"] * 2
# What is planted, and the part of it that must be gone.
PLANTED = {
    "private key": (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n-----END OPENSSH PRIVATE KEY-----", BODY),
    "private key without its end": (f"-----BEGIN EC PRIVATE KEY-----\n{BODY}", BODY),
    "private key of PGP": (
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n-----END PGP PRIVATE KEY BLOCK-----",
        BODY,
    ),
    "age key": ("AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S3", "1QQPZRY9X8GF2"),
    "pulumi value": ("secure: v1:YWJjZGVmZ2hp:c2VjcmV0c2VjcmV0c2VjcmV0", "c2VjcmV0c2VjcmV0"),
    "placeholder": ("stakeyard-secret-0123456789abcdef", "0123456789abcdef"),
    "assignment": ("db_password = hunter2-hunter", "hunter2-hunter"),
    "yaml": ("rpc_password: 'correct horse'", "correct horse"),
    "json": ('{"api_key": "short-but-mine"}', "short-but-mine"),
    "address": ("https://operator:s3cr3tpw@rpc.example/path", "s3cr3tpw"),
    "header": ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
    "option": ("run --password hunter2hunter", "hunter2hunter"),
    "web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl", "eyJzdWIiOiIxIn0"),
    "github": ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdefghij"),
    "gitlab": ("glpat-abcdefghij0123456789", "abcdefghij0123456789"),
    "aws": ("AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
    "password hash": ("$6$rounds=5000$saltsalt$hashhashhashhash", "hashhashhashhash"),
    "rpcauth": ("rpcauth=user:0123456789abcdef$fedcba9876543210", "fedcba9876543210"),
    "extended key": (
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxW",
        "QTDL4LXw2F7HEK3wJUD2",
    ),
    "wallet key": ("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", "rMjxEXxiPuD5BDku4MkF"),
    "words": (" ".join(["abandon", "ability", "able", "about", "above", "absent"] * 2), "abandon ability able"),
    "hexadecimal": ("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318", "4c0883a69102937d"),
    "random": ("Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MA", "Zm9vYmFyQmF6UXV4"),
    "words below each other": ("\n".join(f"+ - {word}" for word in WORDS), "ability"),
    "words in a list of JSON": (json.dumps(WORDS), "ability"),
    "a text on the lines below": ("\npassword: |\n  hunter2 one\n\n  two hunter2\nnext: 1", "hunter2"),
    "a folded one": ("\n- rpc_password: !unsafe >-  # the password\n    hunter2\n", "hunter2"),
    "a value below, in a diff": ("\n password:\n+  hunter2\n+next: 1", "hunter2"),
    "a list below": ("\ntokens:\n- hunter2a\n", "hunter2a"),
    "a list of JSON below": ('\n"tokens": [\n  "hunter2",\n  "b"\n]', "hunter2"),
    "a text of several lines in quotes": ('\n+password: "correct\n+  horse"\n', "horse"),
    "a text of several words": ("\n# password: correct horse\n#   battery\n", "battery"),
    "a default in a template": ('rpcpassword={{ a | default("hunter2") }}', "hunter2"),
    "a default in a template in quotes": ("rpcpassword=\"{{ a | default('hunter2') }}\"", "hunter2"),
    "a default in a shell": ("rpcpassword=${PW:-hunter2}", "hunter2"),
    "what begins as a shell's variable": ("rpcpassword=$Xyz5", "Xyz5"),
    "what begins as a path": ("password: /hunter2", "hunter2"),
    "what begins as a home": ("password: ~hunter2", "hunter2"),
    "a pin": ("hsm_pin: 12345678", "12345678"),
    "a password of digits": ("x_password=424242", "424242"),
    "what looks like a comment": ("\npassword: |\n  # hunter2\n", "hunter2"),
    "a value behind a comment": ("\npassword:\n  # The password.\n  hunter2\n", "hunter2"),
    "a comment's own": ('\n password: "yes #hunter2"\n', "hunter2"),
    "a login": ("curl -u operator:hunter2 https://x", "hunter2"),
    "a login in quotes": ("[curl, --user, 'operator:hunter2']", "hunter2"),
    "a key as long as a public one": ("wallet_key: " + "3e5a" * 24, "3e5a3e5a"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_in_no_report_whatever_field_it_stands_in(kind: str, tmp_path: Path) -> None:
    text, telling = PLANTED[kind]
    assert telling in text, "the test would prove nothing"
    report.write(filled(text), tmp_path)
    for name in ("preview.md", "preview.json", "preview.sarif"):
        written = (tmp_path / name).read_text()
        assert telling not in written, name
        assert "secret" in written, "a reader sees that something was hidden"


@pytest.mark.parametrize("kind", PLANTED)
def test_a_failure_tells_no_secret_either(kind: str, tmp_path: Path) -> None:
    text, telling = PLANTED[kind]
    report.write_failure("s", f"the cloud said {text}", tmp_path)
    for file in tmp_path.iterdir():
        assert telling not in file.read_text(), file.name


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    raw=st.binary(min_size=32, max_size=64),
    form=st.sampled_from(["base64", "urlsafe", "hex"]),
    around=st.sampled_from(["{}", "x = {}", "+ token: {}", '"value": "{}"', "({})", "a\n{}\nb"]),
)
def test_random_keys_are_hidden_in_every_form(raw: bytes, form: str, around: str) -> None:
    if len(set(raw)) < 20:
        return  # not what a random generator gives
    text = {
        "base64": base64.b64encode(raw).decode(),
        "urlsafe": base64.urlsafe_b64encode(raw).decode(),
        "hex": raw.hex() if len(raw) not in (48,) else raw[:32].hex(),
    }[form]
    assert text.strip("=") not in scrub(around.format(text))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("0x" + "ab" * 48, "signing_keys[0]"),
        ("0x" + "ab" * 48, ""),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "variables.ethereum_validator_fee_recipient"),
        ("12" * 32, "roles_digest"),
        (f"sha256: {'12' * 32}", ""),
        (f"+        sha256: {'9f' * 32}", ""),
        (f"genesis_validators_root: 0x{'4b' * 32}", ""),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2cA1xkH3Yj0bVt6W7zqP8m2kL9sQwErTyUiOpAsDfG op", "publicKey"),
        (("age1" + "qpzry9x8gf2tvdw0s3jn54khce6mua7l" * 2)[:62], "variables.stakeyard_backup_recipients[0]"),
        ("d9490705-b5b4-5acc-ac91-13948811cdd3", "imageId"),
        ("/var/lib/stakeyard/lab/operator/id_ed25519", "private_key_file"),
        ("openstack:networking/floatingIpAssociate:FloatingIpAssociate", ""),
        ("stakeyard-fleet-bitcoin-ingress-tcp-8332-10.20.0.0/24", ""),
        ("Standard_Debian_12_amd64_bios_latest", "name_regex"),
        ("variables.ethereum_beacon_checkpoint_witness_url", ""),
        ("(known after the update)", "password"),
        ("password_file: /etc/x/password", ""),
        ("token_ttl_seconds: 30", ""),
        ("secret_variables", ""),
        ("password: '{{ a.b | default(\"\") }}'", ""),
        ("wallet_password: '{{ mount }}/wallet.password'", ""),
        ("password=$PW ${pw} PASSWORD=${PW}", ""),
        ("password: ~/keys/pw", ""),
        ("token: <your token>", ""),
        ("token: 30", ""),
        ("docker run -u 1000:1000 image", ""),
        ("options:\n  rpc_password:\n    type: str\n    description: Of RPC's user.\n", ""),
        ("password: '{{ pw }}'\n  below: x\n", ""),
        ("password_file: |\n  /etc/x\n", ""),
        ("- password: {{ pw }}\n  more: words of another kind\n", ""),
        ("--- a\n+++ a\n@@ -1,2 +1,2 @@\n password:\n@@ -9,2 +9,2 @@\n+    a line elsewhere\n", ""),
        ('jwt_secret: ""  # none\n# A remark\n#   of two lines.\nnext: 1\n', ""),
        ("+credentials:\n+  {type: list, description: Of others.}\n+seeded: {description: Whether., type: bool}\n", ""),
        ("+ # words that stand here for all their\n+ # parts and more than twelve but only over lines\n", ""),
        ("+tokens:\n+# A remark.\n+  name: x\n+# Another.\n", ""),
        (f"signing_keys:\n- 0x{'ab' * 48}\n", ""),
        (f"public_key: 0x{'ab' * 48}", ""),
        ("rpcuser={{ bitcoin_user }}", ""),
        ("password={{ bitcoin_password }}", ""),
        ("#cloud-config\nuser: {name: stakeyard}\nssh_genkeytypes: [ed25519]\n", "userData"),
    ],
)
def test_what_is_public_stays_readable(text: str, field: str) -> None:
    assert scrub(text, field) == text


@pytest.mark.parametrize("field", ["password", "variables.rpc_password", "api_token", "seed_phrase", "x[jwt_secret]"])
def test_the_value_of_a_secrets_name_is_hidden_however_plain_it_is(field: str) -> None:
    assert scrub("plain", field) == HIDDEN


def test_scrubbing_twice_is_scrubbing_once() -> None:
    for text, _ in PLANTED.values():
        once = scrubbed(filled(text))
        assert scrubbed(once) == once


def test_a_certain_secret_refuses_the_change_and_names_where_it_stands(tmp_path: Path) -> None:
    one = change("update", SERVER, "n1", Difference("x", "", "AKIAABCDEFGHIJKLMNOP"))
    report.write(preview(node(one)), tmp_path)
    told = json.loads((tmp_path / "preview.json").read_text())
    assert told["exit_code"] == Verdict.REFUSED
    assert [(f["rule"], f["key"]) for f in told["findings"]] == [("plain-secret", f"{SERVER}::n1")]


def test_what_only_may_be_a_secret_is_hidden_without_a_refusal() -> None:
    one = change("update", SERVER, "n1", Difference("x", "", "Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MA"))
    clean = scrubbed(preview(node(one)))
    assert clean.findings == ()
    assert clean.nodes[0].changes[0].differences[0].after == HIDDEN


@pytest.mark.parametrize("text", [text for text, _ in PLANTED.values()])
def test_a_text_that_was_scrubbed_stays_as_it_is(text: str) -> None:
    once = scrub(text)
    told: list[object] = []
    assert (scrub(once, "", told.append), told) == (once, [])


LONG = [
    "-",
    "a.",
    "{{ ",
    "password={{ x ",
    'password="',
    "token",
    "password: ",
    "://a",
    "abcd\n",
    "-u ",
    "password: |\n  x\n",
]


@pytest.mark.parametrize("text", LONG)
def test_no_long_text_takes_long(text: str) -> None:
    began = time.process_time()
    scrub(text * (100_000 // len(text)))
    assert time.process_time() - began < 5
