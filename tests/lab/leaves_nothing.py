"""`stakeyard lab down` leaves nothing behind. Run on its own, at the end: it stops the lab."""

import subprocess

import pytest

from stacks.paths import REPOSITORY, lab

pytestmark = pytest.mark.lab


def shell(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_down_leaves_no_process_mount_loop_device_bridge_or_table() -> None:
    stakeyard = str(REPOSITORY / ".venv" / "bin" / "stakeyard")
    assert subprocess.run([stakeyard, "lab", "down"], check=False).returncode == 0
    state = str(lab())
    assert state not in shell("cat", "/proc/mounts")
    assert state not in shell("ps", "-eo", "args")
    assert "nova/instances" not in shell("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    assert "172.31.240." not in shell("ip", "-brief", "address")
    assert "172.31.240." not in shell("nft", "list", "ruleset")
