"""The phases of a rebuild, one small function each: `phase(job)` does it, and gives what the journal keeps of it.

Each can be killed at any moment and done again: it looks before it acts, and acts only where something is left to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacks import rebuild, rebuild_history
from stacks.errors import StakeyardError
from stacks.rebuild import Data, Fencing, Progress, Request
from stacks.rebuild_seams import Outside
from stacks.rebuild_state import Target
from stacks.signer import Claim, Signed

FENCE_SECONDS = 360.0
"""How long a server may take to shut itself off, and the cloud to detach or delete. A signer's unit may take 300 s to
stop (TimeoutStopSec), and with `--fence delete` the server is deleted after this. Nova may be the sooner: it switches
a guest off after its own `shutdown_timeout`, 60 s by default, unless the image says `os_shutdown_timeout`."""
POLL_SECONDS = 3.0
DUTY_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """What a phase works with: the request, what was found so far, and where to say what is going on."""

    request: Request
    progress: Progress
    outside: Outside
    say: Callable[[str], None]

    @property
    def node(self) -> str:
        return self.request.node

    def found(self, phase: str) -> Data:
        """What an earlier phase found."""
        return self.progress.done[phase]


def inspect(job: Job) -> Data:
    """What the state and the cloud say before anything is changed."""
    target = job.outside.pulumi.target(job.node)
    project = same_project(job, target)
    # A state that was refreshed forgets a server that is gone; its last convergence still knows it.
    server = target.server or target.inputs.get("server_id")
    view = job.outside.cloud.server(server) if server else None
    job.say(f"server {server}: {rebuild.fenced(Fencing(job.node, view))['status']}")
    found: Data = {
        "kind": target.inputs.get("kind"),
        "project": project,
        "server": server,
        "status": view.status if view else None,
        "signs": target.key_volume is not None,
        "key_volume": target.key_volume,
        "keys": sorted(target.keys),
        "signed": target.signed.noted() if target.signed else None,
        "resources": list(target.resources),
    }
    if target.key_volume is not None:
        there = job.outside.cloud.volume(target.key_volume)
        found["volume_there"] = there is not None
        job.say(f"key volume {target.key_volume}: {'there' if there else 'lost'}")
    return found


def same_project(job: Job, target: Target) -> str | None:
    """The project that the cloud is asked in, which is the node's; None where the state or the login names none.

    Raises StakeyardError for another project: every server of the node would look deleted there. A state without a
    project is not refused, as nothing could be done about it; but there a server that looks deleted is no evidence that
    the keys' last signer has ended, so that they start after their silence.
    """
    project = job.outside.cloud.project()
    if project and target.project and project != target.project:
        raise StakeyardError(
            f"cloud entry {job.outside.cloud.entry} is of project {project}, but {job.node} is in project "
            f"{target.project}: there every server looks deleted; use the entry of the node's project."
        )
    return project if target.project else None


def look(job: Job, successor: str = "") -> Fencing:
    """The old server, its key volume and the claim, as the cloud has them now."""
    found, cloud = job.found("inspect"), job.outside.cloud
    server = cloud.server(found["server"]) if found["server"] else None
    volume = cloud.volume(found["key_volume"]) if found["key_volume"] else None
    if volume is None:
        # The claim on a volume that is lost went with it: what counts is the server that used it last.
        return Fencing(job.node, server, now=cloud.now(), successor=successor)
    registered = cloud.registration(volume.volume)
    claim = registered.claim if registered else Claim()
    holder = server if server and claim.server == server.server else None
    if holder is None and claim.server:
        holder = cloud.server(claim.server)
    return Fencing(job.node, server, volume, claim, holder, cloud.now(), successor)


def fence(job: Job) -> Data:
    """End the old server as far as the operator allows, and prove by the cloud's word that it has ended."""
    project = same_project(job, job.outside.pulumi.target(job.node))
    if rebuild.changing(job.progress):
        job.outside.pulumi.recover()
    new = new_server(job)
    since, asked = job.outside.now(), set[str]()
    while True:
        state = look(job, new)
        action, reason = rebuild.next_action(state, job.request.fence), rebuild.proof(state)
        if action == "nothing" and reason is None:
            return {**rebuild.fenced(state), "project": project, "asked_at": job.outside.now()}
        if action == "nothing" and rebuild.stranger(state):
            raise StakeyardError(str(reason))
        late = job.outside.now() - since > FENCE_SECONDS
        if action == "stop" and late and job.request.fence == "delete":
            action = "delete"
        if action != "nothing" and action not in asked:
            asked.add(action)
            _act(job, state, action)
            since = job.outside.now()
        elif late:
            raise StakeyardError(_late(job, state, reason))
        job.outside.sleep(POLL_SECONDS)


def new_server(job: Job) -> str:
    """The new server that an earlier run has made, by the state; empty where there is none. Changes nothing."""
    if not rebuild.changing(job.progress):
        return ""
    present = job.outside.pulumi.target(job.node).server
    return present if present and present != job.found("inspect")["server"] else ""


def _act(job: Job, state: Fencing, action: str) -> None:
    assert state.server is not None  # noqa: S101 - nothing is done to a server that is gone
    cloud, server = job.outside.cloud, state.server.server
    if action == "delete":
        job.say(f"deleting server {server}")
        cloud.delete(server)
    elif action == "stop":
        job.say(f"shutting server {server} off")
        cloud.stop(server)
    elif state.volume is not None:
        job.say(f"detaching key volume {state.volume.volume} from server {server}")
        cloud.detach(server, state.volume.volume)


def _late(job: Job, state: Fencing, reason: str | None) -> str:
    hint = "" if job.request.fence == "delete" else " or allow me to delete it with --fence delete"
    found = reason or f"server {state.server.server if state.server else ''} is still there."
    return f"{found} After {FENCE_SECONDS:.0f} s it has not ended: look at it in the cloud{hint}, then run this again."


def history(job: Job) -> Data:
    """Whether the keys' volume is there with their history; where it is not, what takes the history's place."""
    found, request, outside = job.found("inspect"), job.request, job.outside
    earlier = job.progress.done.get("history")
    way = rebuild_history.way(request, found, outside, earlier)
    job.say(way.text)
    if way.how == "kept":
        # What an earlier run staged is why they have begun by now: that is no history that was never lost.
        return earlier or {"how": "kept"}
    content = None
    if way.backup:
        opened = outside.backups.open(way.backup)
        if opened.history is None:
            raise StakeyardError(f"backup {way.backup.name} of {job.node} has no history of keys: restore another.")
        content = opened.files[opened.history]
    # A successor that began to sign is the last one; of one that never did, only the journal knows whom it follows.
    target = outside.pulumi.target(job.node)
    holder = target.signed or Signed.of(found.get("signed"))
    if holder is None or same_project(job, target) is None:
        holder = None
        job.say("the state does not say which server signed last, or where: only silence is evidence that it has ended")
    staged = outside.stage(job.node, content, holder, request.accept_older)
    return {**rebuild_history.noted(way, request), "staged": str(staged)}


def converge(job: Job) -> Data:
    """Make the new server, plug the volumes in, apply the roles, run the checks: an update of Pulumi."""
    found, outside = job.found("inspect"), job.outside
    job.say("comparing the state with the cloud")
    outside.pulumi.refresh(outside.pulumi.target(job.node).in_cloud)
    target = outside.pulumi.target(job.node)
    replace = [target.server_urn] if rebuild.to_replace(found["server"], target.server) else []
    staged = job.progress.done.get("history", {}).get("staged")
    job.say("making a new server" if replace or target.server is None else "completing the new server")
    # Of an update that was killed, or that failed at a check, what is there is completed and not made again.
    resources = sorted({*found["resources"], *target.resources, target.server_urn})
    outside.pulumi.update(resources, replace, Path(staged) if staged else None)
    return {"server": outside.pulumi.target(job.node).server}


def verify(job: Job) -> Data:
    """The checks that passed when the new server had converged; refuses where these are of another server."""
    target = job.outside.pulumi.target(job.node)
    if target.server is None or target.converged_on != target.server:
        raise StakeyardError(f"{job.node}: its last complete convergence was for another server: run this again.")
    failed = [str(check["name"]) for check in target.checks if check["outcome"] == "failed"]
    if failed or not target.checks:
        found = f"check {failed[0]!r} failed" if failed else "no check was run"
        raise StakeyardError(f"{job.node}: {found} on the new server: look at it, then run this again.")
    created = job.outside.cloud.created(target.server)
    booted = target.booted - created if created is not None and target.booted is not None else None
    return {
        "server": target.server,
        "passed": sum(check["outcome"] == "passed" for check in target.checks),
        "skipped": sum(check["outcome"] == "skipped" for check in target.checks),
        "bare_boot_seconds": booted,
        "seeded": target.seeded,
    }


def duty(job: Job) -> Data:
    """Wait until the chain shows a message that a key of the node signed after the old server had ended."""
    outside, ended = job.outside, float(job.found("fence")["asked_at"])
    target = outside.pulumi.target(job.node)
    begun, patience = outside.now(), outside.patience()
    while True:
        # The chain's own time: how long ago that is depends on how far the chain's head is behind.
        last = outside.last_signed(target)
        now = outside.now()
        if last is not None and last > ended:
            return {"signed_at": last, "seen_at": now}
        if now - begun > patience:
            raise StakeyardError(
                f"{job.node}: within {patience:.0f} s the chain has shown no message of its keys: look at its signer, "
                "then run this again."
            )
        job.say("no message of its keys on chain yet" + (f"; the last is {now - last:.0f} s old" if last else ""))
        outside.sleep(DUTY_POLL_SECONDS)


BY_NAME: Mapping[str, Callable[[Job], Data]] = {
    "inspect": inspect,
    "fence": fence,
    "history": history,
    "converge": converge,
    "verify": verify,
    "duty": duty,
}
