"""A node's convergence as a resource: its roles are applied, its checks pass, and its managed files are pinned.

Inputs: name, kind, host, host_key, server_id, cloud, user, private_key_file, roles, roles_digest, variables,
secret_variables, managed (path, owner, group and mode of managed files), units, throwaway; where the stack file has
one, backup (stacks/fleet_backup.py); for a node that signs, signer (stacks/signing.py).
Outputs add: versions, checks, files (path -> digest, owner, group and mode), drift, revision; for a node that signs,
signed (`stacks.signing.finish`), and seeded where keys started without their history (`stacks.signing.seeded`).
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from openstack.exceptions import NotFoundException

from stacks import backup_fetch, role_files, signing, verification
from stacks.backup_store import repository
from stacks.cloud_login import CLOUD_ERRORS, connect
from stacks.errors import StakeyardError
from stacks.fleet_backup import Backup
from stacks.hosts import facts_of, host_of
from stacks.lifecycle import Diff, Report, State, compare
from stacks.paths import REPOSITORY
from stacks.runner import converge, hider, strings
from stacks.signer_cloud import SignerCloud
from stacks.ssh import Host, Session, session, wait_until_ready
from stacks.text import last_line

# Where the key and the backups lie on this control machine, and which entry of clouds.yaml it uses, changes nothing on
# the host.
NOT_ON_THE_HOST = ("private_key_file", "cloud", "throwaway", "backup")
STOP_SECONDS = 660
"""A chain client may take ten minutes to close its database; the unit's own limit ends it before ours does."""
_MISSING = "missing"


class Convergence:
    """The lifecycle of one node's software; see the module."""

    def diff(self, old_inputs: Mapping[str, Any], old_state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Diff:
        """Another server means a new convergence, so that the old one is retired while its server still runs."""
        changed = compare(old_inputs, old_state, inputs, NOT_ON_THE_HOST)
        return Diff(changed, tuple(name for name in changed if name == "server_id"))

    def apply(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Apply the roles, run the checks, pin the managed files."""
        host = host_of(inputs, inputs)
        with session([host]) as opened:
            wait_until_ready(opened, host, report.progress)
            variables = {**inputs["variables"], "stakeyard_kind_digest": inputs["roles_digest"]}
            cloud = SignerCloud(inputs["cloud"]) if inputs.get("signer") else None
            if cloud:
                variables |= signing.prepare(inputs, opened, report, cloud, state)
            converge(
                host,
                inputs["roles"],
                variables,
                report.progress,
                secret=inputs["secret_variables"],
                opened=opened,
            )
            if cloud:
                # Stays through later updates that fail; a convergence that replaces this one begins without it.
                state["signed"] = signing.finish(inputs, cloud, variables["stakeyard_claim"]["generation"])
            checks = _checks(opened, inputs, report)
            state["checks"] = [check.as_output() for check in checks]
            problem = verification.failure(inputs["name"], checks)
            if problem:
                raise StakeyardError(problem)
            state["versions"], state["files"] = observe(opened, host, [file["path"] for file in inputs["managed"]])
        state["drift"] = []
        state["revision"] = datetime.now(UTC).isoformat(timespec="seconds")

    def read(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        """Compare the host with what was pinned, and run the node's checks."""
        state["drift"] = self._drift(inputs, state, report)
        for line in state["drift"]:
            report.warning(f"{inputs['name']} drifted: {line}")

    def _drift(self, inputs: Mapping[str, Any], state: State, report: Report) -> list[str]:
        host = host_of(inputs, inputs)
        with session([host]) as opened:
            answer = opened.run(host.name, "true", timeout=45)
            if answer.returncode != 0:
                return [f"unreachable: {last_line(answer.stderr)}"]
            report.progress("comparing the managed files")
            versions, files = observe(opened, host, [file["path"] for file in inputs["managed"]])
            drift = differences(state.get("versions", {}), versions, "version of ")
            drift += differences(state.get("files", {}), files, "")
            checks = _checks(opened, inputs, report)
        state["checks"] = [check.as_output() for check in checks]
        return drift + [f"check {c.name!r} failed: {c.reason}" for c in checks if c.outcome == "failed"]

    def delete(self, inputs: Mapping[str, Any], state: Mapping[str, Any], report: Report) -> None:  # noqa: ARG002
        """Retire the node: stop its service in an orderly way while the server is still there.

        A signer also exports its history and releases its claim; one that does not is never taken for stopped.
        Raises StakeyardError when a server that runs cannot be reached, unless the stack is a throw-away one.
        """
        host = host_of(inputs, inputs)
        if inputs.get("signer"):
            retire_signer(host, inputs, report)
            return
        # What was started last uses what was started before it.
        units = list(reversed(inputs["units"]))
        named = " and ".join(units)
        report.progress(f"stopping {named}")
        with session([host]) as opened:
            answer = opened.run(host.name, stop_command(units), timeout=STOP_SECONDS)
        if answer.returncode == 0:
            report.progress(f"{named} stopped")
            return
        reason = last_line(answer.stderr)
        if not inputs["throwaway"] and server_runs(inputs["cloud"], inputs["server_id"]):
            raise StakeyardError(
                f"{inputs['name']}: {named} could not be stopped ({reason}) and its server still runs: "
                "stop the service or the server by hand, then run this again."
            )
        report.warning(f"{inputs['name']}: {named} not stopped in an orderly way ({reason}).")


def stop_command(units: Iterable[str]) -> str:
    """The shell command that stops `units` one after the other; one that was never installed has nothing to stop."""
    each = (
        f'{{ sudo systemctl stop {unit} || test "$(systemctl show -P LoadState {unit})" = not-found; }}'
        for unit in map(shlex.quote, units)
    )
    return " && ".join(each)


def retire_signer(host: Host, inputs: Mapping[str, Any], report: Report) -> None:
    """Let the roles of a signer retire it, and fetch its last backup; its claim is then free.

    Raises StakeyardError as `Convergence.delete`.
    """
    cloud = SignerCloud(inputs["cloud"])
    roles = role_files.with_entry(inputs["roles"], REPOSITORY / "roles", "retire")
    try:
        with session([host]) as opened:
            answer = opened.run(host.name, "true", timeout=45)
            if answer.returncode != 0:
                raise StakeyardError(last_line(answer.stderr))
            variables = {**inputs["variables"], "stakeyard_claim": signing.held(inputs, cloud)}
            secret = inputs["secret_variables"]
            kept = repository(Backup.model_validate(inputs["backup"])) if inputs.get("backup") else None
            if kept:
                kept.snapshots(inputs["name"])  # a repository that cannot be read is no reason to stop a client
            converge(host, roles, variables, report.progress, entry="retire", secret=secret, opened=opened)
            if kept:
                backup_fetch.fetch(opened, inputs["name"], kept, report.progress)
        signing.retired(inputs, cloud)
    except StakeyardError as error:
        if server_runs(inputs["cloud"], inputs["server_id"]) and not inputs["throwaway"]:
            raise StakeyardError(
                f"{inputs['name']}: the signer could not be retired ({error}) and its server counts as alive: "
                "shut it off or delete it by hand, then run this again."
            ) from None
        report.warning(f"{inputs['name']}: the signer was not retired ({error}); its claim moves only on evidence.")


def server_runs(cloud: str, server_id: str) -> bool:
    """Whether the cloud says, or cannot deny, that the server runs."""
    try:
        return connect(cloud).compute.get_server(server_id).status not in ("SHUTOFF", "DELETED")
    except NotFoundException:
        return False
    except (*CLOUD_ERRORS, StakeyardError):
        return True


def _checks(opened: Session, inputs: Mapping[str, Any], report: Report) -> list[verification.Check]:
    files = verification.check_files(inputs["roles"], "node")
    if not files:
        raise StakeyardError(f"{inputs['name']}: its roles have no verify/test_node*.py, so nothing would be proven.")
    node = facts_of(inputs)
    facts = {**node, "nodes": [node]}
    hide = hider(s for name in inputs["secret_variables"] for s in strings(inputs["variables"].get(name)))
    found = verification.run(opened, files, facts, report.progress)
    # A failed assertion may show what it compared, and a reason ends up in the stack's outputs.
    return [replace(check, reason=hide(check.reason)) for check in found]


def observe(opened: Session, host: Host, managed: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The versions that artifacts' `current` links name, and digest, owner, group and mode of each managed file.

    Raises StakeyardError when the host does not answer.
    """
    answer = opened.run(host.name, observation(managed), timeout=300)
    if answer.returncode != 0:
        raise StakeyardError(f"{host.name}: its managed files could not be read: {last_line(answer.stderr)}")
    return parse_observation(answer.stdout)


def observation(managed: Iterable[str]) -> str:
    """The shell command behind `observe`."""
    paths = " ".join(shlex.quote(path) for path in managed)
    script = f"""
for link in /opt/stakeyard/*/current; do
  test -L "$link" && echo "version $(basename "$(dirname "$link")") $(basename "$(readlink "$link")")"
done
for path in {paths}; do
  if test -f "$path"; then
    echo "file $path $(sha256sum < "$path" | cut -d' ' -f1) $(stat -c '%U:%G %a' "$path")"
  else
    echo "file $path {_MISSING}"
  fi
done
"""
    return f"sudo sh -c {shlex.quote(script)}"


def parse_observation(output: str) -> tuple[dict[str, str], dict[str, str]]:
    """Versions and files from what `observation` printed."""
    versions, files = {}, {}
    for line in output.splitlines():
        match line.split(" ", 2):
            case ["version", name, value]:
                versions[name] = value
            case ["file", path, value]:
                files[path] = value
    return versions, files


def differences(pinned: Mapping[str, str], seen: Mapping[str, str], what: str) -> list[str]:
    """One line for each thing that is no longer as it was pinned."""
    lines = []
    for name in sorted(set(pinned) | set(seen)):
        old, new = pinned.get(name, _MISSING), seen.get(name, _MISSING)
        if old == new:
            continue
        if what:
            lines.append(f"{what}{name} is {new}, not {old}")
        elif new == _MISSING:
            lines.append(f"{name} is gone")
        elif old.split(" ")[0] != new.split(" ")[0]:
            lines.append(f"{name} was changed")
        else:
            lines.append(f"{name} is {new.partition(' ')[2]}, not {old.partition(' ')[2]}")
    return lines
