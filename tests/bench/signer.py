"""Play random schedules against the signer's decisions: `python -m tests.bench.signer [--schedules N] [--seed N]`.

First with every guard, where no schedule may make a key sign twice; then, with `--mutants`, without each guard in
turn, to see how many short schedules (tests/signer/short.py) it takes until what that guard prevents has happened, from
several seeds. Prints Markdown tables.
"""

import argparse
import sys
import time
from statistics import median

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.signer import short
from tests.signer.machine import Signers
from tests.signer.short import GUARDS, Played
from tests.signer.world import DoubleSignError, without

STEPS = 40
SEEDS = 9
SHORT_AT_MOST = 10_000


def play(schedules: int, number: int) -> Played:
    """Play this many schedules of up to `STEPS` steps from a seed; stops at the first that breaks what must hold."""
    counted = Played(0, 0, 0.0, "")
    started = time.monotonic()

    class Counted(Signers):
        def teardown(self) -> None:
            counted.schedules += 1
            super().teardown()
            counted.signatures += len(self.world.signed)

    chosen = settings(
        max_examples=schedules,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(Counted), settings=chosen)
    except DoubleSignError as error:
        counted.broken = f"a key signed twice: {error}"
    except AssertionError as error:
        counted.broken = str(error).splitlines()[0]
    counted.seconds = time.monotonic() - started
    return counted


def main() -> int:
    """Exit status 1 where a schedule with every guard broke something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", action="store_true", help="also without each guard in turn")
    asked = parser.parse_args()
    whole = play(asked.schedules, asked.seed)
    print("| guards | schedules | signatures | s | broken |\n|---|---|---|---|---|")
    row = "| {} | {:,} | {:,} | {:.0f} | {} |"
    print(row.format("all", whole.schedules, whole.signatures, whole.seconds, whole.broken or "nothing"), flush=True)
    if asked.mutants:
        _without_each()
    return 1 if whole.broken else 0


def _without_each() -> None:
    print(f"\n| without | short schedules until found: median of {SEEDS} seeds | most | s (CPU, all seeds) |")
    print("|---|---|---|---|")
    for decision, name in GUARDS:
        with without(decision, name):
            played = [short.play(SHORT_AT_MOST, number) for number in range(1, SEEDS + 1)]
        counts = [each.schedules for each in played]
        most = f"{max(counts):,}" if all(each.broken for each in played) else f"not found in {SHORT_AT_MOST:,}"
        seconds = sum(each.seconds for each in played)
        print(f"| {decision}.{name} | {median(counts):,.0f} | {most} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
