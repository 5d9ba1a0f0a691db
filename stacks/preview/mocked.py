"""A preview without any cloud: what a change of the repository would do to a fleet that is exactly as its base says.

The base's program is run without an engine, and what it declares becomes the state of a throw-away backend. On that
state the real `pulumi preview` of the head runs with the real OpenStack plugin, which decides by itself what can be
changed in place; the few questions it has for a cloud are answered on this machine.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stacks.errors import StakeyardError
from stacks.handover import handed_over
from stacks.preview import collector
from stacks.preview.checkout import Checkout, make_cache
from stacks.preview.deployment import deployment
from stacks.preview.diagnostics import parsed
from stacks.preview.stand_in import clouds_yaml, stand_in
from stacks.text import last_line
from tools import build as tools

PROJECT = "stakeyard"


def digest(head: Checkout, base: Checkout | None, stack: str, scratch: Path) -> dict[str, Any]:
    """What `pulumi preview --json` says of `head` on a fleet that is as `base` says; nothing is there without a base.

    `scratch` is an empty folder. Raises StakeyardError with what went wrong.
    """
    clouds = scratch / "clouds.yaml"
    checkouts = [checkout for checkout in (head, base) if checkout]
    with stand_in(pattern for checkout in checkouts for pattern in _patterns(checkout)) as url:
        clouds.write_text(clouds_yaml((name for checkout in checkouts for name in _clouds(checkout)), url))
        engine = _Engine(stack, scratch, clouds)
        with ThreadPoolExecutor() as pool:
            made = pool.submit(engine.make)
            resources = collect(base, stack, scratch) if base else []
            made.result()
        if resources:
            engine.fill(deployment(resources))
        return engine.preview(head)


def collect(checkout: Checkout, stack: str, scratch: Path) -> list[dict[str, Any]]:
    """Every resource that the program of `checkout` declares. Raises StakeyardError with its own refusal."""
    request, answer = scratch / "collect.json", scratch / "collected.json"
    # Pulumi hands mappings to a program with their keys sorted.
    config = {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in checkout.config.items()
    }
    directory = str(checkout.directory)
    request.write_text(json.dumps({"directory": directory, "stack": stack, "project": PROJECT, "config": config}))
    cache = scratch / "base-cache"
    make_cache(checkout.image, cache)
    result = subprocess.run(
        [sys.executable, "-P", collector.__file__, str(request), str(answer)],
        env=_environment(cache, scratch) | {"PYTHONPATH": directory},
        cwd=checkout.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if not answer.exists():
        raise StakeyardError(f"the program of the base could not be run: {last_line(result.stderr)}")
    found = json.loads(answer.read_text())
    if isinstance(found, dict):
        raise StakeyardError(str(found["error"]))
    return list(found)


def _environment(cache: Path, scratch: Path) -> dict[str, str]:
    """This process' environment without what would lead to a cloud, a state or a lab."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "PULUMI_", "STAKEYARD_"))}
    return kept | {"STAKEYARD_CACHE": str(cache), "STAKEYARD_LAB": str(scratch / "no-lab")}


def _patterns(checkout: Checkout) -> list[str]:
    images = checkout.fleet.get("images") if isinstance(checkout.fleet, dict) else None
    found = images.values() if isinstance(images, dict) else ()
    return [str(image["name_regex"]) for image in found if isinstance(image, dict) and "name_regex" in image]


def _clouds(checkout: Checkout) -> list[str]:
    name = checkout.fleet.get("cloud") if isinstance(checkout.fleet, dict) else None
    return [name] if isinstance(name, str) else []


class _Engine:
    """Pulumi with a backend that lives as long as the preview."""

    def __init__(self, stack: str, scratch: Path, clouds: Path) -> None:
        self._stack, self._scratch, self._clouds = stack, scratch, clouds
        self._project = scratch / "project"
        self._cache = scratch / "cache"
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
        env = _environment(self._cache, self._scratch)
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
        }
        self._project.mkdir()
        (self._project / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
        self._run(self._project, "stack", "init", self._stack, "--no-select", "--non-interactive")

    def fill(self, state: Mapping[str, Any]) -> None:
        """Let this be the stack's state."""
        path = self._scratch / "state.json"
        path.write_text(json.dumps(state))
        self._run(self._project, "stack", "import", "--stack", self._stack, "--file", str(path))

    def preview(self, head: Checkout) -> dict[str, Any]:
        """What an update to `head` would do."""
        make_cache(head.image, self._cache)
        config = self._scratch / "Pulumi.config.yaml"
        given = handed_over(head.config, self._scratch / "fleet.json")
        config.write_text(json.dumps({"config": given}))  # JSON is YAML
        self._environment["PYTHONPATH"] = str(head.directory)
        arguments = ["--json", "--non-interactive", "--stack", self._stack, "--config-file", str(config)]
        return parsed(self._run(head.directory, "preview", *arguments, refused=True))

    def _run(self, directory: Path, *arguments: str, refused: bool = False) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            ["pulumi", *arguments], cwd=directory, env=self._environment, capture_output=True, text=True, check=False
        )
        if result.returncode != 0 and not refused:
            words = " ".join(arguments[:2])
            raise StakeyardError(f"the mocked preview's `pulumi {words}` failed: {last_line(result.stderr)}")
        return result
