"""What a preview with a mocked cloud answers by itself, and what it leaves to the engine."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import resource_pb2

from dryrun import held, told
from dryrun.answers import made_up
from dryrun.declared import fingerprint, needs, unchanged, without
from dryrun.held import Counting, Holding, settled

ROOT = "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s"
SITE = "urn:pulumi:s::p::x:index:Site::site"
CLOUD = "urn:pulumi:s::p::pulumi:providers:openstack::cloud"
PORT = "urn:pulumi:s::p::x:index:Site$x:index:Port::a"
VOLUME = "urn:pulumi:s::p::x:index:Site$x:index:Volume::a"
SERVER = "urn:pulumi:s::p::x:index:Site$x:index:Server::a"
EVERYTHING = frozenset({ROOT, SITE, CLOUD, PORT, VOLUME})
Request = resource_pb2.RegisterResourceRequest
Dependencies = Request.PropertyDependencies


def server(**more: Any) -> Any:
    """The registration of a server that depends on something in every way there is."""
    request = Request(
        type="x:index:Server",
        name="a",
        custom=True,
        parent=SITE,
        provider=f"{CLOUD}::id",
        dependencies=[PORT, VOLUME],
        propertyDependencies={"port": Dependencies(urns=[PORT]), "size": Dependencies()},
        deletedWith=PORT,
        replace_with=[VOLUME],
        providers={"openstack": f"{CLOUD}::id"},
    )
    request.object.update({"port": "p", "size": 1, **more.pop("inputs", {})})
    for key, value in more.items():
        if isinstance(value, list):
            getattr(request, key)[:] = value
        else:
            setattr(request, key, value)
    return request


def test_what_a_registration_depends_on_is_found_wherever_it_is_said() -> None:
    assert needs(server()) == {SITE, CLOUD, PORT, VOLUME}
    assert needs(Request(type="pulumi:pulumi:Stack", name="p-s")) == frozenset()


@pytest.mark.parametrize(
    ("request_", "answered", "expected"),
    [
        (server(), EVERYTHING, True),
        (server(dependencies=[VOLUME, PORT]), EVERYTHING, True),
        (server(inputs={"size": 2}), EVERYTHING, False),
        (server(inputs={"new": None}), EVERYTHING, False),
        (server(protect=True), EVERYTHING, False),
        (server(parent=ROOT), EVERYTHING, False),
        (server(provider=f"{CLOUD}::other"), EVERYTHING, False),
        (server(ignoreChanges=["size"]), EVERYTHING, False),
        (server(replaceOnChanges=["size"]), EVERYTHING, False),
        (server(deleteBeforeReplace=True), EVERYTHING, False),
        (server(dependencies=[PORT]), EVERYTHING, False),
        (server(version="2"), EVERYTHING, False),
        *((server(), EVERYTHING - {urn}, False) for urn in (SITE, CLOUD, PORT, VOLUME)),
    ],
)
def test_only_what_is_declared_alike_and_stands_on_what_is_alike_is_unchanged(
    request_: Any, answered: frozenset[str], expected: bool
) -> None:
    assert unchanged(request_, SERVER, {SERVER: fingerprint(server())}, answered) is expected
    assert not unchanged(request_, SERVER, {}, EVERYTHING)


def test_where_in_the_program_something_is_declared_makes_no_difference() -> None:
    moved = server()
    moved.sourcePosition.line = 7
    moved.stackTrace.frames.add()
    assert fingerprint(moved) == fingerprint(server())


def test_the_engine_is_not_told_of_dependencies_on_what_it_does_not_know() -> None:
    plain = without(server(), {PORT})
    assert list(plain.dependencies) == list(plain.replace_with) == [VOLUME]
    assert plain.deletedWith == ""
    assert list(without(server(), {VOLUME}).replace_with) == []
    assert without(server(), {VOLUME}).deletedWith == PORT
    assert (plain.parent, plain.provider) == (SITE, f"{CLOUD}::id")
    assert {key: list(found.urns) for key, found in plain.propertyDependencies.items()} == {"port": [], "size": []}
    assert list(server().dependencies) == [PORT, VOLUME]


def test_who_waits_for_what_has_not_been_told_goes_on_when_it_is_or_never_will_be() -> None:
    heard = told.Told()
    gate = threading.Event()

    def lines() -> Iterator[str]:
        yield told.resource("a::b c", "1")
        yield told.lookup("2")
        gate.wait()
        yield told.resource("late", "3")

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(heard.read, lines())
        heard.wait_for("a::b c")
        assert heard.has_lookup("2")
        late, never = pool.submit(heard.wait_for, "late"), pool.submit(heard.has_lookup, "1")
        assert not late.done()
        gate.set()
        late.result(10)
        assert never.result(10) is False
        reading.result(10)
    assert heard.resources == {"a::b c": "1", "late": "3"}


class Engine:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def _keep(self, request: Any) -> str:
        self.asked.append(request)
        return "the engine's word"

    RegisterResource = RegisterResourceOutputs = Invoke = SignalAndWaitForShutdown = _keep

    @property
    def names(self) -> list[str]:
        return [f"{request.type}::{request.name}" for request in self.asked]


def plain(kind: str, name: str, **more: Any) -> Any:
    """A registration without anything that it depends on but its parent."""
    return Request(type=kind, name=name, **more)


STACK = plain("pulumi:pulumi:Stack", "p-s")
SITE_OF = plain("x:index:Site", "site", parent=ROOT)
PORT_OF = plain("x:index:Port", "a", parent=SITE, custom=True)
SERVER_OF = plain("x:index:Server", "a", parent=SITE, custom=True, dependencies=[PORT, SITE])
LOOKUP = resource_pb2.ResourceInvokeRequest(tok="x:index:find")
LOOKUP.args.update({"name": "public"})


def holding(base: Mapping[str, Any], *lookups: Any) -> Holding:
    """A head's monitor whose base has told all."""
    heard = told.Told()
    heard.read(
        [
            *(told.resource(urn, fingerprint(request)) for urn, request in base.items()),
            *(told.lookup(fingerprint(each)) for each in lookups),
        ]
    )
    return Holding("s", "p", heard)


def in_threads(*calls: Callable[[], Any]) -> tuple[ThreadPoolExecutor, list[Any]]:
    pool = ThreadPoolExecutor()
    return pool, [pool.submit(call) for call in calls]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to that")


def test_the_engine_is_asked_for_what_changes_and_told_what_that_stands_on() -> None:
    grown = plain("x:index:Server", "a", parent=SITE, custom=True, dependencies=[PORT, SITE], protect=True)
    monitor = holding({ROOT: STACK, SITE: SITE_OF, PORT: PORT_OF, SERVER: SERVER_OF}, LOOKUP)
    for request in (STACK, SITE_OF, PORT_OF):
        assert monitor.RegisterResource(request).urn in monitor.answered
    assert dict(getattr(monitor.Invoke(LOOKUP), "return"))["id"] == made_up("public")
    pool, (asked, ended) = in_threads(
        lambda: monitor.RegisterResource(grown), lambda: monitor.SignalAndWaitForShutdown(empty_pb2.Empty())
    )
    with pool:
        until(lambda: monitor.held == 2)
        assert monitor.questions == 1
        monitor.freeze()
        engine = Engine()
        monitor.connect(engine)
        assert asked.result(10) == ended.result(10) == "the engine's word"
    registered = [request for request in engine.asked if isinstance(request, Request)]
    assert [request.name for request in registered] == ["p-s", "site", "a"]
    assert [request.parent for request in registered] == ["", ROOT, SITE]
    assert list(registered[-1].dependencies) == []
    assert set(monitor.answered) == {ROOT, SITE, PORT}


@pytest.mark.parametrize(
    ("base", "first", "then"),
    [
        ({ROOT: STACK}, [], SITE_OF),  # new
        ({ROOT: STACK, PORT: PORT_OF}, [STACK], PORT_OF),  # its parent is not known to be unchanged
        ({ROOT: STACK}, [STACK], STACK),  # declared twice: the engine refuses that
    ],
)
def test_what_is_in_question_is_held(base: Mapping[str, Any], first: list[Any], then: Any) -> None:
    monitor = holding(base)
    for request in first:
        monitor.RegisterResource(request)
    pool, (asked,) = in_threads(lambda: monitor.RegisterResource(then))
    with pool:
        until(lambda: monitor.questions == 1)
        engine = Engine()
        monitor.connect(engine)
        assert asked.result(10) == "the engine's word"
        assert engine.asked[-1] == then


def test_nothing_is_answered_any_more_once_the_state_is_being_made() -> None:
    monitor = holding({ROOT: STACK, SITE: SITE_OF})
    monitor.RegisterResource(STACK)
    monitor.freeze()
    pool, (asked,) = in_threads(lambda: monitor.RegisterResource(SITE_OF))
    with pool:
        until(lambda: monitor.questions == 1)
        monitor.connect(Engine())
        assert asked.result(10) == "the engine's word"


def test_outputs_and_look_ups_follow_what_they_belong_to() -> None:
    monitor = holding({ROOT: STACK})
    monitor.RegisterResource(STACK)
    outputs = resource_pb2.RegisterResourceOutputsRequest
    assert monitor.RegisterResourceOutputs(outputs(urn=ROOT)) == empty_pb2.Empty()
    pool, calls = in_threads(lambda: monitor.Invoke(LOOKUP), lambda: monitor.RegisterResource(SITE_OF))
    with pool:
        until(lambda: monitor.questions == 2)
        engine = Engine()
        monitor.connect(engine)
        assert {call.result(10) for call in calls} == {"the engine's word"}
    assert monitor.RegisterResourceOutputs(outputs(urn=SITE)) == "the engine's word"


def test_it_has_settled_when_nothing_moves_but_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "TURNS", 50)
    monitor = holding({ROOT: STACK})
    order: list[str] = []
    engine = Engine()

    def slowly() -> None:
        threading.Event().wait(0.2)
        order.append("slow")

    async def program() -> None:
        loop = asyncio.get_running_loop()
        executor = Counting()
        loop.set_default_executor(executor)
        done = asyncio.ensure_future(settled(monitor, executor))
        slow = loop.run_in_executor(None, slowly)
        waiting = loop.run_in_executor(None, monitor.RegisterResource, SITE_OF)
        await slow
        for _ in range(10):
            await asyncio.sleep(0)
        again = loop.run_in_executor(None, monitor.RegisterResource, STACK)
        await done
        order.append("settled")
        assert (await again).urn == ROOT
        monitor.connect(engine)
        assert await waiting == "the engine's word"

    loop = asyncio.new_event_loop()  # not `asyncio.run`, which leaves the thread without one
    loop.run_until_complete(program())
    loop.close()
    assert order == ["slow", "settled"]
