"""Stakeyard's own resources as a Pulumi provider plugin (`python -m stacks.provider`, started by Pulumi).

Why not Pulumi's dynamic provider: it can neither record that a host was left half converged (so that undoing the
change in the stack file would do nothing), nor report a failure without a traceback, nor tie progress to a resource.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent import futures
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from stacks import cancellation
from stacks.convergence import Convergence
from stacks.errors import StakeyardError
from stacks.hostkey import PinnedKey
from stacks.lifecycle import Lifecycle, Report, State
from stacks.runner import forget_operators_settings
from stacks.urns import CONVERGENCE, FLEET_CHECKS, HOST_KEY, name_of, type_of
from stacks.verification import FleetVerification

VERSION = "0.1.0"
RESOURCES: dict[str, Lifecycle] = {
    HOST_KEY: PinnedKey(),
    CONVERGENCE: Convergence(),
    FLEET_CHECKS: FleetVerification(),
}
PARALLEL = 64
ORPHAN_POLL_SECONDS = 2.0


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """The gRPC side: turns requests into calls of a `Lifecycle`, and its errors into Pulumi's."""

    def __init__(self, engine: engine_pb2_grpc.EngineStub) -> None:
        """`engine` is where log lines go."""
        self._engine = engine

    def GetPluginInfo(self, request: object, context: object) -> object:  # noqa: N802, ARG002 - gRPC's name
        """Say which version this is."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request: Any, context: object) -> object:  # noqa: N802, ARG002
        """The plugin has no configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: object) -> object:  # noqa: N802, ARG002
        """The plugin has no configuration."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: object) -> object:  # noqa: N802, ARG002
        """Pulumi keeps track of which values are secret, and encrypts them, so we are given the plain ones."""
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=False)

    def Check(self, request: Any, context: object) -> object:  # noqa: N802, ARG002
        """Inputs were checked when the stack file was read."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: object) -> object:  # noqa: N802, ARG002
        """Compare inputs; reaches no host."""
        old_inputs, inputs = differing(request.old_inputs if request.old_inputs.fields else request.olds, request.news)
        if not request.old_inputs.fields:
            old_inputs = {name: old_inputs.get(name) for name in inputs}
        found = lifecycle(request.urn).diff(old_inputs, {"drift": value_of(request.olds, "drift")}, inputs)
        kinds = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found.changed else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=found.replaces,
            # The old server must be retired while it still exists.
            deleteBeforeReplace=bool(found.replaces),
            diffs=found.changed,
            hasDetailedDiff=True,
            detailedDiff={
                name: kinds(
                    kind=kinds.UPDATE_REPLACE if name in found.replaces else kinds.UPDATE, inputDiff=name != "drift"
                )
                for name in found.changed
            },
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> object:  # noqa: N802
        """Apply a new resource."""
        inputs = plain(request.properties)
        state: State = dict(inputs)
        self._apply(request.urn, name_of(request.urn), inputs, state, context)
        return provider_pb2.CreateResponse(id=name_of(request.urn), properties=struct(state))

    def Update(self, request: Any, context: grpc.ServicerContext) -> object:  # noqa: N802
        """Apply a changed, drifted or unfinished resource."""
        inputs = plain(request.news)
        state: State = {**plain(request.olds), **inputs}
        self._apply(request.urn, request.id, inputs, state, context)
        return provider_pb2.UpdateResponse(properties=struct(state))

    def Read(self, request: Any, context: grpc.ServicerContext) -> object:  # noqa: N802
        """Look at the real thing (`pulumi refresh`)."""
        state: State = plain(request.properties)
        try:
            lifecycle(request.urn).read(plain(request.inputs), state, self._report(request.urn))
        except StakeyardError as error:
            state["drift"] = [str(error)]
        except Exception:  # a defect of ours: the traceback is worth having
            _abort(context, traceback.format_exc())
        return provider_pb2.ReadResponse(id=request.id, properties=struct(state), inputs=request.inputs)

    def Delete(self, request: Any, context: grpc.ServicerContext) -> object:  # noqa: N802
        """Take the resource out of service."""
        state = plain(request.properties)
        inputs = {**state, **plain(request.old_inputs)}
        try:
            lifecycle(request.urn).delete(inputs, state, self._report(request.urn))
        except StakeyardError as error:
            _abort(context, str(error))
        except Exception:
            _abort(context, traceback.format_exc())
        return empty_pb2.Empty()

    def Cancel(self, request: object, context: object) -> object:  # noqa: N802, ARG002
        """Stop at the next chance."""
        cancellation.cancel()
        return empty_pb2.Empty()

    def _apply(
        self, urn: str, identifier: str, inputs: Mapping[str, Any], state: State, context: grpc.ServicerContext
    ) -> None:
        try:
            lifecycle(urn).apply(inputs, state, self._report(urn))
        except StakeyardError as error:
            _abort_unfinished(context, identifier, state, str(error))
        except Exception:
            _abort_unfinished(context, identifier, state, traceback.format_exc())

    def _report(self, urn: str) -> Report:
        def log(text: str, severity: engine_pb2.LogSeverity.ValueType, ephemeral: bool) -> None:
            request = engine_pb2.LogRequest(severity=severity, message=text, urn=urn, ephemeral=ephemeral)
            with contextlib.suppress(grpc.RpcError):  # a lost progress line is no reason to stop
                self._engine.Log(request)

        return Report(
            progress=lambda text: log(text, engine_pb2.INFO, True),
            warning=lambda text: log(text, engine_pb2.WARNING, False),
        )


def lifecycle(urn: str) -> Lifecycle:
    """The resource type that a URN names, without its parents' types."""
    return RESOURCES[type_of(urn)]


def plain(properties: struct_pb2.Struct) -> State:
    """A protobuf struct as Python values; whole numbers, which JSON has only one kind of, as `int`."""
    found = _whole(MessageToDict(properties))
    assert isinstance(found, dict)  # noqa: S101 - a struct is a mapping
    return found


def differing(old: struct_pb2.Struct, new: struct_pb2.Struct) -> tuple[State, State]:
    """Both as Python values, without the properties that are the same in both.

    The checks of a large fleet have megabytes of inputs, and most of the time it is enough to compare the messages.
    """
    names = {*old.fields, *new.fields}
    other = [n for n in sorted(names) if not (n in old.fields and n in new.fields and old.fields[n] == new.fields[n])]
    return (
        {name: value_of(old, name) for name in other if name in old.fields},
        {name: value_of(new, name) for name in other if name in new.fields},
    )


def value_of(properties: struct_pb2.Struct, name: str) -> Any:
    """One property as a Python value; None where it is not there."""
    return _whole(MessageToDict(properties.fields[name])) if name in properties.fields else None


def _whole(value: object) -> object:
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """The other way round."""
    made = struct_pb2.Struct()
    made.update(dict(values))
    return made


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort returns never")


def _abort_unfinished(context: grpc.ServicerContext, identifier: str, state: State, reason: str) -> NoReturn:
    """End with an error that makes Pulumi keep `state` and mark the resource as unfinished."""
    details = provider_pb2.ErrorResourceInitFailed(id=identifier, properties=struct(state), reasons=[reason])
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
    status.details.add().Pack(details)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    _abort(context, reason)


def _stop_with_parent(parent: int) -> None:
    """When Pulumi is killed, do not go on changing hosts behind the back of the next update."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_POLL_SECONDS)
    cancellation.cancel()
    time.sleep(5 * ORPHAN_POLL_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve until Pulumi ends us; the engine's address is the only argument."""
    forget_operators_settings()
    threading.Thread(target=_stop_with_parent, args=(os.getppid(),), daemon=True).start()
    channel = grpc.insecure_channel(sys.argv[1])
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=PARALLEL), options=[("grpc.max_receive_message_length", 1 << 28)]
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(engine_pb2_grpc.EngineStub(channel)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
