"""Runs the whole program against Pulumi mocks and records what it declares.

A test that looks at resources of a type that was never declared fails: Pulumi's own mocks let it pass silently.
"""

import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import mocks
from pulumi.runtime.stack import Stack

from stacks.paths import REPOSITORY

STACKS = REPOSITORY / "stacks"
ADDRESS = "198.51.100.10"


@dataclass(frozen=True)
class Declared:
    """One resource as the program asked the engine for it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    request: Any

    @property
    def depends_on(self) -> set[str]:
        """`type::name` of everything that must be there before."""
        return {urn.rpartition("$")[2] if "$" in urn else urn.split("::", 2)[2] for urn in self.request.dependencies}


@dataclass
class Program:
    """Everything one run declared and exported."""

    resources: list[Declared] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    def of(self, type_: str) -> list[Declared]:
        """The resources whose type ends in `type_`; it is an error that there are none."""
        found = [resource for resource in self.resources if resource.type.endswith(type_)]
        assert found, f"the program declared no {type_}: the test would prove nothing"
        return found

    def one(self, type_: str, name: str) -> Declared:
        """The resource of that type and name."""
        return next(resource for resource in self.of(type_) if resource.name == name)

    def names(self) -> set[str]:
        """`type::name` of all resources."""
        return {f"{resource.type}::{resource.name}" for resource in self.resources}


class _Cloud(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        return {"id": f"id-of-{args.args.get('name') or args.args.get('nameRegex')}"}, []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        state = dict(args.inputs)
        if args.typ.endswith(":FloatingIp"):
            state["address"] = ADDRESS
        if args.typ == "pulumi:index:Stash":
            state["output"] = state["input"]
        if args.typ == "stakeyard:index:HostKey":
            state["key"] = "ssh-ed25519 A"
        if args.typ == "stakeyard:index:Convergence":
            state |= {"versions": {"x": "1"}, "checks": [], "revision": "now", "drift": []}
        return f"{args.name}-id", state


class _Monitor(mocks.MockMonitor):
    def __init__(self, program: Program) -> None:
        super().__init__(_Cloud())
        self.program = program

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.type != "pulumi:pulumi:Stack":
            inputs = MessageToDict(request.object)
            self.program.resources.append(Declared(request.type, request.name, inputs, request))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def fleet_of(stack: str) -> dict[str, Any]:
    """What a committed stack file says under `stakeyard:fleet`."""
    data = yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())
    fleet: dict[str, Any] = data["config"]["stakeyard:fleet"]
    return fleet


def cache_with_image(directory: Path, digest: str = "0123456789abcdef") -> None:
    """A cache in which a golden image has been built."""
    image = directory / "node-image" / digest
    image.mkdir(parents=True)
    for name in ("disk.qcow2", "vmlinuz", "initrd.img", "bootable.qcow2"):
        (image / name).write_text(name)
    (image / "manifest.json").write_text(json.dumps({"digest": digest, "command_line": "root=/dev/vda"}))
    current = directory / "node-image" / "current"
    current.unlink(missing_ok=True)
    current.symlink_to(digest)


def operator_files(directory: Path, public: str = "ssh-ed25519 AAAA operator") -> dict[str, str]:
    """An operator's key files in a directory, as a stack file names them under `operators`."""
    (directory / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (directory / "key").chmod(0o600)
    (directory / "key.pub").write_text(f"{public}\n")
    return {"public_key_file": str(directory / "key.pub"), "private_key_file": str(directory / "key")}


def run(fleet: Mapping[str, Any], stack: str = "lab", secret: bool = False) -> Program:
    """Run stacks/__main__.py as Pulumi does, with `fleet` as its configuration."""
    program = Program()
    mocks.set_mocks(_Cloud(), project="stakeyard", stack=stack, preview=False, monitor=_Monitor(program))
    key = "stakeyard:fleet"
    pulumi.runtime.set_all_config({key: json.dumps(fleet)}, [key] if secret else [])

    @mocks.test  # type: ignore[untyped-decorator]
    def body() -> pulumi.Output[None]:
        runpy.run_path(str(STACKS / "__main__.py"))
        root = pulumi.runtime.get_root_resource()
        assert isinstance(root, Stack)
        return pulumi.Output.from_input(root.outputs).apply(program.exports.update)

    body()
    return program


Fleet = dict[str, Any]
Change = Callable[[Fleet], None]
