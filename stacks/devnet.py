"""Make a private network for tests and trials: `stakeyard devnet KIND DIRECTORY`; what it is made of, the kind knows.

A kind that can has a `devnet.py`: `options()` gives what can be asked of it, `PROGRAM` the member of the artifact that
it needs, `problem(options)` why there can be no such network, and `make(directory, program, options)` writes the
network and tells what is to be known of it.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from stacks.artifacts import prefetch, unpack
from stacks.errors import StakeyardError
from stacks.role_library import having, load
from stacks.text import last_line, refused

SUMMARY = "devnet.json"


def make(kind: str, directory: Path, arguments: Sequence[str], report: Callable[[str], None]) -> Path:
    """Write a new network into `directory`, which must not hold one.

    Gives the file that says what is to be known of it. Raises StakeyardError.
    """
    maker = _maker(kind)
    if str(directory).startswith("-"):
        example = f"stakeyard devnet {kind} FOLDER"
        raise StakeyardError(f"{directory} looks like an option: name the folder first, as in `{example}`.")
    try:
        used = directory.exists() and any(directory.iterdir())
    except OSError as error:
        raise StakeyardError(f"{directory} cannot be used ({refused(error)}): name a new folder.") from None
    if used:
        raise StakeyardError(f"{directory} is not empty: name a new folder, as a network is made once.")
    asked = maker.options().parse_args(list(arguments))
    problem = maker.problem(asked)
    if problem:
        raise StakeyardError(problem)
    archive = prefetch(kind, report)
    with tempfile.TemporaryDirectory() as scratch:
        program = unpack(archive, maker.PROGRAM, Path(scratch))
        report(f"making a private network in {directory}")
        try:
            told = maker.make(directory, program, asked)
            (directory / SUMMARY).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        except (OSError, subprocess.CalledProcessError) as error:
            words = (error.stderr or b"").decode(errors="replace") if hasattr(error, "stderr") else ""
            raise StakeyardError(f"the network could not be made: {last_line(words, str(error))}") from None
    return directory / SUMMARY


def options_of(kind: str) -> str:
    """What can be asked of a network of this kind, for people. Raises StakeyardError where there is none."""
    return str(_maker(kind).options().format_help())


def able() -> list[str]:
    """The kinds that can make a network."""
    return having("devnet.py")


def _maker(kind: str) -> ModuleType:
    if kind not in able():
        raise StakeyardError(f"kind {kind} cannot make a private network; {' or '.join(able())} can.")
    return load(kind, "devnet")
