"""Loads the small Ansible modules of roles, which are files and not a package."""

import importlib.util
from types import ModuleType

from stacks.paths import REPOSITORY


def load(role: str, name: str) -> ModuleType:
    """The module roles/<role>/library/<name>.py."""
    path = REPOSITORY / "roles" / role / "library" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
