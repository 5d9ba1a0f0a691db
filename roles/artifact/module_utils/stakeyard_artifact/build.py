"""Build an archive from pinned source.

A crate that ships a source tree is vendored and verified by cargo and built by CMake; Go modules are fetched, verified
against go.sum and built by Go.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .golang import LINK, TAGS, Job, build_programs, check_pin, find_go, toolchain
from .model import ArtifactError, GoSource, Release, Source
from .sources import Report

PERCENT = re.compile(r"^\[\s*(\d+)%\]")
FIRST_CARGO = (1, 68)  # the first whose registry client needs no git index
# The build id is a digest over symbols too, and these hold names from the build folder: without it the same source
# and compiler give the same bytes.
STRIP = ("strip", "--strip-all", "--remove-section=.note.gnu.build-id")


def compiler_version() -> str:
    """Version line of the C++ compiler, part of the key of a cached build."""
    try:
        answer = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise ArtifactError("no C++ compiler is installed on the control machine; install the package g++.") from None
    return answer.stdout.splitlines()[0]


def tools_version(source: Source | GoSource) -> str:
    """The compiler in one line, part of the key of a cached build."""
    return toolchain(find_go(), source.manifest) if isinstance(source, GoSource) else compiler_version()


def build_key(release: Release, source: Source | GoSource, compiler: str) -> str:
    """Digest of all that decides what a build gives: recipe, lock file, compiler."""
    if isinstance(source, GoSource):
        pins = [(source.manifest / name).read_text() for name in ("go.mod", "go.sum")]
        parts = [release.artifact, release.version, release.platform, release.members, source.packages, pins, compiler]
        parts += [TAGS, LINK, *([source.c_flags] if source.c_flags else [])]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    recipe = {
        "release": [release.artifact, release.version, release.platform, release.members],
        "source": [source.crate, source.version, source.checksum, source.subdirectory],
        "build": [source.options, source.targets, source.outputs],
        "lock": (source.manifest / "Cargo.lock").read_text(),
        "compiler": compiler,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def cargo_too_old(version_line: str) -> bool:
    """Whether `cargo --version` names one older than the sparse registry protocol."""
    match = re.search(r"(\d+)\.(\d+)", version_line)
    return match is None or (int(match[1]), int(match[2])) < FIRST_CARGO


def check_tools(source: Source, what: str) -> None:
    """Refuse early when a program or header that the build needs is missing."""
    for tool in source.tools:
        if shutil.which(tool) is None:
            raise ArtifactError(f"building {what} needs `{tool}`, which is not installed; install it or name a mirror.")
    for header, package in source.headers:
        if not Path(header).exists():
            raise ArtifactError(f"building {what} needs {header}; install the package {package}.")
    line = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=False).stdout
    if cargo_too_old(line):
        raise ArtifactError(f"building {what} needs cargo 1.68 or newer, this is {line.strip() or 'unknown'}.")


def check_lock(lock: str, source: Source, what: str) -> None:
    """Refuse when Cargo.lock and artifacts.yml disagree on the crate's checksum."""
    block = re.search(rf'name = "{re.escape(source.crate)}"\nversion = "([^"]+)"\n.*\nchecksum = "([0-9a-f]+)"', lock)
    if block is None or block.groups() != (source.version, source.checksum):
        found = " ".join(block.groups()) if block else "nothing"
        raise ArtifactError(
            f"{what}: Cargo.lock pins {found} for {source.crate}, artifacts.yml {source.version} {source.checksum}."
        )


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\berror\b|fatal|not found|No such|Killed", line, re.IGNORECASE)]
    return (telling or lines or ["no output"])[-1][:300]


def run_step(step: str, command: Sequence[str], folder: Path, log: Path, report: Report) -> None:
    """Run one step at low priority, its output in `log`; a failure says which step and why."""
    report(step)
    with log.open("w") as output:
        process = subprocess.Popen(
            ["nice", "-n", "10", *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        shown = 0
        assert process.stdout is not None  # noqa: S101  (for the type checker)
        for line in process.stdout:
            output.write(line)
            match = PERCENT.match(line)
            if match and int(match[1]) >= shown + 10:
                shown = int(match[1])
                report(f"{step}: {shown} %")
        status = process.wait()
    if status != 0:
        raise ArtifactError(f"the step `{step}` failed with status {status}: {_last_words(log)} (whole log: {log}).")


def pack(files: dict[str, Path], top: str, target: Path) -> None:
    """Write a .tar.gz that depends only on names and contents: sorted, no dates, no owners."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            data = files[name].read_bytes()
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))


@contextmanager
def _work(folder: Path) -> Iterator[Path]:
    """A build folder on a disk (not a small /tmp), removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as name:
        yield Path(name)


def build(release: Release, source: Source | GoSource, target: Path, report: Report) -> None:
    """Build `release` and write its archive to `target`. Logs stay beside it as `<step>.log`."""
    if isinstance(source, GoSource):
        _build_go(release, source, target, report)
    else:
        _build_crate(release, source, target, report)


def _build_go(release: Release, source: GoSource, target: Path, report: Report) -> None:
    what = f"{release.artifact} {release.version}"
    check_pin((source.manifest / "go.mod").read_text(), source, what)
    logs = target.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with _work(target.parent) as work:
        shutil.copytree(source.manifest, work / "source")
        files = build_programs(find_go(), source, work / "source", work / "bin", Job(what, logs / "go.log", report))
        pack(files, f"{release.artifact}-{release.version}", target)


def _build_crate(release: Release, source: Source, target: Path, report: Report) -> None:
    what = f"{release.artifact} {release.version}"
    check_tools(source, what)
    check_lock((source.manifest / "Cargo.lock").read_text(), source, what)
    logs = target.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with _work(target.parent) as work:
        fetch = work / "fetch"
        shutil.copytree(source.manifest, fetch)

        def step(name: str, *command: str) -> None:
            log = logs / f"{name.split(maxsplit=1)[0]}.log"
            run_step(f"{what}: {name}", command, fetch, log, report)

        step(f"fetch {source.crate} {source.version}", "cargo", "vendor", "--locked", "--versioned-dirs", "vendor")
        crate = fetch / "vendor" / f"{source.crate}-{source.version}"
        if not crate.is_dir():  # a crate that stands alone may still get its plain name
            crate = fetch / "vendor" / source.crate
        verified = json.loads((crate / ".cargo-checksum.json").read_text()).get("package")
        if verified != source.checksum:
            raise ArtifactError(f"{what}: cargo verified {verified} for {source.crate}, {source.checksum} is pinned.")
        tree, out = crate / source.subdirectory, work / "out"
        options = [option.format(source=tree, build=out) for option in source.options]
        step("configure", "cmake", "-S", str(tree), "-B", str(out), *options)
        jobs = str(os.cpu_count() or 1)
        step("compile", "cmake", "--build", str(out), f"-j{jobs}", "--target", *source.targets)
        files: dict[str, Path] = {}
        for output in source.outputs:
            path = out / output
            if not path.is_file():
                raise ArtifactError(f"{what}: the build gave no {output}; see {logs}.")
            step(f"strip {path.name}", *STRIP, str(path))
            files[output] = path
        pack(files, f"{release.artifact}-{release.version}", target)
