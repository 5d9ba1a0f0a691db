"""The committed stack files, their JSON Schema and their reference."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from stacks import paths, schema
from stacks.catalogue import load_catalogue
from stacks.fleet import ExistingImage, Fleet, GoldenImage, load_stack_file
from stacks.fleet_yaml import read_yaml
from tests.unit.bad_stack_files.cases import FakeMachine, cases, good, invented

# By name, as the library has no types of its own.
jsonschema: Any = import_module("jsonschema")
STACK_FILES = sorted((paths.REPOSITORY / "stacks").glob("Pulumi.*.yaml"))


def fleet(stack: str) -> Fleet:
    return load_stack_file(paths.REPOSITORY / f"stacks/Pulumi.{stack}.yaml", load_catalogue(), FakeMachine())


def validator(roles: Any) -> Any:
    return jsonschema.Draft202012Validator(schema.json_schema(roles))


def test_both_stack_files_are_there() -> None:
    assert [path.name for path in STACK_FILES] == ["Pulumi.lab.yaml", "Pulumi.otc-eu-de.yaml"]


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_a_stack_file_is_good(path: Path) -> None:
    assert load_stack_file(path, load_catalogue(), FakeMachine()).nodes


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_a_stack_file_satisfies_its_schema(path: Path) -> None:
    validator(load_catalogue()).validate(read_yaml(path))


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_a_stack_file_tells_the_editor_its_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    prefix = "# yaml-language-server: $schema="
    assert first.startswith(prefix)
    assert (path.parent / first.removeprefix(prefix)).resolve() == paths.REPOSITORY / schema.SCHEMA


def test_the_lab_has_two_peered_nodes_on_two_kinds_of_hypervisor() -> None:
    lab = fleet("lab")
    assert lab.throwaway
    assert {name: node.peers for name, node in lab.nodes.items()} == {
        "bitcoin-1": ("bitcoin-2",),
        "bitcoin-2": ("bitcoin-1",),
    }
    images = [lab.images[node.image] for node in lab.nodes.values()]
    assert [image.boot for image in images if isinstance(image, GoldenImage)] == ["kernel", "container"]
    assert list(lab.nodes["bitcoin-1"].volumes) == ["chain"]
    assert not lab.nodes["bitcoin-2"].volumes


def test_the_open_telekom_cloud_stack_is_protected_encrypted_pinned_and_spread() -> None:
    otc = fleet("otc-eu-de")
    assert (otc.platform, otc.encryption, otc.throwaway) == ("otc", "required", False)
    assert all(isinstance(image, ExistingImage) and image.pin == "recorded" for image in otc.images.values())
    assert len({node.zone for node in otc.nodes.values()}) == len(otc.nodes)
    assert set(otc.zones) == {"eu-de-01", "eu-de-02", "eu-de-03"}


def test_the_generated_files_are_those_of_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main(["--check"]) == 0, capsys.readouterr().err


def test_a_generated_file_that_differs_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schema, "load_catalogue", invented)
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path)
    assert schema.main(["--check"]) == 1
    assert "docs/stack-file.md: differs from the models; run `python -m stacks.schema`" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()
    assert schema.main([]) == 0
    assert schema.main(["--check"]) == 0
    (tmp_path / schema.REFERENCE).write_text("something else")
    assert schema.main(["--check"]) == 1


def test_every_key_of_the_models_has_a_description() -> None:
    whole = schema.json_schema(invented())
    for name, definition in whole["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            referred = whole["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or referred.get("description"), f"{name}.{key}"


def test_every_key_of_the_models_is_in_the_reference() -> None:
    text = schema.reference(invented())
    for definition in schema.json_schema(invented())["$defs"].values():
        for key in definition.get("properties", {}):
            assert f"| `{key}` |" in text
    assert '| `ledger_network` | one of `main`, `trial` | `"trial"` | Chain network. |' in text


def test_the_schema_accepts_the_good_fleet_and_encrypted_variables() -> None:
    data = good()
    data["nodes"]["ledger-1"]["vars"] |= {"ledger_release": {"secure": "v1:x"}, "ledger_extra": [{"secure": "v1:x"}]}
    validator(invented()).validate({"config": {"stakeyard:fleet": data, "pulumi:tags": {}}, "encryptionsalt": "v1:x"})


def test_the_schema_refuses_what_would_be_no_number_once_decrypted() -> None:
    data = good()
    data["nodes"]["ledger-1"]["vars"]["ledger_cache_mib"] = {"secure": "v1:x"}
    assert not validator(invented()).is_valid({"config": {"stakeyard:fleet": data}})


SHAPE = ("is not a known key", "this key is missing; ", "must be a mapping", "must be a list", "must be true or false")
SHAPES = [
    case
    for case in cases()
    if case.is_overlay and any(words in case.expected for words in SHAPE) and ".vars." not in case.expected
]


@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case.name)
def test_an_editor_shows_what_the_loader_refuses(case: Any) -> None:
    assert not validator(invented()).is_valid({"config": {"stakeyard:fleet": case.data()}})


def test_an_editor_knows_the_variables_and_volumes_of_each_kind() -> None:
    for path, value in (("vars", {"validator_comment": "x"}), ("volumes", {"keys": {"size_gib": 1, "type": "t"}})):
        data = good()
        data["nodes"]["ledger-1"][path] = value
        assert not validator(invented()).is_valid({"config": {"stakeyard:fleet": data}})
