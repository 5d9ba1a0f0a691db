"""What `pulumi preview --json` says beside its steps: why it failed, and what is protected."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from stacks.errors import StakeyardError
from stacks.preview.model import Finding
from stacks.preview.steps import node_of
from stacks.text import last_line
from stacks.urns import name_of, type_of

RULE = "pulumi-protection"
_POINT = re.compile(r"^\s*\* ", re.MULTILINE)
"""Begins each error that a plugin of Terraform's counts up; what stands before them is how Pulumi came by them."""
_EXCEPTION = re.compile(r"^(?=[A-Za-z_][\w.]*: )", re.MULTILINE)
_PROTECTED = re.compile(
    r'(?:unable to (?P<verb>replace|delete) )?resource "(?P<urn>[^"]+)"(?: as part of replacing "[^"]+")?'
    r"\s+(?:as it is currently marked for protection|cannot be deleted\s+because it is protected)"
)
"""How Pulumi 3.253 says so of a replacement, of one that follows from another's, and of a deletion."""


def parsed(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What it printed; a preview in which something protected would go is one, too.

    Raises StakeyardError with Pulumi's own reason where there is no preview.
    """
    try:
        found = json.loads(result.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StakeyardError(f"`pulumi preview` failed: {last_line(result.stderr)}")
    # Pulumi closes every failure with this line.
    errors = [error for error in _errors(found) if error.strip() != "error: preview failed"]
    if result.returncode != 0 and (not errors or not all(map(_PROTECTED.search, errors))):
        reason = next((error for error in errors if not _PROTECTED.search(error)), last_line(result.stderr))
        raise StakeyardError(f"`pulumi preview` failed: {essence(reason)}")
    return found


def essence(reason: str) -> str:
    """What matters of an error, in one line: the last point of a list, or the exception that ends a traceback."""
    if "Traceback (most recent call last)" in reason:
        reason = _EXCEPTION.split(reason)[-1]
    before, *points = _POINT.split(reason)
    told = points[-1].partition("\n\n")[0] if points else before
    return " ".join(told.split())


def _errors(found: Mapping[str, Any]) -> Iterator[str]:
    for each in found.get("diagnostics") or ():
        if each.get("severity") == "error" and str(each.get("message", "")).strip():
            yield str(each["message"])


def protections(found: Mapping[str, Any], parents: Mapping[str, str]) -> tuple[Finding, ...]:
    """A finding for each resource that Pulumi refuses to replace or delete."""
    matches = (match for error in _errors(found) if (match := _PROTECTED.search(error)))
    told = {(match["urn"], match["verb"] or "delete") for match in matches}
    return tuple(
        Finding(
            RULE,
            "error",
            f"{type_of(urn)}::{name_of(urn)}",
            f"it is protected, and Pulumi refuses to {verb} it: change the stack file so that it stays, or lift its "
            "protection with `stakeyard pulumi state unprotect` after you have made sure that nothing needs it any "
            "more.",
            node_of(urn, parents),
        )
        for urn, verb in sorted(told)
    )
