"""Write down every resource that the base's program declares: `python -P -m dryrun.base REQUEST ANSWER FD`.

REQUEST is a JSON file: directory (of the checkout), stack, project, config (text by key). ANSWER gets one JSON object a
line in order of declaration; or, in the file ANSWER.error, the sentence with which the program refuses to run. FD is an
open pipe that is told each resource and its fingerprint, and each look-up's, as soon as it is known (dryrun/told.py).
"""

import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import pulumi
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from dryrun import program, told
from dryrun.answers import found_by
from dryrun.declared import declaration, fingerprint


class Collecting(program.Monitor):
    """Answers the program as an engine would whose every resource has been made."""

    def __init__(self, stack: str, project: str, keep: Callable[[str], object], tell: Callable[[str], object]) -> None:
        """`keep` gets each declaration as JSON, `tell` each line for the other program."""
        self._stack, self._project, self._keep, self._tell = stack, project, keep, tell
        self._lock = threading.Lock()  # registrations come in several threads

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        """One resource."""
        declared = declaration(request, self._stack, self._project)
        kept, line = json.dumps(declared) + "\n", told.resource(declared["urn"], fingerprint(request))
        with self._lock:
            self._keep(kept)
            self._tell(line)
        return program.answer(declared)

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """One look-up."""
        with self._lock:
            self._tell(told.lookup(fingerprint(request)))
        return lookup(request)


def lookup(request: Any) -> Any:
    """The answer to a look-up."""
    response = resource_pb2.ResourceInvokeResponse()
    getattr(response, "return").update(found_by(MessageToDict(request.args)))
    return response


class AtOnce(ThreadPoolExecutor):
    """Answers where it is asked: to hand a question to a thread takes longer than to answer it."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> "Future[Any]":
        """As the base class, with the answer there already."""
        made: Future[Any] = Future()
        try:
            made.set_result(function(*arguments, **options))
        except Exception as error:
            made.set_exception(error)
        return made


def collect(request: Mapping[str, Any], answer: TextIO, pipe: TextIO) -> None:
    """Run the program and write down what it declares, the stack itself first."""

    def tell(line: str) -> None:
        nonlocal pipe
        try:
            pipe.write(line)
            pipe.flush()
        except BrokenPipeError:  # the other program has failed and says so itself
            pipe = Path(os.devnull).open("w")  # noqa: SIM115

    monitor = Collecting(request["stack"], request["project"], answer.write, tell)
    program.run(request, monitor, mocks.MockEngine(None), preview=False, executor=AtOnce())


def main() -> int:
    """Status 1, with the sentence in a file of its own, for a program that refuses to run."""
    gc.disable()  # it lives for seconds, and all that it makes is still needed at its end
    request, answer, pipe = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3])
    telling = os.fdopen(pipe, "w")
    try:
        with answer.open("w") as kept:
            collect(request, kept, telling)
    except pulumi.RunError as error:
        answer.with_suffix(".error").write_text(str(error))
        return 1
    finally:
        # What could not be told to a program that has failed is still in the buffer, and fails again.
        with suppress(BrokenPipeError):
            telling.close()
    return 0


if __name__ == "__main__":
    status = main()
    # All is written, and to take apart what a thousand nodes are made of takes longer than to start an engine.
    os._exit(status)
