"""What a command line of Pulumi asks for, and what it must be told besides."""

from collections.abc import Iterator, Sequence
from pathlib import Path

# Those that change what is in the cloud, by all their names; one at a time.
CHANGING = {"up", "update", "refresh", "destroy", "down", "dn", "import"}
# Those that make what the stack file says, or show it. A refresh and an import only write down what there is, and both
# may be needed to put a stack right.
MAKING = {"up", "update", "preview", "pre"}
# Those that read the stack's config file from the folder of the program, or from where `--config-file` says.
CONFIGURED = CHANGING | {"preview", "pre", "config"}
# Pulumi's global options that take the next word as their value, and those of `config`.
VALUED = {"--color", "-C", "--cwd", "-v", "--verbose", "--profiling", "--tracing", "--stack", "-s", "--config-file"}
STACKLESS = {"", "about", "help", "install", "login", "logout", "plugin", "version", "whoami"}
# All others of `config` write, and so does one of `stack`.
READING_CONFIG = {"", "get"}
CHANGES_SALT = ("stack", "change-secrets-provider")


def words(arguments: Sequence[str]) -> Iterator[str]:
    """The words that are neither an option nor the value of one."""
    rest = iter(arguments)
    for word in rest:
        if word in VALUED:
            next(rest, None)
        elif not word.startswith("-"):
            yield word


def subcommand(arguments: Sequence[str]) -> str:
    """The first word; empty where there is none."""
    return next(words(arguments), "")


def makes_fleet(arguments: Sequence[str]) -> bool:
    """Whether Pulumi would make, or show, what the stack file says."""
    return subcommand(arguments) in MAKING


def writes_config(arguments: Sequence[str]) -> str:
    """The command, such as `config set`, by which Pulumi would write into the stack's config file; empty for others."""
    first, second, *_ = (*words(arguments), "", "")
    writes = second not in READING_CONFIG if first == "config" else (first, second) == CHANGES_SALT
    return f"{first} {second}" if writes else ""


def needs_program(arguments: Sequence[str]) -> bool:
    """Whether Pulumi runs, or looks for a file beside, the program for these arguments."""
    return subcommand(arguments) in CONFIGURED


def with_stack(arguments: Sequence[str], stack: str, config_file: Path | None) -> list[str]:
    """`arguments` with the stack and, where there is one, its config file added where the subcommand takes them."""
    command = subcommand(arguments)
    extra: list[str] = []
    if command in CONFIGURED and config_file:
        extra += ["--config-file", str(config_file)]
    if command not in STACKLESS:
        extra += ["--stack", stack]
    return [*arguments, *extra]
