"""Another revision of this repository in a folder of its own, with a stack file that nobody's secret is needed for."""

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from stacks.encrypted_value import PLACEHOLDER, is_encrypted
from stacks.errors import StakeyardError
from stacks.fleet_file import FLEET_KEY
from stacks.fleet_yaml import parse_yaml, read_bytes
from stacks.text import last_line

PARTS = ("Pulumi.yaml", "stacks", "roles", "images", "tools")
"""What the program is made of, and what it reads."""
_IMAGE_FILES = ("disk.qcow2", "vmlinuz", "initrd.img", "bootable.qcow2")
_ASK_IMAGE = """
import json
from images.node import build, inputs
print(json.dumps({"digest": inputs.digest(inputs.read_inputs()), "command_line": build.COMMAND_LINE}))
"""
_NO_IMAGE = {"digest": "000000000000", "command_line": ""}


def resolve(repository: Path, reference: str) -> str:
    """The commit that `reference` names. Raises StakeyardError where there is none."""
    found = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
    if found.returncode != 0:
        # Of a revision that is not there git says nothing; of a repository that it may not read, why.
        missing = (
            "this repository has no such revision: fetch it first, with its history where the clone is a shallow one."
        )
        raise StakeyardError(f"--base {reference}: {last_line(found.stderr.decode(errors='replace'), missing)}")
    return found.stdout.decode().strip()


def extract(repository: Path, commit: str, target: Path) -> None:
    """Put the program's files as they are in `commit` into the new folder `target`. Raises StakeyardError."""
    there = [part for part in PARTS if git(repository, "cat-file", "-e", f"{commit}:{part}").returncode == 0]
    target.mkdir(parents=True)
    with tempfile.TemporaryFile() as archive:
        result = subprocess.run(
            ["git", "archive", "--format=tar", commit, "--", *there],
            cwd=repository,
            stdout=archive,
            stderr=subprocess.PIPE,
            check=False,
        )
        if result.returncode != 0:
            reason = last_line(result.stderr.decode(errors="replace"))
            raise StakeyardError(f"the files of revision {commit[:12]} could not be read: {reason}")
        archive.seek(0)
        try:
            with tarfile.open(fileobj=archive) as files:
                files.extractall(target, filter="data")
        except tarfile.FilterError as error:
            raise StakeyardError(
                f"revision {commit[:12]}: {error.tarinfo.name} leads out of the repository: take it out of there, or "
                "name another revision after --base."
            ) from None
        except (tarfile.TarError, OSError) as error:
            raise StakeyardError(f"the files of revision {commit[:12]} could not be unpacked: {error}") from None


def git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git; the caller looks at the return code."""
    return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False)


@dataclass(frozen=True)
class Checkout:
    """A folder with the program, and a stack file that can be read without any secret."""

    directory: Path
    config: Mapping[str, Any]
    """What the stack file says under `config`, with placeholders."""
    image: Mapping[str, str]
    """Digest and command line of the golden image that this revision would build."""
    document: Any = None
    """All of the stack file, as it is."""

    @property
    def fleet(self) -> Any:
        """What it says under `stakeyard:fleet`."""
        return self.config.get(FLEET_KEY)


def read(directory: Path, stack: str, keys: Path) -> Checkout:
    """The program in `directory` with its stack file; placeholders for key files are made in `keys`.

    Raises StakeyardError where there is no stack file, or none that can be read.
    """
    path = directory / "stacks" / f"Pulumi.{stack}.yaml"
    data = parse_yaml(read_bytes(path))
    config = data.get("config") if isinstance(data, dict) else None
    if not isinstance(config, dict) or FLEET_KEY not in config:
        raise StakeyardError(f"config.{FLEET_KEY}: this key is missing; describe the fleet under it.")
    plain = without_secrets(config)
    _give_keys(plain[FLEET_KEY], keys)
    return Checkout(directory, plain, _image(directory), data)


def without_secrets(value: Any) -> Any:
    """The value with a placeholder for every encrypted one: another for another secret, as far as that can be told."""
    if is_encrypted(value):
        return PLACEHOLDER + sha256(str(value["secure"]).encode()).hexdigest()[:16]
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _give_keys(fleet: Any, keys: Path) -> None:
    """Let the operators' keys be placeholders: whoever previews need not have them, and every machine sees the same."""
    operators = fleet.get("operators") if isinstance(fleet, dict) else None
    if not isinstance(operators, dict):
        return
    keys.mkdir(parents=True, exist_ok=True)
    contents = {
        "public_key_file": "ssh-ed25519 AAAA (placeholder for {})\n",
        "private_key_file": "-----BEGIN OPENSSH PRIVATE KEY----- (a placeholder)\n",
    }
    for key, content in contents.items():
        named = operators.get(key)
        if isinstance(named, str) and named.startswith(("/", "~/")):
            path = keys / f"{key}-{sha256(named.encode()).hexdigest()[:12]}"
            path.write_text(content.format(named))
            path.chmod(0o600)
            operators[key] = str(path)


def _image(directory: Path) -> Mapping[str, str]:
    asked = subprocess.run(
        [sys.executable, "-P", "-c", _ASK_IMAGE],
        env={"PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    # A revision that cannot say it still has a program to preview; its image then has no digest of its own.
    return dict(json.loads(asked.stdout)) if asked.returncode == 0 else _NO_IMAGE


def make_cache(image: Mapping[str, str], cache: Path) -> None:
    """A cache in which the golden image has been built; its files are empty, as nobody uploads them."""
    folder = cache / "node-image" / image["digest"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in _IMAGE_FILES:
        (folder / name).touch()
    (folder / "manifest.json").write_text(json.dumps(image))
    current = cache / "node-image" / "current"
    current.unlink(missing_ok=True)
    current.symlink_to(folder.name)
