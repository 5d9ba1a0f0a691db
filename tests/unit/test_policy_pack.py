"""The policy pack as Pulumi's engine talks to it, over real gRPC and, where it is built, with the engine itself."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pulumi_policy
import pytest
import yaml
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from stacks.paths import REPOSITORY
from stacks.policy.inputs import known, unknown
from stacks.policy.pack import policies
from stacks.policy.rules import RULES
from tools import build as tools
from tools.parts import load

PACK = REPOSITORY / "stacks/policy"
STARTER = REPOSITORY / "stacks/plugin/pulumi-analyzer-policy-stakeyard"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
PORT = "openstack:networking/port:Port"
VOLUME = "openstack:blockstorage/volume:Volume"
SSH = {"direction": "ingress", "protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}
WORLD = {**SSH, "remoteIpPrefix": "0.0.0.0/0"}


@pytest.fixture
def fleet(tmp_path: Path) -> dict[str, Any]:
    """The committed stack file of Open Telekom Cloud, filled in, with key files of this test."""
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA operator\n")
    found = yaml.safe_load((REPOSITORY / "stacks/Pulumi.otc-eu-de.yaml").read_text())["config"]["stakeyard:fleet"]
    assert isinstance(found, dict)
    found["operators"] |= {"public_key_file": str(tmp_path / "key.pub"), "private_key_file": str(tmp_path / "key")}
    found["operators"]["ranges"] = ["100.64.0.1/32"]
    for node in found["nodes"].values():
        node["volumes"]["chain"]["metadata"]["__system__cmkid"] = "5b0e2a5c-7f53-4d6e-8a43-0f4f7a6a5a01"
    return found


def environment(fleet: Mapping[str, Any], file: Path | None) -> dict[str, str]:
    """What the engine gives the pack; a large fleet is handed over in a file."""
    if file:
        file.write_text(json.dumps(fleet))
    config = json.dumps({"stakeyard:fleetFile": str(file)} if file else {"stakeyard:fleet": json.dumps(fleet)})
    stack = {"PULUMI_CONFIG": config, "PULUMI_PROJECT": "stakeyard", "PULUMI_STACK": "x", "PULUMI_DRY_RUN": "true"}
    path = f"{REPOSITORY / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **stack, "PATH": path}


@contextmanager
def serving(fleet: Mapping[str, Any], file: Path | None = None) -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack, started as the engine starts it."""
    command = [str(STARTER), "127.0.0.1:1", "."]
    with subprocess.Popen(
        command, cwd=PACK, env=environment(fleet, file), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


def struct(values: Mapping[str, Any]) -> Any:
    made = Struct()
    made.update(values)
    return made


def analyzed(stub: analyzer_pb2_grpc.AnalyzerStub, type_: str, inputs: Mapping[str, Any], protect: bool) -> Any:
    options = analyzer_pb2.AnalyzerResourceOptions(protect=protect)
    request = analyzer_pb2.AnalyzeRequest(
        type=type_, name="r", urn=f"urn:{type_}::r", properties=struct(inputs), options=options
    )
    return stub.Analyze(request).diagnostics


def test_the_engine_is_told_of_every_rule_that_it_can_judge(fleet: dict[str, Any]) -> None:
    with serving(fleet) as stub:
        info = stub.GetAnalyzerInfo(empty_pb2.Empty())
    judged = {rule.id for rule in RULES if (rule.fleet or rule.looks_at_resources) and not rule.of_changes}
    assert {policy.name.removesuffix("-fleet") for policy in info.policies} == judged
    levels = {policy.name.removesuffix("-fleet"): policy.enforcementLevel for policy in info.policies}
    expected = {"error": analyzer_pb2.MANDATORY, "warning": analyzer_pb2.ADVISORY}
    assert levels == {rule.id: expected[rule.level] for rule in RULES if rule.id in judged}


def test_a_resource_that_breaks_a_rule_is_refused_before_it_is_made(fleet: dict[str, Any]) -> None:
    with serving(fleet) as stub:
        (found,) = analyzed(stub, RULE, WORLD, protect=False)
        assert (found.policyName, found.enforcementLevel) == ("open-administration", analyzer_pb2.MANDATORY)
        assert "r: tcp port 22 would be open to 0.0.0.0/0" in found.message
        (found,) = analyzed(stub, PORT, {}, protect=False)
        assert found.policyName == "protected"
        assert not analyzed(stub, PORT, {}, protect=True)
        assert not analyzed(stub, RULE, {**SSH, "remoteIpPrefix": "203.0.113.0/28"}, protect=False)


def test_a_fleet_too_large_for_the_configuration_is_judged_too(fleet: dict[str, Any], tmp_path: Path) -> None:
    with serving(fleet, tmp_path / "fleet.json") as stub:
        assert [found.policyName for found in analyzed(stub, RULE, WORLD, protect=False)] == ["open-administration"]


def test_a_waived_finding_is_not_reported(fleet: dict[str, Any]) -> None:
    waiver = {"rule": "protected", "key": f"{PORT}::r", "reason": "made by hand", "expires": "2999-01-01"}
    with serving(fleet | {"policy": {"waivers": [waiver]}}) as stub:
        assert not analyzed(stub, PORT, {}, protect=False)
    with serving(fleet | {"policy": {"waivers": [{**waiver, "expires": "2020-01-01"}]}}) as stub:
        assert [found.policyName for found in analyzed(stub, PORT, {}, protect=False)] == ["protected"]


def test_the_whole_stack_is_judged_by_the_fleet_and_by_all_resources_together(fleet: dict[str, Any]) -> None:
    signers = [
        analyzer_pb2.AnalyzerResource(
            type="stakeyard:index:Convergence",
            name=name,
            urn=name,
            properties=struct({"signer": {"public_keys": ["0xA1"]}}),
        )
        for name in ("a", "b")
    ]
    with serving(fleet | {"policy": {"regions": ["eu-nl"]}}) as stub:
        found = stub.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=signers)).diagnostics
    assert [each.policyName for each in found] == ["one-signer", "regions-fleet", "regions-fleet"]
    assert "nodes.bitcoin-1.zone: bitcoin-1 would be in eu-de-01" in found[1].message


def test_a_stack_file_that_is_refused_is_said_and_refuses(fleet: dict[str, Any]) -> None:
    with serving(fleet | {"zones": []}) as stub:
        found = analyzed(stub, PORT, {}, protect=True)
    assert found, "a pack that cannot judge must not let anything pass"
    assert all(
        "the stack file cannot be judged: zones: must not be empty; fill it in." in each.message for each in found
    )


def test_what_is_not_known_yet_is_left_out() -> None:
    values = {"a": UNKNOWN_STRING_VALUE, "b": {"c": [UNKNOWN_STRING_VALUE, 1], "d": "e"}, "f": [{"g": 1}]}
    for given in (values, unknown_checking_proxy(values)):
        assert known(given) == {"b": {"c": [1], "d": "e"}, "f": [{"g": 1}]}
        assert unknown(given) == {"a", "b"}


def test_a_rule_waits_for_what_it_depends_on(fleet: dict[str, Any]) -> None:
    with serving(fleet) as stub:
        assert not analyzed(stub, RULE, {**SSH, "remoteGroupId": UNKNOWN_STRING_VALUE}, protect=False)
        assert analyzed(stub, RULE, SSH, protect=False), "without either it is open to everyone"
        assert not analyzed(stub, VOLUME, {"metadata": {"__system__cmkid": UNKNOWN_STRING_VALUE}}, protect=True)
        assert analyzed(stub, VOLUME, {"metadata": {}}, protect=True)


def test_names_of_policies_are_unique() -> None:
    made = policies()
    assert len({policy.name for policy in made}) == len(made)
    assert all(isinstance(policy, pulumi_policy.Policy) for policy in made)


PROGRAM = """
import json, os, pulumi
for each in json.loads(os.environ["RESOURCES"]):
    pulumi.ComponentResource(each["type"], each["name"], each["inputs"])
"""


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pulumi and its Python host, beside each other."""
    parts = load()
    if not all(tools.built(parts[name]) for name in ("cli", "language")):
        pytest.skip("pulumi is not built here yet: tools/build.py does")
    found = tmp_path_factory.mktemp("bin")
    for name in ("cli", "language"):
        for file in tools.part_directory(parts[name]).iterdir():
            shutil.copy2(file, found)
    return found


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (SSH | {"remoteIpPrefix": "203.0.113.0/28"}, None),
        (WORLD, "stakeyard-r: tcp port 22 would be open to 0.0.0.0/0"),
    ],
)
def test_the_engine_itself_refuses_what_the_pack_refuses(
    fleet: dict[str, Any], inputs: dict[str, Any], said: str | None, tmp_path: Path, binaries: Path
) -> None:
    project, state = tmp_path / "project", tmp_path / "state"
    project.mkdir()
    state.mkdir()
    plugins = {"analyzers": [{"name": "policy-stakeyard", "path": str(STARTER.parent)}]}
    (project / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "stakeyard", "runtime": "python", "plugins": plugins}))
    (project / "Pulumi.x.yaml").write_text(yaml.safe_dump({"config": {"stakeyard:fleet": fleet}}))
    (project / "__main__.py").write_text(PROGRAM)
    resource = {"type": RULE, "name": "stakeyard-r", "inputs": inputs}
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(binaries), str(REPOSITORY / ".venv/bin"), os.environ["PATH"]]),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "RESOURCES": json.dumps([resource]),
    }

    def pulumi(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        return subprocess.run(command, cwd=project, env=env, text=True, capture_output=True, check=False, timeout=300)

    assert pulumi("stack", "init", "x").returncode == 0
    preview = pulumi("preview", "--stack", "x", "--policy-pack", str(PACK))
    output = preview.stdout + preview.stderr
    assert "stakeyard@v0.0.1 (local:" in output, output
    assert (preview.returncode == 0) is (said is None), output
    assert said is None or said in output, output
