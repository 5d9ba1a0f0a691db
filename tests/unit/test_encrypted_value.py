"""What of a stack file Pulumi decrypts."""

import pytest

from stacks.encrypted_value import encrypted_paths, is_encrypted

SECRET = {"secure": "v1:a:b"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SECRET, True),
        ({"secure": "v1:a:b", "other": 1}, False),
        ({"secure": 1}, False),
        ("secure", False),
        (None, False),
    ],
)
def test_only_that_key_with_a_text_is_an_encrypted_value(value: object, expected: bool) -> None:
    assert is_encrypted(value) == expected


def test_every_encrypted_value_has_a_path() -> None:
    fleet = {"nodes": {"a": {"vars": {"b": SECRET, "c": [1, SECRET]}}}, "plain": {"d": "secure: no"}}
    assert list(encrypted_paths(fleet)) == ["nodes.a.vars.b", "nodes.a.vars.c[1]"]
