"""The environment that Pulumi runs in: where its tools, its state and its passphrase are.

Everything that the operator has set already wins, so the same command works with a state in an
S3 bucket or in Pulumi Cloud.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from stacks.encrypted_value import encrypted_paths
from stacks.errors import StakeyardError
from stacks.fleet_file import FLEET_KEY
from stacks.fleet_text import require_plain
from stacks.fleet_yaml import parse_yaml, read_bytes
from stacks.handover import LARGEST, handed_over, too_large
from stacks.locks import exclusive
from stacks.passphrase import passphrase_file
from stacks.paths import REPOSITORY
from stacks.pulumi_command import CHANGING, needs_program, subcommand, with_stack, writes_config
from stacks.text import last_line
from stacks.whole_files import replace
from tools import build as tools


@dataclass(frozen=True)
class Workspace:
    """One stack, and how to run Pulumi on it."""

    stack: str
    directory: Path = REPOSITORY
    state: Path = REPOSITORY / ".state"
    source: Path | None = None

    @property
    def stack_file(self) -> Path:
        """The stack file: the committed one, or `source`."""
        return self.source or self.directory / "stacks" / f"Pulumi.{self.stack}.yaml"

    @property
    def config_file(self) -> Path:
        """Pulumi's working copy of the stack file.

        Pulumi writes the salt of the stack's passphrase into its config file. A throw-away stack has a
        passphrase of its own on every machine, so the salt must not end up in the committed file.
        """
        return self.project / "stacks" / f"Pulumi.{self.stack}.yaml"

    @property
    def project(self) -> Path:
        """A project without a program, for the commands of Pulumi that look only at a stack and its config file."""
        return self.state / "project"

    @property
    def _own_backend(self) -> str:
        """Where the state is unless the operator says otherwise.

        Without `metadata=skip`, each file of the state has a second one beside it that is not written in one step: an
        update killed at that moment would leave a state that cannot be read.
        """
        return f"file://{self.state}/backend?metadata=skip"

    @property
    def shared(self) -> bool:
        """Whether others may update the stack too, from checkouts that our lock does not reach."""
        return os.environ.get("PULUMI_BACKEND_URL", self._own_backend) != self._own_backend

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables for Pulumi and its plugins, on top of `base` (default: this process')."""
        env = dict(os.environ if base is None else base)
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.state / "backend").mkdir(exist_ok=True)
        binaries = tools.ensure(lambda _line: None)
        env["PATH"] = os.pathsep.join(
            [str(binaries), str(self.directory / ".venv" / "bin"), env.get("PATH", os.defpath)]
        )
        env.setdefault("PULUMI_HOME", str(self.state / "pulumi"))
        tools.install_plugin(binaries, Path(env["PULUMI_HOME"]))
        # The plugin is in the Pulumi home now; taken from PATH it would cost a warning at every command.
        env.setdefault("PULUMI_IGNORE_AMBIENT_PLUGINS", "true")
        env.setdefault("PULUMI_BACKEND_URL", self._own_backend)
        if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & env.keys():
            env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file(self.state))
        env.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
        env.setdefault("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
        return env

    def pulumi(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `pulumi ARGUMENTS` on this stack; the caller looks at the return code.

        Raises StakeyardError where another command changes the stack, or this one would write a salt into its file.
        """
        pipe = subprocess.PIPE if capture else None
        changing = subcommand(arguments) in CHANGING
        own_salt = self.keeps_its_own_salt
        if not own_salt and (writes := writes_config(arguments)):
            raise StakeyardError(
                f"stack {self.stack}: `pulumi {writes}` would write for this machine alone, as {self.stack_file} has "
                "no salt of its own: edit that file by hand, or first give it one as docs/secrets.md says."
            )
        with (
            self.lock() if changing else nullcontext() as lock,
            subprocess.Popen(
                self.command(arguments),
                cwd=self.directory if needs_program(arguments) or own_salt else self.project,
                env=self.environment(),
                text=True,
                stdout=pipe,
                stderr=pipe,
                # Pulumi holds the lock as long as it lives, also when we are killed.
                pass_fds=[] if lock is None else [lock],
            ) as process,
        ):
            while True:
                try:
                    out, err = process.communicate()
                except KeyboardInterrupt:
                    continue  # Pulumi was interrupted too, and ends in good order
                return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """`pulumi ARGUMENTS` for this stack."""
        return ["pulumi", *with_stack(arguments, self.stack, None if self.keeps_its_own_salt else self.config_file)]

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Keep every other command of this checkout that changes the stack out; gives the lock's file descriptor.

        Raises StakeyardError when another holds it.
        """
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)

        def refuse() -> NoReturn:
            raise StakeyardError(f"another command changes stack {self.stack}: wait until it has ended.") from None

        with exclusive(self.state / f"{self.stack}.lock", refuse) as descriptor:
            yield descriptor

    def prepare(self) -> None:
        """Make the stack in the backend if it is not there, and refresh the working copy of its file.

        Raises StakeyardError when the stack file cannot be used or Pulumi refuses to make the stack.
        """
        raw = self.stack_file_bytes()
        try:
            said = parse_yaml(raw)
            require_plain(said, "the file")
        except StakeyardError as error:
            raise StakeyardError(f"{self.stack_file}: {error}") from None
        large = _large(raw, said)
        if _salted(raw):
            if large:
                raise StakeyardError(
                    f"{self.stack_file}: Pulumi cannot hand over a fleet as large as this from a stack file that keeps "
                    "its own salt (more than about 300 nodes): divide it into several stacks."
                )
            return
        secret = next(encrypted_paths(large["config"][FLEET_KEY]), None) if large else None
        if secret:
            raise StakeyardError(
                f"{self.stack_file}: {secret}: is encrypted, and would stay so: a fleet as large as this (more than "
                "about 300 nodes) is given to the program in a file, where nobody decrypts; divide it into several."
            )
        self.config_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not the stack's lock, as one may look at a stack while it is updated: a command that came between another's
        # look for the salt and its writing it down would lose the only one.
        with exclusive(self.project / f"{self.stack}.lock", lambda: None):
            self._copy(raw, large)

    def _copy(self, raw: bytes, large: Mapping[str, Any] | None) -> None:
        """Write the working copy, with the salt that it has; Pulumi writes one when it makes the stack."""
        replace(self.project / "Pulumi.yaml", (self.directory / "Pulumi.yaml").read_text())
        salt = _salt(self.config_file)
        known_salt = f"encryptionsalt: {salt}\n" if salt else ""
        told = raw.decode("utf-8-sig")
        if large:
            handed = handed_over(large["config"], self.state / f"{self.stack}-fleet.json")
            told = yaml.safe_dump({**large, "config": handed})
        replace(self.config_file, f"{told.rstrip()}\n{known_salt}")
        if salt is None:
            result = self.pulumi("stack", "init", "--no-select", "--non-interactive", capture=True)
            if result.returncode != 0 and "already exists" not in result.stderr:
                raise StakeyardError(f"stack {self.stack} could not be made: {last_line(result.stderr)}")

    def stack_file_bytes(self) -> bytes:
        """What the stack file holds. Raises StakeyardError naming it where it cannot be read."""
        if not os.path.exists(self.stack_file):  # noqa: PTH110 - that of a Path raises where the name is too long
            known = sorted(p.name.split(".")[1] for p in self.stack_file.parent.glob("Pulumi.*.yaml"))
            raise StakeyardError(
                f"there is no stack file {self.stack_file}: write it, or choose one of {', '.join(known)}."
            )
        try:
            return read_bytes(self.stack_file)
        except StakeyardError as error:
            raise StakeyardError(f"{self.stack_file}: {error}") from None

    @property
    def keeps_its_own_salt(self) -> bool:
        """Whether the committed stack file says how its secrets are encrypted."""
        return _salted(self.stack_file_bytes())

    def replace_state(self, exported: str) -> None:
        """Put a state from `pulumi stack export` back, without the operations that were pending in it."""
        with tempfile.NamedTemporaryFile("w", dir=self.state, suffix=".json") as file:
            file.write(exported)
            file.flush()
            result = self.pulumi("stack", "import", "--file", file.name, capture=True)
        if result.returncode != 0:
            raise StakeyardError(f"the state of stack {self.stack} could not be written: {last_line(result.stderr)}")

    def outputs(self) -> dict[str, object]:
        """The stack's outputs, with secrets left out.

        Raises StakeyardError when the stack does not exist or has never been updated.
        """
        result = self.pulumi("stack", "output", "--json", capture=True)
        if result.returncode != 0:
            raise StakeyardError(f"the outputs of stack {self.stack} could not be read: {last_line(result.stderr)}")
        found: dict[str, object] = json.loads(result.stdout)
        return found


def help_of_pulumi(arguments: Sequence[str]) -> int:
    """Let Pulumi print its help, for which there need not be a stack; its exit status."""
    binaries = tools.ensure(lambda _line: None)
    env = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    return subprocess.run([str(binaries / "pulumi"), *arguments], env=env, check=False).returncode


def _salted(raw: bytes) -> bool:
    return any(line.startswith((b"encryptionsalt:", b"secretsprovider:")) for line in raw.splitlines())


def _large(raw: bytes, said: object) -> dict[str, Any] | None:
    """What a stack file says whose fleet is too large for Pulumi's configuration, or None."""
    if len(raw) <= LARGEST // 2:  # as JSON, it has quotes, commas and braces too, but never twice the length
        return None
    config = said.get("config") if isinstance(said, dict) else None
    fleet = config.get(FLEET_KEY) if isinstance(config, dict) else None
    return said if isinstance(said, dict) and fleet and too_large(fleet) else None


def _salt(path: Path) -> str | None:
    """The `encryptionsalt` line of a Pulumi config file, or None."""
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith("encryptionsalt:"):
            return line.removeprefix("encryptionsalt:").strip()
    return None
