"""What the policies say of a stack file before anything is asked or made."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from stacks.catalogue import Catalogue
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_stack_file
from stacks.policy.check import check_fleet
from stacks.preview.model import Finding


def require(stack_file: Path, catalogue: Catalogue, today: date) -> Fleet:
    """The fleet of the stack file.

    Raises StakeyardError where the file is refused, or a policy's error that is not waived refuses it.
    """
    try:
        fleet = load_stack_file(stack_file, catalogue)
        broken = errors(check_fleet(fleet, catalogue, today))
    except StakeyardError as error:
        raise StakeyardError(f"{stack_file}: {error}") from None
    if broken:
        more = f" `stakeyard check {stack_file}` shows {len(broken) - 1} more." if broken[1:] else ""
        raise StakeyardError(f"{stack_file}: {told(broken[0])}{more}")
    return fleet


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """Those that refuse an update."""
    return [each for each in findings if each.level == "error" and not each.waived]


def told(finding: Finding) -> str:
    """A finding in one line: where, what to do, and by which rule."""
    waived = f" Waived: {finding.waived}." if finding.waived else ""
    return f"{finding.key}: {finding.sentence} (policy {finding.rule}){waived}"
