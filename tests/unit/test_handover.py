"""A fleet that Pulumi's configuration has no room for goes over in a file."""

import json
from pathlib import Path

from stacks.handover import LARGEST, handed_over

OTHER = {"openstack:insecure": True}
SMALL = {**OTHER, "stakeyard:fleet": {"nodes": {}}}
LARGE = {**OTHER, "stakeyard:fleet": {"nodes": {"n": "x" * LARGEST}}}


def test_a_small_fleet_stays_where_it_is(tmp_path: Path) -> None:
    assert handed_over(SMALL, tmp_path / "fleet.json") == SMALL
    assert not list(tmp_path.iterdir())


def test_a_large_one_is_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    assert handed_over(LARGE, path) == {**OTHER, "stakeyard:fleetFile": str(path)}
    assert json.loads(path.read_text()) == LARGE["stakeyard:fleet"]
    assert path.stat().st_mode & 0o777 == 0o600
