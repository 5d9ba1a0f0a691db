"""A cloud, a stack and a chain for rebuilds: enough of each to be killed in, and to see what a rebuild did to them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from stacks import rebuild, rebuild_plan, rebuild_run
from stacks.backup import Content, Snapshot
from stacks.errors import StakeyardError
from stacks.rebuild import Request
from stacks.rebuild_journal import Journal
from stacks.rebuild_plan import Step
from stacks.rebuild_state import Target
from stacks.signer import (
    CLAIM,
    GONE,
    OFF,
    Claim,
    Claiming,
    Registration,
    ServerView,
    Signed,
    VolumeView,
    fingerprints,
    refusal,
)

START = 1_780_000_000.0
OLD = "server-0"
VOLUME = "volume-0"
KEY = "0x" + "ab" * 48
BOOT_SECONDS = 30.0


SEEDED = {
    "at": "2026-01-01T00:00:00+00:00",
    "quiet_epochs": 3,
    "quiet_seconds": 150.0,
    "marks": {"a": {"slot": 9, "target": 2}, "b": {"slot": 8, "target": 3}},
}
"""What a convergence says of keys that started without their history (`stacks.signing.seeded`), in part."""


class Killed(BaseException):
    """The process ends here; no `except Exception` stops it."""


class World:
    """One node, `n1`, that lost its server or is about to; it is its own `Outside`.

    Whatever a rebuild asks or tells is one step of the clock and may be the last: with `kill_at` a process is killed
    at its n-th step, before or after this step's effect.
    """

    def __init__(self, directory: Path, signs: bool = True, status: str | None = "ACTIVE") -> None:
        self.directory = directory
        self.signs = signs
        self.time = START
        self.servers: dict[str, str] = {} if status is None else {OLD: status}
        self.created_at: dict[str, float] = {}
        self.obeys = True
        """Whether servers shut themselves off when they are asked."""
        self.volumes: dict[str, set[str]] = {VOLUME: {OLD} if status else set()} if signs else {}
        self.claims: dict[str, Claim] = {VOLUME: Claim(OLD, 3)}
        self.keys = [KEY]
        self.begun: dict[str, frozenset[str]] = {VOLUME: fingerprints(self.keys)}
        self.state_server: str | None = OLD
        self.state_volume: str | None = VOLUME if signs else None
        self.project_of_node: str | None = "project-1"
        self.project_of_login: str | None = "project-1"
        self.signed: Signed | None = Signed(OLD, fingerprints(self.keys))
        self.inputs_volume = VOLUME
        """The key volume in the inputs of the last convergence, complete or not."""
        self.converged_on: str = OLD
        self.booted: float | None = START - 5000
        self.pending: str | None = None
        self.checks: list[dict[str, str]] = [{"name": "host: all is well", "outcome": "passed"}]
        self.fails_at_checks = 0
        self.fails_at_refresh = 0
        self.converges = True
        self.orphans = 0
        self.repository: list[tuple[Snapshot, bytes | None]] = []
        """Backups, each with the history of keys in it; None: it has none."""
        self.restored: list[tuple[bytes | None, str | None, bool]] = []
        self.staged: dict[Path, tuple[bytes | None, str | None, bool]] = {}
        self.signed_at: float | None = START - 12
        self.signs_after = 40.0
        self.ready_at: float | None = None
        self.acts: list[str] = []
        self.replaced = 0
        self.seeded: dict[str, Any] | None = None
        self.said: list[str] = []
        self.steps = 0
        self.kill_at: float = float("inf")
        self.cloud = self.pulumi = self.backups = self

    # The rebuild, as the command line starts it.

    @property
    def journal(self) -> Journal:
        return Journal(self.directory, "n1")

    def rebuild(self, kill_at: float = float("inf"), anew: bool = False, **request: Any) -> list[Path]:
        self.steps, self.kill_at = 0, kill_at

        def say(_seconds: float, phase: str, text: str) -> None:
            self.said.append(f"{phase}: {text}")

        return rebuild_run.run(Request("lab", "n1", **request), self, self.journal, say, anew)

    def plan(self, **request: Any) -> dict[str, Step]:
        """A dry run at this moment, by phase; fails where it changed anything."""
        self.kill_at = float("inf")
        before = self._facts()
        found = rebuild_plan.plan(Request("lab", "n1", **request), rebuild.progress(self.journal.read()), self)
        assert before == self._facts(), "a dry run touched something"
        return {step.phase: step for step in found}

    def _facts(self) -> object:
        entries = self.journal.path.read_bytes() if self.journal.path.exists() else None
        state = (self.state_server, self.state_volume, self.pending, self.converged_on)
        return deepcopy(
            (self.servers, self.volumes, self.claims, state, self.acts, self.staged, self.restored, entries)
        )

    def _step(self, seconds: float = 0.5, effect: Callable[[], None] = lambda: None) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed
        self.time += seconds
        effect()
        if self.steps + 0.5 == self.kill_at:
            raise Killed

    # The clock.

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self._step(seconds)

    # The cloud.

    entry = "lab"

    def project(self) -> str | None:
        return self.project_of_login

    def server(self, server: str) -> ServerView:
        self._step()
        return ServerView(server, self.servers.get(server), self.time)

    def created(self, server: str) -> float | None:
        return self.created_at.get(server)

    def volume(self, volume: str) -> VolumeView | None:
        self._step()
        attached = self.volumes.get(volume)
        return None if attached is None else VolumeView(volume, frozenset(attached), self.time)

    def registration(self, volume: str) -> Registration | None:
        if volume not in self.claims:
            return None
        begun = self.begun.get(volume, frozenset())
        return Registration(volume, fingerprints(self.keys), self.claims[volume], begun)

    def stop(self, server: str) -> None:
        def effect() -> None:
            self.acts.append(f"stop {server}")
            if self.obeys:
                self.servers[server] = OFF

        self._step(effect=effect)

    def delete(self, server: str) -> None:
        self._step(effect=lambda: self._delete(server))

    def _delete(self, server: str) -> None:
        self.acts.append(f"delete {server}")
        self.servers.pop(server, None)
        for attached in self.volumes.values():
            attached.discard(server)

    def detach(self, server: str, volume: str) -> None:
        def effect() -> None:
            self.acts.append(f"detach {volume}")
            self.volumes[volume].discard(server)

        self._step(effect=effect)

    # Pulumi.

    def target(self, node: str) -> Target:
        self._step()
        if node != "n1":
            raise StakeyardError(f"the stack has no node {node}: it has n1.")
        inputs: dict[str, Any] = {"kind": "any", "server_id": self.converged_on, "cloud": "lab"}
        if self.signs:
            inputs["signer"] = {"volume_id": self.inputs_volume, "public_keys": self.keys}
        return Target(
            node="n1",
            resources=tuple(f"urn:pulumi:lab::stakeyard::N${kind}::n1" for kind in ("openstack:a:A", "stakeyard:i:C")),
            server=self.state_server,
            server_urn="urn:pulumi:lab::stakeyard::N$openstack:compute/instance:Instance::n1",
            volumes={"n1-keys": self.state_volume} if self.state_volume else {},
            inputs=inputs,
            converged_on=self.converged_on,
            project=self.project_of_node,
            signed=self.signed if self.signs else None,
            checks=tuple(self.checks),
            booted=self.booted,
            seeded=self.seeded,
        )

    def recover(self) -> None:
        def effect() -> None:
            if self.pending:
                self._delete(self.pending)
            self.pending = None

        self._step(effect=effect)

    def refresh(self, resources: Sequence[str]) -> None:
        assert all("openstack" in urn for urn in resources), "a host that is gone was asked"
        if self.fails_at_refresh:
            self.fails_at_refresh -= 1
            raise StakeyardError("the cloud is gone")

        def effect() -> None:
            if self.state_server not in self.servers:
                self.state_server = None
            if self.state_volume and self.state_volume not in self.volumes:
                self.state_volume = None

        self._step(effect=effect)

    def update(self, resources: Sequence[str], replace: Sequence[str], restore: Path | None) -> None:
        assert self.pending is None, "an update over one that was killed"
        old = self.converged_on
        assert self.servers.get(old) in (None, OFF) or not replace, "the old server was alive when it was replaced"
        if replace:
            assert self.state_server == old, "a new server was replaced"
            self._step(2, lambda: self._delete(old))
            self._step(effect=lambda: setattr(self, "state_server", None))
        if self.state_server is None:
            self._make_server()
        if self.signs:
            self._attach()
        self._converge(restore)

    def _make_server(self) -> None:
        self.orphans += self.pending is not None
        self.replaced += 1
        new = f"server-{self.replaced}"

        def begin() -> None:
            self.pending = new
            self.servers[new] = "ACTIVE"
            self.created_at[new] = self.time

        def end() -> None:
            self.pending, self.state_server, self.booted = None, new, self.time

        self._step(effect=begin)
        self._step(BOOT_SECONDS, end)

    def _attach(self) -> None:
        def make() -> None:
            self.state_volume = "volume-1"
            self.volumes["volume-1"] = set()
            self.claims["volume-1"] = Claim()

        def plug() -> None:
            attached = self.volumes[self.state_volume or ""]
            assert attached <= {self.state_server}, "a volume was plugged into two servers"
            attached.add(self.state_server or "")

        if self.state_volume is None:
            self._step(effect=make)
        self._step(effect=plug)

    def _converge(self, restore: Path | None) -> None:
        server = self.state_server or ""
        if self.signs:
            volume = self.state_volume or ""
            held = self.claims[volume]
            holder = ServerView(held.server, self.servers.get(held.server), self.time) if held.server else None
            view = VolumeView(volume, frozenset(self.volumes[volume]), self.time)
            problem = refusal(CLAIM, Claiming(server, held, holder, view, self.time))
            if problem:
                raise StakeyardError(problem)
            self.inputs_volume = volume
            if self.signed and self.signed.server != server:
                self.signed = None  # a convergence that replaces another one begins without its outputs
            if not fingerprints(self.keys) <= self.begun.get(volume, frozenset()):
                assert restore is not None, "keys were to start without a history"
                self.restored.append(self.staged[restore])
                self.seeded = SEEDED

            def settle() -> None:
                self.claims[volume] = Claim(server, held.generation + 1)
                self.begun[volume] = fingerprints(self.keys)
                self.signed = Signed(server, fingerprints(self.keys))

            self._step(effect=settle)
        if self.fails_at_checks:
            self.fails_at_checks -= 1
            raise StakeyardError("n1: check 'host: all is well' failed")

        def done() -> None:
            self.converged_on = server if self.converges else self.converged_on
            self.ready_at = self.time

        self._step(20, done)

    # Backups, and the chain.

    def snapshots(self, node: str) -> list[Snapshot]:
        self._step()
        return [found for found, _ in self.repository]

    def open(self, wanted: Snapshot) -> Content:
        self._step()
        history = next(content for found, content in self.repository if found == wanted)
        return (
            Content(wanted, {}, None, {}) if history is None else Content(wanted, {}, "/history", {"/history": history})
        )

    def stage(self, node: str, history: bytes | None, holder: Signed | None, accept_older: bool) -> Path:
        self._step()
        path = self.directory / "staged"
        self.staged[path] = (history, holder.server if holder else None, accept_older)
        return path

    def last_signed(self, node: Target) -> float | None:
        self._step(2)
        if self.ready_at is not None and self.time >= self.ready_at + self.signs_after:
            self.signed_at = self.ready_at + self.signs_after
        return self.signed_at

    def patience(self) -> float:
        return 300.0

    # What must hold when all is done.

    def check(self) -> None:
        alive = [server for server, status in self.servers.items() if status not in GONE]
        assert len(alive) == 1, alive
        assert alive == [self.state_server] == [self.converged_on]
        assert self.state_server != OLD
        if self.signs:
            assert self.volumes[self.state_volume or ""] == {self.state_server}
            assert self.claims[self.state_volume or ""].server == self.state_server
        assert not self.journal.path.exists(), "the journal was not put away"
