"""Programs from Go modules: pinned, cached by recipe, and a failure that says which module and why."""

import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from stacks.artifacts import library

artifact = library()
model, retrieve = artifact.model, artifact.retrieve

MOD = "module pins\n\ngo 1.25.1\n\nrequire (\n\texample.org/node v1.2.3\n\texample.org/nodelet v9.0.0 // indirect\n)\n"
GO = """#!/bin/sh
[ "$1" = version ] && { echo go version go1.26.8 linux/amd64; exit; }
echo "$PWD $*" >> "$RUNS"
echo "GONOSUMDB=$GONOSUMDB GOSUMDB=$GOSUMDB GOFLAGS=$GOFLAGS GOTOOLCHAIN=$GOTOOLCHAIN CGO_CFLAGS=$CGO_CFLAGS" >> "$RUNS"
[ -n "$FORGED" ] && { echo 'verifying example.org/node@v1.2.3: checksum mismatch'; echo 'SECURITY ERROR'; exit 1; }
[ -n "$BROKEN" ] && { echo 'example.org/node/cmd' >&2; echo 'main.go:1:2: undefined: x' >&2; exit 1; }
while [ "$1" != -o ]; do shift; done
printf program > "$2/node"; chmod 755 "$2/node"
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Go on PATH; the file tells how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "go").write_text(GO)
    (folder / "go").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def release(tmp_path: Path, **changes: Any) -> Any:
    """The release of an artifacts.yml that builds `node`."""
    manifest = tmp_path / "source"
    manifest.mkdir(exist_ok=True)
    (manifest / "go.mod").write_text(MOD)
    (manifest / "go.sum").write_text("example.org/node v1.2.3 h1:x\n")
    source: dict[str, Any] = {"module": "example.org/node", "version": "v1.2.3", "manifest": "source"}
    source |= {"packages": ["example.org/node/cmd/node"], **changes}
    archive = {"x86_64": {"file": "node-1.2.3.tar.gz"}}
    data = {"artifact": "node", "members": ["bin/node"], "releases": {"1.2.3": {"archives": archive, "source": source}}}
    return model.parse_release(data, tmp_path, "1.2.3")


def obtain(tmp_path: Path, **changes: Any) -> Any:
    return retrieve.obtain(release(tmp_path, **changes), "", tmp_path / "cache", lambda _line: None)


def test_a_program_is_built_once_and_packed_under_its_name(runs: Path, tmp_path: Path) -> None:
    first, again = obtain(tmp_path), obtain(tmp_path)
    assert first.path == again.path
    assert len([line for line in runs.read_text().splitlines() if " build " in line]) == 1
    with tarfile.open(first.path) as archive:
        assert [(entry.name, entry.mode) for entry in archive] == [("node-1.2.3/bin/node", 0o755)]
    assert first.origin.startswith("built from example.org/node v1.2.3 with go version go1.26.8 linux/amd64, ")


def test_the_go_that_go_mod_names_is_used_and_no_newer_one(runs: Path, tmp_path: Path) -> None:
    obtain(tmp_path)
    assert "GOTOOLCHAIN=go1.25.1 " in runs.read_text()


def test_a_changed_pin_is_another_build(runs: Path, tmp_path: Path) -> None:
    first = obtain(tmp_path)
    made = release(tmp_path)
    (tmp_path / "source" / "go.sum").write_text("example.org/node v1.2.3 h1:y\n")
    second = retrieve.obtain(made, "", tmp_path / "cache", lambda _line: None)
    assert second.path != first.path


def test_the_c_compiler_gets_the_recipe_s_flags_and_none_from_outside(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CGO_CFLAGS", "-march=native")
    plain = obtain(tmp_path)
    assert "CGO_CFLAGS=\n" in runs.read_text()
    portable = obtain(tmp_path, c_flags="-O2 -DPORTABLE")
    assert "CGO_CFLAGS=-O2 -DPORTABLE\n" in runs.read_text()
    assert portable.path != plain.path


def test_checksums_are_verified_whatever_the_environment_says(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("GONOSUMDB", "*"), ("GOSUMDB", "off"), ("GOFLAGS", "-mod=mod -insecure")):
        monkeypatch.setenv(name, value)
    obtain(tmp_path)
    told = runs.read_text()
    assert "GONOSUMDB= GOSUMDB= GOFLAGS= " in told
    assert "-mod=readonly" in told


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("FORGED", "building node 1.2.3 failed with status 1: verifying example.org/node@v1.2.3: checksum mismatch"),
        ("BROKEN", "building node 1.2.3 failed with status 1: main.go:1:2: undefined: x"),
    ],
)
def test_a_failed_build_says_why_and_leaves_nothing(
    trouble: str, reason: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trouble, "1")
    with pytest.raises(model.ArtifactError) as refused:
        obtain(tmp_path)
    assert str(refused.value).startswith(reason)
    assert not list((tmp_path / "cache").rglob("*.tar.gz"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "v1.2.4"}, "node 1.2.3: go.mod pins v1.2.3 for example.org/node, artifacts.yml v1.2.4."),
        (
            {"module": "example.org/other"},
            "node 1.2.3: go.mod pins nothing for example.org/other, artifacts.yml v1.2.3.",
        ),
        ({"version": "latest"}, "example.org/node: `latest` is not a pinned version"),
        ({"packages": []}, "node 1.2.3: `source.packages` must name what is built."),
    ],
)
def test_pins_that_disagree_or_move_are_refused(
    changes: dict[str, Any], reason: str, runs: Path, tmp_path: Path
) -> None:
    with pytest.raises(model.ArtifactError) as refused:
        obtain(tmp_path, **changes)
    assert str(refused.value).startswith(reason)
    assert not runs.exists()


def test_without_go_the_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(model.ArtifactError, match=r"^Go is not installed .*: run tools/bootstrap\.sh"):
        obtain(tmp_path)
