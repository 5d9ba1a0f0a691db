"""What roles say is a secret is in a stack file encrypted, or not at all."""

import re
from pathlib import Path
from typing import Any

import pytest

from stacks.catalogue_roles import Option, may_be_encrypted, read_role
from stacks.errors import StakeyardError
from stacks.fleet import load_fleet
from stacks.fleet_rules_secrets import in_clear, secret_variables
from stacks.paths import REPOSITORY
from stacks.preview.checkout import without_secrets
from stacks.preview.secret_patterns import NAMES
from tests.unit.bad_stack_files.cases import FakeMachine, good, invented

WORD = "hunter2"
SECURE = {"secure": "v1:abc"}
TEXT = Option("a", "", "str", no_log=True)
WHOLE = Option("a", [], "list", elements="dict", no_log=True)
OPEN_PART = Option("a", {}, "dict", no_log=True, options={"name": Option("name", "", "str", no_log=False)})
PART = Option("a", [], "list", elements="dict", options={"password": Option("password", "", "str", no_log=True)})
DEEP = Option("a", {}, "dict", options={"accounts": PART})


@pytest.mark.parametrize(
    ("option", "value", "places"),
    [
        (TEXT, "hunter2", [()]),
        (TEXT, SECURE, []),
        (TEXT, without_secrets(SECURE), []),
        (TEXT, "stakeyard-secret-hunter2", [()]),
        (TEXT, "", []),
        (TEXT, None, []),
        (Option("a", "", "str"), "hunter2", []),
        (Option("a", "", "str", no_log=False), "hunter2", []),
        (None, "hunter2", []),
        (WHOLE, [], []),
        (WHOLE, [{"keystore": SECURE, "password": SECURE, "kept": True}], []),
        (WHOLE, [{"keystore": SECURE, "password": "hunter2"}], [(0, "password")]),
        (WHOLE, [{"keystore": SECURE, "password": 1234}], [(0, "password")]),
        (WHOLE, [{"deep": ["a", {"b": "c"}]}], [(0, "deep", 0), (0, "deep", 1, "b")]),
        (WHOLE, [{"secure": "v1:abc", "more": ""}], [(0, "secure")]),
        (OPEN_PART, {"name": "open", "other": "hunter2"}, [("other",)]),
        (PART, [{"name": "open", "password": SECURE}, {"password": "hunter2"}], [(1, "password")]),
        (DEEP, {"name": "open", "accounts": [{"password": "hunter2"}]}, [("accounts", 0, "password")]),
    ],
)
def test_a_secret_that_can_be_read_is_found_where_it_is(option: Option, value: object, places: list[Any]) -> None:
    assert list(in_clear(option, value)) == places


def test_a_refusal_does_not_show_the_secret() -> None:
    data = good()
    data["nodes"]["ledger-1"]["vars"]["ledger_token"] = WORD
    with pytest.raises(StakeyardError) as refused:
        load_fleet(data, invented(), FakeMachine())
    assert WORD not in str(refused.value)


def test_what_pulumi_has_decrypted_is_accepted_and_known_as_a_secret() -> None:
    data = good()
    data["nodes"]["ledger-1"]["vars"] |= {"ledger_token": "hunter2", "ledger_accounts": [{"name": "open"}]}
    loaded = load_fleet(data, invented(), FakeMachine(), secrets_in_clear=True)
    assert secret_variables(loaded.nodes["ledger-1"], invented().kind("ledger")) == ("ledger_token",)


def test_the_catalogue_says_what_is_a_secret() -> None:
    options = invented().kind("ledger").options
    assert options["ledger_token"].no_log is True
    assert options["ledger_release"].no_log is None
    assert {name: part.no_log for name, part in options["ledger_accounts"].options.items()} == {
        "name": None,
        "password": True,
    }


@pytest.mark.parametrize("said", ["yes", "1", '"true"'])
def test_a_role_that_says_it_in_words_that_cannot_be_told_is_refused(said: str, tmp_path: Path) -> None:
    for folder, text in (
        ("defaults", "a: {}\n"),
        ("meta", f"argument_specs: {{main: {{options: {{a: {{type: dict, options: {{b: {{no_log: {said}}}}}}}}}}}}}\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ("main.yml" if folder == "defaults" else "argument_specs.yml")).write_text(text)
    with pytest.raises(StakeyardError, match=r"argument_specs\.yml: a\.b\.no_log: must be true or false, not "):
        read_role(tmp_path)


def real_options() -> list[Option]:
    """Those of every role, as they are in each: two roles may have one of the same name."""
    return [
        option
        for folder in sorted((REPOSITORY / "roles").iterdir())
        if (folder / "defaults").is_dir()
        for option in read_role(folder).options.values()
    ]


def test_the_secrets_of_the_real_roles_are_these() -> None:
    secret = {option.name for option in real_options() if option.no_log}
    assert secret == {"ethereum_jwt_secret", "ethereum_validator_keystores"}


def test_a_variable_with_the_name_of_a_secret_says_whether_it_is_one() -> None:
    named = [option for option in real_options() if re.search(NAMES, option.name)]
    assert "service_credentials" in {option.name for option in named}
    assert [option.name for option in named if option.no_log is None] == []


def test_roles_agree_on_what_is_a_secret_and_only_text_can_be_one() -> None:
    said: dict[str, bool | None] = {}
    for option in real_options():
        assert said.setdefault(option.name, option.no_log) == option.no_log, option.name
        if option.no_log:
            # What is encrypted is text.
            assert may_be_encrypted(option.type) or option.type in ("list", "dict"), option.name
