"""What a resource of ours does, apart from how Pulumi talks to it (that is stacks/provider.py)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

State = dict[str, Any]


@dataclass(frozen=True)
class Diff:
    """The inputs (or outputs, for drift) that make an update necessary, and those of them that need a new resource."""

    changed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Where a resource says what it does: passing progress, and warnings that stay."""

    progress: Callable[[str], None]
    warning: Callable[[str], None]


class Lifecycle(Protocol):
    """One type of resource.

    `apply` and `read` fill `state` (the outputs) as they go. When `apply` raises StakeyardError, what it has filled
    in so far is kept, the resource counts as unfinished, and the next update applies it again whatever its inputs.
    """

    def diff(self, old_inputs: Mapping[str, Any], old_state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Diff:
        """What an update would have to change; decided from inputs and recorded drift alone.

        Inputs that are the same before and after may be left out, and so may all of the state but its `drift`.
        """

    def apply(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Create or update."""

    def read(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Compare the real thing with `state`, and put the differences into `state["drift"]`; never raises for them."""

    def delete(self, inputs: Mapping[str, Any], state: Mapping[str, Any], report: Report) -> None:
        """Take the resource out of service."""


def compare(
    old_inputs: Mapping[str, Any], old_state: Mapping[str, Any], inputs: Mapping[str, Any], ignored: Iterable[str]
) -> tuple[str, ...]:
    """Names of the inputs that differ, and `drift` where a refresh has found some."""
    names = sorted((set(old_inputs) | set(inputs)) - set(ignored))
    changed = [name for name in names if old_inputs.get(name) != inputs.get(name)]
    return (*changed, *(["drift"] if old_state.get("drift") else []))
