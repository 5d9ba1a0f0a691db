"""Take backups on a node and fetch them into the operators' repository, over SSH."""

import base64
import binascii
import re
import shlex
from collections.abc import Callable, Iterator

from stacks.backup import Snapshot, missing, snapshot
from stacks.backup_store import Repository
from stacks.errors import StakeyardError
from stacks.ssh import Session
from stacks.text import last_line

DIRECTORY = "/var/backups/stakeyard"
TAKE_SECONDS = 660
FETCH_SECONDS = 900
_FILE = re.compile(r"[a-z][a-z0-9-]*/\d{8}T\d{6}Z")

# systemd says only that a unit failed; what its program said is the reason.
TAKE = """
for file in /etc/systemd/system/stakeyard-backup-*.service; do
  unit=$(basename "$file")
  test -f "$file" || { echo "none of its roles makes backups" >&2; exit 1; }
  systemctl start "$unit" && continue
  journalctl --quiet --lines=1 --output=cat "_SYSTEMD_UNIT=$unit" >&2
  exit 1
done
"""
LIST = f"""
cd {DIRECTORY} 2>/dev/null || exit 0
for file in */*.json; do
  test -f "$file" && echo "${{file%.json}} $(base64 --wrap=0 "$file")"
done
true
"""


def take(opened: Session, node: str) -> None:
    """Let every backup of the node be taken now. Raises StakeyardError with the reason when one fails."""
    _run(opened, node, TAKE, "no backup was taken", TAKE_SECONDS)


def fetch(opened: Session, node: str, repository: Repository, say: Callable[[str], None]) -> list[Snapshot]:
    """Bring what the node has and the repository lacks over; returns it, oldest first."""
    listed = _run(opened, node, LIST, "its backups could not be listed")
    lacking = missing(_described(node, listed), repository.snapshots(node))
    for each in lacking:
        path = f"{DIRECTORY}/{each.set}/{each.name}.age"
        encoded = _run(opened, node, f"base64 --wrap=0 {shlex.quote(path)}", f"{path} could not be read", FETCH_SECONDS)
        repository.add(each, _decoded(node, encoded))
        say(f"{node}: fetched backup {each.name} of {each.set} ({each.size} bytes)")
    return lacking


def _described(node: str, listed: str) -> Iterator[Snapshot]:
    for line in listed.splitlines():
        path, _, encoded = line.partition(" ")
        if not _FILE.fullmatch(path):
            raise StakeyardError(f"{node}: {path[:80]!r} in {DIRECTORY} is no backup: remove it by hand.")
        found = snapshot(path.partition("/")[2], _decoded(node, encoded))
        # What a host says of itself must not reach the folder of another node.
        if found.node != node or found.set != path.partition("/")[0]:
            raise StakeyardError(
                f"{node}: backup {path} says that it is {found.set} of {found.node}: nothing is fetched."
            )
        yield found


def _decoded(node: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise StakeyardError(f"{node}: its answer was cut off: run this again.") from None


def _run(opened: Session, node: str, script: str, otherwise: str, timeout: float = 120) -> str:
    answer = opened.run(node, f"sudo sh -c {shlex.quote(script)}", timeout=timeout)
    if answer.returncode != 0:
        raise StakeyardError(f"{node}: {otherwise}: {last_line(answer.stderr)}")
    return answer.stdout
