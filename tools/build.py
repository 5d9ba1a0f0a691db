#!/usr/bin/env python3
"""Give the Pulumi programs this project needs: those of the machine where they serve, else built from Go modules.

Runs with the system's Python before anything is installed. Prints the folder to put on PATH as its last line.
"""

import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stacks.errors import StakeyardError
from stacks.locks import exclusive
from stacks.paths import cache
from tools import golang, present
from tools.parts import Part, load

Report = Callable[[str], None]


def home() -> Path:
    """Where the built tools are kept."""
    return cache() / "tools"


def part_directory(part: Part) -> Path:
    """Where the part's programs are once they are built; a changed input gives another folder."""
    return home() / "parts" / f"{part.name}-{part.digest()}"


def plan(parts: Mapping[str, Part], choice: present.Choice) -> dict[str, Path]:
    """Every program's name and where it comes from."""
    own = {name: part_directory(parts[part]) / name for part in choice.build for name in parts[part].files}
    return own | choice.taken


def bin_directory(sources: Mapping[str, Path]) -> Path:
    """The folder in which exactly these programs are gathered."""
    text = "\n".join(f"{name}\t{path}" for name, path in sorted(sources.items()))
    return home() / hashlib.sha256(text.encode()).hexdigest()[:16] / "bin"


def complete(directory: Path, names: Mapping[str, Path]) -> bool:
    """Whether every program is there; a link to something that has been uninstalled does not count."""
    return all(os.access(directory / name, os.X_OK) for name in names)


def built(part: Part) -> bool:
    """Whether a part's programs are in the cache."""
    return all(os.access(part_directory(part) / name, os.X_OK) for name in part.files)


@contextmanager
def lock(report: Report) -> Iterator[None]:
    """Keep a second builder waiting."""
    with exclusive(home() / "lock", lambda: report("waiting for another build of the tools to finish")):
        yield


def module_directory(go: Path, part: Part, log: Path, progress: golang.Progress) -> Path:
    """The module cache's folder of the part's upstream module, downloaded and verified against go.sum."""
    lines = golang.run(
        go, ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", part.module], part.directory, log, progress
    )
    return Path(lines[0])


def build_part(go: Path, part: Part, report: Report) -> None:
    """Build a part beside its final place and move it there in one step.

    Raises StakeyardError with the part and Go's reason.
    """
    final = part_directory(part)
    final.parent.mkdir(parents=True, exist_ok=True)
    log = final.with_suffix(".log")
    log.write_text("")
    started = time.monotonic()
    title = next(iter(part.programs))
    report(f"{title} {part.version}: building")
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
    try:
        for name, package in part.programs.items():
            listing = golang.Progress(name, report)
            listed = golang.run(go, ["list", "-mod=readonly", "-deps", package], part.directory, log, listing)
            golang.run(
                go,
                [
                    "build", "-v", "-mod=readonly", "-buildvcs=false", f"-ldflags={part.linker_flags}",
                    "-o", str(scratch / name), package,
                ],
                part.directory,
                log,
                golang.Progress(name, report, total=len(listed)),
            )  # fmt: skip
        if part.scripts:
            source = module_directory(go, part, log, golang.Progress(title, report))
            for name, path in part.scripts.items():
                shutil.copyfile(source / path, scratch / name)
                (scratch / name).chmod(0o755)
        scratch.chmod(0o755)
        if final.exists():  # it was incomplete, or we would not be here
            shutil.rmtree(final)
        scratch.rename(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(f"{title} {part.version}: built in {time.monotonic() - started:.0f} s")


def gather(sources: Mapping[str, Path], target: Path) -> None:
    """Put all programs into one folder.

    Pulumi looks for its Python host beside itself, following links: so our own programs are hard links, and
    those of the machine symbolic ones.
    """
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent.parent))
    try:
        scratch.chmod(0o755)
        made = scratch / "bin"
        made.mkdir()
        for name, path in sources.items():
            if path.is_relative_to(home()):
                (made / name).hardlink_to(path)
            else:
                (made / name).symlink_to(path)
        if target.parent.exists():
            shutil.rmtree(target.parent)
        scratch.rename(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sweep() -> None:
    """Remove what a killed build left half done. Only for the holder of the lock."""
    for leftover in [*home().glob(".new-*"), *home().glob("parts/.new-*")]:
        shutil.rmtree(leftover, ignore_errors=True)


def ensure(report: Report) -> Path:
    """The folder with every Pulumi program, built where the machine does not have them. Does nothing when it is there.

    Raises StakeyardError naming the part that could not be built and why.
    """
    parts = load()
    choice = present.choose(parts, os.environ, home())
    sources = plan(parts, choice)
    target = bin_directory(sources)
    if complete(target, sources):
        return target
    try:
        with lock(report):
            sweep()
            wanting = [parts[name] for name in choice.build if not built(parts[name])]
            for part in wanting:
                report(f"{part.name}: {choice.build[part.name]}")
                build_part(golang.find(), part, report)
            if not complete(target, sources):
                gather(sources, target)
    except OSError as error:
        raise StakeyardError(f"the tools cannot be kept in {home()}: {error.strerror or error}.") from error
    return target


def install_plugin(binaries: Path, pulumi_home: Path) -> None:
    """Put the OpenStack plugin of the folder `binaries` where Pulumi looks for plugins that it knows the version of.

    Pulumi also takes it from PATH, but with a warning at every command (see PULUMI_IGNORE_AMBIENT_PLUGINS).
    """
    program = binaries / present.PLUGIN
    if not program.exists():
        return
    source = program.resolve()
    known = source.parent.name
    folder = known if known.startswith("resource-openstack-v") else f"resource-openstack-v{load()['plugin'].version}"
    link = pulumi_home / "plugins" / folder / present.PLUGIN
    if link.exists() and link.resolve().samefile(source):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    scratch = link.with_name(f".new-{os.getpid()}")
    scratch.symlink_to(source)
    scratch.replace(link)


def main() -> int:
    """Show progress on standard error and print the folder on standard output."""
    started = time.monotonic()
    # So that a build that is told to stop takes Go with it and leaves no half of a part.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))

    def report(line: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {line}", file=sys.stderr, flush=True)

    try:
        print(ensure(report))
    except StakeyardError as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
