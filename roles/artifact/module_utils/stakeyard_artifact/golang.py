"""Build programs from Go modules, each verified against the go.sum that lies beside go.mod."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .model import ArtifactError, GoSource
from .sources import Report

REPORT_SECONDS = 10.0
# Names of systems are asked of DNS and users of /etc/passwd by Go itself: with glibc's own ways, a static program would
# need the very glibc it was built with.
TAGS = "netgo,osusergo"
# A static program runs on every image, whatever its C and C++ libraries are. Some assembly says nothing of the stack,
# which the linker takes for a wish to run code on it; a hardened unit lets no thread have such a stack.
LINK = "-s -w -buildid= -linkmode=external '-extldflags=-static -Wl,-z,noexecstack'"
C_FLAGS = "CGO_CFLAGS"
UNSAFE = (
    *("GONOSUMDB", "GONOSUMCHECK", "GOINSECURE", "GOFLAGS"),
    *(C_FLAGS, "CGO_CPPFLAGS", "CGO_CXXFLAGS", "CGO_LDFLAGS", "CGO_CFLAGS_ALLOW", "CGO_LDFLAGS_ALLOW"),
)
"""What is not taken from outside: it would change what is built, or switch its verification off."""
SETTINGS = {"GOWORK": "off", "CGO_ENABLED": "1", "GOOS": "", "GOARCH": ""}


def find_go() -> Path:
    """Go on PATH, or the one that this project's Python environment has."""
    beside = Path(sys.executable).with_name("go")
    found = shutil.which("go") or (str(beside) if os.access(beside, os.X_OK) else None)
    if found is None:
        raise ArtifactError("Go is not installed on the control machine: run tools/bootstrap.sh, or name a mirror.")
    return Path(found)


def environment(manifest: Path) -> dict[str, str]:
    """This process' environment for a build for this machine, with checksums always verified.

    The Go is exactly the one that go.mod in `manifest` names, fetched as a module where it is not the installed one: a
    client is tried by its makers with one Go, and may break with a newer one (Prysm's QUIC ends with a panic).
    """
    kept = {name: value for name, value in os.environ.items() if name not in UNSAFE}
    if kept.get("GOSUMDB") == "off":
        del kept["GOSUMDB"]
    named = re.search(r"^go (\S+)", (manifest / "go.mod").read_text(), re.MULTILINE)
    exact = {"GOTOOLCHAIN": f"go{named[1]}" if named else "auto"}
    return {name: value for name, value in {**kept, **SETTINGS, **exact}.items() if value}


def toolchain(go: Path, manifest: Path) -> str:
    """The Go that go.mod asks for and the C compiler, in one line."""
    lines = []
    for command, folder in (([str(go), "version"], manifest), (["cc", "--version"], Path("/"))):
        try:
            env = environment(manifest)
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            program = Path(command[0]).name
            raise ArtifactError(
                f"`{program}` does not run on the control machine; install it or name a mirror."
            ) from None
        lines.append(done.stdout.splitlines()[0])
    return ", ".join(lines)


def check_pin(manifest: str, source: GoSource, what: str) -> None:
    """Refuse when go.mod and artifacts.yml disagree on the module's version."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(source.module)}\s+(\S+)", manifest, re.MULTILINE)
    if found is None or found[1] != source.version:
        pinned = found[1] if found else "nothing"
        raise ArtifactError(f"{what}: go.mod pins {pinned} for {source.module}, artifacts.yml {source.version}.")


@dataclass(frozen=True)
class Job:
    """One build: what it is in words, where its output goes, and where progress is reported."""

    what: str
    log: Path
    report: Report


def build_programs(go: Path, source: GoSource, folder: Path, out: Path, job: Job) -> dict[str, Path]:
    """Build the packages of `source` in `folder`, a copy of its manifest; gives the programs by archive name."""
    out.mkdir()
    options = ["-mod=readonly", "-trimpath", "-buildvcs=false", f"-tags={TAGS}", f"-ldflags={LINK}"]
    command = ["nice", "-n", "10", str(go), "build", "-v", *options, "-o", f"{out}/", *source.packages]
    job.report(f"{job.what}: build {source.origin}")
    begin = reported = time.monotonic()
    packages = 0
    with job.log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(folder), **({C_FLAGS: source.c_flags} if source.c_flags else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in process.stdout or ():
            output.write(line)
            packages += not line.startswith("go: ")
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                job.report(f"{job.what}: {packages} packages compiled, {reported - begin:.0f} s")
        status = process.wait()
    if status != 0:
        raise ArtifactError(
            f"building {job.what} failed with status {status}: {reason(job.log.read_text())} (whole log: {job.log})."
        )
    return {output_name: out / Path(output_name).name for output_name in source.outputs}


def reason(text: str) -> str:
    """The line of Go's output that says what went wrong: a module that is not the pinned one before all others."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not re.match(r"go: (downloading|extracting)|#|[\w.~-]+(/[\w.~-]+)*$", line)]
    forged = [line for line in told if "checksum mismatch" in line or "SECURITY ERROR" in line]
    plain = [line for line in told if not line[0].isspace()]
    return [*(forged or plain or told or ["go gave no reason"])][0 if forged else -1][:300]
