"""The signer's parts that run on hosts, loaded from the role's files."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType

from stacks.paths import REPOSITORY

ROLE = REPOSITORY / "roles" / "signer"


def _load(name: str, path: str) -> ModuleType:
    loader = SourceFileLoader(name, str(ROLE / path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


gate = _load("signer_gate", "files/signer-gate")
claim_module = _load("signer_claim_module", "library/signer_claim.py")
