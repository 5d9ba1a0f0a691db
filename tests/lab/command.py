"""The `stakeyard` command on a stack of the tests: `python -m tests.lab.command STATE STACK_FILE ARGUMENTS...`.

A stack of the tests has its state and its stack file elsewhere than an operator's; everything else is the same command.
"""

import sys
from functools import partial
from pathlib import Path

from stacks import cli
from stacks.workspace import Workspace


def main(state: str, source: str, *arguments: str) -> None:
    """Run the command as if the stack were this checkout's own."""
    own = partial(Workspace, state=Path(state), source=Path(source))
    cli.Workspace = own  # type: ignore[assignment, attr-defined]
    sys.argv = ["stakeyard", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
