"""Whether this process has been asked to stop: Pulumi's cancel, or Pulumi itself gone."""

import threading

from stacks.errors import StakeyardError

_STOP = threading.Event()


def cancel() -> None:
    """Ask everything in this process to stop at its next chance."""
    _STOP.set()


def cancelled() -> bool:
    """Whether it has been asked."""
    return _STOP.is_set()


def pause(seconds: float) -> None:
    """Sleep; raises StakeyardError as soon as the process is asked to stop."""
    if _STOP.wait(seconds):
        raise StakeyardError("cancelled while waiting; the next update goes on from here.")
