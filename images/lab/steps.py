"""Steps with their elapsed times, each with a log file of its own."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from stacks.errors import StakeyardError
from stacks.text import last_line

Report = Callable[[str], None]
Action = Callable[[IO[str]], object]


class Steps:
    """Runs steps and reports them. What a step has finished is kept by the step itself, not here."""

    def __init__(self, logs: Path, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._logs = logs
        self._report = report
        self._clock = clock
        self._begin = clock()

    def say(self, text: str) -> None:
        """Report a line with the time since the beginning."""
        self._report(f"[{self._clock() - self._begin:4.0f}s] {text}")

    def run(self, name: str, what: str, action: Action) -> None:
        """Run `action`, which gets an open log file; raise StakeyardError when it fails."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._logs / f"{name}.log"
        self.say(f"{what} ...")
        begin = self._clock()
        try:
            with path.open("w") as log:
                action(log)
        except (subprocess.CalledProcessError, OSError, TimeoutError) as error:
            seconds = self._clock() - begin
            log_text = path.read_text(errors="replace") if path.exists() else ""
            told = last_line(log_text, str(error))[:300]
            raise StakeyardError(f"Lab step `{name}` failed after {seconds:.0f} s: {told} (log: {path}).") from error
        self.say(f"{what}: done ({self._clock() - begin:.0f} s)")
