"""The look at real hosts for stacks/preview/inside.py: SSH, Ansible's check mode, and reading a claim."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from stacks import runner, signing
from stacks.errors import StakeyardError
from stacks.hosts import host_of
from stacks.preview.inside import NoAnswerError
from stacks.signer import Registration
from stacks.signer_cloud import SignerCloud
from stacks.ssh import session
from stacks.task_changes import TaskChange
from stacks.text import last_line
from stacks.variables import Plan

ANSWER_SECONDS = 45
LOOK_SECONDS = 1200
"""A look that takes longer says so instead of holding up the review."""


class Claims(Protocol):
    """The one question about signers that a look asks."""

    def registration(self, volume: str) -> Registration | None:
        """The registration on a key volume, None where there is none."""


class RealHosts:
    """A `stacks.preview.inside.Hosts`."""

    def __init__(
        self,
        roles: Path,
        private_key_file: str | None = None,
        claims: Callable[[str], Claims] = SignerCloud,
    ) -> None:
        """`roles` is the folder of role files to try; `private_key_file` overrides the path that the state has."""
        self._roles, self._key, self._claims = roles, private_key_file, claims

    def claim(self, inputs: Mapping[str, Any]) -> Mapping[str, object]:
        """See `Hosts`; reads the key volume's metadata and nothing else."""
        found = self._claims(inputs["cloud"]).registration(inputs["signer"]["volume_id"])
        holder = found.claim.server if found else None
        if holder != inputs["server_id"]:
            said = f"server {holder} has it" if holder else "nobody has it"
            raise StakeyardError(
                f"{inputs['name']}: the claim is not this server's ({said}): an update would have to take it first."
            )
        return signing.as_held(inputs, found)

    def check(
        self,
        inputs: Mapping[str, Any],
        plan: Plan,
        variables: Mapping[str, object],
        secret: Iterable[str],
        found: Callable[[TaskChange], None],
    ) -> None:
        """See `Hosts`."""
        host = host_of(inputs, inputs)
        if self._key:
            host = replace(host, private_key_file=self._key)
        with session([host]) as opened:
            answer = opened.run(host.name, "true", timeout=ANSWER_SECONDS)
            if answer.returncode != 0:
                raise NoAnswerError(last_line(answer.stderr))
            runner.converge(
                host,
                plan.roles,
                variables,
                lambda _line: None,
                check=True,
                secret=secret,
                opened=opened,
                directory=self._roles,
                found=found,
                timeout=LOOK_SECONDS,
            )
