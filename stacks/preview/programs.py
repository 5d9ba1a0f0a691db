"""The base's and the head's program, side by side, in processes of their own without an engine (dryrun/)."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from stacks.preview.checkout import Checkout, make_cache
from stacks.text import last_line

PROJECT = "stakeyard"


@dataclass(frozen=True)
class Waiting:
    """A head's program that waits for an engine at `port`, with so many `questions` for it."""

    port: int
    questions: int
    unchanged: frozenset[str]
    """URNs of what it declares as the base does."""


class Programs:
    """Ends both programs with its block."""

    def __init__(self, stack: str, scratch: Path) -> None:
        """`scratch` is where they leave what they find."""
        self._stack, self._scratch = stack, scratch
        self._base: subprocess.Popen[str] | None = None
        self._head: subprocess.Popen[str] | None = None
        self._answers = -1
        self.declared = scratch / "declared.jsonl"
        """The file with what the base declares, one resource a line."""

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""
        for process in (self._base, self._head):
            if process:
                process.kill()
                process.wait()
        if self._answers >= 0:
            os.close(self._answers)

    def start(self, head: Checkout, base: Checkout | None, *, compared: bool = True) -> None:
        """Let both run; without a base, or where they are not `compared`, all of the head is in question."""
        told, telling = os.pipe()
        self._answers, answering = os.pipe()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            if base:
                to = telling if compared else nowhere
                self._base = self._run("base", base, str(self.declared), str(to), passed=[to])
            arguments = (str(told), str(answering))
            self._head = self._run("head", head, *arguments, passed=[told, answering])
        finally:
            for end in (told, telling, answering, nowhere):
                os.close(end)

    def wait(self) -> Waiting:
        """Until all is known that can be without an engine. Raises StakeyardError with the program's own refusal."""
        if self._base and self._base.wait() != 0:
            refusal = self.declared.with_suffix(".error")
            raise StakeyardError(refusal.read_text() if refusal.exists() else self._failed("base"))
        with os.fdopen(os.dup(self._answers)) as answers:
            line = answers.readline()
        found: dict[str, Any] = json.loads(line) if line else {"error": last_line(self._errors("head").read_text())}
        if "error" in found:
            raise StakeyardError(f"`pulumi preview` failed: error: {' '.join(found['error'].split())}")
        return Waiting(found["port"], found["questions"], frozenset(found["unchanged"]))

    def _failed(self, role: str) -> str:
        return f"the program of the {role} could not be run: {last_line(self._errors(role).read_text())}"

    def _errors(self, role: str) -> Path:
        return self._scratch / f"{role}.log"

    def _run(self, role: str, checkout: Checkout, *arguments: str, passed: list[int]) -> subprocess.Popen[str]:
        request = self._scratch / f"{role}.json"
        # Pulumi hands mappings to a program with their keys sorted.
        config = {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in checkout.config.items()
        }
        told = {"directory": str(checkout.directory), "stack": self._stack, "project": PROJECT, "config": config}
        request.write_text(json.dumps(told))
        # The same path for the same image: it ends up in the resources, which are compared.
        cache = self._scratch / f"cache-{checkout.image['digest']}"
        make_cache(checkout.image, cache)
        with self._errors(role).open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", f"dryrun.{role}", str(request), *arguments],
                env=environment(self._scratch) | {"STAKEYARD_CACHE": str(cache), "PYTHONPATH": str(REPOSITORY)},
                cwd=checkout.directory,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=passed,
                text=True,
            )


def environment(scratch: Path) -> dict[str, str]:
    """This process' environment without what would lead to a cloud, a state or a lab."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "PULUMI_", "STAKEYARD_"))}
    return kept | {"STAKEYARD_CACHE": str(scratch / "no-cache"), "STAKEYARD_LAB": str(scratch / "no-lab")}
