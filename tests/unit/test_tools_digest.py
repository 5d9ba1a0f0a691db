"""What decides that a tool is built again, and the versions it has."""

import tomllib
from pathlib import Path

import pytest

from tools import parts


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A copy of the data that the digests are over, small enough to change."""
    folder = tmp_path / "tools"
    for name in parts.load():
        (folder / name).mkdir(parents=True)
        (folder / name / "go.mod").write_text(f"module {name}\n")
        (folder / name / "go.sum").write_text("")
    (folder / "plugin" / "main.go").write_text("package main\n")
    (folder / "plugin" / "tokens.json").write_text("{}\n")
    (folder / "versions.toml").write_bytes((parts.TOOLS / "versions.toml").read_bytes())
    return folder


@pytest.mark.parametrize(
    "changed", ["go.mod", "go.sum", "main.go", "tokens.json", "new.go"], ids=lambda name: f"a changed {name}"
)
def test_a_changed_input_gives_another_digest_of_its_part_only(modules: Path, changed: str) -> None:
    before = {name: part.digest() for name, part in parts.load(modules).items()}
    file = modules / "plugin" / changed
    file.write_text((file.read_text() if file.exists() else "") + "// changed\n")
    after = {name: part.digest() for name, part in parts.load(modules).items()}
    assert {name for name in before if before[name] != after[name]} == {"plugin"}


@pytest.mark.parametrize("changed", ["main_test.go", "tokens.py", "differences.json"])
def test_a_file_that_is_not_built_leaves_the_digest_alone(modules: Path, changed: str) -> None:
    before = parts.load(modules)["plugin"].digest()
    (modules / "plugin" / changed).write_text("changed")
    assert parts.load(modules)["plugin"].digest() == before


def test_a_changed_version_gives_another_digest(modules: Path) -> None:
    before = parts.load(modules)["plugin"].digest()
    data = modules / "versions.toml"
    data.write_text(data.read_text().replace('version = "5.5.3"', 'version = "5.5.4"'))
    assert parts.load(modules)["plugin"].digest() != before


@pytest.mark.parametrize("part", parts.load().values(), ids=lambda part: part.name)
def test_versions_are_those_of_go_mod(part: parts.Part) -> None:
    module, version = {
        "cli": ("github.com/pulumi/pulumi/pkg/v3", part.version),
        "language": (part.module, part.version),
        # Its version is that of the SDK: what the module file pins is the provider.
        "plugin": (part.module, "3.4.0"),
    }[part.name]
    lines = (part.directory / "go.mod").read_text().split("\n")
    assert any(line.removeprefix("require").split() == [module, f"v{version}"] for line in lines)


def test_the_plugin_has_the_version_of_the_locked_sdk() -> None:
    lock = (parts.TOOLS.parent / "requirements.lock").read_text()
    assert f"pulumi-openstack=={parts.load()['plugin'].version} " in lock


def test_every_program_is_built_by_one_part_only() -> None:
    tables = tomllib.loads((parts.TOOLS / "versions.toml").read_text())
    names = [name for table in tables.values() for name in (*table["programs"], *table["scripts"])]
    assert len(names) == len(set(names)) == 6
