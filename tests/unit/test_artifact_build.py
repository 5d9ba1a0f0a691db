"""Builds from source: cached, reproducible, and a failure that says which step and why."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from stacks.artifacts import library

artifact = library()
build, model, retrieve = artifact.build, artifact.model, artifact.retrieve

CHECKSUM = "c" * 64
LOCK = f'[[package]]\nname = "tree"\nversion = "0.4.1"\nsource = "registry+x"\nchecksum = "{CHECKSUM}"\n'
TOOLS = {
    "cargo": """#!/bin/sh
[ "$1" = --version ] && { echo cargo 1.95.0; exit; }
echo vendored >> "$RUNS"
mkdir -p vendor/tree-0.4.1/src
printf '{"package": "%s"}' "${VERIFIED:-cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc}" \
  > vendor/tree-0.4.1/.cargo-checksum.json
""",
    "cmake": """#!/bin/sh
case "$*" in
*--build*)
  [ -n "$BROKEN" ] && { echo 'x.cpp:1: fatal error: boost/y.hpp: No such file'; echo 'make: stopped'; exit 2; }
  echo '[ 50%] half'; echo '[100%] done'
  mkdir -p "$2/bin"; printf program > "$2/bin/thing"; [ -n "$LESS" ] && rm "$2/bin/thing" ;;
esac
exit 0
""",
    "strip": "#!/bin/sh\n",
    "c++": '#!/bin/sh\necho "${COMPILER:-c++ 12.2.0}"\n',
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the tools on PATH; the file tells how often the source was fetched."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in TOOLS.items():
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    runs = tmp_path / "runs"
    runs.touch()
    monkeypatch.setenv("RUNS", str(runs))
    return runs


def release(tmp_path: Path, **changes: Any) -> Any:
    manifest = tmp_path / "source"
    manifest.mkdir(exist_ok=True)
    (manifest / "Cargo.lock").write_text(LOCK)
    source = {
        "crate": "tree", "version": "0.4.1", "checksum": CHECKSUM, "manifest": manifest, "subdirectory": "src",
        "options": ("-DX={source}:{build}",), "targets": ("thing",), "outputs": ("bin/thing",),
        "tools": ("cargo", "cmake", "strip"), "headers": (),
    }  # fmt: skip
    return model.Release(
        artifact="thing", version="1.0", platform="x86_64", file="thing-1.0.tar.gz", sha256=None, size=None,
        built_sha256=(), urls=(), members=("bin/thing",), strip=1, signatures=None,
        source=model.Source(**{**source, **changes}), reports="1.0", lab_only=True,
    )  # fmt: skip


def obtain(wanted: Any, tmp_path: Path, said: list[str] | None = None) -> Any:
    return artifact.obtain(wanted, "", tmp_path / "cache", (said if said is not None else []).append)


def test_a_build_is_made_once_and_shows_its_progress(runs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = obtain(release(tmp_path), tmp_path, said)
    assert said == [
        "thing 1.0: fetch tree 0.4.1", "thing 1.0: configure", "thing 1.0: compile", "thing 1.0: compile: 50 %",
        "thing 1.0: compile: 100 %", "thing 1.0: strip thing",
    ]  # fmt: skip
    assert obtain(release(tmp_path), tmp_path) == first
    assert runs.read_text().count("vendored") == 1
    assert first.origin == "built from tree 0.4.1 with c++ 12.2.0"


def test_another_compiler_or_recipe_is_another_build(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = obtain(release(tmp_path), tmp_path)
    obtain(release(tmp_path, options=("-DY",)), tmp_path)
    monkeypatch.setenv("COMPILER", "c++ 13")
    obtain(release(tmp_path), tmp_path)
    assert runs.read_text().count("vendored") == 3
    assert first.path.exists()


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    for name, mode, when in (("one", 0o700, 1), ("two", 0o644, 2_000_000_000)):
        (tmp_path / name).mkdir()
        for file in ("b", "a"):
            path = tmp_path / name / file
            path.write_text(file)
            path.chmod(mode)
            os.utime(path, (when, when))
    one = {"bin/a": tmp_path / "one/a", "bin/b": tmp_path / "one/b"}
    two = {"bin/b": tmp_path / "two/b", "bin/a": tmp_path / "two/a"}
    build.pack(one, "top", tmp_path / "one.tar.gz")
    build.pack(two, "top", tmp_path / "another-name.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "another-name.tar.gz").read_bytes()


def test_a_failed_build_says_which_step_and_why_and_leaves_no_archive(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(artifact.ArtifactError) as failure:
        obtain(release(tmp_path), tmp_path)
    text = str(failure.value)
    assert "the step `thing 1.0: compile` failed with status 2" in text
    assert "boost/y.hpp: No such file" in text
    log = Path(text.partition("whole log: ")[2].rstrip(")."))
    assert "make: stopped" in log.read_text()
    assert list((tmp_path / "cache").rglob("*.tar.gz")) == []
    monkeypatch.delenv("BROKEN")
    assert obtain(release(tmp_path), tmp_path).path.exists()


def test_a_build_without_its_output_is_refused(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESS", "1")
    with pytest.raises(artifact.ArtifactError, match="the build gave no bin/thing"):
        obtain(release(tmp_path), tmp_path)


def test_a_crate_with_another_checksum_is_refused(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFIED", "d" * 64)
    with pytest.raises(artifact.ArtifactError, match=f"cargo verified {'d' * 64} for tree, {CHECKSUM} is pinned"):
        obtain(release(tmp_path), tmp_path)


def test_a_missing_tool_or_header_is_named_before_anything_is_fetched(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(artifact.ArtifactError, match="needs `no-such-tool`, which is not installed"):
        obtain(release(tmp_path, tools=("no-such-tool",)), tmp_path)
    with pytest.raises(artifact.ArtifactError, match="install the package libno-dev"):
        obtain(release(tmp_path, headers=(("/no/such.hpp", "libno-dev"),)), tmp_path)
    assert runs.read_text() == ""


def test_a_mirror_with_a_pinned_build_spares_the_build(runs: Path, tmp_path: Path) -> None:
    made = obtain(release(tmp_path), tmp_path)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "thing-1.0.tar.gz").write_bytes(made.path.read_bytes())
    wanted = release(tmp_path)
    pinned = model.Release(**{**vars(wanted), "built_sha256": (made.sha256,)})
    found = artifact.obtain(pinned, str(mirror), tmp_path / "second", lambda _: None)
    assert (found.sha256, found.origin) == (made.sha256, f"{mirror}/thing-1.0.tar.gz")
    assert runs.read_text().count("vendored") == 1


def test_a_mirror_with_another_build_is_refused(runs: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "thing-1.0.tar.gz").write_bytes(b"something else")
    pinned = model.Release(**{**vars(release(tmp_path)), "built_sha256": ("e" * 64,)})
    with pytest.raises(artifact.ArtifactError, match="do not use this file"):
        artifact.obtain(pinned, str(mirror), tmp_path / "second", lambda _: None)


def test_a_damaged_cached_build_is_built_again(runs: Path, tmp_path: Path) -> None:
    made = obtain(release(tmp_path), tmp_path)
    made.path.write_bytes(b"damaged")
    assert obtain(release(tmp_path), tmp_path).sha256 == made.sha256
    assert runs.read_text().count("vendored") == 2


def test_the_module_and_the_program_share_one_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from stacks.paths import cache

    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path))
    assert retrieve.default_cache() == cache() / "artifacts"
    monkeypatch.delenv("STAKEYARD_CACHE")
    assert retrieve.default_cache() == cache() / "artifacts"
    for shared in (str(tmp_path), "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", shared)
        assert retrieve.default_cache() == cache() / "artifacts"
    monkeypatch.setenv("STAKEYARD_CACHE", "relative")
    with pytest.raises(
        artifact.ArtifactError, match=r"^STAKEYARD_CACHE is relative, a relative path: write it from /\.$"
    ):
        retrieve.default_cache()
