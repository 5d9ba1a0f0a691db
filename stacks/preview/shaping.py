"""Which files beside a stack file shape what happens, and whether a change touches them.

The program, the policies, the previewer, its tools and its CI show in no resource; and a change of the previewer could
have it say anything. So whatever is not known to be harmless counts.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stacks.errors import StakeyardError
from stacks.fleet_file import FLEET_KEY
from stacks.preview.checkout import git
from stacks.preview.model import Finding
from stacks.text import last_line

RULE = "program-changed"
MOST = 8
"""Files that are named; the rest is a number."""
_CACHES = re.compile(r"(^|/)(__pycache__|\.pytest_cache)/|\.pyc$")
"""Python would run them, and the digest of a node's roles leaves them out."""
_HARMLESS = re.compile(
    r"docs/"
    r"|tests/"
    r"|[^/]+\.md$"
    r"|LICENSE[^/]*$"
    r"|stacks/Pulumi\.[^/]+\.yaml$"  # another stack's has a preview of its own
    r"|roles/(conftest\.py$|[^/]+/)"  # in the digest of each node that they are for
)


def shapes(path: str) -> bool:
    """Whether the file may shape the program, the preview or what is checked, as far as no resource shows it."""
    return bool(_CACHES.search(path)) or not _HARMLESS.match(path)


def changed(base: Mapping[str, str], head: Mapping[str, str]) -> tuple[str, ...]:
    """The files that are not the same in both, by mode and digest."""
    return tuple(sorted(path for path in base.keys() | head.keys() if base.get(path) != head.get(path)))


def beside_the_fleet(base: Any, head: Any) -> tuple[str, ...]:
    """The keys of two stack files that differ, the fleet apart."""

    def parts(data: Any) -> dict[str, Any]:
        data = data if isinstance(data, dict) else {}
        config = data.get("config") if isinstance(data.get("config"), dict) else {}
        inside = {f"config.{key}": value for key, value in config.items() if key != FLEET_KEY}
        return {**{str(key): value for key, value in data.items() if key != "config"}, **inside}

    old, new = parts(base), parts(head)
    return tuple(sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)))


def findings(paths: Iterable[str], keys: Iterable[str], stack: str) -> tuple[Finding, ...]:
    """A warning that names the files and one that names the keys, where there are any."""
    found = []
    for place, named, what in (
        ("repository", tuple(paths), "files that the program, this preview, its policies or an image are made of"),
        (f"stacks/Pulumi.{stack}.yaml", tuple(keys), "keys of the stack file that are not the fleet's"),
    ):
        if named:
            more = f" and {len(named) - MOST:,} more" if len(named) > MOST else ""
            some = ", ".join(_readable(name) for name in named[:MOST])
            sentence = f"{what} are changed: {some}{more}; resources do not show all that it does, so read them."
            found.append(Finding(RULE, "warning", place, sentence))
    return tuple(found)


def _readable(name: str) -> str:
    """A file's name may be bytes that are no text."""
    return name.encode(errors="backslashreplace").decode()


def in_commit(repository: Path, commit: str) -> dict[str, str]:
    """Mode and digest of every such file of a revision. Raises StakeyardError."""
    entries = _git(repository, "ls-tree", "-r", "-z", commit)
    found = {}
    for entry in entries:
        about, _, path = entry.partition("\t")
        mode, _kind, digest = about.split(" ")
        found[path] = f"{mode} {digest}"
    return {path: told for path, told in found.items() if shapes(path)}


def in_folder(repository: Path, sha1: bool = True) -> dict[str, str]:
    """Mode and digest of every such file as it lies there. Raises StakeyardError.

    Of what git does not know, only what lies among the program's files counts, and nothing that it ignores.
    """
    found = {}
    for entry in _git(repository, "ls-files", "--stage", "-z"):
        about, _, path = entry.partition("\t")
        mode, digest, _stage = about.split(" ")
        if shapes(path):
            found[path] = f"{mode} {digest}" if mode == "160000" else _told(repository / path, sha1)
    folders = {path.partition("/")[0] for path in found if "/" in path}
    for path in _git(repository, "ls-files", "--others", "--exclude-standard", "-z"):
        if shapes(path) and "/" in path and path.partition("/")[0] in folders:
            found[path] = _told(repository / path, sha1)
    return {path: told for path, told in found.items() if told}


def _told(path: Path, sha1: bool) -> str:
    """As git would tell it, whatever attributes or the index say of the file; empty for one that is not there."""
    try:
        if path.is_symlink():
            mode, content = "120000", str(path.readlink()).encode()
        else:
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
            content = path.read_bytes()
    except OSError:
        return ""
    digest = hashlib.sha1(usedforsecurity=False) if sha1 else hashlib.sha256()
    digest.update(b"blob %d\0" % len(content) + content)
    return f"{mode} {digest.hexdigest()}"


def _git(repository: Path, *arguments: str) -> list[str]:
    result = git(repository, *arguments)
    if result.returncode != 0:
        reason = last_line(result.stderr.decode(errors="replace"))
        raise StakeyardError(f"the files of {repository} could not be compared with the base: {reason}")
    return [entry for entry in result.stdout.decode(errors="surrogateescape").split("\0") if entry]
