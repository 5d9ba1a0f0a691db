"""What a rebuild would do (`--dry-run`): the same questions and the same decisions, but nothing is touched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stacks import rebuild, rebuild_history, rebuild_phases
from stacks.errors import StakeyardError
from stacks.rebuild import Progress, Request
from stacks.rebuild_phases import Job
from stacks.rebuild_seams import Outside

_UNASKED = "the chain is not asked now, so converge may still refuse until the keys have been silent long enough"


@dataclass(frozen=True)
class Step:
    """What one phase would do, and with which evidence; or why it would refuse."""

    phase: str
    text: str
    refused: bool = False


def plan(request: Request, progress: Progress, outside: Outside) -> list[Step]:
    """Every phase that is left, in order; `progress` is that of a rebuild that was interrupted, or empty.

    Raises StakeyardError only where nothing can be asked.
    """
    job = Job(request, progress, outside, lambda _: None)
    if rebuild.changing(progress):
        # What an earlier run saw may have been asked with other credentials.
        rebuild_phases.same_project(job, outside.pulumi.target(job.node))
    else:
        progress.done["inspect"] = rebuild_phases.inspect(job)
    signs = bool(job.found("inspect")["signs"])
    steps = [Step("inspect", _inspected(job))]
    for name in rebuild.remaining(progress, signs):
        try:
            steps.append(Step(name, BY_NAME[name](job)))
        except StakeyardError as error:
            steps.append(Step(name, str(error), refused=True))
    return steps


def _inspected(job: Job) -> str:
    found = job.found("inspect")
    volume = f", key volume {found['key_volume']}" if found["key_volume"] else ", no signer"
    return f"the old server is {found['server']} ({found['status'] or 'unknown to the cloud'}){volume}"


def _fence(job: Job) -> str:
    new = rebuild_phases.new_server(job)
    state = rebuild_phases.look(job, new)
    return "; ".join([*_left(job, new), *_fence_steps(job, state)])


def _left(job: Job, new: str) -> Iterator[str]:
    if rebuild.changing(job.progress):
        yield "clear away what the update that was cut off left half made"
    if new:
        yield f"go on with server {new}, which that update made"


def _fence_steps(job: Job, state: rebuild.Fencing) -> Iterator[str]:
    action, reason = rebuild.next_action(state, job.request.fence), rebuild.proof(state)
    if action == "nothing" and reason and rebuild.stranger(state):
        raise StakeyardError(reason)
    known = rebuild.fenced(state)
    label = f"server {known['server']} is {known['status']}"
    match action:
        case "nothing":
            yield f"nothing to do: {label}" + (f", and waiting until this no longer holds: {reason}" if reason else "")
        case "stop":
            yield f"{label}: shut it off" + (", then delete it" if job.request.fence == "delete" else "")
        case "detach":
            yield f"{label}: detach the key volume from it"
        case "delete":
            yield f"{label}: delete it"
    if state.volume is not None:
        yield (
            "evidence before the claim moves: it is deleted, or shut off with the key volume detached; now the claim "
            f"is held by {state.claim.server or 'nobody'} (generation {state.claim.generation}) and the volume is "
            f"attached to {', '.join(sorted(state.volume.attached)) or 'no server'}"
        )


def _history(job: Job) -> str:
    way = rebuild_history.way(job.request, job.found("inspect"), job.outside, job.progress.done.get("history"))
    return way.text if way.how == "kept" else f"{way.text}; {_UNASKED}"


def _converge(job: Job) -> str:
    target = job.outside.pulumi.target(job.node)
    old = job.found("inspect")["server"]
    what = "replace the server" if rebuild.to_replace(old, target.server) else "make or complete the new server"
    return f"compare {len(target.in_cloud)} resources with the cloud, {what}, update {len(target.resources)} resources"


def _verify(job: Job) -> str:
    return f"expect every check of {job.node} to have passed on the new server"


def _duty(job: Job) -> str:
    return f"wait up to {job.outside.patience():.0f} s for a message of one of the node's keys on chain"


BY_NAME: dict[str, Callable[[Job], str]] = {
    "fence": _fence,
    "history": _history,
    "converge": _converge,
    "verify": _verify,
    "duty": _duty,
}
