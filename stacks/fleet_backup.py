"""The models of a stack file's `backup`: who can read the backups of nodes, and where they are kept."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, WithJsonSchema

from stacks.fleet_text import refuse, shown
from stacks.fleet_types import KeyPath, Model

_RECIPIENT = r"age1[a-z0-9]{58}"


def _recipient(value: str) -> str:
    if value.upper().startswith("AGE-SECRET-KEY"):
        # The value itself must not be shown.
        refuse("is the secret half; write the public one that `age-keygen -y` shows for it, and make a new identity.")
    if not re.fullmatch(_RECIPIENT, value):
        refuse(f"{shown(value)} is no age recipient; write the line beginning with age1 that `age-keygen -y` shows.")
    return value


Recipient = Annotated[
    str,
    Strict(),
    AfterValidator(_recipient),
    WithJsonSchema({"type": "string", "pattern": f"^{_RECIPIENT}$"}),
]


class DirectoryRepository(Model):
    """A directory of the control machine, or one that it mounts."""

    type: Literal["directory"] = Field(description="`directory`: files in a directory.")
    path: KeyPath = Field(description="The directory; make it before the first backup.")


class ResticRepository(Model):
    """A restic repository that exists; restic runs on the control machine only."""

    type: Literal["restic"] = Field(description="`restic`: a repository of the program restic.")
    repository_file: KeyPath = Field(description="File with the repository's address, which may hold credentials.")
    password_file: KeyPath = Field(description="File with the repository's password.")


class Backup(Model):
    """Backups of nodes: encrypted on the host, fetched by `stakeyard backup`, opened by `stakeyard rebuild` only."""

    recipients: Annotated[
        tuple[Recipient, ...],
        Field(min_length=1, max_length=16, description="age recipients of the operators: public keys."),
    ]
    identity_file: KeyPath | None = Field(
        default=None,
        description="File of the age identity that opens backups, with mode 0600; needed only to restore one.",
    )
    repository: Annotated[DirectoryRepository | ResticRepository, Field(discriminator="type")] = Field(
        description="Where the control machine keeps what it fetched."
    )
