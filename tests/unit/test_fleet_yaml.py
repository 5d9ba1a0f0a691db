"""YAML is read as Pulumi reads it, or refused where it would surprise."""

import pytest
import yaml

from stacks.errors import StakeyardError
from stacks.fleet_yaml import LARGEST, _refuse_twins, parse_yaml

# What `pulumi config --json` (3.x) made of these plain scalars in a stack file.
AS_PULUMI = {
    "no": "no",
    "yes": "yes",
    "on": "on",
    "12:30": "12:30",
    "52:54:00:12:34:56": "52:54:00:12:34:56",
    "~": None,
    "True": True,
    "3.10": 3.1,
    "1e3": 1000,
    "10.77.0.0/24": "10.77.0.0/24",
    "-7": -7,
}
# Pulumi reads these as 493, 1000, 16, 8, 15 and a text with a time of day: not what anyone meant.
SURPRISING = ("0755", "1_000", "0x10", "08", "0o17", "2026-01-01")


@pytest.mark.parametrize("scalar", AS_PULUMI)
def test_a_plain_scalar_is_what_pulumi_makes_of_it(scalar: str) -> None:
    assert parse_yaml(f"key: {scalar}".encode()) == {"key": AS_PULUMI[scalar]}


@pytest.mark.parametrize("scalar", SURPRISING)
def test_a_scalar_that_surprises_is_refused_unless_quoted(scalar: str) -> None:
    with pytest.raises(StakeyardError, match=r"; put the value in quotes\.$"):
        parse_yaml(f"key: {scalar}".encode())
    assert parse_yaml(f"key: '{scalar}'".encode()) == {"key": scalar}


def test_a_key_named_no_is_text_for_pulumi_too() -> None:
    assert parse_yaml(b"no: yes") == {"no": "yes"}


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_yaml(b"\xef\xbb\xbfa: 1") == {"a": 1}


def test_an_alias_is_refused_in_a_stack_file_and_allowed_in_a_role() -> None:
    text = b"a: &x [1]\nb: *x\n"
    with pytest.raises(StakeyardError, match=r"^line 1: uses the YAML anchor x; write the value out\.$"):
        parse_yaml(text)
    assert parse_yaml(text, role=True) == {"a": [1], "b": [1]}


def test_ansibles_tags_are_allowed_in_a_role_only() -> None:
    text = b"a: !unsafe '{{ x }}'\nb: !mine [1]\nc: !mine {d: 2}\n"
    assert parse_yaml(text, role=True) == {"a": "{{ x }}", "b": [1], "c": {"d": 2}}
    with pytest.raises(StakeyardError, match=r"^line 1: uses a YAML tag"):
        parse_yaml(text)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system"])
def test_no_tag_runs_code_even_in_a_role(tag: str) -> None:
    with pytest.raises(StakeyardError, match=r"^line 1: uses a YAML tag \(a word after !\); remove it\.$"):
        parse_yaml(f"a: {tag} [id]".encode(), role=True)


def test_a_file_of_the_largest_size_is_read() -> None:
    assert parse_yaml(b"a: 1\n" + b"#" * (LARGEST - 5)) == {"a": 1}
    with pytest.raises(StakeyardError, match=r"^is larger than 4 MiB"):
        parse_yaml(b"a: 1\n" + b"#" * (LARGEST - 4))


def test_a_role_may_not_refer_to_itself_without_end() -> None:
    with pytest.raises(StakeyardError, match=r"^line 1: a\[0\]: an alias holds itself; write the value out\.$"):
        parse_yaml(b"a: &x [*x]", role=True)


def test_aliases_of_aliases_are_looked_at_once() -> None:
    levels = [b"a0: &a0 {b: 1}"] + [
        b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)
    ]
    node = yaml.compose(b"\n".join(levels), Loader=yaml.SafeLoader)
    assert node is not None
    _refuse_twins(node, ())
