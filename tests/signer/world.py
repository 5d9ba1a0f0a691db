"""A small model of a cloud, its servers and a chain, in which the real decisions of the signer are played out.

Real are the guards of `stacks.signer`, the procedure `stacks.signer_claim.take`, the decision of the module
`signer_claim` and the guards of `signer-gate`. Modelled are the things they look at: what the cloud *says* is apart
from what *is*. A server may run although the cloud calls it shut off or forgets its disk; a list of volumes may lag.

What the model does not have: a cloud that calls a server deleted while it runs (see docs/decisions/0030).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stacks import signer
from stacks.errors import StakeyardError
from stacks.signer import Claim, History, Record, Registration, Seeding, ServerView, VolumeView, fingerprint
from stacks.signer_claim import release, settle, take
from tests.signer.parts import claim_module, gate

EPOCH = 100.0
"""Seconds. A server needs as long from its start until its signer could sign."""
SILENCE_EPOCHS, SILENCE_SECONDS = 2, 3 * EPOCH
LISTEN_EPOCHS = 3
"""Keys that were given a history are silent so long; then their client looks for another signer of theirs."""


class DoubleSignError(AssertionError):
    """What must never happen."""


@dataclass
class Disk:
    """A key volume: what is on it, and who can read and write it whatever the cloud says."""

    name: str
    keys: set[str] = field(default_factory=set)
    wallet: set[str] | None = None
    """What its signer really signs with, where that is not the keystores themselves."""
    history: dict[str, int] | None = None
    claim: dict[str, Any] | None = None
    seeded: dict[str, int] = field(default_factory=dict)
    """The epoch in which keys were given a history; they listen after it."""
    reachable: set[str] = field(default_factory=set)

    def copy_to(self, other: "Disk") -> None:
        """What a clone of the volume, or a copy by hand, holds."""
        other.keys, other.claim = set(self.keys), dict(self.claim) if self.claim else None
        other.wallet = None if self.wallet is None else set(self.wallet)
        other.history = None if self.history is None else dict(self.history)


@dataclass
class Server:
    """A server: what it is, and what the cloud says of it."""

    name: str
    status: str | None = "ACTIVE"
    running: bool = True
    lost: bool = False
    """Its hypervisor does not answer the cloud."""
    cut: bool = False
    """What it signs reaches a part of the network only that no node which is asked can see."""
    told: str = ""
    """Its name, as noted on its system disk."""
    started: float = 0.0
    signing: dict[str, int] | None = None
    """Its signer's keys and their history, in memory; None while no signer runs."""
    disk: Disk | None = None
    """The volume that is mounted, or the folder that stands in its place."""


class World:
    """Servers, volumes, and what they signed; also the `Cloud` that the procedure asks."""

    def __init__(self) -> None:
        """An empty cloud at second 0."""
        self.time = 0.0
        self.servers: dict[str, Server] = {}
        self.disks: dict[str, Disk] = {}
        self.metadata: dict[str, Registration] = {}
        self.attached: dict[str, set[str]] = {}
        self.exists: set[str] = set()
        self.writes: list[tuple[float, Registration | str]] = []
        self.signed: dict[tuple[str, int], str] = {}
        self.units: dict[str, str] = {}
        """Which volume each server's unit was written for, by the name on its system disk."""
        self.interference: list[Callable[[], None]] = []
        self.impatient = False
        self.lag = 0.0
        self.synced = True
        self.listens = True
        """Whether clients look for another signer of their keys before they sign with a history that was made."""
        self.quick = False
        """Whether a signer signs as soon as it is started, also in an epoch that another one had."""
        self.hidden: set[tuple[str, int]] = set()
        """Signatures that no node that is asked can see: they were sent to a part of the network that is cut off."""

    # The cloud that the procedure asks. Between any two answers others may act.

    def _others_act(self) -> None:
        if self.interference:
            self.interference.pop(0)()

    def registrations(self) -> tuple[Registration, ...]:
        self._others_act()
        known: dict[str, Registration] = {}
        for when, what in self.writes:
            if when <= self.time - self.lag:
                if isinstance(what, Registration):
                    known[what.volume] = what
                else:
                    known.pop(what, None)
        return tuple(known.values())

    def registration(self, volume: str) -> Registration | None:
        self._others_act()
        return self.metadata.get(volume)

    def register(self, registration: Registration) -> None:
        # Nobody acts between a registration's reading and its writing: that is two calls of the cloud, and another
        # update is not through before it has waited for longer.
        if registration.volume not in self.exists:
            raise StakeyardError(f"volume {registration.volume} does not exist.")
        self.metadata[registration.volume] = registration
        self.writes.append((self.time, registration))

    def server(self, server: str) -> ServerView:
        self._others_act()
        known = self.servers.get(server)
        return ServerView(server, known.status if known else None, self.time)

    def volume(self, volume: str) -> VolumeView:
        self._others_act()
        return VolumeView(volume, frozenset(self.attached.get(volume, ())), self.time)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self._others_act()
        if not self.impatient:
            self.time += seconds

    # What operators and fate do.

    def boot(self, name: str, told: str | None = None) -> Server:
        """A new server; `told` is the name on a system disk that was copied from another."""
        self.servers[name] = Server(name, told=told or name, started=self.time)
        return self.servers[name]

    def make(self, name: str, *keys: str) -> Disk:
        """A new key volume, with these keys on it."""
        self.disks[name] = Disk(name, set(keys))
        self.attached[name] = set()
        self.exists.add(name)
        return self.disks[name]

    def attach(self, volume: str, server: str, *, shared: bool = False) -> bool:
        """Attach and mount; the cloud refuses a volume that it thinks is in use, unless it may be `shared`."""
        there = self.servers[server]
        if volume not in self.exists or there.status is None or (self.attached[volume] and not shared):
            return False
        self.attached[volume].add(server)
        self.disks[volume].reachable.add(server)
        there.disk = self.disks[volume]
        return True

    def detach(self, volume: str, server: str) -> None:
        """The cloud forgets the attachment at once; a server whose hypervisor is lost keeps the disk."""
        self.attached[volume].discard(server)
        there = self.servers[server]
        if not (there.lost and there.running):
            self.disks[volume].reachable.discard(server)
            there.signing = None
            if there.disk is self.disks[volume]:
                there.disk = None

    def destroy_volume(self, volume: str) -> None:
        """The cloud deletes a volume that nobody is attached to."""
        if not self.attached[volume]:
            self.exists.discard(volume)
            self.metadata.pop(volume, None)
            self.writes.append((self.time, volume))

    def stop(self, server: str) -> None:
        """Ask the cloud to shut a server off."""
        there = self.servers[server]
        if there.status == "ACTIVE" and not there.lost:
            there.status, there.running, there.signing = "SHUTOFF", False, None

    def start(self, server: str) -> None:
        """Ask the cloud to start it; its unit is enabled, so its signer tries to start too."""
        there = self.servers[server]
        if there.status == "SHUTOFF" and not there.lost:
            there.status, there.running, there.started = "ACTIVE", True, self.time
            # It gets what the cloud knows to be attached; a disk that was detached by force is gone by then.
            for volume, servers in self.attached.items():
                if server not in servers:
                    self.disks[volume].reachable.discard(server)
            self.start_signer(server)

    def delete(self, server: str) -> None:
        """Ask the cloud to delete it; one that is lost is there until its hypervisor is back."""
        there = self.servers[server]
        if there.lost:
            there.status = "ERROR"
            return
        there.status, there.running, there.signing = None, False, None
        for volume, servers in self.attached.items():
            servers.discard(server)
            self.disks[volume].reachable.discard(server)

    def start_signer(self, server: str) -> str | None:
        """The signer's unit is started: the gate's sentence, or None when it signs from now on."""
        there = self.servers[server]
        if not there.running or there.signing is not None:
            return "not running"
        disk = there.disk
        usable = disk is not None and (disk.name not in self.disks or server in disk.reachable)
        facts = gate.Facts(
            mount="/keys",
            mounted=disk.name if disk and usable else "",
            device=self._expected(there),
            volume=self._expected(there),
            claim=disk.claim if disk and usable else None,
            server=there.told,
            machine=there.name,
            keys=frozenset(disk.keys) if disk and usable else frozenset(),
            history=bool(disk and disk.history is not None),
            used=frozenset(disk.wallet or ()) if disk and usable else frozenset(),
            known=frozenset(disk.history or ()) if disk and usable else frozenset(),
        )
        sentence: str | None = gate.refusal(facts)
        if sentence is None and disk is not None:
            disk.history = disk.history if disk.history is not None else {}
            noted = {"keys": [], "begun": [], **(disk.claim or {})}
            disk.claim = {**noted, "begun": gate.begun(noted, None if disk.wallet is None else facts.used)}
            # A signer has the keys that were there when it started; its unit was guarded then.
            held = disk.keys if disk.wallet is None else disk.wallet
            there.signing = {key: disk.history.get(key, -1) for key in held}
            there.started = max(there.started, self.time)
        return sentence

    def _expected(self, server: Server) -> str:
        """The volume that the unit on this server names: that of its stack."""
        return self.units.get(server.told, "")

    def sign(self) -> None:
        """Every signer signs its duties of this epoch, once it is up; raises DoubleSignError."""
        epoch, warm = int(self.time // EPOCH), 0.0 if self.quick else EPOCH
        for server in self.servers.values():
            if server.signing is None or not server.running or self.time - server.started < warm:
                continue
            disk = server.disk
            if disk is not None and self._listens(disk, server, epoch):
                continue
            for key in sorted(server.signing or ()):
                if server.signing[key] >= epoch:
                    continue
                server.signing[key] = epoch
                if disk is not None and disk.history is not None:
                    disk.history[key] = max(epoch, disk.history.get(key, -1))
                if (key, epoch) in self.signed:
                    raise DoubleSignError(f"key {key}, epoch {epoch}: {self.signed[key, epoch]} and {server.name}")
                self.signed[key, epoch] = server.name
                if server.cut:
                    self.hidden.add((key, epoch))

    def _listens(self, disk: Disk, server: Server, epoch: int) -> bool:
        """Whether keys of this signer are to be silent still; one that finds another signer of them ends."""
        begun = [at for key, at in disk.seeded.items() if key in (server.signing or ())]
        if any(epoch <= at + LISTEN_EPOCHS for at in begun):
            return True
        for key, at in disk.seeded.items():
            seen = [(key, later) for later in range(at + 1, epoch) if (key, later) not in self.hidden]
            if any(self.signed.get(each, server.name) != server.name for each in seen):
                server.signing = None
        disk.seeded.clear()
        return server.signing is None

    # What the toolkit does.

    def deploy(self, volume: str, server: str, *keys: str) -> str | None:
        """`pulumi up` for a server with a key volume that has its history, or a new key's; the refusal, if any."""
        found = self.metadata.get(volume)
        try:
            claim = take(self, volume, server, frozenset(keys), lambda _line: None)
            self.units[self.servers[server].told] = volume
            self._write_claim(volume, server, claim, frozenset(keys), new=found is None or not found.claim.generation)
            sentence = self._bring(self.disks[volume], self.servers[server], set(keys))
            if sentence is None:
                settle(self, volume, server, frozenset(keys), generation=claim.generation)
        except (StakeyardError, claim_module.RefusalError) as error:
            return str(error)
        return sentence

    def _bring(self, disk: Disk, there: Server, keys: set[str]) -> str | None:
        """What the roles do once the claim is there: keystores, history, wallet, start; the refusal, if any."""
        strangers = sorted(disk.keys - keys)
        if strangers:
            return f"the key volume holds {strangers[0]}, which is not among signing_keys"
        disk.keys |= keys
        if there.signing is not None and set(there.signing) == keys:
            return None
        there.signing = None
        if disk.wallet is not None:
            if not keys <= set(disk.history or ()):
                return "a key has no history"
            disk.wallet = set(keys)
        return self.start_signer(there.name)

    def _write_claim(self, volume: str, server: str, claim: Claim, keys: frozenset[str], *, new: bool) -> None:
        disk = self.servers[server].disk
        if disk is None or disk.name != volume or server not in disk.reachable:
            raise StakeyardError(f"volume {volume} is not mounted on server {server}.")
        wanted = {"format": 2, "volume": volume, "server": claim.server, "generation": claim.generation}
        disk.claim = claim_module.decide(disk.claim, {**wanted, "keys": sorted(keys)}, new)

    def retire(self, volume: str, server: str) -> None:
        """Stop the signer, release the claim on the volume, then in the cloud."""
        there, disk = self.servers[server], self.disks[volume]
        there.signing = None
        if disk.claim and disk.claim.get("server") == server and server in disk.reachable:
            disk.claim = {**disk.claim, "server": None}
            release(self, volume, server)

    def restore(
        self,
        volume: str,
        keys: frozenset[str],
        history: Mapping[str, int],
        holder: str | None,
        *,
        accept_older: bool = False,
        raise_marks: bool = True,
        listens: bool = False,
    ) -> str | None:
        """Put a backup's history on a new volume; the refusal, if any.

        Only the random schedules let the keys listen: each guard must hold without that.
        """
        record = self.record(keys)
        past: History = {key: {"target": epoch} for key, epoch in history.items()}
        marks = signer.raised(keys, past, record) if raise_marks else {key: dict(past.get(key, {})) for key in keys}
        view = self.server(holder) if holder else None
        question = Seeding(keys, past, marks, record, view, SILENCE_EPOCHS, SILENCE_SECONDS, accept_older, self.time)
        sentence = signer.refusal(signer.SEED, question)
        if sentence:
            return sentence
        if question.older and not (accept_older and question.ended and question.silent):
            raise AssertionError("an older history was taken without its conditions")
        disk = self.disks[volume]
        disk.keys |= keys
        before = disk.history or {}
        raised = {key: max(before.get(key, -1), marks.get(key, {}).get("target", -1)) for key in keys}
        disk.history = {**before, **raised}
        if listens:
            disk.seeded |= dict.fromkeys(keys, int(self.time // EPOCH))
        return None

    def record(self, keys: frozenset[str]) -> Record:
        """What the chain shows."""
        epoch = int(self.time // EPOCH)
        # A node that does not follow the head shows neither the last epochs nor that it does not know them.
        known = epoch if self.synced else max(0, epoch - 50)
        seen = [(key, at) for key, at in self.signed if key in keys and at <= known and (key, at) not in self.hidden]
        last = max((at for _key, at in seen), default=None)
        highest = {key: {"target": max(at for k, at in seen if k == key)} for key in {k for k, _ in seen}}
        quiet = None if last is None else epoch - last
        seconds = None if last is None else self.time - (last + 1) * EPOCH
        return Record(self.synced, highest, {"target": known}, quiet, seconds)


@contextmanager
def without(decision: str, guard: str) -> Iterator[None]:
    """The toolkit with one guard left out: of `register`, `claim`, `seed` or `gate`."""
    guards: Any = gate.GUARDS if decision == "gate" else getattr(signer, decision.upper())
    whole = dict(guards)
    del guards[guard]
    try:
        yield
    finally:
        guards.clear()
        guards.update(whole)


def key(name: str) -> str:
    """The fingerprint of an invented key."""
    return fingerprint(name.encode().hex())
