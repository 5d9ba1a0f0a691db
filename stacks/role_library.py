"""Python that lies in a role's folder and is used on the control machine: what only the kind itself can know."""

import importlib.util
import sys
from types import ModuleType

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY


def load(role: str, name: str) -> ModuleType:
    """The module roles/<role>/<name>.py (`roles` itself is no package). Raises StakeyardError where there is none."""
    full = f"stakeyard_role_{role}_{name}"
    if full in sys.modules:
        return sys.modules[full]
    path = REPOSITORY / "roles" / role / f"{name}.py"
    spec = importlib.util.spec_from_file_location(full, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise StakeyardError(f"{path} is missing: this checkout is not complete.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    return module
