"""Steps, health, and what `up` makes of a lab that was interrupted."""

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import IO

import pytest

from images.lab import health, host, kvm, lab, making, rootfs
from images.lab.cache import Archive
from images.lab.health import Member
from images.lab.lab import Lab, Made
from images.lab.settings import settings
from images.lab.steps import Steps
from stacks.errors import StakeyardError

BOOT = dt.datetime(2026, 1, 31, 10, 0, 0, 500_000, tzinfo=dt.UTC)


def test_steps_show_what_they_do_and_how_long_it_took(tmp_path: Path) -> None:
    lines: list[str] = []
    times = iter([0.0, 1.0, 1.0, 63.0, 63.0])
    Steps(tmp_path, lines.append, lambda: next(times)).run("x", "do this", lambda log: log.write("done\n"))
    assert lines == ["[   1s] do this ...", "[  63s] do this: done (62 s)"]
    assert (tmp_path / "x.log").read_text() == "done\n"


def test_a_failed_step_says_which_why_and_where_its_log_is(tmp_path: Path) -> None:
    def fail(log: IO[str]) -> None:
        log.write("lots of output\nE: Unable to locate package nova-api\n\n")
        raise subprocess.CalledProcessError(100, ["apt-get"])

    with pytest.raises(StakeyardError, match=r"`base` failed .* Unable to locate package nova-api .*base\.log"):
        Steps(tmp_path, lambda _: None).run("base", "base system", fail)


def test_a_failed_step_without_output_gives_the_error_itself(tmp_path: Path) -> None:
    def fail(_: IO[str]) -> None:
        raise OSError("No space left on device")

    with pytest.raises(StakeyardError, match="No space left on device"):
        Steps(tmp_path, lambda _: None).run("base", "base system", fail)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("2026-01-31T10:00:00.000000", True),
        ("2026-01-31 10:00:01", True),
        ("2026-01-31T10:00:01Z", True),
        ("2026-01-31T09:59:59.999999", False),
        (None, False),
    ],
)
def test_a_report_from_before_the_boot_counts_for_nothing(reported: str | None, expected: bool) -> None:
    assert health.fresh(reported, BOOT) is expected


def test_what_is_missing_is_named() -> None:
    now = "2026-01-31T10:01:00"
    members = [
        Member("nova-compute", "a", True, now),
        Member("nova-compute", "b", False, now),
        Member("nova-scheduler", "a", True, "2026-01-31T09:00:00"),
    ]
    assert health.missing(members, BOOT, {"nova-compute": 2, "neutron-l3-agent": 1}) == [
        "nova-compute on b",
        "nova-scheduler on a",
        "neutron-l3-agent (0 of 1)",
    ]
    assert health.missing([Member("nova-compute", "a", True, now)], BOOT, {"nova-compute": 1}) == []


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in a temporary directory with a base system that is only a name; nothing runs and nothing is started."""
    monkeypatch.setenv("STAKEYARD_LAB", str(tmp_path / "lab"))
    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(host, "host_resolver", lambda: "192.0.2.53")
    made = Lab(settings({"STAKEYARD_LAB_NAME": "unittest"}), lambda _: None)
    library = made.settings.state / "base/usr/lib/stakeyard-lab"
    library.mkdir(parents=True)
    (library / "build").write_text("abc\n")
    (made.settings.state / "kvm.json").write_text("false")
    return made


def _initialisations(made: Lab, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(making, "initialise", lambda *_: calls.append("initialise"))
    monkeypatch.setattr(making, "snapshot", lambda *_: calls.append("snapshot"))
    return calls


def test_nodes_that_were_not_finished_are_made_anew(fake: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _initialisations(fake, monkeypatch)
    half = fake.settings.state / "nodes/controller/upper/half"
    half.parent.mkdir(parents=True)
    half.write_text("left by a killed run")
    fake._nodes_made()
    assert calls == ["initialise", "snapshot"]
    assert not half.exists()


def test_nodes_that_are_finished_are_taken_as_they_are(fake: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _initialisations(fake, monkeypatch)
    first = fake._nodes_made()
    kept = fake.settings.state / "nodes/kept"
    kept.parent.mkdir()
    kept.write_text("")
    assert fake._nodes_made() == first
    assert calls == ["initialise", "snapshot"]
    assert kept.exists()


def test_a_killed_snapshot_does_not_count_as_finished(fake: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _initialisations(fake, monkeypatch)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "snapshot", killed)
    with pytest.raises(KeyboardInterrupt):
        fake._nodes_made()
    assert fake.made() is None
    assert calls == ["initialise"]


def test_nodes_of_other_scripts_are_renewed_when_they_do_not_run(fake: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _initialisations(fake, monkeypatch)
    fake._made_file.write_text(json.dumps(vars(Made("0" * 16, "qemu", "lxc"))))
    assert fake._nodes_made().digest != "0" * 16
    assert calls == ["initialise", "snapshot"]


@pytest.mark.parametrize("text", ["", "tr", "\0\0"])
def test_what_a_kill_left_half_written_is_found_out_again(
    fake: Lab, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    calls = _initialisations(fake, monkeypatch)

    def probe(_: Path) -> bool:
        calls.append("probe")
        return True

    monkeypatch.setattr(kvm, "probe", probe)
    monkeypatch.setattr(rootfs, "build", lambda *_: calls.append("base"))
    monkeypatch.setattr(Archive, "pack", lambda *_: None)
    for name in ("kvm.json", "base.json", "made.json"):
        (fake.settings.state / name).write_text(text)
    assert fake.made() is None
    fake._base()
    (fake.settings.state / "base/usr/lib/stakeyard-lab").mkdir(parents=True)
    (fake.settings.state / "base/usr/lib/stakeyard-lab/build").write_text("abc\n")
    fake._nodes_made()
    assert calls == ["base", "probe", "initialise", "snapshot"]
    again = [json.loads((fake.settings.state / name).read_text()) for name in ("kvm.json", "base.json", "made.json")]
    assert again[0] is True
    assert again[1].startswith("base-")
    assert again[2]["virt"] == "kvm"


def test_the_digest_of_the_nodes_follows_what_they_are_made_of(fake: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(virt: str = "qemu", dns: str = "192.0.2.53") -> str:
        return lab.nodes_digest(fake.settings, virt, "lxc", dns)

    first = digest()
    assert digest() == first
    assert len({first, digest(virt="kvm"), digest(dns="192.0.2.54")}) == 3
    (fake.settings.state / "base/usr/lib/stakeyard-lab/build").write_text("another\n")
    assert digest() != first
    monkeypatch.setattr(rootfs, "FILES", Path(__file__).parent / "bad_stack_files")
    assert len({first, digest()}) == 2


def test_an_unknown_node_is_refused(fake: Lab) -> None:
    with pytest.raises(StakeyardError, match="no node `database`"):
        fake.node("database")
