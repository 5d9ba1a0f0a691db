"""On the host: verified again, unpacked beside, switched in one rename, the previous one kept."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.artifact_modules import load

module = load("artifact", "artifact_install")
MEMBERS = ["bin/thing", "bin/thing-cli"]


def archive(path: Path, content: str, extra: tarfile.TarInfo | None = None, members: list[str] = MEMBERS) -> str:
    """Write an archive as upstream's are; its digest."""
    with tarfile.open(path, "w:gz") as tar:
        for name in (*members, "share/doc/manual", "bin/unwanted"):
            data = f"{content} {name}".encode()
            entry = tarfile.TarInfo(f"thing-1/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        if extra:
            tar.addfile(extra)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Host:
    """The module's parameters with a root of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "opt"

    def run(self, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        parameters = {
            "name": "thing", "version": "1", "sha256": "0" * 64, "archive": None, "members": MEMBERS, "strip": 1,
            "root": str(self.root), "state": "present",
        }  # fmt: skip
        result: dict[str, Any] = module.run({**parameters, **changes}, check)
        return result

    def install(self, version: str, content: str = "") -> dict[str, Any]:
        path = self.folder / f"{version}.tar.gz"
        digest = archive(path, content or version)
        return self.run(version=version, sha256=digest, archive=str(path))

    def proven(self, version: str) -> None:
        """Install a version that passes its health gate."""
        self.install(version)
        self.run(state="proven")

    @property
    def current(self) -> str:
        return str((self.root / "thing" / "current").readlink())

    def versions(self) -> list[str]:
        return sorted(
            p.name.split("-")[0] for p in (self.root / "thing").iterdir() if p.is_dir() and not p.is_symlink()
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_first_installation_has_its_programs_and_nothing_else(host: Host) -> None:
    result = host.install("1")
    assert (result["changed"], result["previous"]) == (True, "")
    folder = host.root / "thing" / "current"
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == MEMBERS
    assert (folder / "bin/thing").read_text() == "1 bin/thing"
    assert (folder / "bin/thing").stat().st_mode & 0o7777 == 0o755
    assert folder.resolve().stat().st_mode & 0o7777 == 0o755
    assert not (host.folder / "1.tar.gz").exists()


def test_a_second_run_needs_no_archive_and_changes_nothing(host: Host) -> None:
    path = host.folder / "1.tar.gz"
    digest = archive(path, "1")
    assert host.run(sha256=digest)["needs_archive"] is True
    host.run(sha256=digest, archive=str(path))
    again = host.run(sha256=digest)
    assert (again["changed"], again["needs_archive"]) == (False, False)


def test_a_lost_program_is_installed_again(host: Host) -> None:
    path = host.folder / "1.tar.gz"
    digest = archive(path, "1")
    host.run(sha256=digest, archive=str(path))
    (host.root / "thing/current/bin/thing").unlink()
    assert host.run(sha256=digest)["needs_archive"] is True


def test_an_upgrade_keeps_the_version_before_and_drops_older_ones(host: Host) -> None:
    for version in ("1", "2"):
        host.proven(version)
    result = host.install("3")
    assert host.versions() == ["2", "3"]
    assert host.current == result["current"]
    assert result["previous"].startswith("2-")


def test_going_back_switches_to_the_version_before_once(host: Host) -> None:
    host.proven("1")
    host.install("2")
    result = host.run(state="previous")
    assert result["changed"]
    assert host.current == result["current"]
    assert host.current.startswith("1-")
    with pytest.raises(module.RefusalError, match="has no previous version to go back to"):
        host.run(state="previous")
    assert host.current.startswith("1-")


def test_a_rolled_back_version_can_be_tried_again(host: Host) -> None:
    host.proven("1")
    digest = archive(host.folder / "2.tar.gz", "2")
    host.run(version="2", sha256=digest, archive=str(host.folder / "2.tar.gz"))
    host.run(state="previous")
    # still unpacked, so that only the link moves
    assert host.run(version="2", sha256=digest)["changed"]
    assert host.current.startswith("2-")


def test_check_mode_touches_nothing(host: Host) -> None:
    digest = archive(host.folder / "1.tar.gz", "1")
    assert host.run(sha256=digest, check=True) == {
        "changed": True, "needs_archive": True, "current": "", "previous": ""
    }  # fmt: skip
    assert host.run(sha256=digest, archive=str(host.folder / "1.tar.gz"), check=True)["changed"]
    assert not host.root.exists()


def refused(host: Host, path: Path, digest: str, sentence: str) -> None:
    """The archive is refused, and the version before still stands with nothing beside it."""
    host.install("0")
    before = host.current
    with pytest.raises(module.RefusalError, match=sentence):
        host.run(sha256=digest, archive=str(path))
    assert host.current == before
    assert host.versions() == ["0"]


def test_an_archive_tampered_with_on_its_way_is_refused(host: Host) -> None:
    path = host.folder / "1.tar.gz"
    digest = archive(path, "1")
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)
    refused(host, path, digest, f"on this host, {digest} was verified on the control machine")


def test_a_short_archive_is_refused(host: Host) -> None:
    path = host.folder / "1.tar.gz"
    digest = archive(path, "1")
    path.write_bytes(path.read_bytes()[:-20])
    refused(host, path, digest, "was verified on the control machine")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "thing-1/../../x"])
def test_a_member_that_points_outside_is_refused(host: Host, name: str) -> None:
    path = host.folder / "1.tar.gz"
    refused(host, path, archive(path, "1", tarfile.TarInfo(name)), "points outside")


def test_a_program_that_is_a_link_is_refused(host: Host) -> None:
    link = tarfile.TarInfo("thing-1/bin/thing-cli")
    link.type, link.linkname = tarfile.SYMTYPE, "/bin/sh"
    path = host.folder / "1.tar.gz"
    refused(host, path, archive(path, "1", link, ["bin/thing"]), "is not a regular file")


def test_an_archive_without_a_program_is_refused(host: Host) -> None:
    path = host.folder / "1.tar.gz"
    refused(host, path, archive(path, "1", members=["bin/thing"]), "the archive lacks bin/thing-cli")


@pytest.mark.parametrize(
    "changes", [{"version": "../1"}, {"version": None}, {"sha256": "12"}, {"name": "../thing"}, {"name": ""}]
)
def test_what_is_no_pin_is_refused(host: Host, changes: dict[str, Any]) -> None:
    with pytest.raises(module.RefusalError):
        host.run(**changes)


def test_a_version_is_unproven_until_its_health_gate_passed(host: Host) -> None:
    base = host.root / "thing"
    host.install("1")
    assert module.unproven(base)
    host.run(state="proven", check=True)
    assert module.unproven(base)
    assert host.run(state="proven")["changed"] is False
    assert not module.unproven(base)
    host.install("2")
    assert module.unproven(base)
    host.run(state="previous")
    assert not module.unproven(base)


def test_a_run_killed_before_the_switch_does_not_make_the_old_version_unproven(host: Host) -> None:
    host.install("1")
    host.run(state="proven")
    (host.root / "thing" / module.UNPROVEN).write_text("2-01234567")
    assert not module.unproven(host.root / "thing")


def test_a_version_that_never_passed_is_not_gone_back_to(host: Host) -> None:
    host.proven("1")
    host.install("2")  # and the run is killed before its health gate
    result = host.install("3")
    assert result["previous"].startswith("1-")
    assert host.versions() == ["1", "3"]
    host.run(state="previous")
    assert host.current.startswith("1-")
    assert not module.unproven(host.root / "thing")


def test_neither_does_one_count_as_passed_when_the_switch_away_from_it_is_killed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.proven("1")
    host.install("2")
    point = module.point

    def killed(link: Path, target: str) -> None:
        if link.name == "current":
            raise KeyboardInterrupt
        point(link, target)

    monkeypatch.setattr(module, "point", killed)
    with pytest.raises(KeyboardInterrupt):
        host.install("3")
    monkeypatch.setattr(module, "point", point)
    assert host.current.startswith("2-")
    assert module.unproven(host.root / "thing")
    assert host.install("3")["previous"].startswith("1-")
    assert module.unproven(host.root / "thing")


def test_without_a_version_that_passed_there_is_none_to_go_back_to(host: Host) -> None:
    host.install("1")
    assert host.install("2")["previous"] == ""
    with pytest.raises(module.RefusalError, match="has no previous version to go back to"):
        host.run(state="previous")


def test_asking_for_the_version_that_passed_is_going_back(host: Host) -> None:
    host.proven("1")
    host.install("2")
    result = host.install("1")
    assert (host.current, result["previous"]) == (result["current"], "")
    assert not module.unproven(host.root / "thing")


def test_going_back_to_a_version_that_never_passed_leaves_it_unproven(host: Host) -> None:
    host.proven("1")
    host.install("2")
    base = host.root / "thing"
    (base / module.UNPROVEN).write_text(f"{host.current}\n{(base / 'previous').readlink()}")
    host.run(state="previous")
    assert host.current.startswith("1-")
    assert module.unproven(base)
