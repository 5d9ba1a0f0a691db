"""What must hold of the volumes of every node: the right one is mounted, its file system fills it and has room left."""

import json
import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

LIMITS = {"free_percent": 5, "unused_bytes": 128 << 20}
"""What a file system must have left for what is written next; and the most that may be left of a device behind it: a
block group of ext4, as a last one that is too small is not used."""


@pytest.fixture(scope="module")
def volumes(host: Any, facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The node's volumes by their names: device_id, mount and size_gib, and what findmnt shows at the mount."""
    found = {}
    for name, volume in facts["volumes"].items():
        asked = f"findmnt --json --bytes --output SOURCE,FSTYPE,SIZE,AVAIL --mountpoint {shlex.quote(volume['mount'])}"
        answer = host.run(asked)
        shown = json.loads(answer.stdout)["filesystems"][-1] if answer.rc == 0 else {}
        found[name] = {"source": "", "fstype": "nothing", "size": 0, "avail": 0, **volume, **shown}
    return found


def test_the_right_volumes_are_mounted(host: Any, volumes: Mapping[str, Mapping[str, Any]]) -> None:
    """Whatever the bus, one of the names that udev gives a volume's device ends with the id, or its beginning."""
    wrong = []
    for name, volume in volumes.items():
        if volume["fstype"] != "ext4":
            wrong.append(f"{name}: {volume['fstype']} is mounted at {volume['mount']}")
            continue
        asked = f"find -L /dev/disk/by-id -samefile {shlex.quote(volume['source'])} -printf '%f\\n'"
        links = host.check_output(asked).split()
        whole = volume["device_id"]
        ends = (whole, whole[:20], whole.replace("-", ""))
        if not any(link.endswith(ends) for link in links):
            wrong.append(f"{name}: {volume['source']} is mounted at {volume['mount']}, which is {links}, not {whole}")
    assert not wrong, "; ".join(wrong)


def test_each_file_system_fills_its_volume(host: Any, volumes: Mapping[str, Mapping[str, Any]]) -> None:
    short = []
    for name, volume in volumes.items():
        if volume["fstype"] != "ext4":
            continue  # which is for the check before this one to say
        source = shlex.quote(volume["source"])
        device = int(host.check_output(f"blockdev --getsize64 {source}"))
        # It may find the superblock of a busy file system half written.
        header = host.run(f"for n in 1 2 3; do LC_ALL=C dumpe2fs -h {source} && break; sleep 1; done").stdout
        blocks = [int(number) for number in re.findall(r"^Block (?:count|size): +(\d+)$", header, re.MULTILINE)]
        filesystem = math.prod(blocks) if len(blocks) == 2 else 0
        whole = max(device, volume.get("size_gib", 0) << 30)
        if whole - filesystem >= LIMITS["unused_bytes"]:
            short.append(f"{name}: of {whole} bytes the device has {device} and its file system {filesystem}")
    assert not short, "; ".join(short)


def test_each_file_system_has_room_left(volumes: Mapping[str, Mapping[str, Any]]) -> None:
    full = []
    for name, volume in volumes.items():
        size, free = int(volume["size"]), int(volume["avail"])
        if free * 100 < size * LIMITS["free_percent"]:
            full.append(f"{name}: {free >> 20} of {size >> 20} MiB are free at {volume['mount']}: enlarge the volume")
    assert not full, "; ".join(full)
