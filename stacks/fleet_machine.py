"""What the loader asks of the control machine: the operators' key files, and whether the lab runs containers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stacks import paths
from stacks.fleet_models import ExistingImage, Fleet, GoldenImage
from stacks.fleet_public_key import key_problem
from stacks.fleet_text import refusal
from stacks.text import refused

PRIVATE = b"PRIVATE KEY"
LONGEST_KEY = 4096
"""Bytes; a public key of RSA with 16384 bits has 2800."""


@dataclass(frozen=True)
class KeyFile:
    """The outside of a key file: its first line (never more of a private key) and its permission bits."""

    first_line: str
    """What is not UTF-8 in it is replaced by U+FFFD."""
    mode: int
    more: bool = False
    """Whether a file that is no private key goes on after its first line."""


class Machine(Protocol):
    """The questions; tests answer them without files."""

    def key_file(self, path: Path) -> KeyFile:
        """The key file at `path`. Raises `OSError` as opening it does."""

    def lab_has_containers(self) -> bool:
        """Whether one of the lab's hypervisors runs containers (LXC)."""


class ControlMachine:
    """The machine that this program runs on."""

    def key_file(self, path: Path) -> KeyFile:
        """See `Machine`."""
        with path.open("rb") as file:
            first = file.readline(LONGEST_KEY)
            more = PRIVATE not in first and bool(file.read(LONGEST_KEY).strip())
            return KeyFile(first.decode(errors="replace").strip(), path.stat().st_mode & 0o777, more)

    def lab_has_containers(self) -> bool:
        """See `Machine`; told by the lab's facts.json, and taken to be so until there is a lab."""
        try:
            facts = json.loads((paths.lab() / "facts.json").read_text())
        except (OSError, ValueError):
            return True
        hypervisors = facts.get("hypervisors") if isinstance(facts, dict) else None
        return not isinstance(hypervisors, dict) or "lxc" in hypervisors.values()


def resolve_boot(image: GoldenImage | ExistingImage, machine: Machine) -> GoldenImage | ExistingImage:
    """The image with `boot: auto` decided: not every machine lets the lab run containers.

    Each way to boot has one hypervisor, so the property that routes to it need not be in the stack file.
    """
    if not isinstance(image, GoldenImage):
        return image
    boot = image.boot
    if boot == "auto":
        boot = "container" if machine.lab_has_containers() else "kernel"
    routed = {"container": {"img_hv_type": "lxc"}, "kernel": {"img_hv_type": "qemu"}}.get(boot, {})
    return image.model_copy(update={"boot": boot, "properties": routed | image.properties})


def check_keys(fleet: Fleet, machine: Machine) -> None:
    """Refuse key files that are absent, swapped, or readable by others, and keys that the hosts let nobody in with."""
    operators = fleet.operators
    public, private = "operators.public_key_file", "operators.private_key_file"
    lab = operators.public_key_file.is_relative_to(paths.lab())
    make = "make it with `stakeyard lab up`." if lab else "make it with `ssh-keygen -t ed25519`."
    for key, path in ((public, operators.public_key_file), (private, operators.private_key_file)):
        try:
            file = machine.key_file(path)
        except FileNotFoundError:
            raise refusal(key, f"{path} does not exist; {make}") from None
        except OSError as error:
            raise refusal(key, f"{path} cannot be read ({refused(error)}); name a file that you may read.") from None
        is_private = PRIVATE.decode() in file.first_line
        is_public = file.first_line.startswith(("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"))
        if key == public and is_private:
            raise refusal(key, f"{path} is a private key; name the public half, which ends in .pub.")
        if key == public and not is_public:
            raise refusal(key, f"{path} is not a public SSH key; name a file such as id_ed25519.pub.")
        if key == public and (file.more or "\ufffd" in file.first_line):
            raise refusal(key, f"{path} is not one line of UTF-8; leave that one key in it, and correct its comment.")
        if key == public and (problem := key_problem(file.first_line)):
            raise refusal(key, f"{path} {problem}")
        if key == private and is_public:
            raise refusal(key, f"{path} is a public key; name the private half, the file without .pub.")
        if key == private and not is_private:
            raise refusal(key, f"{path} is not a private SSH key; name a file such as id_ed25519.")
        if key == private and file.mode & 0o077:
            raise refusal(key, f"{path} is open to other users (mode {file.mode:04o}); run chmod 600 on it.")
