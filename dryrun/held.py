"""The head's monitor: answers what is as in the base, and holds everything else until there is an engine to ask.

What is held, and what waits for it, is in question. Once nothing but that is left, the base's part of it is known, too,
a state can be made of it, and the engine is started on that. From then on the engine answers everything.
"""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from google.protobuf import empty_pb2  # type: ignore[import-untyped]

from dryrun import program
from dryrun.base import lookup
from dryrun.declared import declaration, fingerprint, provider_urn, stands, unchanged, without
from dryrun.told import Told

WORKERS = 4096
"""Threads for registrations at once; each that is held keeps one."""
TURNS = 1000
"""Turns of the event loop without anything new after which nothing but what is held is left.

An answer is handed from value to value, one a turn. Too few would cost time, and never make a wrong answer.
"""


class Counting(ThreadPoolExecutor):
    """Counts the calls to a monitor from the moment that the program makes them until it has the answer."""

    def __init__(self) -> None:
        """Room for all that may be held."""
        super().__init__(max_workers=WORKERS)
        self.running = 0
        self.begun = 0

    def submit(self, *arguments: Any, **options: Any) -> "Future[Any]":
        """As the base class; called in the loop's thread."""
        loop = asyncio.get_running_loop()
        self.running += 1
        self.begun += 1
        made = super().submit(*arguments, **options)
        made.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return made

    def _done(self) -> None:
        self.running -= 1


class Holding(program.Monitor):
    """See the module."""

    def __init__(self, stack: str, project: str, base: Told) -> None:
        """`base` is what the base's program tells."""
        self._stack, self._project, self._base = stack, project, base
        self._lock = threading.Lock()
        self._frozen = False
        self._connected = threading.Event()
        self._engine: Any = None
        self._seen: set[str] = set()
        self._standing: list[Any] = []
        self._asked: set[str] = set()
        self.answered: set[str] = set()
        """URNs of what is as in the base."""
        self.held = 0
        self.questions = 0
        """The held calls that ask for something: all but the one that says that the program has come to its end."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        """One resource."""
        declared = declaration(request, self._stack, self._project)
        urn = declared["urn"]
        if not self._connected.is_set():
            self._base.wait_for(urn)
        with self._lock:
            # A second one of that name is for the engine to refuse.
            again = urn in self._seen
            self._seen.add(urn)
            if not (again or self._frozen) and unchanged(request, urn, self._base.resources, self.answered):
                self.answered.add(urn)
                if stands(request):
                    self._standing.append(request)
                return program.answer(declared)
            self._asked.add(urn)
        self._hold()
        return self._engine.RegisterResource(without(request, self.answered))

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Of what the engine knows as its own question only."""
        if request.urn not in self._asked:
            return empty_pb2.Empty()
        self._hold()
        return self._engine.RegisterResourceOutputs(request)

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """One look-up: as the base's is answered, if it is the same."""
        provider = provider_urn(request.provider)
        if not self._connected.is_set():
            same = self._base.has_lookup(fingerprint(request))
            with self._lock:
                if same and (not provider or provider in self.answered):
                    return lookup(request)
        self._hold()
        return self._engine.Invoke(request)

    def SignalAndWaitForShutdown(self, request: object) -> Any:  # noqa: N802
        """Held as well: what only the base has is still in question when the program has come to its end."""
        self._hold(question=False)
        return self._engine.SignalAndWaitForShutdown(request)

    def _hold(self, *, question: bool = True) -> None:
        if self._connected.is_set():
            return
        with self._lock:
            self.held += 1
            self.questions += question
        self._connected.wait()

    def freeze(self) -> None:
        """From now on nothing is answered here."""
        with self._lock:
            self._frozen = True

    def connect(self, engine: Any) -> None:
        """Tell `engine` (a stub) what others stand on, then let go of all that is held."""
        for request in self._standing:
            engine.RegisterResource(without(request, self.answered))
        self._engine = engine
        self._connected.set()


async def settled(monitor: Holding, executor: Counting) -> None:
    """Until nothing moves but what is held."""
    quiet, begun = 0, -1
    while quiet < TURNS and monitor.held < WORKERS:
        moving = executor.running > monitor.held
        quiet = quiet + 1 if not moving and begun == executor.begun else 0
        begun = executor.begun
        await asyncio.sleep(0.01 if moving else 0)
