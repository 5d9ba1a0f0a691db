"""Play random schedules against the signer's decisions: `python -m tests.bench.signer [--schedules N] [--seed N]`.

First with every guard, where no schedule may make a key sign twice; then, with `--mutants`, without each guard in
turn, to see after how many schedules chance alone finds what that guard prevents. Prints a Markdown table.
"""

import argparse
import sys
import time
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from stacks import signer
from tests.signer.machine import Signers
from tests.signer.parts import gate
from tests.signer.world import DoubleSignError, without

STEPS = 40
DECISIONS = {"register": signer.REGISTER, "claim": signer.CLAIM, "seed": signer.SEED, "gate": gate.GUARDS}


@dataclass
class Played:
    """What some schedules came to."""

    schedules: int
    signatures: int
    seconds: float
    broken: str


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
    for decision, guards in DECISIONS.items() if asked.mutants else ():
        for name in list(guards):
            with without(decision, name):
                found = play(asked.schedules, asked.seed)
            told = found.broken or "nothing by chance (see tests/unit/test_signer_guards.py)"
            print(row.format(f"without {decision}.{name}", found.schedules, found.signatures, found.seconds, told))
    return 1 if whole.broken else 0


if __name__ == "__main__":
    sys.exit(main())
