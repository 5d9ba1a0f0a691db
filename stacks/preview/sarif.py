"""The findings of a preview in SARIF 2.1.0, for code scanning (docs.oasis-open.org/sarif/sarif/v2.1.0)."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stacks.preview import risk
from stacks.preview.locations import line_of, lines
from stacks.preview.model import Finding, Preview

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FAILED = "no-preview"


def render(preview: Preview, file: str, text: str) -> str:
    """The findings; `file` is the stack file's path in the repository and `text` what it says."""
    return _log(risk.ordered(preview).findings, file, text)


def failure(stack: str, sentence: str, file: str, text: str) -> str:
    """A log with the one error because of which there is no preview."""
    key = sentence.partition(":")[0]
    return _log([Finding(FAILED, "error", key if " " not in key else stack, sentence)], file, text)


def _log(findings: Sequence[Finding], file: str, text: str) -> str:
    known = lines(text) if findings else {}
    rules = sorted({finding.rule for finding in findings})
    run = {
        "tool": {
            "driver": {
                "name": "stakeyard",
                "rules": [{"id": rule, "shortDescription": {"text": _title(rule)}} for rule in rules],
            }
        },
        "results": [_result(finding, rules, file, known) for finding in findings],
        "columnKind": "unicodeCodePoints",
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _title(rule: str) -> str:
    return f"{rule.replace('-', ' ').capitalize()}."


def _result(finding: Finding, rules: Sequence[str], file: str, known: Mapping[tuple[str, ...], int]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": finding.level,
        "message": {"text": f"{finding.key}: {finding.sentence}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": file},
                    # What is in no stack file, such as a resource, is shown at its beginning.
                    "region": {"startLine": _line(finding, known)},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.key}],
            }
        ],
        "partialFingerprints": {"stakeyard/v1": _fingerprint((finding.rule, finding.key, finding.node or ""))},
    }
    if finding.waived:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.waived}]
    return result


def _line(finding: Finding, known: Mapping[tuple[str, ...], int]) -> int:
    found = line_of(finding.key, known)
    if found is None and finding.node:
        found = line_of(f"nodes.{finding.node}", known)
    return found or 1


def _fingerprint(parts: Iterable[str]) -> str:
    """The same for the same finding, whatever line it has moved to."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
