"""Run a checkout's program without an engine and write down every resource that it declares.

A program of its own (`python -P collector.py REQUEST ANSWER`): the checkout may be another revision, so nothing of
`stacks` is imported here but through the checkout's own program. REQUEST is a JSON file: directory (of the checkout),
stack, project, config (text by key). ANSWER is a JSON list in order of declaration, or {"error": sentence}.

Every resource is taken to be there as its inputs say: an identifier is made up, and so is the little that the program
reads of a resource and the stack file cannot say.
"""

import asyncio
import gc
import hashlib
import json
import os
import runpy
import sys
import uuid
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_pulumi_func

STACK = "pulumi:pulumi:Stack"
_SPACE = uuid.UUID("6f1c3a4e-3d0b-5f0e-9c39-5a0f2a7c3b11")
_ADDRESSES = int(IPv4Address("198.18.0.0"))
_ADDRESS_COUNT = 1 << 17
"""198.18.0.0/15 is for benchmarks and never used on the internet (RFC 2544)."""


def made_up(text: str) -> str:
    """An identifier that is the same for the same thing in every run."""
    return str(uuid.uuid5(_SPACE, text))


def address_of(name: str) -> str:
    """A floating address for the node of this name."""
    return str(IPv4Address(_ADDRESSES + uuid.uuid5(_SPACE, name).int % _ADDRESS_COUNT))


# What the cloud fills in by itself, by type. Without it the OpenStack plugin would take it for something that is to be
# added, and for some of these make a new resource.
_IMAGE = {
    "hidden": False,
    "imageCachePath": f"{os.environ.get('HOME', '')}/.terraform/image_cache",
    "metadata": {},
    "minDiskGb": 0,
    "minRamMb": 0,
    "protected": False,
    "visibility": "private",
}
_SERVER = {
    "allMetadata": {},
    "allTags": [],
    "forceDelete": False,
    "powerState": "active",
    "securityGroups": [],
    "stopBeforeDestroy": False,
}
_PLUGGED = {"accessNetwork": False, "fixedIpV4": "", "fixedIpV6": "", "mac": "", "name": "", "uuid": ""}
FILLED_IN: Mapping[str, Mapping[str, Any]] = {
    "openstack:blockstorage/volume:Volume": {"attachments": [], "volumeRetypePolicy": "never"},
    "openstack:compute/instance:Instance": _SERVER,
    "openstack:compute/serverGroup:ServerGroup": {"members": []},
    "openstack:images/image:Image": _IMAGE,
    "openstack:networking/floatingIp:FloatingIp": {"allTags": []},
    "openstack:networking/network:Network": {"allTags": [], "availabilityZoneHints": []},
    "openstack:networking/port:Port": {
        "allFixedIps": [],
        "allSecurityGroupIds": [],
        "allTags": [],
        "dnsAssignments": [],
    },
    "openstack:networking/router:Router": {"allTags": [], "availabilityZoneHints": []},
    "openstack:networking/secGroup:SecGroup": {"allTags": []},
    "openstack:networking/subnet:Subnet": {"allTags": [], "enableDhcp": True, "noGateway": False, "serviceTypes": []},
    "stakeyard:index:Convergence": {"versions": {}, "checks": [], "files": {}, "drift": [], "revision": "mocked"},
    "stakeyard:index:FleetChecks": {"checks": [], "drift": []},
    "stakeyard:index:HostKey": {"key": "(host key of a mocked server)"},
}


def outputs_of(kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a resource of type `kind` would have once it is made, as far as the program or a plugin reads it."""
    found = {**FILLED_IN.get(kind, {}), **inputs}
    if kind == "openstack:networking/floatingIp:FloatingIp":
        found["address"] = address_of(name)
    if kind == "openstack:compute/instance:Instance":
        found["networks"] = [{**_PLUGGED, **network} for network in inputs["networks"]]
        # The plugin keeps no more of it.
        found["userData"] = hashlib.sha1(inputs["userData"].encode()).hexdigest()  # noqa: S324
    if kind == "pulumi:index:Stash":
        found["output"] = inputs["input"]
    return found


def urn_of(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """The URN that the engine would give."""
    above = parent.split("::")[2] if parent else ""
    qualified = kind if above in ("", STACK) else f"{above}${kind}"
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


class Monitor(mocks.MockMonitor):
    """Answers the program as an engine would whose every resource has been made."""

    def __init__(self, stack: str, project: str) -> None:
        """Collects into `declared`."""
        super().__init__(Cloud())
        self._stack, self._project = stack, project
        self.declared: list[dict[str, Any]] = []
        self.outputs: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        """One resource."""
        urn = urn_of(self._stack, self._project, request.parent, request.type, request.name)
        inputs = MessageToDict(request.object)
        identifier = made_up(urn) if request.custom else ""
        if request.type.startswith("pulumi:providers:") and request.version:
            inputs["version"] = request.version  # the engine does so, too
        outputs = outputs_of(request.type, request.name, inputs)
        self.declared.append(
            {
                "type": request.type,
                "name": request.name,
                "urn": urn,
                "id": identifier,
                "custom": bool(request.custom),
                "parent": request.parent,
                "provider": request.provider,
                "version": request.version,
                "protect": bool(request.protect),
                "dependencies": list(request.dependencies),
                "propertyDependencies": {
                    key: list(found.urns) for key, found in request.propertyDependencies.items() if found.urns
                },
                "inputs": inputs,
                "outputs": outputs,
            }
        )
        answer = struct_pb2.Struct()
        if request.custom:
            answer.update(outputs)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=answer)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """A component's or the stack's own outputs."""
        self.outputs[request.urn] = MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class Cloud(mocks.Mocks):
    """What the program looks up in the cloud; the stand-in for it (stacks/preview/stand_in.py) knows the same."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """An identifier made of what was asked for."""
        return {"id": made_up(str(args.args.get("name") or args.args.get("nameRegex")))}, []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Never asked: `Monitor` answers itself."""
        raise AssertionError(args.name)


def collect(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every resource that the program of `request` declares, the stack itself first."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    monitor = Monitor(request["stack"], request["project"])
    mocks.set_mocks(Cloud(), request["project"], request["stack"], preview=False, monitor=monitor)
    pulumi.runtime.set_all_config(request["config"])
    program = str(Path(request["directory"]) / "stacks" / "__main__.py")

    async def run() -> None:
        runpy.run_path(program)
        await asyncio.sleep(0)  # see stacks/registration.py

    loop.run_until_complete(run_pulumi_func(run))
    for resource in monitor.declared:
        resource["outputs"] = {**resource["outputs"], **monitor.outputs.get(resource["urn"], {})}
    return monitor.declared


def main() -> int:
    """Status 1, with the sentence in the answer, for a program that refuses to run."""
    gc.disable()  # it lives for seconds, and all that it makes is still needed at its end
    request, answer = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        found: object = collect(json.loads(request.read_text()))
    except pulumi.RunError as error:
        answer.write_text(json.dumps({"error": str(error)}))
        return 1
    answer.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
