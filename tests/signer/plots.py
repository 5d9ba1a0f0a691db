"""What leads a schedule to where a guard matters: a few acts in a row that chance alone hardly ever puts together.

A plot draws its servers, its volumes and which turn it takes; what was before it, and what comes after, is random.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tests.signer.world import EPOCH, SILENCE_EPOCHS, Disk, World

Draw = Callable[[Sequence[Any]], Any]
Plot = Callable[[World, Draw, str, str, str], None]
"""Of a world, a way to draw one of several, a volume, the server that signs with it, and a name for a new server."""


def run_for(world: World, epochs: int) -> None:
    """Let time pass, with every signer at its duties."""
    for _ in range(epochs):
        world.time += EPOCH
        world.sign()


def signers(world: World) -> list[tuple[str, str]]:
    """The volumes that are there and whose signer runs, with its server."""
    return [
        (server.disk.name, name)
        for name, server in world.servers.items()
        if server.signing and server.running and server.disk and server.disk.name in world.exists
    ]


def cut_off(world: World, volume: str, server: str) -> None:
    """The hypervisor is lost to the cloud, and an impatient operator detaches the volume by force."""
    world.servers[server].lost = True
    world.detach(volume, server)


def keys_of(world: World, volume: str) -> list[str]:
    """The keys that are registered on a volume."""
    return sorted(world.metadata[volume].keys) if volume in world.metadata else []


def moved(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """A volume whose server may live is attached to another one, which is to sign: by the toolkit, or by hand."""
    told = draw([new, old])
    world.boot(new, world.servers[old].told if told == old else None)
    cut_off(world, volume, old)
    world.attach(volume, new)
    if draw([True, False]):
        world.deploy(volume, new, *keys_of(world, volume))
        return
    world.units[world.servers[new].told] = volume
    if draw([True, False]):
        world.disks[volume].claim = None
    world.start_signer(new)
    run_for(world, 2)


def forgotten(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """The cloud forgets a server but not its attachment, and the volume may be attached twice."""
    there = world.servers[old]
    if old not in world.attached[volume]:
        return
    there.status = None
    world.boot(new)
    world.attach(volume, new, shared=True)
    world.deploy(volume, new, *keys_of(world, volume))
    run_for(world, 2)
    # That it runs until its attachment is gone too is what docs/decisions/0030 does not protect from.
    there.running, there.signing = False, None
    world.delete(old)


def revived(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """The server was shut off when it was asked about; then it works again, and is cut off."""
    world.stop(old)
    world.boot(new)

    def meanwhile() -> None:
        if world.servers[old].status == "SHUTOFF":
            world.start(old)
            run_for(world, 2)
            cut_off(world, volume, old)
            world.attach(volume, new)

    world.interference = [*[_nothing] * draw(range(3, 6)), meanwhile]
    world.deploy(volume, new, *keys_of(world, volume))
    world.interference = []
    run_for(world, 2)


def unseen(world: World, volume: str) -> bool:
    """Whether a server may sign with a volume's keys later of which nothing would tell once the volume is deleted.

    With the volume, its registration and its claim are gone, and what is left is the chain's word. Keys that were not
    seen of late, on a server that the cloud has lost but that runs, may begin after anybody was asked: only the search
    of a client for a second signer of its keys is a guard there, and none is where what is signed stays hidden.
    """
    disk, epoch = world.disks[volume], int(world.time // EPOCH)
    seen = {name for name, at in world.signed if at >= epoch - 1 and (name, at) not in world.hidden}
    return any(
        there.running and name in disk.reachable and (there.cut or not there.signing or not set(there.signing) <= seen)
        for name, there in world.servers.items()
    )


def lost(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """The volume is deleted, and a backup is to be restored: its server ended, or only does not answer."""
    disk = world.disks[volume]
    keys = [key for key in keys_of(world, volume) if key in (disk.history or {})]
    past = dict(disk.history or {})
    run_for(world, draw([0, 1, 60]))
    ended = draw([True, False])
    if ended:
        world.delete(old)
    else:
        cut_off(world, volume, old)
        if unseen(world, volume):
            return
    last = max((epoch for key, epoch in world.signed if key in keys), default=0)
    # What is hidden for good of a signer that lives on is nothing that any guard can know.
    if ended and draw([True, False]):
        world.hidden |= {(key, last) for key in keys}
    world.destroy_volume(volume)
    run_for(world, draw([0, SILENCE_EPOCHS + 2]))
    world.synced = ended or draw([True, False])
    world.boot(new)
    name = f"{volume}-{new}"
    world.make(name).wallet = draw([None, set()])
    world.attach(name, new)
    known = {key: past[key] for key in keys if key in past}
    how = {"accept_older": draw([True, False]), "raise_marks": draw([True, False]), "listens": world.listens}
    if keys and world.restore(name, frozenset(keys), known, old, **how) is None:
        world.deploy(name, new, *keys)
    world.sign()
    run_for(world, 2)
    world.synced = True


def damaged(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """The server boots again, and meanwhile its volume, or what is on it, has become another."""
    disk = world.disks[volume]
    copy = world.make(f"{volume}-{new}")
    disk.copy_to(copy)
    run_for(world, draw([0, 1]))
    world.stop(old)
    turn = draw(["copy", "copy and unit", "history", "one key's history"])
    if turn.startswith("copy"):
        world.detach(volume, old)
        world.attach(copy.name, old)
        unit = world.units.get(world.servers[old].told, "")
        world.units[world.servers[old].told] = copy.name if turn == "copy and unit" else unit
    else:
        _forget(disk, draw, whole=turn == "history")
    world.start(old)
    world.start_signer(old)
    world.sign()
    run_for(world, 1)
    world.stop(old)


def _forget(disk: Disk, draw: Draw, *, whole: bool) -> None:
    """Only what has begun can be lost: until then the roles settle the history in the same run in which they start."""
    begun = [key for key in (disk.claim or {}).get("begun", ()) if key in (disk.history or {})]
    if not begun:
        return
    if whole:
        disk.history = None
    elif disk.wallet is not None and disk.history:
        # A client that signs with its keystores themselves has no second list that would tell of a single key.
        del disk.history[draw(begun)]


def mixed(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """Keys of one signer come to another: its keystores, or what its client signs with, and their old history."""
    others = [(name, server) for name, server in signers(world) if name != volume]
    if not others:
        return
    other, server = draw(others)
    target, keys = world.disks[other], keys_of(world, volume)
    if target.wallet is None or draw([True, False]):
        target.keys.update(keys)
    else:
        target.wallet.update(keys)
    if target.history is not None:
        target.history = {**dict.fromkeys(keys, -1), **target.history}
    world.stop(server)
    world.start(server)
    run_for(world, 2)
    target.keys.difference_update(keys)
    (target.wallet or set()).difference_update(keys)
    world.stop(server)


def twice(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """A second stack has the same keys, from the same backup or none; each may look before it can see the other."""
    world.boot(new)
    other = f"{volume}-{new}"
    world.make(other).wallet = draw([None, set()])
    world.attach(other, new)
    world.servers[old].cut = draw([True, False])
    keys = keys_of(world, volume)
    epoch = int(world.time // EPOCH)
    world.disks[other].keys = set(keys)
    world.disks[other].history = dict.fromkeys(keys, epoch)
    world.deploy(other, new, *keys)
    run_for(world, 2)
    world.servers[old].cut = False


def at_once(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """The same, of a key that nobody has yet, while the list lags and nobody waits."""
    names = [f"{new}-1", f"{new}-2"]
    fresh = f"{new}-key"
    world.impatient, world.lag = draw([True, False]), draw([0.0, 4.0])
    for name in names:
        world.boot(name)
        world.make(name, fresh).history = {fresh: int(world.time // EPOCH)}
        world.attach(name, name)
    second = [*[_nothing] * draw(range(4)), lambda: (world.deploy(names[1], names[1], fresh), None)[1]]
    world.interference = second
    world.deploy(names[0], names[0], fresh)
    world.interference, world.impatient, world.lag = [], False, 0.0
    run_for(world, 2)
    for name in names:
        world.delete(name)
        world.destroy_volume(name)


def overlapped(world: World, draw: Draw, volume: str, old: str, new: str) -> None:
    """Two operators update one volume at once, and one of them adds a key; later somebody wants it elsewhere."""
    fresh, keys, third = f"{new}-key", keys_of(world, volume), f"{volume}-{new}"
    world.delete(old)
    for name in (new, third):
        world.boot(name)
    world.attach(volume, new)
    world.servers[new].cut = True

    def second() -> None:
        if world.restore(volume, frozenset({fresh}), {}, None, listens=world.listens) is None:
            world.deploy(volume, new, *keys, fresh)

    world.interference = [*[_nothing] * draw(range(9)), second]
    world.deploy(volume, new, *keys)
    world.interference = []
    run_for(world, draw([0, 5]))
    world.make(third).wallet = draw([None, set()])
    world.attach(third, third)
    if world.restore(third, frozenset({fresh}), {}, None, listens=world.listens) is None:
        world.deploy(third, third, fresh)
    run_for(world, 5)
    world.servers[new].cut = False


def _nothing() -> None:
    return


PLOTS = (moved, forgotten, revived, lost, damaged, mixed, twice, at_once, overlapped)
