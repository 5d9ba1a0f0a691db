"""Plays on this machine, to hear what Ansible itself makes of a role's variables."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stacks.paths import REPOSITORY


def run(folder: Path, plays: Sequence[Mapping[str, Any]], roles: Path = REPOSITORY / "roles") -> str:
    """What `ansible-playbook` prints of plays that may use these roles; all of them must succeed."""
    (folder / "ansible.cfg").touch()
    (folder / "site.yml").write_text(json.dumps(plays))
    environment = {
        **os.environ,
        "ANSIBLE_ROLES_PATH": str(roles),
        "ANSIBLE_HOME": str(folder),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", "localhost,", "-c", "local", str(folder / "site.yml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def told(output: str, word: str) -> dict[str, str]:
    """By name, the rest of each message `WORD NAME: rest` that a task `debug` has printed."""
    found = {}
    for line in output.splitlines():
        text = line.strip().removeprefix('"msg": ')
        if text.startswith(f'"{word} '):
            name, _, rest = json.loads(text).removeprefix(f"{word} ").partition(": ")
            found[name] = rest
    return found
