"""How others find the lab: the entry in clouds.yaml and the facts file."""

import io
import json
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from images.lab import settings as names
from images.lab.credentials import Passwords, write_private
from images.lab.settings import Settings
from stacks.errors import StakeyardError


def entry(settings: Settings, passwords: Passwords, admin: bool = False) -> dict[str, Any]:
    """A cloud as clouds.yaml describes it."""
    name = "admin" if admin else names.PROJECT
    return {
        "auth": {
            "auth_url": f"http://{settings.controller}:5000/v3",
            "username": name,
            "password": passwords.admin if admin else passwords.user,
            "project_name": name,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": names.REGION,
        "interface": "public",
        "identity_api_version": 3,
    }


def user_file() -> Path:
    """Where every OpenStack client looks for clouds."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "openstack" / "clouds.yaml"


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _load(text: str, path: Path) -> Any:
    try:
        data = _yaml().load(text)
    except YAMLError as error:
        raise StakeyardError(f"{path} is not valid YAML, so the lab's entry cannot be added: repair it.") from error
    if data is None:
        return {}
    if not isinstance(data, dict) or not isinstance(data.get("clouds") or {}, dict):
        raise StakeyardError(f"{path} has no mapping `clouds`, so the lab's entry cannot be added: repair it.")
    return data


def _dump(data: Any) -> str:
    buffer = io.StringIO()
    _yaml().dump(data, buffer)
    return buffer.getvalue()


def merged(text: str, name: str, cloud: dict[str, Any], path: Path) -> str:
    """The text of a clouds.yaml with one entry added or replaced; comments and other entries stay."""
    data = _load(text, path)
    if data.get("clouds") is None:
        data["clouds"] = {}
    if name in data["clouds"] and dict(data["clouds"][name]) == cloud:
        return text
    bare = not data["clouds"] and list(data) == ["clouds"]
    data["clouds"][name] = cloud
    comments = [line for line in text.splitlines(keepends=True) if line.startswith("#")] if bare else []
    return "".join(comments) + _dump(data)


def without(text: str, name: str, path: Path) -> str:
    """The text of a clouds.yaml without one entry; empty when it was the only thing in the file."""
    data = _load(text, path)
    clouds = data.get("clouds") or {}
    if name not in clouds:
        return text
    del clouds[name]
    return "" if not clouds and list(data) == ["clouds"] else _dump(data)


def publish(settings: Settings, passwords: Passwords, facts: dict[str, Any]) -> None:
    """Write the entry where clients look, alone into the state directory, and the facts."""
    cloud = entry(settings, passwords)
    path = user_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ""
    new = merged(text, settings.cloud, cloud, path)
    if new != text or path.stat().st_mode & 0o077:
        write_private(path, new)
    write_private(settings.state / "clouds.yaml", _dump({"clouds": {settings.cloud: cloud}}))
    administrator = {"clouds": {f"{settings.cloud}-admin": entry(settings, passwords, admin=True)}}
    write_private(settings.state / "admin-clouds.yaml", _dump(administrator))
    write_private(settings.state / "facts.json", json.dumps(facts, indent=2) + "\n")


def withdraw(settings: Settings) -> None:
    """Remove the entry from where clients look; the file too when nothing else is in it."""
    path = user_file()
    if not path.exists():
        return
    text = path.read_text()
    new = without(text, settings.cloud, path)
    if new == "":
        path.unlink()
    elif new != text:
        write_private(path, new)
