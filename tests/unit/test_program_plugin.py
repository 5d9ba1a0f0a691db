"""The provider plugin over real gRPC: what Pulumi is told, above all when something fails."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, provider_pb2, provider_pb2_grpc

from stacks import provider
from stacks.errors import StakeyardError
from stacks.lifecycle import Diff, Report, State, compare
from stacks.paths import REPOSITORY
from stacks.provider import Plugin, plain, struct

URN = "urn:pulumi:lab::stakeyard::stakeyard:index:Site$stakeyard:index:Node$test:index:Thing::n1"


class Thing:
    """A resource that does what its inputs say."""

    deleted: list[Mapping[str, Any]]

    def __init__(self) -> None:
        self.deleted = []

    def diff(self, old_inputs: Mapping[str, Any], old_state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Diff:
        changed = compare(old_inputs, old_state, inputs, ignored=())
        return Diff(changed, tuple(name for name in changed if name == "server"))

    def apply(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        report.progress("host: task 1/2: A")
        state["key"] = "pinned"
        if "fail" in inputs:
            raise StakeyardError(inputs["fail"])
        if "crash" in inputs:
            raise KeyError("defect")
        state["drift"] = []

    def read(self, inputs: Mapping[str, Any], state: State, report: Report) -> None:
        report.warning("n1 drifted: x")
        if "fail" in inputs:
            raise StakeyardError(inputs["fail"])
        state["drift"] = ["x"]

    def delete(self, inputs: Mapping[str, Any], state: Mapping[str, Any], report: Report) -> None:
        if "fail" in inputs:
            raise StakeyardError(inputs["fail"])
        self.deleted.append(inputs)


class Engine:
    """Keeps the log lines that Pulumi would show."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def Log(self, request: Any) -> None:  # noqa: N802 - gRPC's name
        self.lines.append(request)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def thing(monkeypatch: pytest.MonkeyPatch) -> Thing:
    made = Thing()
    monkeypatch.setitem(provider.RESOURCES, "test:index:Thing", made)
    return made


@pytest.fixture
def stub(engine: Engine, thing: Thing) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(engine), server)  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(0)


def unfinished(error: grpc.RpcError) -> Any:
    """The detail by which Pulumi keeps the state of a resource that failed, or None."""
    metadata = dict(error.trailing_metadata())
    if "grpc-status-details-bin" not in metadata:
        return None
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    return detail


def test_a_created_resource_has_its_name_as_id_and_whole_numbers_stay_whole(stub: Any) -> None:
    made = stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"port": 22, "list": [1, 2.5]})))
    assert made.id == "n1"
    assert plain(made.properties) == {"port": 22, "list": [1, 2.5], "key": "pinned", "drift": []}
    assert isinstance(plain(made.properties)["port"], int)


def test_progress_belongs_to_the_resource_and_does_not_stay(stub: Any, engine: Engine) -> None:
    stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({})))
    assert [(line.urn, line.message, line.ephemeral) for line in engine.lines] == [(URN, "host: task 1/2: A", True)]


def test_a_failed_create_raises_one_sentence_and_keeps_what_is_known(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"fail": "n1: no"})))
    detail = unfinished(caught.value)
    assert caught.value.details() == "n1: no"
    assert list(detail.reasons) == ["n1: no"]
    assert detail.id == "n1"
    assert plain(detail.properties) == {"fail": "n1: no", "key": "pinned"}


def test_a_failed_update_keeps_old_outputs_and_new_inputs(stub: Any) -> None:
    olds, news = struct({"a": 1, "revision": "r1"}), struct({"a": 2, "fail": "no"})
    with pytest.raises(grpc.RpcError) as caught:
        stub.Update(provider_pb2.UpdateRequest(urn=URN, id="n1", olds=olds, news=news))
    assert plain(unfinished(caught.value).properties) == {"a": 2, "fail": "no", "revision": "r1", "key": "pinned"}


def test_a_defect_of_ours_has_a_traceback_and_leaves_the_resource_unfinished(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"crash": True})))
    assert "KeyError: 'defect'" in unfinished(caught.value).reasons[0]


def test_a_diff_compares_inputs_and_replaces_the_old_before_the_new(stub: Any) -> None:
    def diff(old: Mapping[str, Any], new: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> Any:
        request = provider_pb2.DiffRequest(
            urn=URN, id="n1", old_inputs=struct(old), olds=struct(state or old), news=struct(new)
        )
        return stub.Diff(request)

    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    assert diff({"a": 1}, {"a": 1}, {"a": 1, "output": "x"}).changes == none
    assert diff({"a": 1}, {"a": 2}).changes == some
    moved = diff({"server": "1"}, {"server": "2"})
    assert list(moved.replaces) == ["server"]
    assert moved.deleteBeforeReplace
    drifted = diff({"a": 1}, {"a": 1}, {"a": 1, "drift": ["x"]})
    assert drifted.changes == some
    assert not drifted.detailedDiff["drift"].inputDiff


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1, "b": [{"c": "d"}]}, {"a": 1, "b": [{"c": "d"}]}, ({}, {})),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2.5}, ({"b": 2}, {"b": 2.5})),
        ({"b": [{"c": "d", "e": 1}]}, {"b": [{"c": "d"}]}, ({"b": [{"c": "d", "e": 1}]}, {"b": [{"c": "d"}]})),
        ({"a": None}, {}, ({"a": None}, {})),
        ({}, {"a": None}, ({}, {"a": None})),
        ({}, {"a": {"b": True}}, ({}, {"a": {"b": True}})),
    ],
)
def test_only_what_differs_is_looked_at(old: State, new: State, expected: tuple[State, State]) -> None:
    assert provider.differing(struct(old), struct(new)) == expected


def test_a_refresh_reports_drift_and_never_fails_for_it(stub: Any, engine: Engine) -> None:
    answer = stub.Read(provider_pb2.ReadRequest(urn=URN, id="n1", properties=struct({}), inputs=struct({"a": 1})))
    assert plain(answer.properties) == {"drift": ["x"]}
    assert plain(answer.inputs) == {"a": 1}
    assert [(line.message, line.ephemeral) for line in engine.lines] == [("n1 drifted: x", False)]
    assert engine.lines[0].severity == engine_pb2.WARNING
    answer = stub.Read(provider_pb2.ReadRequest(urn=URN, id="n1", properties=struct({}), inputs=struct({"fail": "no"})))
    assert plain(answer.properties) == {"drift": ["no"]}


def test_a_delete_sees_inputs_and_its_refusal_keeps_the_resource(stub: Any, thing: Thing) -> None:
    stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="n1", properties=struct({"a": 1}), old_inputs=struct({"a": 2})))
    stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="n1", properties=struct({"a": 1})))
    assert thing.deleted == [{"a": 2}, {"a": 1}]
    with pytest.raises(grpc.RpcError) as caught:
        stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="n1", properties=struct({"fail": "still runs"})))
    assert caught.value.details() == "still runs"
    assert unfinished(caught.value) is None


def test_secrets_are_left_to_pulumi(stub: Any) -> None:
    assert not stub.Configure(provider_pb2.ConfigureRequest()).acceptSecrets


def test_the_plugin_starts_from_its_script_and_ends_with_its_parent() -> None:
    """Without that, a killed update would go on changing hosts behind the next one's back."""
    script = REPOSITORY / "stacks" / "plugin" / "pulumi-resource-stakeyard"
    path = os.pathsep.join([str(os.path.dirname(sys.executable)), os.environ["PATH"]])  # noqa: PTH120
    # The shell in between is the parent; `read` keeps it alive until its input ends.
    command = f"{script} 127.0.0.1:1 & echo pid $!; read line"
    shell = subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    lines = [shell.stdout.readline().split(), shell.stdout.readline().split()]
    pid = next(int(words[1]) for words in lines if words[0] == "pid")
    port = next(int(words[0]) for words in lines if words[0] != "pid")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty())
    assert found.version == provider.VERSION
    shell.kill()
    shell.wait()
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.5)
    assert not os.path.exists(f"/proc/{pid}")  # noqa: PTH110
