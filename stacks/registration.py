"""How Pulumi waits for what a program declares."""

import asyncio
from contextlib import suppress

import pulumi


async def begin() -> None:
    """Let every registration begin.

    Pulumi then waits for one after the other. Else it waits for all values at once, again and again, whenever one of
    them is there: minutes, for a thousand nodes.
    """
    await asyncio.sleep(0)


def begin_all() -> None:
    """Let it, after the program's last line."""
    with suppress(pulumi.RunError):  # mocks take nothing more once they run a program
        pulumi.run(begin)
