"""Which Pulumi programs of the machine are used instead of built ones."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scripts import script
from tools import parts, present
from tools.present import Found, on_path, serves


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v3.253.0", True),
        ("3.253.0", True),
        ("v3.253.1", True),
        ("v3.300.0\n", True),
        ("v3.252.9", False),
        ("v3.60.0", False),
        ("v4.0.0", False),
        ("v2.999.0", False),
        ("v3.254.0-alpha.1", False),
        ("", False),
        (None, False),
        ("command not found", False),
    ],
)
def test_new_enough_is_the_same_major_version_and_not_older(version: str | None, expected: bool) -> None:
    assert serves(version, "3.253.0") is expected


@given(st.tuples(*[st.integers(0, 400)] * 3), st.tuples(*[st.integers(0, 400)] * 3))
def test_new_enough_compares_numbers_not_text(have: tuple[int, int, int], need: tuple[int, int, int]) -> None:
    def text(numbers: tuple[int, int, int]) -> str:
        return ".".join(map(str, numbers))

    assert serves("v" + text(have), text(need)) == (have[0] == need[0] and have >= need)


PULUMI = Path("/opt/pulumi/pulumi")


@pytest.mark.parametrize(
    ("found", "complete", "reason"),
    [
        (Found(PULUMI, "v3.260.0"), True, None),
        (None, False, "not installed"),
        (Found(PULUMI, "v3.100.0"), True, "/opt/pulumi/pulumi is version v3.100.0, needed is 3.253.0 or newer"),
        (Found(PULUMI, None), True, "/opt/pulumi/pulumi is version unknown, needed is 3.253.0 or newer"),
        (Found(PULUMI, "v3.260.0"), False, "/opt/pulumi/pulumi comes without its Python host"),
    ],
)
def test_an_installed_pulumi_is_used_when_it_is_whole_and_new_enough(
    found: Found | None, complete: bool, reason: str | None
) -> None:
    assert present.pulumi(found, complete, "3.253.0") == reason


def test_the_newest_plugin_that_serves_is_taken() -> None:
    versions = ["v5.5.2", "v5.10.0", "v5.9.0", "v6.0.0", None]
    candidates = [Found(Path(f"/p/{version}"), version) for version in versions]
    assert present.plugin(candidates, "5.5.3") == candidates[1]
    assert present.plugin([candidates[0], candidates[3], candidates[4]], "5.5.3") is None


def official(folder: Path, version: str = "v3.260.0") -> Path:
    """A release as Pulumi ships it."""
    all_parts = parts.load()
    for name in (*all_parts["cli"].files, *all_parts["language"].files):
        script(folder / name, f"echo {version}")
    return folder


def test_an_official_release_on_path_and_plugin_in_its_home_leave_nothing_to_build(tmp_path: Path) -> None:
    release = official(tmp_path / "release")
    plugin = script(tmp_path / "home" / "plugins" / "resource-openstack-v5.5.3" / present.PLUGIN)
    env = {"PATH": str(release), "PULUMI_HOME": str(tmp_path / "home")}
    choice = present.choose(parts.load(), env, tmp_path / "cache")
    assert choice.build == {}
    assert choice.taken[present.PLUGIN] == plugin
    assert choice.taken["pulumi-language-python"] == release / "pulumi-language-python"


def test_a_link_on_path_leads_to_the_rest_of_the_release(tmp_path: Path) -> None:
    release = official(tmp_path / "release")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(release / "pulumi")
    env = {"PATH": str(tmp_path / "bin"), "PULUMI_HOME": str(tmp_path / "home")}
    choice = present.choose(parts.load(), env, tmp_path / "cache")
    assert set(choice.build) == {"plugin"}
    assert "`pulumi plugin install resource openstack 5.5.3` is quicker" in choice.build["plugin"]


@pytest.mark.parametrize("flaw", ["old", "no host", "broken"])
def test_a_release_with_a_flaw_is_built_instead(tmp_path: Path, flaw: str) -> None:
    release = official(tmp_path / "release", "v3.9.0" if flaw == "old" else "v3.260.0")
    if flaw == "no host":
        (release / "pulumi-language-python").unlink()
    if flaw == "broken":
        script(release / "pulumi", "exit 1")
    env = {"PATH": str(release), "PULUMI_HOME": str(tmp_path / "home")}
    assert set(present.choose(parts.load(), env, tmp_path / "cache").build) == {"cli", "language", "plugin"}


def test_a_plugin_whose_download_was_cut_off_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "plugins" / "resource-openstack-v5.5.3"
    script(folder / present.PLUGIN)
    folder.with_name(folder.name + ".partial").write_text("")
    env = {"PATH": "", "PULUMI_HOME": str(tmp_path / "home")}
    assert "plugin" in present.choose(parts.load(), env, tmp_path / "cache").build


def test_what_we_built_ourselves_is_not_mistaken_for_the_machines(tmp_path: Path) -> None:
    own = script(tmp_path / "cache" / "tools" / "abc" / "bin" / "pulumi")
    other = script(tmp_path / "usr" / "bin" / "pulumi")
    path = os.pathsep.join([str(own.parent), str(other.parent)])
    assert on_path("pulumi", {"PATH": path}, tmp_path / "cache" / "tools") == other
    assert on_path("pulumi", {"PATH": str(own.parent)}, tmp_path / "cache" / "tools") is None
