"""Every rule on a fleet, and on the resources of a preview or a state; then the stack file's waivers."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from stacks.catalogue import Catalogue
from stacks.fleet_models import Fleet
from stacks.fleet_policy import Waiver
from stacks.policy.model import Breach, Context, Resource, Rule
from stacks.policy.rules import BY_ID, RULES
from stacks.preview.model import Finding


def check_fleet(fleet: Fleet, catalogue: Catalogue, today: date) -> tuple[Finding, ...]:
    """What the rules find in the typed fleet, and what is wrong with its waivers. Sorted; waived ones are marked.

    Raises `StakeyardError` where a variable chooses a client that its role does not have.
    """
    context = Context(fleet, catalogue, today)
    found = [*_judge(lambda rule: rule.on_fleet(context)), *_expired(fleet, today)]
    return _waived(found, fleet, today, _is_of_fleet)


def check_resources(
    fleet: Fleet, catalogue: Catalogue, resources: Sequence[Resource], today: date
) -> tuple[Finding, ...]:
    """What the rules find among the resources of a preview, or of the state after an update; as `check_fleet`."""
    context = Context(fleet, catalogue, today)
    found = _judge(lambda rule: rule.on_resources(context, resources))
    return _waived(found, fleet, today, lambda waiver: not _is_of_fleet(waiver))


def waiver_of(finding: Finding, waivers: Iterable[Waiver], today: date) -> Waiver | None:
    """The waiver that covers a finding: of those that count today, the one that lasts longest."""
    fitting = [each for each in waivers if today <= each.expires and covers(each, finding)]
    return max(fitting, key=lambda each: each.expires, default=None)


def covers(waiver: Waiver, finding: Finding) -> bool:
    """Whether a waiver is for a finding; its day apart."""
    key = waiver.key
    inside = key is None or finding.key == key or finding.key.startswith((f"{key}.", f"{key}["))
    return waiver.rule == finding.rule and inside and waiver.node in (None, finding.node)


def finding(rule: Rule, breach: Breach) -> Finding:
    """The breach as a finding of its rule."""
    return Finding(rule.id, rule.level, breach.key, breach.sentence, breach.node)


def _judge(by: Callable[[Rule], Iterable[Breach]]) -> list[Finding]:
    return [finding(rule, breach) for rule in RULES for breach in by(rule)]


def _waived(found: Iterable[Finding], fleet: Fleet, today: date, ours: Callable[[Waiver], bool]) -> tuple[Finding, ...]:
    waivers = fleet.policy.waivers
    by_rule: dict[str, list[Waiver]] = {}
    for waiver in waivers:
        by_rule.setdefault(waiver.rule, []).append(waiver)
    result = []
    used: set[int] = set()
    for each in found:
        fitting = by_rule.get(each.rule, ())
        used |= {id(waiver) for waiver in fitting if covers(waiver, each)}
        covering = waiver_of(each, fitting, today)
        result.append(_with(each, covering) if covering else each)
    for index, waiver in enumerate(waivers):
        if ours(waiver) and today <= waiver.expires and id(waiver) not in used:
            sentence = f"the waiver of {waiver.rule} covers nothing; remove it, or correct its key or node."
            result.append(finding(BY_ID["unused-waiver"], Breach(_path(index), sentence, waiver.node)))
    return tuple(sorted(result, key=_order))


def _with(each: Finding, waiver: Waiver) -> Finding:
    reason = f"{waiver.reason} (until {waiver.expires.isoformat()})"
    return Finding(each.rule, each.level, each.key, each.sentence, each.node, reason)


def _expired(fleet: Fleet, today: date) -> Iterable[Finding]:
    for index, waiver in enumerate(fleet.policy.waivers):
        if waiver.expires < today:
            sentence = (
                f"the waiver of {waiver.rule} ({waiver.reason}) expired on {waiver.expires.isoformat()} and no longer "
                "counts; settle what it covers and remove it, or give it a new day and reason."
            )
            yield finding(BY_ID["expired-waiver"], Breach(_path(index), sentence, waiver.node))


def _is_of_fleet(waiver: Waiver) -> bool:
    """Whether a waiver that covers nothing is told by the fleet's check: by one of the two, and not by both.

    The resources' check tells of those that name a resource, and of rules that only look at resources.
    """
    return "::" not in (waiver.key or "") and BY_ID[waiver.rule].fleet is not None


def _path(index: int) -> str:
    return f"policy.waivers[{index}]"


def _order(each: Finding) -> tuple[bool, bool, str, str, str]:
    """What counts before what is waived, errors before warnings, then by rule and place."""
    return bool(each.waived), each.level != "error", each.rule, each.key, each.sentence
