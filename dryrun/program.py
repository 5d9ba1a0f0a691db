"""Runs a checkout's program in this process, with a monitor of our own in the engine's place."""

import asyncio
import runpy
import sys
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime import mocks
from pulumi.runtime import resource as registrations
from pulumi.runtime.proto import resource_pb2, source_pb2
from pulumi.runtime.stack import run_in_stack


class Monitor:
    """The least that the SDK asks a monitor; the resources are up to those who inherit from it."""

    def GetDeploymentInfo(self, request: object) -> Any:  # noqa: N802 - gRPC's name
        """What the SDK's own stand-in for an engine can do: both revisions must be spoken to alike."""
        return mocks.MockMonitor(mocks=None).GetDeploymentInfo(request)  # type: ignore[no-untyped-call, arg-type]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: ARG002, N802
        """A component's or the stack's own outputs, which nobody compares."""
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: object) -> Any:  # noqa: ARG002, N802
        """The program has come to its end."""
        return empty_pb2.Empty()


def run(
    request: Mapping[str, Any],
    monitor: Monitor,
    engine: Any,
    *,
    preview: bool,
    executor: ThreadPoolExecutor | None = None,
    beside: Awaitable[None] | None = None,
) -> None:
    """Run the program of `request` to its end, and `beside` in the same event loop.

    Raises pulumi.RunError for a program that refuses to run, and whatever else it raises.
    """
    settings = pulumi.runtime.Settings(
        project=request["project"],
        stack=request["stack"],
        monitor=monitor,
        engine=engine,
        dry_run=preview,
        organization="organization",
        root_directory=request["directory"],
    )
    pulumi.runtime.configure(settings)
    # Where in the program each resource is declared is compared by nobody, and takes a seventh of its time.
    registrations._get_stack_trace = source_pb2.StackTrace
    pulumi.log.debug = lambda *_words, **_more: None  # nobody reads what the SDK says of each step
    pulumi.runtime.set_all_config(request["config"])
    sys.path.insert(0, request["directory"])

    async def declare() -> None:
        runpy.run_path(path_in(request["directory"]), run_name="__main__")
        await asyncio.sleep(0)  # see stacks/registration.py

    async def main() -> None:
        watching = asyncio.ensure_future(beside) if beside else None
        try:
            await run_in_stack(declare)
        finally:
            if watching:
                watching.cancel()

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    if executor:
        loop.set_default_executor(executor)
    loop.run_until_complete(main())


def path_in(directory: str) -> str:
    """The program of a checkout."""
    return str(Path(directory) / "stacks" / "__main__.py")


def answer(declared: Mapping[str, Any]) -> Any:
    """What an engine says of a resource that is there."""
    response = resource_pb2.RegisterResourceResponse(urn=declared["urn"], id=declared["id"])
    if declared["custom"]:
        response.object.update(declared["outputs"])
    return response
