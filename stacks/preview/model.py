"""What a preview found, as data: the reports (Markdown, JSON, SARIF) and the verdict are made of this alone.

Texts in it are scrubbed already (stacks/preview/secrets.py): whoever fills it in hides secrets first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from stacks.urns import SERVER

Operation = Literal["create", "update", "replace", "delete", "unprotect"]
"""`unprotect`: nothing of it changes but that Pulumi would let it be deleted from then on."""
Level = Literal["error", "warning"]
PROTECT = "protect"
"""The path of a difference that is not a property: Pulumi's own protection of a resource."""


class Verdict(IntEnum):
    """How a preview ends; the values are the exit codes of the command, `FAILED` the worst."""

    SAFE = 0
    """Nothing changes, or nothing that a reviewer must look at."""
    FAILED = 1
    """There is no preview."""
    REVIEW = 2
    """Somebody has to look at it."""
    REFUSED = 3
    """A policy says no."""


@dataclass(frozen=True)
class Difference:
    """One property of a resource, before and after; an empty text where it has no value."""

    path: str
    before: str
    after: str
    replaces: bool = False
    """Whether it is what makes a new resource necessary."""


@dataclass(frozen=True)
class Change:
    """What would happen to one resource."""

    operation: Operation
    type: str
    """Pulumi's type token, such as `openstack:compute/instance:Instance`."""
    name: str
    node: str | None
    """The node that it belongs to; None for what nodes share."""
    differences: tuple[Difference, ...] = ()
    protected: bool = False


@dataclass(frozen=True)
class Task:
    """A task of a role that would change a host, with the change as a unified diff where Ansible shows one."""

    role: str
    name: str
    diff: str = ""


@dataclass(frozen=True)
class Inside:
    """What would change inside one host.

    `seen`: Ansible's check mode looked at the host. `told`: nobody could look, and `tasks` are the differences between
    the two versions of the node's role files, variables and artifacts. `unknown`: not even that; `reason` says why.
    """

    how: Literal["seen", "told", "unknown"]
    reason: str = ""
    tasks: tuple[Task, ...] = ()
    complete: bool = True
    """Whether a look that was to be made got through; `reason` says why it did not."""


@dataclass(frozen=True)
class Finding:
    """What a policy says. A waived one counts for nothing but is shown."""

    rule: str
    """Identifier, such as `open-administration`."""
    level: Level
    key: str
    """Path in the stack file, such as `nodes.bitcoin-1.zone`; or a resource, `type::name`."""
    sentence: str
    """What is wrong and what to do."""
    node: str | None = None
    waived: str = ""
    """Reason and expiry date of the waiver; empty where there is none."""


@dataclass(frozen=True)
class Node:
    """One node's part of a preview."""

    name: str
    kind: str
    signs: bool
    changes: tuple[Change, ...] = ()
    inside: Inside | None = None
    """None: its convergence does not change."""
    touches_signer: bool = False
    """Whether its signing service, keys, claim or key volume would be touched."""
    downtime: str = ""
    """The downtime to expect, for people; empty for none."""
    new: bool = False
    """Whether there is nothing of it yet."""

    @property
    def replaced(self) -> bool:
        """Whether its server would be another one."""
        return bool({"replace", "delete"} & self._server) or (not self.new and "create" in self._server)

    @property
    def removed(self) -> bool:
        """Whether it would have no server any more."""
        return self._server == {"delete"}

    @property
    def _server(self) -> set[Operation]:
        """What would be done to its server."""
        return {change.operation for change in self.changes if change.type == SERVER}


@dataclass(frozen=True)
class Preview:
    """Everything that a preview found."""

    stack: str
    base: str
    """What it is compared with: `state` (what is deployed) or a git revision."""
    cloud: Literal["asked", "mocked"]
    """`asked`: refreshed from the cloud first. `mocked`: no cloud, no state."""
    nodes: tuple[Node, ...] = ()
    shared: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader must know of how this was made, such as hosts that did not answer."""
    drift: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By node: what is not as it was left (`stakeyard drift`, and a preview that asked the cloud)."""
