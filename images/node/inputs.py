"""What the golden image is made of, and the digest that names it."""

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from images.lab.rootfs import packages
from stacks.paths import REPOSITORY

SUITE = "bookworm"
NODE = REPOSITORY / "images/node"
# Copied onto the image's root, in this order: the static part of the role `host`, then what only the image has.
TREES = (REPOSITORY / "roles/host/files/root", NODE / "files")
PACKAGES = NODE / "packages.txt"
SCRIPTS = (NODE / "build.py", NODE / "configure.sh")


@dataclass(frozen=True)
class Input:
    """One file that the image depends on: where it counts as, whether it may be executed, its content."""

    name: str
    executable: bool
    content: bytes


def read_inputs() -> list[Input]:
    """Every file that the image depends on; the mirror is not one: the same packages come from any."""
    files = [PACKAGES, *SCRIPTS]
    for tree in TREES:
        files += sorted(path for path in tree.rglob("*") if path.is_file())
    return [_input(path) for path in files]


def _input(path: Path) -> Input:
    executable = bool(path.stat().st_mode & stat.S_IXUSR)
    return Input(str(path.relative_to(REPOSITORY)), executable, path.read_bytes())


def digest(inputs: Iterable[Input], suite: str = SUITE) -> str:
    """Twelve hexadecimal digits that change whenever an input does."""
    total = hashlib.sha256(suite.encode())
    for item in sorted(inputs, key=lambda item: item.name):
        for part in (item.name.encode(), b"x" if item.executable else b"-", item.content):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:12]


def package_names() -> list[str]:
    """What is installed, without what that needs."""
    return packages(PACKAGES.read_text())


def package_digest(names: Iterable[str], recipe: Iterable[str], suite: str = SUITE) -> str:
    """Names the cached packages: the list and how they are installed, but no file of ours."""
    text = "\n".join([suite, *sorted(names), *recipe])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
