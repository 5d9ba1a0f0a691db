"""What a preview asks of its two neighbours: the policies, and the look inside hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from stacks.catalogue import Catalogue
from stacks.fleet_models import Fleet
from stacks.preview.model import Finding, Inside
from stacks.preview.steps import Step


@dataclass(frozen=True)
class Looking:
    """What a look inside hosts may know."""

    stack: str
    cloud: Literal["asked", "mocked"]
    """`mocked`: there is no host to look at."""
    fleet: Fleet
    catalogue: Catalogue
    steps: Mapping[str, Step]
    """The changes of the software by node; their old inputs say where the host is."""
    head: Path
    base: Path | None
    """The two versions of the repository's files; no base where nothing is compared."""
    base_fleet: Fleet | None


class Policies(Protocol):
    """The rules that a fleet and its resources must keep; `before` is the fleet as it is in force until then."""

    def fleet(self, fleet: Fleet, catalogue: Catalogue, before: Fleet | None) -> Sequence[Finding]:
        """What is wrong with a fleet."""

    def resources(
        self, fleet: Fleet, catalogue: Catalogue, before: Fleet | None, digest: Mapping[str, Any]
    ) -> Sequence[Finding]:
        """What is wrong with the resources that `pulumi preview --json` tells of in `digest`."""


class Look(Protocol):
    """The look inside hosts."""

    def __call__(self, looking: Looking, /) -> Mapping[str, Inside]:
        """What would change inside each node of `looking.steps`."""
