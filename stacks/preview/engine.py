"""Pulumi with a backend that lives as long as a preview with a mocked cloud."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks.errors import StakeyardError
from stacks.preview.diagnostics import parsed
from stacks.preview.programs import PROJECT, environment
from stacks.text import last_line
from tools import build as tools

FOLDER = "/stakeyard-preview"
"""What a preview says in the place of its scratch folder, which is in the paths of placeholders."""


class Engine:
    """Makes the stack, fills its state, and previews."""

    def __init__(self, stack: str, scratch: Path, clouds: Path) -> None:
        """`scratch` is a folder for all that it keeps."""
        self._stack, self._scratch, self._clouds = stack, scratch, clouds
        self._project = scratch / "project"
        self._environment: dict[str, str] = {}

    def make(self) -> None:
        """Find the tools and make the stack."""
        binaries = tools.ensure(lambda _line: None)
        home, backend = self._scratch / "pulumi", self._scratch / "backend"
        backend.mkdir()
        tools.install_plugin(binaries, home)
        # A file where Pulumi would put its logs: it writes down every property of every resource that it compares,
        # which takes half of its time, and nobody reads it. It goes on without.
        (home / "logs").touch()
        env = environment(self._scratch)
        path = [str(binaries), str(Path(sys.executable).parent), env.get("PATH", os.defpath)]
        self._environment = env | {
            "PATH": os.pathsep.join(path),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip",
            # Nothing that is kept is encrypted with it, and no secret comes near.
            "PULUMI_CONFIG_PASSPHRASE": "mocked",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "OS_CLIENT_CONFIG_FILE": str(self._clouds),
            # Else its memory grows to twice of what it needs, which for a thousand nodes is a lot.
            "GOMEMLIMIT": "512MiB",
        }
        self._project.mkdir()
        (self._project / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
        self._run(self._project, "stack", "init", self._stack, "--no-select", "--non-interactive")

    def fill(self, state: Mapping[str, Any]) -> None:
        """Let this be the stack's state."""
        path = self._scratch / "state.json"
        path.write_text(json.dumps(state))
        self._run(self._project, "stack", "import", "--stack", self._stack, "--file", str(path))

    def preview(self, directory: Path, port: int) -> dict[str, Any]:
        """What an update would do to which the program that waits at `port` leads; `directory` is its checkout."""
        config = self._scratch / "Pulumi.config.yaml"
        config.write_text("config: {}\n")  # the program has it already
        # Our own provider's plugin is the checkout's, too.
        self._environment["PYTHONPATH"] = str(directory)
        arguments = ["--json", "--non-interactive", "--stack", self._stack, "--config-file", str(config)]
        client = [f"--client=127.0.0.1:{port}", "--exec-kind=auto.inline"]
        result = self._run(directory, "preview", *arguments, *client, refused=True)
        # It is another one in every run, and an unchanged preview is to be the same to the byte.
        result.stdout = result.stdout.replace(str(self._scratch), FOLDER)
        return parsed(result)

    def _run(self, directory: Path, *arguments: str, refused: bool = False) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            ["pulumi", *arguments], cwd=directory, env=self._environment, capture_output=True, text=True, check=False
        )
        if result.returncode != 0 and not refused:
            words = " ".join(arguments[:2])
            raise StakeyardError(f"the mocked preview's `pulumi {words}` failed: {last_line(result.stderr)}")
        return result
