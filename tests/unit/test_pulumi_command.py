"""What a command line of Pulumi asks for, and what it must be told besides."""

from pathlib import Path

import pytest

from stacks.pulumi_command import subcommand, with_stack, writes_config

COPY = Path("/state/Pulumi.lab.yaml")


@pytest.mark.parametrize(
    ("arguments", "config", "stack"),
    [
        ("up --yes", True, True),
        ("--color never up", True, True),
        ("config", True, True),
        ("config get stakeyard:fleet", True, True),
        ("stack export", False, True),
        ("version", False, False),
        ("", False, False),
    ],
)
def test_pulumi_gets_the_options_its_subcommand_takes(arguments: str, config: bool, stack: bool) -> None:
    given = with_stack(arguments.split(), "lab", COPY)
    assert (["--config-file", str(COPY)] == given[len(arguments.split()) :][:2]) is config
    assert (given[-2:] == ["--stack", "lab"]) is stack


def test_a_stack_file_with_its_own_salt_is_where_pulumi_looks_for_it() -> None:
    assert with_stack(["up"], "lab", None) == ["up", "--stack", "lab"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("config set --path --secret stakeyard:fleet.nodes.a.vars.b", "config set"),
        ("config --path set a b", "config set"),
        ("--color never config --config-file x.yaml rm a", "config rm"),
        ("config set-all --plaintext a=b", "config set-all"),
        ("config remove-all a", "config remove-all"),
        ("config cp --dest other", "config cp"),
        ("config refresh --force", "config refresh"),
        ("config env add shared", "config env"),
        ("stack change-secrets-provider passphrase", "stack change-secrets-provider"),
        ("config", ""),
        ("config --json --show-secrets", ""),
        ("config get set", ""),
        ("stack export", ""),
        ("up --yes", ""),
    ],
)
def test_commands_that_write_the_config_file_are_known(arguments: str, expected: str) -> None:
    assert writes_config(arguments.split()) == expected


def test_options_come_before_the_subcommand_too() -> None:
    assert subcommand(["--cwd", "/x", "-v", "9", "--yes", "up", "down"]) == "up"
