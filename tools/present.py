"""Which Pulumi programs are on this machine already, and whether they are new enough."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.parts import Part

PLUGIN = "pulumi-resource-openstack"
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Found:
    """A program on this machine with the version that it reports (None: it would not say)."""

    path: Path
    version: str | None


def numbers(version: str | None) -> tuple[int, int, int] | None:
    """`v3.253.0` as numbers; None for anything that is not a plain release (a pre-release may lack what we need)."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", (version or "").strip())
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def serves(version: str | None, oldest: str) -> bool:
    """Whether `version` can stand in for `oldest`: the same major version, and not older."""
    have, need = numbers(version), numbers(oldest)
    return have is not None and need is not None and have[0] == need[0] and have >= need


def pulumi(found: Found | None, complete: bool, oldest: str) -> str | None:
    """Why the installed `pulumi` is not used, or None when it is.

    `complete` says whether its Python host and scripts are installed with it: they are released together.
    """
    if found is None:
        return "not installed"
    if not serves(found.version, oldest):
        return f"{found.path} is version {found.version or 'unknown'}, needed is {oldest} or newer"
    if not complete:
        return f"{found.path} comes without its Python host"
    return None


def plugin(candidates: list[Found], oldest: str) -> Found | None:
    """The newest of `candidates` that serves, or None."""
    good = [c for c in candidates if serves(c.version, oldest)]
    return max(good, key=lambda c: numbers(c.version) or (0, 0, 0), default=None)


def on_path(name: str, env: Mapping[str, str], ignore: Path) -> Path | None:
    """`name` on PATH, passing over what this project built itself under `ignore`."""
    own = ignore.resolve()
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        hit = shutil.which(name, path=directory) if directory else None
        if hit and not Path(directory).resolve().is_relative_to(own):
            return Path(hit)
    return None


def ask_version(program: Path, argument: str) -> str | None:
    """What `program argument` prints, or None when it fails or hangs."""
    try:
        result = subprocess.run(
            [program, argument],
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def companions(program: Path, names: tuple[str, ...], env: Mapping[str, str], ignore: Path) -> dict[str, Path]:
    """Where each of `names` is, if it is: in the folder of `program` (links followed), else on PATH."""
    found: dict[str, Path] = {}
    for name in names:
        beside = program.resolve().parent / name
        hit = beside if os.access(beside, os.X_OK) else on_path(name, env, ignore)
        if hit is not None:
            found[name] = hit
    return found


def installed_plugins(env: Mapping[str, str], ignore: Path) -> Iterator[Found]:
    """OpenStack plugins in the Pulumi home and on PATH."""
    home = Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for directory in sorted(home.glob("plugins/resource-openstack-v*")):
        program = directory / PLUGIN
        # Pulumi marks a download that was cut off by a file beside the folder.
        whole = not directory.with_name(directory.name + ".partial").exists()
        if whole and os.access(program, os.X_OK):
            yield Found(program, directory.name.removeprefix("resource-openstack-"))
    program_on_path = on_path(PLUGIN, env, ignore)
    if program_on_path is not None:
        yield Found(program_on_path, ask_version(program_on_path, "-version"))


@dataclass(frozen=True)
class Choice:
    """What is taken from the machine (name -> path), and what has to be built and why (part -> reason)."""

    taken: dict[str, Path]
    build: dict[str, str]


def choose(parts: Mapping[str, Part], env: Mapping[str, str], ignore: Path) -> Choice:
    """Decide part by part. `ignore` is the folder of our own builds, which may be on PATH."""
    taken: dict[str, Path] = {}
    build: dict[str, str] = {}

    cli, language = parts["cli"], parts["language"]
    program = on_path("pulumi", env, ignore)
    found = Found(program, ask_version(program, "version")) if program else None
    names = tuple(name for name in (*cli.files, *language.files) if name != "pulumi")
    beside = companions(program, names, env, ignore) if program else {}
    reason = pulumi(found, len(beside) == len(names), cli.oldest)
    if reason is None and program is not None:
        taken |= {"pulumi": program, **beside}
    else:
        build |= {"cli": reason or "", "language": reason or ""}

    ours = plugin(list(installed_plugins(env, ignore)), parts["plugin"].oldest)
    if ours is None:
        oldest = parts["plugin"].oldest
        hint = f" (`pulumi plugin install resource openstack {oldest}` is quicker with the internet)" if taken else ""
        build["plugin"] = f"no OpenStack plugin {oldest} or newer is installed{hint}"
    else:
        taken[PLUGIN] = ours.path
    return Choice(taken, build)
