"""What the base's program tells the head's while both run: which resources and look-ups there are, by fingerprint."""

import threading
from collections.abc import Container, Iterable

_LOOKUP = "lookup"


def resource(urn: str, fingerprint: str) -> str:
    """The line for a resource."""
    return f"{fingerprint} {urn}\n"


def lookup(fingerprint: str) -> str:
    """The line for something that was looked up in the cloud."""
    return f"{fingerprint} {_LOOKUP}\n"


class Told:
    """What has been told so far; whoever asks for what has not waits until it is, or until all has been."""

    def __init__(self) -> None:
        """Nothing is told yet."""
        self.resources: dict[str, str] = {}
        self._lookups: set[str] = set()
        self._ended = False
        self._lock = threading.Lock()
        self._awaited: dict[str, threading.Event] = {}

    def read(self, lines: Iterable[str]) -> None:
        """Take in all lines, to the end."""
        for line in lines:
            fingerprint, _, urn = line.rstrip("\n").partition(" ")
            with self._lock:
                if urn == _LOOKUP:
                    self._lookups.add(fingerprint)
                else:
                    self.resources[urn] = fingerprint
                awaited = self._awaited.pop(fingerprint if urn == _LOOKUP else urn, None)
            if awaited:
                awaited.set()
        with self._lock:
            self._ended = True
            last = list(self._awaited.values())
        for awaited in last:
            awaited.set()

    def wait_for(self, urn: str) -> None:
        """Until the resource has been told of, or never will be."""
        self._wait(urn, self.resources)

    def has_lookup(self, fingerprint: str) -> bool:
        """Whether it has been looked up; waits as `wait_for`."""
        self._wait(fingerprint, self._lookups)
        return fingerprint in self._lookups

    def _wait(self, key: str, known: Container[str]) -> None:
        # An event for each: a thousand threads that wait must not wake for every line.
        with self._lock:
            if self._ended or key in known:
                return
            awaited = self._awaited.setdefault(key, threading.Event())
        awaited.wait()
