"""The lab's passwords: random, made once per state directory, never on a command line."""

import json
import os
import secrets
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from images.lab.settings import Settings


@dataclass(frozen=True)
class Passwords:
    """Who uses each: Keystone's `admin`, the OpenStack services, MariaDB, RabbitMQ, metadata, the user `stakeyard`."""

    admin: str
    service: str
    database: str
    rabbit: str
    metadata: str
    user: str


def new_passwords() -> Passwords:
    """144 random bits each, in characters that need no quoting anywhere."""
    return Passwords(**{field.name: secrets.token_hex(18) for field in fields(Passwords)})


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def load(settings: Settings) -> Passwords:
    """The lab's passwords; made when there are none yet."""
    path = settings.state / "passwords.json"
    if not path.exists():
        write_private(path, json.dumps(asdict(new_passwords())))
    return Passwords(**json.loads(path.read_text()))


def operator_key(settings: Settings) -> Path:
    """The operator's private SSH key for the lab; made when there is none yet."""
    key = settings.state / "operator" / "id_ed25519"
    if not key.with_suffix(".pub").exists():
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"operator@{settings.cloud}", "-f", str(key)],
            check=True,
        )
    return key
