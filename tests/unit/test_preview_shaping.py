"""Which files shape what happens, and that a change of one is told."""

from pathlib import Path

import pytest

from stacks.preview import shaping
from tests.preview.recorded import git

SHAPING = (
    "stacks/policy/rules.py", "stacks/preview/ci/preview.sh", "stacks/plugin/x", "dryrun/base.py", "tools/parts.yaml",
    "images/node/build.py", "pyproject.toml", "requirements.lock", "Pulumi.yaml", ".github/workflows/preview.yml",
    ".gitlab-ci.yml", "ansible.cfg", "sitecustomize.py", "roles/other.py", "roles/bitcoin/library/__pycache__/m.pyc",
    "docs/x.pyc", ".gitattributes", "stacks/README.md",
)  # fmt: skip
HARMLESS = (
    "README.md", "docs/ci/github/preview.yml", "tests/unit/test_x.py", "stacks/Pulumi.fleet.yaml", "LICENSE",
    "roles/bitcoin/tasks/main.yml", "roles/conftest.py",
)  # fmt: skip


@pytest.mark.parametrize("path", SHAPING)
def test_what_may_shape_the_program_counts(path: str) -> None:
    assert shaping.shapes(path)


@pytest.mark.parametrize("path", HARMLESS)
def test_what_shows_elsewhere_or_runs_nowhere_does_not(path: str) -> None:
    assert not shaping.shapes(path)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, in which a tracked file is ignored."""
    target = tmp_path / "repository"
    for name in ("stacks/a.py", "stacks/b.py", "dryrun/c.py", "README.md", "tools/d"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(f"{name}\n")
    (target / ".gitignore").write_text("junk/\n")
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message=Base")
    return target


def differing(repository: Path) -> tuple[str, ...]:
    return shaping.changed(shaping.in_commit(repository, "main"), shaping.in_folder(repository))


def test_nothing_differs_in_a_fresh_checkout(repository: Path) -> None:
    assert differing(repository) == ()


def test_every_way_to_change_a_file_is_seen_and_what_git_ignores_is_none(repository: Path) -> None:
    (repository / "stacks/a.py").write_text("other\n")
    (repository / "stacks/b.py").chmod(0o755)
    (repository / "dryrun/c.py").unlink()
    (repository / "tools/d").unlink()
    (repository / "tools/d").symlink_to("../README.md")
    (repository / "stacks/new.py").write_text("")
    for folder in ("junk", "report"):
        (repository / folder).mkdir()
        (repository / folder / "x.py").write_text("")
    (repository / "README.md").write_text("other\n")
    expected = ("dryrun/c.py", "stacks/a.py", "stacks/b.py", "stacks/new.py", "tools/d")
    assert differing(repository) == expected
    git(repository, "add", "stacks", "dryrun", "tools")
    git(repository, "update-index", "--assume-unchanged", "stacks/a.py")
    assert differing(repository) == expected, "whatever the index says"
    git(repository, "add", "--force", "junk/x.py")
    assert differing(repository) == tuple(sorted((*expected, "junk/x.py"))), "what is committed is not ignored"


def test_attributes_of_the_change_hide_nothing(repository: Path) -> None:
    (repository / ".gitattributes").write_text("*.py text eol=lf -diff\n")
    git(repository, "add", ".gitattributes")
    (repository / "stacks/a.py").write_bytes(b"stacks/a.py\r\n")
    assert differing(repository) == (".gitattributes", "stacks/a.py")


def test_keys_beside_the_fleet_are_named_and_the_fleet_is_not() -> None:
    base = {"config": {"stakeyard:fleet": {"a": 1}, "openstack:x": 1}, "encryptionsalt": "v1"}
    head = {"config": {"stakeyard:fleet": {"a": 2}, "openstack:x": 2, "y:z": 1}, "secretsprovider": "other"}
    assert shaping.beside_the_fleet(base, head) == (
        "config.openstack:x",
        "config.y:z",
        "encryptionsalt",
        "secretsprovider",
    )
    assert shaping.beside_the_fleet(base, base) == ()
    assert shaping.beside_the_fleet(None, {"config": 3}) == ()


def test_a_few_files_are_named_and_the_rest_is_a_number() -> None:
    paths = [f"stacks/{number}.py" for number in range(11)]
    (finding,) = shaping.findings(paths, (), "fleet")
    assert (finding.rule, finding.level) == ("program-changed", "warning")
    assert "stacks/0.py, stacks/1.py" in finding.sentence
    assert "and 3 more; resources do not show all that it does, so read them." in finding.sentence
    assert shaping.findings((), (), "fleet") == ()
    assert "stacks/\\udcff.py" in shaping.findings(["stacks/\udcff.py"], (), "fleet")[0].sentence
    assert "secretsprovider" in shaping.findings((), ("secretsprovider",), "fleet")[0].sentence
