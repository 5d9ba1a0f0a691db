"""Run the head's program against the base's and an engine: `python -P -m dryrun.head REQUEST BASE ANSWERS`.

REQUEST is as for dryrun/base.py. BASE is an open pipe from it. ANSWERS is an open pipe that gets one line of JSON:
`port`, at which the program waits to be run as Pulumi runs the programs of its Automation API; the number of
`questions` that wait for it; the URNs of what is `unchanged` from the base. Or `error`, why it ended before.
"""

import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pulumi
from pulumi.runtime import mocks
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    resource_pb2_grpc,
)

from dryrun import program
from dryrun.held import Counting, Holding, settled
from dryrun.told import Told

_ROOM = [("grpc.max_receive_message_length", 1 << 28), ("grpc.max_send_message_length", 1 << 28)]


class Language(language_pb2_grpc.LanguageRuntimeServicer):
    """What Pulumi takes for a language: one program, which has begun already."""

    def __init__(self, monitor: Holding) -> None:
        """`monitor` is to be connected to the engine."""
        self._monitor = monitor
        self._ended = threading.Event()
        self._problem = ""

    def GetRequiredPackages(self, request: object, context: object) -> object:  # noqa: ARG002, N802 - gRPC's name
        """Registrations say which plugin they need."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: object, context: object) -> object:  # noqa: ARG002, N802
        """As `GetRequiredPackages`."""
        return language_pb2.GetRequiredPluginsResponse()

    def GetPluginInfo(self, request: object, context: object) -> object:  # noqa: ARG002, N802
        """There is nothing to say."""
        return plugin_pb2.PluginInfo()

    def Run(self, request: Any, context: object) -> object:  # noqa: ARG002, N802
        """Let the program go on, with this engine, to its end."""
        self._monitor.connect(resource_pb2_grpc.ResourceMonitorStub(_channel(request.monitor_address)))
        self._ended.wait()
        if not self._problem:
            return language_pb2.RunResponse()
        engine = engine_pb2_grpc.EngineStub(_channel(request.args[0]))
        engine.Log(engine_pb2.LogRequest(severity=engine_pb2.ERROR, message=self._problem))
        return language_pb2.RunResponse(error=self._problem, bail=True)

    def end(self, problem: str) -> None:
        """The program has ended; an empty `problem` is none."""
        self._problem = problem
        self._ended.set()


def _channel(address: str) -> Any:
    return grpc.insecure_channel(address, options=_ROOM)


def trace(error: BaseException, path: str) -> str:
    """The traceback from the program's own first line on, as Pulumi's Python host shows it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = next((index for index, frame in enumerate(frames) if frame.filename == path), 0)
    return "".join(traceback.format_exception(error, limit=own - len(frames)))


def serve(language: Language) -> tuple[Any, int]:
    """A server for Pulumi on this machine, and its port."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=_ROOM)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(language, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def preview(request: Mapping[str, Any], base: int, answers: int) -> None:
    """Run the program to its end; see the module."""
    told = Told()
    threading.Thread(target=lambda: told.read(os.fdopen(base)), daemon=True).start()
    monitor = Holding(request["stack"], request["project"], told)
    language = Language(monitor)
    server, port = serve(language)
    executor = Counting()
    out = os.fdopen(answers, "w")

    async def hand_over() -> None:
        await settled(monitor, executor)
        monitor.freeze()
        found = {"port": port, "questions": monitor.questions, "unchanged": sorted(monitor.answered)}
        with out:
            out.write(json.dumps(found) + "\n")

    problem = ""
    try:
        engine = mocks.MockEngine(None)
        program.run(request, monitor, engine, preview=True, executor=executor, beside=hand_over())
    except pulumi.RunError as error:
        problem = str(error)
    except Exception as error:
        problem = f"Program failed with an unhandled exception:\n{trace(error, program.path_in(request['directory']))}"
    if not out.closed:
        with out:
            out.write(json.dumps({"error": problem}) + "\n")
        return
    language.end(problem)
    server.wait_for_termination()


def _end_with_parent(parent: int) -> None:
    """Whoever asked for a preview ends this process when it is there; unless that one was killed."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def main() -> int:
    """Ends when it is told to: whoever asks for a preview knows when it has it."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    gc.disable()
    request, base, answers = sys.argv[1:]
    preview(json.loads(Path(request).read_text()), int(base), int(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
