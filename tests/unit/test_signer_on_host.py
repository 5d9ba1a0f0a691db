"""The parts of the signer that run on a host: the gate as a program, and the claim's file."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stacks.signer import fingerprint
from tests.signer.parts import ROLE, claim_module, gate

VOLUME, SERVER, OTHER = "volume-1", "server-1", "server-2"
WANTED = {"format": 2, "volume": VOLUME, "server": SERVER, "generation": 3, "keys": ["aa"]}


def claim(**changes: Any) -> dict[str, Any]:
    return {**WANTED, "begun": ["aa"], **changes}


@pytest.mark.parametrize(
    ("found", "new", "expected"),
    [
        (None, True, claim(begun=[])),
        (claim(server=OTHER, generation=2), False, claim()),
        (claim(server=None, generation=2), False, claim()),
        (claim(), False, claim()),
        (claim(server=None), False, claim()),
        (claim(keys=["aa", "bb"], begun=["aa", "bb"]), False, claim()),
        (claim(keys=["bb"], begun=["bb"]), False, claim(begun=[])),
    ],
    ids=["first", "moved", "released before", "the same", "released and taken again", "fewer keys", "other keys"],
)
def test_a_claim_is_written_where_the_volume_agrees(found: Any, new: bool, expected: dict[str, Any]) -> None:
    assert claim_module.decide(found, WANTED, new) == expected


def test_what_the_cloud_knows_to_have_begun_is_not_forgotten() -> None:
    """A key was taken out of the claim and came back before its signer had let go of it."""
    assert claim_module.decide(claim(begun=[]), WANTED, False, ["aa", "bb"]) == claim()


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "the volume has no claim although it should"),
        (claim(volume="volume-2"), "this is the claim of volume volume-2"),
        (claim(generation=4, server=OTHER), "the claim has moved on (generation 4, not 3)"),
        (claim(server=OTHER), "server server-2 holds the claim of this generation"),
        (claim(format=1), "the claim has format 1"),
    ],
)
def test_a_claim_is_never_written_over_one_that_says_otherwise(found: Any, sentence: str) -> None:
    with pytest.raises(claim_module.RefusalError) as refused:
        claim_module.decide(found, WANTED, False)
    assert str(refused.value).startswith(sentence)


def test_only_the_holder_releases() -> None:
    assert claim_module.release(claim(), WANTED) == claim(server=None)
    assert claim_module.release(claim(server=None), WANTED) == claim(server=None)
    for found in (None, claim(server=OTHER)):
        with pytest.raises(claim_module.RefusalError):
            claim_module.release(found, WANTED)


def test_a_claim_is_never_written_to_the_system_disk(tmp_path: Path) -> None:
    parameters = {**WANTED, "begun": [], "path": str(tmp_path / "claim.json"), "new": True, "state": "held"}
    with pytest.raises(claim_module.RefusalError, match="is no mounted volume"):
        claim_module.run(parameters, check_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_claim_is_refused(tmp_path: Path) -> None:
    (tmp_path / "claim.json").write_text("[]")
    with pytest.raises(claim_module.RefusalError, match="cannot be understood"):
        claim_module.read(tmp_path / "claim.json")


def test_a_claim_on_disk_is_for_root_alone(tmp_path: Path) -> None:
    claim_module.write(tmp_path / "claim.json", claim())
    assert json.loads((tmp_path / "claim.json").read_text()) == claim()
    assert (tmp_path / "claim.json").stat().st_mode & 0o777 == 0o600


def test_the_gate_and_the_program_know_a_key_by_the_same_fingerprint() -> None:
    assert gate.fingerprint("0xABcd") == fingerprint("0xABcd")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host where everything is as it should be; the key volume is the folder `keys-volume`."""
    mount, device = tmp_path / "keys-volume", tmp_path / "device"
    (mount / "keys").mkdir(parents=True)
    (mount / "keys" / "0xabc1.json").write_text("{}")
    (mount / "history").touch()
    (mount / "accounts").write_text("a key")
    hold(mount, "abc1")
    (mount / "known").write_text('["abc1", "dead"]')
    device.touch()
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / f"virtio-{VOLUME}").symlink_to(device)
    (tmp_path / "server-id").write_text(f"{SERVER}\n")
    (tmp_path / "dmi").mkdir()
    (tmp_path / "dmi" / "product_name").write_text("OpenStack Nova\n")
    (tmp_path / "dmi" / "product_uuid").write_text(f"{SERVER.upper()}\n")
    claim_module.write(mount / "claim.json", claim(keys=[fingerprint("abc1")], begun=[]))
    monkeypatch.setattr(gate, "BY_ID", tmp_path / "by-id")
    monkeypatch.setattr(gate, "SERVER", tmp_path / "server-id")
    monkeypatch.setattr(gate, "DMI", tmp_path / "dmi")
    monkeypatch.setattr(gate, "mounted_device", lambda _mount, _mounts: os.path.realpath(device))
    return tmp_path


def hold(mount: Path, *keys: str) -> None:
    """Let the signer's wallet, which is the file `accounts`, hold these keys."""
    digest = hashlib.sha256((mount / "accounts").read_bytes()).hexdigest()
    note = {"keys": dict.fromkeys(keys, "digest"), "files": {"accounts": digest}}
    (mount / "wallet").write_text(json.dumps(note))


def ask(host: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    mount = host / "keys-volume"
    words = ["gate", "--mount", mount, "--volume", VOLUME, "--keys", mount / "keys", "--history", mount / "history"]
    words += ["--used", mount / "wallet", "--known", mount / "known"]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    status: int = gate.main()
    return status


def test_the_gate_opens_and_notes_that_signing_has_begun(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "keys-volume" / "history").unlink()
    assert ask(host, monkeypatch) == 0
    assert json.loads((host / "keys-volume" / "claim.json").read_text())["begun"] == [fingerprint("abc1")]
    assert ask(host, monkeypatch) == 1, "the history is not there although signing has begun"


def test_only_what_the_signer_holds_begins(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another key is in the claim already, and the run that would have settled its history was killed."""
    mount, held = host / "keys-volume", fingerprint("abc1")
    claim_module.write(mount / "claim.json", claim(keys=[held, fingerprint("dead")], begun=[held]))
    assert ask(host, monkeypatch) == 0
    assert json.loads((mount / "claim.json").read_text())["begun"] == [held]
    hold(mount, "abc1", "dead")
    assert ask(host, monkeypatch) == 0
    assert json.loads((mount / "claim.json").read_text())["begun"] == sorted([held, fingerprint("dead")])


def test_what_has_begun_stays_so_whatever_the_signer_holds(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is left out for a while does not come back as one that may start without its history."""
    mount, away = host / "keys-volume", fingerprint("dead")
    claim_module.write(mount / "claim.json", claim(keys=[fingerprint("abc1"), away], begun=[away]))
    assert ask(host, monkeypatch) == 0
    assert json.loads((mount / "claim.json").read_text())["begun"] == sorted([fingerprint("abc1"), away])


def test_a_gate_that_cannot_note_that_signing_begins_stays_shut(
    host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gate, "begin", full)
    assert ask(host, monkeypatch) == 1
    assert "the key volume could not be read or written ([Errno 28] No space left on device)" in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"format": 1}, {"format": 3}, {"format": None}, {"keys": None}, {"begun": "aa"}])
def test_a_claim_of_another_form_is_none(changes: dict[str, Any]) -> None:
    assert gate.read_claim(json.dumps(claim())) == claim()
    assert gate.read_claim(json.dumps(claim(**changes))) is None


def test_what_was_mounted_last_is_what_is_read() -> None:
    mounts = "/dev/vdb /keys ext4 rw 0 0\n/dev/vdc /keys ext4 rw 0 0\n/dev/vdd /keys/other ext4 rw 0 0\n"
    assert gate.mounted_device("/keys", mounts) == "/dev/vdc"
    assert gate.mounted_device("/elsewhere", mounts) == ""


def test_a_server_without_a_name_holds_no_claim(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that was released names nobody; neither does a server whose name is not noted."""
    named = claim(keys=[fingerprint("abc1")], begun=[], server="")
    claim_module.write(host / "keys-volume" / "claim.json", named)
    (host / "server-id").unlink()
    (host / "dmi" / "product_uuid").unlink()
    assert ask(host, monkeypatch) == 1


@pytest.mark.parametrize("product", ["OpenStack Nova", "OpenStack Compute"])
def test_each_name_of_the_hypervisor_tells_a_copied_system_disk(
    host: Path, monkeypatch: pytest.MonkeyPatch, product: str
) -> None:
    (host / "dmi" / "product_name").write_text(f"{product}\n")
    (host / "dmi" / "product_uuid").write_text("server-9\n")
    assert ask(host, monkeypatch) == 1


@pytest.mark.parametrize("name", ["scsi-0QEMU_QEMU_HARDDISK_volume-1", "wwn-0xvolume1"])
def test_the_gate_knows_the_volume_on_any_bus(host: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    by_id = host / "by-id"
    (by_id / f"virtio-{VOLUME}").rename(by_id / name)
    assert ask(host, monkeypatch) == 0
    (by_id / f"virtio-{VOLUME}").symlink_to(host / "device")
    assert ask(host, monkeypatch) == 0, "two names of one device"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ("rm by-id/*", "is not volume volume-1: mount the right volume; "),
        ("rm by-id/*", "/by-id has nothing."),
        ("mv by-id/virtio-volume-1 by-id/virtio-volume-12", "mount the right volume; "),
        ("mv by-id/virtio-volume-1 by-id/virtio-volume-12", "/by-id has virtio-volume-12."),
        ("touch other; ln -sf ../other by-id/virtio-volume-1", "is not volume volume-1: mount the right volume; "),
        (
            "touch other; ln -s ../other by-id/scsi-0QEMU_QEMU_HARDDISK_volume-1",
            "several devices have names of volume volume-1: detach those that are not it; ",
        ),
        ("rm keys-volume/claim.json", "claim.json is missing or cannot be understood"),
        ("echo '{}' > keys-volume/claim.json", "claim.json is missing or cannot be understood"),
        ("echo server-9 > server-id", "server server-1 holds the claim and this is server server-9"),
        ("rm server-id", "this is server unknown"),
        ("echo server-9 > dmi/product_uuid", "this machine is server server-9: its system disk is a copy"),
        (
            """sed -i 's/"abc1"/"dead": "", &/' keys-volume/wallet""",
            f"the signer still holds key {fingerprint('dead')}",
        ),
        ("echo '[]' > keys-volume/known", f"the history does not know key {fingerprint('abc1')}"),
        ("echo another key >> keys-volume/accounts", "or was changed by hand: let `pulumi up` make that anew"),
        ("rm keys-volume/accounts", "which keys the signer holds, or its history knows, cannot be read"),
        ("""echo '{"keys": ["abc1"]}' > keys-volume/wallet""", "which keys the signer holds"),
        ("rm keys-volume/wallet", "which keys the signer holds, or its history knows, cannot be read"),
        ("echo nothing > keys-volume/known", "which keys the signer holds, or its history knows, cannot be read"),
        ("touch keys-volume/keys/0xdead.json", f"holds key {fingerprint('dead')}, which is not in the claim"),
    ],
)
def test_the_gate_refuses_with_one_sentence(
    host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spoil: str, sentence: str
) -> None:
    subprocess.run(["/bin/sh", "-ec", spoil], cwd=host, check=True)
    assert ask(host, monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.startswith("signer-gate: refused: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_the_gate_runs_on_a_bare_python(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    words = ["--mount", f"{tmp_path}", "--volume", VOLUME, "--keys", f"{tmp_path}/keys", "--history", f"{tmp_path}/h"]
    done = subprocess.run(
        ["/usr/bin/python3", "-I", ROLE / "files" / "signer-gate", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == f"signer-gate: refused: no key volume is mounted at {tmp_path}: attach volume volume-1 and mount it.\n"
    )
