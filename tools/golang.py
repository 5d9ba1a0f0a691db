"""Running the Go toolchain: finding it, showing how far it is, and saying in one sentence why it failed."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY

Report = Callable[[str], None]

# From 1.21 on, Go fetches the toolchain that a go.mod asks for, as a module like any other.
OLDEST_GO = (1, 21)
REPORT_SECONDS = 10.0
NOISE = re.compile(r"^(go: (downloading|finding|extracting|upgraded|added)\b|#|too many errors|note: )")
PACKAGE = re.compile(r"^[\w.~-]+(/[\w.~-]+)*$")


def places() -> list[Path]:
    """Where Go may be when it is not on PATH: put there by `tools/bootstrap.sh`, by Debian or by go.dev's archive."""
    debian = sorted(Path("/usr/lib").glob("go-1.*/bin/go"), reverse=True)
    return [REPOSITORY / ".venv" / "bin" / "go", *debian, Path("/usr/local/go/bin/go")]


def parse_version(text: str) -> tuple[int, int] | None:
    """(1, 26) of `go version go1.26.8 linux/amd64`; None when it is not that."""
    match = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def find() -> Path:
    """The first `go` that is new enough.

    Raises StakeyardError when there is none.
    """
    on_path = shutil.which("go")
    too_old = ""
    for program in [*([Path(on_path)] if on_path else []), *places()]:
        if not os.access(program, os.X_OK):
            continue
        # Outside a module, so that Go reports itself and not the toolchain which a go.mod asks for.
        said = subprocess.run([program, "version"], cwd="/", capture_output=True, text=True, check=False).stdout
        version = parse_version(said)
        if version is not None and version >= OLDEST_GO:
            return program
        too_old = too_old or f"{program} is too old"
    problem, wanted = too_old or "Go is not installed", ".".join(map(str, OLDEST_GO))
    raise StakeyardError(f"{problem}: run tools/bootstrap.sh, or put Go {wanted} or newer on PATH.")


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """`base` for a build for this machine: no workspace, no cross compiling, a newer toolchain fetched if need be."""
    env = {key: value for key, value in base.items() if key not in {"GOOS", "GOARCH"}}
    return env | {"GOWORK": "off", "GOTOOLCHAIN": "auto"}


def failure(output: Sequence[str]) -> str:
    """The last line of Go's output that says what went wrong; progress, headings and details are passed over.

    A module that is not the pinned one comes first: Go says so above a paragraph on what that may mean.
    """
    lines = [line.rstrip() for line in output if line.strip()]
    told = [line for line in lines if not NOISE.match(line) and not PACKAGE.match(line)]
    forged = [line for line in told if "checksum mismatch" in line]
    # Go indents what explains the line above it.
    sentences = [line for line in told if not line[0].isspace()]
    return next(iter([*forged, *reversed(sentences), *reversed(told)]), "go gave no reason").strip()


class Progress:
    """Counts what Go prints, and says every few seconds how far it is."""

    def __init__(self, title: str, report: Report, total: int | None = None) -> None:
        self.title, self.report, self.total = title, report, total
        self.downloads = self.compiled = 0
        self.started = self.reported = time.monotonic()

    def line(self, line: str) -> None:
        """Take one line of Go's output."""
        if line.startswith("go: downloading"):
            self.downloads += 1
        elif PACKAGE.match(line.strip()):
            self.compiled += 1

    def text(self) -> str:
        """How far it is, with the seconds so far."""
        seconds = f"{time.monotonic() - self.started:.0f} s"
        if self.total is None:
            return f"{self.title}: {self.downloads} modules downloaded, {seconds}"
        return f"{self.title}: {self.compiled} of {self.total} packages compiled, {seconds}"

    def tick(self) -> None:
        """Report when enough time has passed since the last report."""
        if time.monotonic() - self.reported >= REPORT_SECONDS:
            self.reported = time.monotonic()
            self.report(self.text())


def run(go: Path, arguments: Sequence[str], directory: Path, log: Path, progress: Progress) -> list[str]:
    """Run `go ARGUMENTS` in `directory`; its error output goes to `log`, its standard output is returned as lines.

    Raises StakeyardError with Go's reason when it fails.
    """
    with (
        log.open("a") as file,
        subprocess.Popen(
            [go, *arguments],
            cwd=directory,
            env=environment(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            out, noise = _follow(process, file, progress)
        except BaseException:  # told to stop: leaving the block waits for Go, so Go is told too
            process.terminate()
            raise
    if process.returncode != 0:
        raise StakeyardError(
            f"building {progress.title} from tools/{directory.name}/go.mod failed: {failure(noise)} (all of it: {log})"
        )
    return out


def _follow(process: subprocess.Popen[str], log: TextIO, progress: Progress) -> tuple[list[str], list[str]]:
    """Read both outputs of `process` to its end; returns their lines."""
    noise: list[str] = []
    out: list[str] = []

    def listen() -> None:
        for line in process.stderr or ():
            noise.append(line)
            log.write(line)
            progress.line(line)

    def collect() -> None:
        out.extend(line.rstrip("\n") for line in process.stdout or ())

    threads = [threading.Thread(target=listen, daemon=True), threading.Thread(target=collect, daemon=True)]
    for thread in threads:
        thread.start()
    while process.poll() is None:
        time.sleep(0.1)
        progress.tick()
    for thread in threads:
        thread.join()
    return out, noise
