"""The program of a checkout is made of that checkout's own modules, whatever else is installed or on the path."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacks.paths import REPOSITORY

# As Pulumi's Python host does it; what the program is told on the way must not count.
RUN = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"


@pytest.mark.parametrize("named", ["stacks", "stacks/__main__.py"])
@pytest.mark.parametrize("path", ["", str(REPOSITORY)])
def test_a_checkouts_program_is_its_own(named: str, path: str, tmp_path: Path) -> None:
    other = tmp_path / "stacks"
    other.mkdir()
    shutil.copy(REPOSITORY / "stacks" / "__main__.py", other)
    (other / "__init__.py").touch()
    (other / "configuration.py").write_text("import sys\nsys.exit(f'from {__file__}')\n")
    ran = subprocess.run(
        [sys.executable, "-c", RUN, named],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == f"from {other / 'configuration.py'}\n"
