"""The look inside hosts: what an update would change in each, by Ansible's check mode where the host answers.

Where nobody can look, the difference of what goes into the host is told instead (stacks/preview/told.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from stacks import cancellation
from stacks.errors import StakeyardError
from stacks.preview import told
from stacks.preview.model import Inside, Task
from stacks.preview.unbound import unbound
from stacks.task_changes import TaskChange
from stacks.variables import Plan

PARALLEL = 8
"""Hosts that are looked at at a time."""


class NoAnswerError(StakeyardError):
    """The host cannot be reached, so that nothing is known of it."""


@dataclass(frozen=True)
class Subject:
    """A node whose convergence would be made or updated."""

    plan: Plan
    """What it is to become."""
    role_names: tuple[str, ...]
    """Every role whose files matter to it: `Kind.role_names` of the catalogue."""
    inputs: Mapping[str, Any] | None = None
    """The inputs of its convergence in the state, with secrets as they are; None for a node that is not in it."""
    base: Plan | None = None
    """What the base revision makes of it; used where there are no inputs."""
    secret: frozenset[str] = frozenset()
    """Names of variables whose values nobody may see, besides those that the inputs name."""
    replaced: bool = False
    """Whether its server would be another one: what is on the old one says nothing of the new."""


@dataclass(frozen=True)
class Folders:
    """Where the role files are: those that are to come, and those of the base revision where it is known."""

    head: Path
    base: Path | None = None

    @cached_property
    def unbound(self) -> tuple[str, ...]:
        """See `stacks.preview.unbound`; looked for once for all nodes."""
        return unbound(self.head, self.base)


class Hosts(Protocol):
    """The way to the hosts. Nothing in it changes a host, a claim, or anything in the cloud."""

    def claim(self, inputs: Mapping[str, Any]) -> Mapping[str, object]:
        """The claim of a signer as the cloud has it. Raises StakeyardError where it is not this server's."""

    def check(
        self,
        inputs: Mapping[str, Any],
        plan: Plan,
        variables: Mapping[str, object],
        secret: Iterable[str],
        found: Callable[[TaskChange], None],
    ) -> None:
        """Ansible's check mode on the host of `inputs`, which tells `found` each task that would change it.

        Raises NoAnswerError where the host does not answer, and StakeyardError where a task fails.
        """


def look(
    subjects: Iterable[Subject],
    folders: Folders,
    hosts: Hosts | None,
    progress: Callable[[str], None] = lambda _text: None,
    *,
    parallel: int = PARALLEL,
) -> dict[str, Inside]:
    """What would change inside each node, by its name, in the order given; `hosts` is None where none may be asked."""
    asked = list(subjects)

    def one(subject: Subject) -> Inside:
        progress(f"{subject.plan.name}: looking inside")
        return inside(subject, folders, hosts)

    with ThreadPoolExecutor(max_workers=parallel) as pool:
        try:
            return {subject.plan.name: seen for subject, seen in zip(asked, pool.map(one, asked), strict=True)}
        except BaseException:  # an interrupt: the runs that are under way end at their next chance
            cancellation.cancel()
            pool.shutdown(cancel_futures=True)
            raise


def inside(subject: Subject, folders: Folders, hosts: Hosts | None) -> Inside:
    """What would change inside one node. Nothing that goes wrong with one host raises."""
    reason = not_to_be_seen(subject, folders, hosts is not None)
    if hosts is None or subject.inputs is None:
        return _told(subject, folders, reason, complete=True)
    if reason:
        return _told(subject, folders, reason, complete=subject.replaced)
    found: list[TaskChange] = []
    hide = told.hider_of(subject)
    try:
        variables = new_variables(subject)
        if subject.plan.signer:
            variables["stakeyard_claim"] = dict(hosts.claim(subject.inputs))
        hosts.check(subject.inputs, subject.plan, variables, told.secret_names(subject), found.append)
    except NoAnswerError as error:
        return _told(subject, folders, hide(f"the host did not answer: {error}"))
    except StakeyardError as error:
        # What came before the failure was seen, and that it fails is worth more than any list of files.
        if not found:
            return _told(subject, folders, hide(f"check mode did not get through: {error}"))
        why = hide(f"check mode did not get through, so there may be more: {error}")
        return Inside("seen", why, _tasks(found, hide), complete=False)
    return Inside("seen", "", _tasks(found, hide))


def not_to_be_seen(subject: Subject, folders: Folders, hosts: bool) -> str:
    """Why a look at the host would say nothing, or could do harm; empty where there is no such reason."""
    if subject.inputs is None:
        return "" if subject.base else "the node is new: all of it would be made"
    return next(_obstacles(subject, subject.inputs, folders, hosts), "")


def _obstacles(subject: Subject, old: Mapping[str, Any], folders: Folders, hosts: bool) -> Iterator[str]:
    if subject.replaced:
        yield "the server would be replaced: all but its volumes would be made anew"
    missing = sorted(set(subject.plan.mounts) - set(old["variables"].get("stakeyard_volumes") or {}))
    if missing:
        yield f"volume {' and '.join(missing)} is not there yet"
    if subject.plan.signer and not old.get("signer"):
        yield "the node does not sign yet, so that it has no claim to check"
    if not hosts:
        yield "no host was asked"
    if folders.unbound:
        named = ", ".join(folders.unbound)
        yield f"what may act even in check mode is new ({named}): it runs on no host before it has been reviewed"


def new_variables(subject: Subject) -> dict[str, object]:
    """The variables that the node's roles would get, as stacks/resources.py and stacks/convergence.py give them."""
    volumes = ((subject.inputs or {}).get("variables") or {}).get("stakeyard_volumes") or {}
    mounted = {
        name: {"device_id": volumes[name]["device_id"], "mount": mount, "size_gib": subject.plan.sizes[name]}
        for name, mount in subject.plan.mounts.items()
        if name in volumes
    }
    return {
        **subject.plan.variables,
        "stakeyard_volumes": mounted,
        "stakeyard_kind_digest": subject.plan.roles_digest,
    }


def _told(subject: Subject, folders: Folders, reason: str, *, complete: bool = False) -> Inside:
    """What is told where nobody looked; unknown where it cannot be told either.

    `complete`: no look was to be made.
    """
    if subject.inputs is None and subject.base is None:
        return Inside("told", reason, complete=complete)
    variables = {name: value for name, value in new_variables(subject).items() if name != "stakeyard_kind_digest"}
    found = told.tell(subject, folders.head, folders.base, variables)
    reasons = "; ".join(filter(None, (reason, found.reason)))
    return Inside("told" if found.complete or found.tasks else "unknown", reasons, found.tasks, complete)


def _tasks(found: Iterable[TaskChange], hide: Callable[[str], str]) -> tuple[Task, ...]:
    return tuple(Task(change.role, hide(change.task), hide(change.diff)) for change in found)
