"""Random schedules of operators and fate: no key ever signs twice, and evidence gets it signing again."""

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.signer.plots import PLOTS, Plot, signers, unseen
from tests.signer.world import EPOCH, SILENCE_EPOCHS, Server, World, key

KEYS = tuple(key(name) for name in ("a", "b"))
CHOICES = (KEYS[:1], KEYS[1:], KEYS)
SEVERAL = 3
"""Servers and volumes at a time; more add nothing but names."""


class Signers(RuleBasedStateMachine):
    """Two stacks with a key each and what can happen to them, also in the midst of a procedure."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.made = 0
        self.backups: list[dict[str, int]] = []
        self.signed_before = 0

    # What exists, by the cloud's word or in fact.

    def _servers(self) -> list[str]:
        return [name for name, server in self.world.servers.items() if server.status is not None or server.running]

    def _volumes(self) -> list[str]:
        return sorted(self.world.exists)

    def _name(self, what: str) -> str:
        self.made += 1
        return f"{what}{self.made}"

    @initialize(listens=st.booleans(), quick=st.booleans())
    def first(self, listens: bool, quick: bool) -> None:
        """One signer to begin with."""
        self.world.listens, self.world.quick = listens, quick
        self.world.boot("s0")
        self._make("v0")
        assert self._may_begin("v0", frozenset({KEYS[0]}))
        self.world.attach("v0", "s0")
        assert self.world.deploy("v0", "s0", KEYS[0]) is None

    # Time and fate.

    @rule(epochs=st.integers(1, 3))
    def time_passes(self, epochs: int) -> None:
        for _ in range(epochs):
            self.world.time += EPOCH
            self.world.sign()

    @rule(seconds=st.integers(1, 90))
    def a_while_passes(self, seconds: int) -> None:
        self.world.time += seconds
        self.world.sign()

    def _act(self, data: st.DataObject) -> Callable[[], None]:
        """One thing that an operator or fate does to a server or a volume."""
        servers, volumes = self._servers(), self._volumes()
        world = self.world
        if not servers or not volumes:
            return lambda: None
        server, volume = data.draw(st.sampled_from(servers)), data.draw(st.sampled_from(volumes))

        def lose() -> None:
            world.servers[server].lost = True

        def heal() -> None:
            there = world.servers[server]
            there.lost = False
            if there.status is None:
                there.running, there.signing = False, None

        def move() -> None:
            world.detach(volume, server)

        def hide() -> None:
            world.servers[server].cut = not world.servers[server].cut

        def fall_behind() -> None:
            world.synced = not world.synced

        def copy_keys() -> None:
            world.disks[volume].keys.update(KEYS)
            wallet = world.disks[volume].wallet
            if wallet is not None:
                wallet.update(KEYS)

        def move_key_away() -> None:
            world.disks[volume].keys.discard(data.draw(st.sampled_from(KEYS)))

        def wipe() -> None:
            disk = world.disks[volume]
            # Until its keys have begun, the roles settle the history in the same run in which they start the signer.
            begun = set((disk.claim or {}).get("begun", ())) >= disk.keys | (disk.wallet or set())
            if begun and not any(s.signing is not None and s.disk is disk for s in world.servers.values()):
                disk.history = None

        def wait() -> None:
            world.time += 30
            world.sign()

        def destroy() -> None:
            if not unseen(world, volume):
                world.destroy_volume(volume)

        def another() -> None:
            keys, kept = data.draw(st.sampled_from(CHOICES)), world.interference
            world.interference = []
            try:
                self._deploy(volume, server, keys)
            finally:
                world.interference = kept

        acts: dict[str, Callable[[], object]] = {
            "lose": lose,
            "heal": heal,
            "stop": lambda: world.stop(server),
            "start": lambda: world.start(server),
            "delete": lambda: world.delete(server),
            "detach": move,
            "attach": lambda: world.attach(volume, server),
            "start signer": lambda: world.start_signer(server),
            "copy keys": copy_keys,
            "move a key away": move_key_away,
            "wipe": wipe,
            "destroy volume": destroy,
            "hide": hide,
            "fall behind": fall_behind,
            "another deploys": another,
            "another one deploys": another,
            "backup": lambda: self._back_up(volume),
            "wait": wait,
        }
        chosen = acts[data.draw(st.sampled_from(sorted(acts)))]
        return lambda: (chosen(), None)[1]

    def _back_up(self, volume: str) -> None:
        history = self.world.disks[volume].history
        if history is not None:
            self.backups.append(dict(history))

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self._act(data)()

    # What the toolkit is asked to do, while other things happen between its steps.

    @rule(data=st.data(), keys=st.sampled_from(CHOICES), fresh=st.booleans(), impatient=st.booleans())
    def deploy(self, data: st.DataObject, keys: tuple[str, ...], fresh: bool, impatient: bool) -> None:
        world = self.world
        volumes, servers = self._volumes(), self._servers()
        if (fresh or not volumes) and len(volumes) < SEVERAL:
            volume = self._name("v")
            self._make(volume)
        elif volumes:
            volume = data.draw(st.sampled_from(volumes))
        else:
            return
        if (fresh or not servers) and len(servers) < SEVERAL:
            server = self._name("s")
            world.boot(server)
        elif servers:
            server = data.draw(st.sampled_from(servers))
        else:
            return
        world.impatient, world.lag = impatient, data.draw(st.sampled_from([0.0, 2.0, 4.0]))
        world.interference = [self._act(data) for _ in range(data.draw(st.integers(0, 4)))]
        if data.draw(st.integers(0, 5)) == 0:
            world.interference.append(_crash)
        try:
            self._deploy(volume, server, keys)
        except InterruptedError:
            pass
        finally:
            world.interference, world.impatient, world.lag = [], False, 0.0

    def _deploy(self, volume: str, server: str, keys: tuple[str, ...]) -> None:
        if volume not in self.world.exists:
            return
        self.world.attach(volume, server)
        if self._may_begin(volume, frozenset(keys)):
            self.world.deploy(volume, server, *keys)

    def _make(self, volume: str, wallet: bool = True) -> None:
        self.world.make(volume).wallet = set() if wallet else None

    @rule(data=st.data(), plot=st.sampled_from(PLOTS))
    def plot(self, data: st.DataObject, plot: Plot) -> None:
        """A row of acts that leads to where a guard matters."""
        found = [(volume, server) for volume, server in signers(self.world) if self.world.servers[server].status]
        if found:
            volume, server = data.draw(st.sampled_from(found))
            plot(self.world, lambda choices: data.draw(st.sampled_from(choices)), volume, server, self._name("p"))

    def _may_begin(self, volume: str, keys: frozenset[str]) -> bool:
        """Keys that have not begun on this volume start through a restore, as `stacks.signing.prepare` does."""
        world, registered = self.world, self.world.metadata.get(volume)
        noted = (world.disks[volume].claim or {}).get("begun", ())
        fresh = keys - (registered.begun if registered else frozenset()) - frozenset(noted)
        return not fresh or world.restore(volume, fresh, {}, None, listens=world.listens) is None

    @rule(data=st.data(), which=st.sampled_from(KEYS), accept=st.booleans())
    def restore(self, data: st.DataObject, which: str, accept: bool) -> None:
        """A backup onto a new volume and a new server."""
        if not self.backups or len(self._volumes()) >= SEVERAL:
            return
        world, history = self.world, data.draw(st.sampled_from(self.backups))
        volume, server = self._name("v"), self._name("s")
        self._make(volume)
        world.boot(server)
        world.attach(volume, server)
        holder = data.draw(st.sampled_from(sorted(world.servers)))
        past = {name: at for name, at in history.items() if name == which}
        given = self._holder(which) or holder
        if world.restore(volume, frozenset({which}), past, given, accept_older=accept, listens=world.listens) is None:
            world.deploy(volume, server, which)

    def _holder(self, which: str) -> str | None:
        """The server that the state of the stack knows as the last that had the claim on the key."""
        last = [server for (name, _epoch), server in self.world.signed.items() if name == which]
        return last[-1] if last else None

    @precondition(lambda self: self.world.servers)
    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        holders: list[tuple[str, Server]] = [(n, s) for n, s in self.world.servers.items() if s.disk is not None]
        if holders:
            name, server = data.draw(st.sampled_from(holders))
            if server.disk is not None and server.disk.name in self.world.exists:
                self.world.retire(server.disk.name, name)

    # What must hold. A double signature raises by itself.

    @invariant()
    def what_was_signed_stays_signed(self) -> None:
        assert len(self.world.signed) >= self.signed_before
        self.signed_before = len(self.world.signed)

    def teardown(self) -> None:
        """From wherever the schedule has led, an operator with evidence gets the key signing again."""
        world = self.world
        world.synced, world.quick = True, False
        for name, server in world.servers.items():
            server.lost = False
            world.delete(name)
            server.running, server.signing = False, None
        for volume in self._volumes():
            for server_name in list(world.attached[volume]):
                world.detach(volume, server_name)
            world.destroy_volume(volume)
        world.time += (SILENCE_EPOCHS + 4) * EPOCH
        world.boot("last")
        self._make("last-vol")
        world.attach("last-vol", "last")
        wanted = frozenset({KEYS[0]})
        holder = self._holder(KEYS[0])
        refused = world.restore("last-vol", wanted, {}, holder, accept_older=True)
        assert refused is None, refused
        refused = world.deploy("last-vol", "last", KEYS[0])
        assert refused is None, refused
        before = len(world.signed)
        world.time += 2 * EPOCH
        world.sign()
        assert len(world.signed) > before


def _crash() -> None:
    raise InterruptedError
