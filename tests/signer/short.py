"""Short schedules: two signers and a few plots in a row, by which each guard is soon seen to matter."""

import random
import time
from dataclasses import dataclass

from stacks import signer
from tests.signer.parts import gate
from tests.signer.plots import PLOTS, run_for, signers
from tests.signer.world import World, key

GUARDS = tuple(
    (decision, name)
    for decision, guards in (
        ("register", signer.REGISTER),
        ("claim", signer.CLAIM),
        ("seed", signer.SEED),
        ("gate", gate.GUARDS),
    )
    for name in guards
)
"""All of them, by their decision and their name."""
PLOTS_AT_MOST = 3


@dataclass
class Played:
    """What some schedules came to."""

    schedules: int
    signatures: int
    seconds: float
    broken: str


def schedule(chance: random.Random) -> World:
    """One of them; raises AssertionError where it breaks what must hold."""
    world = World()
    world.quick, world.listens = chance.random() < 0.5, chance.random() < 0.5
    for name in ("a", "b"):
        volume, server = f"v-{name}", f"s-{name}"
        world.boot(server)
        world.make(volume).wallet = chance.choice([None, set()])
        world.attach(volume, server)
        assert world.restore(volume, frozenset({key(name)}), {}, None, listens=world.listens) is None
        assert world.deploy(volume, server, key(name)) is None
    run_for(world, chance.choice([1, 5]))
    for number in range(chance.randint(1, PLOTS_AT_MOST)):
        found = [pair for pair in signers(world) if world.servers[pair[1]].status]
        if found:
            plot = chance.choice(PLOTS)
            plot(world, lambda choices: chance.choice(list(choices)), *chance.choice(found), f"p{number}")
            run_for(world, chance.choice([0, 3]))
    run_for(world, 3)
    return world


def play(schedules: int, number: int) -> Played:
    """Play this many from a seed; stops at the first that breaks what must hold."""
    chance, played, started = random.Random(number), Played(0, 0, 0.0, ""), time.process_time()  # noqa: S311 - a schedule
    while played.schedules < schedules and not played.broken:
        played.schedules += 1
        try:
            played.signatures += len(schedule(chance).signed)
        except AssertionError as error:
            played.broken = str(error).splitlines()[0]
    played.seconds = time.process_time() - started
    return played
