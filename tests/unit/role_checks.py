"""A role's own checks as a module, with hosts that answer from a table."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from stacks.paths import REPOSITORY


def load(role: str, name: str) -> ModuleType:
    """The module roles/<role>/verify/<name>.py."""
    path: Path = REPOSITORY / "roles" / role / "verify" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"checks_{role}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 1000.0
    naps: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`."""
        self.naps.append(seconds)
        self.now += seconds


@dataclass
class Answer:
    """What a command gave."""

    stdout: str = ""
    stderr: str = ""
    rc: int = 0

    @property
    def succeeded(self) -> bool:
        """As testinfra says it."""
        return self.rc == 0


@dataclass
class FakeHost:
    """Stands for testinfra's host: `says` gives the output of a command."""

    says: Callable[[str], str]

    def check_output(self, command: str, *arguments: str) -> str:
        """As testinfra's."""
        return self.says(command % arguments if arguments else command)

    def run(self, command: str, *arguments: str) -> Answer:
        """As testinfra's."""
        return Answer(self.says(command % arguments if arguments else command))
