"""Everything `pulumi up` needs on a fresh machine, made side by side where it can be."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from rich.console import Console

from stacks.errors import StakeyardError

Report = Callable[[str], None]
Job = Callable[[Report], object]


def run(jobs: Mapping[str, Job], console: Console, workers: int = 2) -> None:
    """Run `jobs`, at most `workers` at once in the order given; each line shown carries its job and the seconds.

    A job that fails lets those that run finish (their results are cached) and stops the rest; its error is raised.
    """
    started = time.monotonic()

    def reporter(name: str) -> Report:
        def report(line: str) -> None:
            elapsed = time.monotonic() - started
            console.print(f"[dim]{elapsed:6.0f} s[/dim]  {name:<10} {line}", highlight=False, markup=True)

        return report

    def one(name: str, job: Job) -> None:
        report = reporter(name)
        begun = time.monotonic()
        job(report)
        report(f"ready ({time.monotonic() - begun:.0f} s)")

    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures: dict[Future[None], str] = {pool.submit(one, name, job): name for name, job in jobs.items()}
        done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in done:
        error = future.exception()
        if isinstance(error, StakeyardError):
            raise StakeyardError(f"{futures[future]}: {error}") from error
        if error is not None:
            raise error
