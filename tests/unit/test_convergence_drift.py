"""What is read from a host, and how differences from what was pinned are said."""

import subprocess
from pathlib import Path

from stacks.convergence import differences, observation, parse_observation


def test_differences_say_what_is_gone_changed_or_has_other_rights() -> None:
    pinned = {"/a": "1 root:root 644", "/b": "2 root:root 640", "/c": "3 root:root 600"}
    seen = {"/a": "missing", "/b": "9 root:root 640", "/c": "3 root:root 666"}
    assert differences(pinned, seen, "") == ["/a is gone", "/b was changed", "/c is root:root 666, not root:root 600"]
    assert differences(pinned, pinned, "") == []


def test_an_observation_is_read_back(tmp_path: Path) -> None:
    made = tmp_path / "it's a file"
    made.write_text("x")
    made.chmod(0o640)
    command = observation([str(made), str(tmp_path / "none")]).replace("sudo sh", "sh", 1)
    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    lines = output.splitlines()
    assert any(line.startswith(f"file {made} 2d711642b726b044") and line.endswith(" 640") for line in lines)
    assert f"file {tmp_path / 'none'} missing" in lines
    assert parse_observation("version bitcoin 31.0\nfile /a 0b u:g 640\n") == (
        {"bitcoin": "31.0"},
        {"/a": "0b u:g 640"},
    )
