"""The journal of a rebuild: one line of JSON for each step, on disk before the step counts.

A rebuild that is killed at any moment finds in it what it had done. A finished one is moved aside, so that the next
begins anew.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from stacks.errors import StakeyardError
from stacks.locks import exclusive
from stacks.whole_files import replace


@dataclass(frozen=True)
class Journal:
    """The journal of one node of one stack, in a directory below the workspace's state."""

    directory: Path
    node: str

    @property
    def path(self) -> Path:
        """The file of a rebuild that is under way."""
        return self.directory / f"{self.node}.jsonl"

    def read(self) -> list[dict[str, Any]]:
        """Its entries; the last line is left out where a kill cut it off.

        Raises StakeyardError when any other line cannot be understood.
        """
        if not self.path.exists():
            return []
        *lines, _cut = self.path.read_text().split("\n")
        try:
            found = [json.loads(line) for line in lines]
        except ValueError:
            raise StakeyardError(
                f"{self.path} cannot be understood: look at the node by hand, and move the file away."
            ) from None
        return found

    def repair(self) -> None:
        """Take away a last line that a kill cut off: it would make the next one unreadable."""
        if self.path.exists():
            content = self.path.read_bytes()
            with self.path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)

    def add(self, at: float, what: str, **more: object) -> None:
        """Write one entry; it is on disk when this returns. `at` is in seconds since 1970."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"at": round(at, 3), "what": what, **more}, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def archive(self, name: str, files: Mapping[str, str]) -> list[Path]:
        """Write the reports beside the journal, then move it away under their name; returns where they are.

        `files` are contents by ending. Killed in between, it does the same again.
        """
        made = [self.directory / f"{self.node}-{name}.{ending}" for ending in files]
        for path, content in zip(made, files.values(), strict=True):
            replace(path, content)
        self.path.rename(self.directory / f"{self.node}-{name}.jsonl")
        return made

    def give_up(self, name: str) -> None:
        """Put the journal of a rebuild that was not finished aside, if there is one: the next begins anew."""
        if self.path.exists():
            self.path.rename(self.directory / f"{self.node}-{name}-given-up.jsonl")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second rebuild of the node out. Raises StakeyardError when one is under way."""

        def refuse() -> NoReturn:
            raise StakeyardError(f"another rebuild of {self.node} is under way: wait until it has ended.") from None

        with exclusive(self.directory / f"{self.node}.lock", refuse):
            yield
