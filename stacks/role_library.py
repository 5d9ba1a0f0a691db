"""Python that lies in a role's folder and is used on the control machine: what only the kind itself can know."""

import importlib.util
import sys
import threading
from types import ModuleType

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY

# Nodes converge side by side: without it, one could be given a module that another has not read to the end.
LOADING = threading.RLock()


def having(file: str) -> list[str]:
    """The roles in whose folder there is such a file."""
    return sorted(path.parent.name for path in (REPOSITORY / "roles").glob(f"*/{file}"))


def load(role: str, name: str) -> ModuleType:
    """The module roles/<role>/<name>.py (`roles` itself is no package). Raises StakeyardError where there is none."""
    with LOADING:
        return _load(role, name)


def _load(role: str, name: str) -> ModuleType:
    full = f"stakeyard_role_{role}_{name}"
    if full in sys.modules:
        return sys.modules[full]
    path = REPOSITORY / "roles" / role / f"{name}.py"
    spec = importlib.util.spec_from_file_location(full, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise StakeyardError(f"{path} is missing: this checkout is not complete.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    return module
