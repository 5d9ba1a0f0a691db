"""What a command ends with, whatever stopped it: one sentence."""

import shlex
from subprocess import CalledProcessError

from stacks.errors import StakeyardError
from stacks.text import last_line, refused

FAILURES = (StakeyardError, OSError, CalledProcessError)
"""What the operator or the machine can be the cause of; anything else is a mistake of ours, and shows where it is."""


def sentence(error: BaseException) -> str:
    """What is wrong and where.

    >>> sentence(PermissionError(13, "Permission denied", ".state/project"))
    '.state/project: permission denied; see that this user may use it and that there is room.'
    >>> sentence(CalledProcessError(1, ["umount", "--lazy", "/x"], stderr=b"umount: /x: busy"))
    '`umount --lazy /x` failed: umount: /x: busy'
    """
    match error:
        case CalledProcessError():
            command = error.cmd if isinstance(error.cmd, str) else shlex.join(map(str, error.cmd))
            said = error.stderr or error.stdout or ""
            return f"`{command}` failed: {last_line(said if isinstance(said, str) else said.decode(errors='replace'))}"
        case OSError() if error.filename is not None:
            return f"{error.filename}: {refused(error)}; see that this user may use it and that there is room."
        case _:
            return str(error) or type(error).__name__
