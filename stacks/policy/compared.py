"""The policies on a change: no pull request forgives itself.

A flag, a limit or a waiver that a change brings along counts only when somebody has looked at it. `before` is the fleet
as it is in force until then.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from stacks.fleet_models import Fleet
from stacks.fleet_policy import Policies, Waiver
from stacks.preview.model import Finding

Judge = Callable[[Fleet], Sequence[Finding]]
LIMITS = tuple(name for name in Policies.model_fields if name != "waivers")
UNSEEN = {
    "backup": "from now on backups go elsewhere, or others can read them",
    "encryption": "volumes without encryption are refused when the stack file is read, or are so no more",
    "platform": "other rules count for volumes and placeholders",
}
"""Keys of a fleet that policies or backups depend on and no resource shows, with what a change of them means."""
_OF_WAIVERS = ("expired-waiver", "unused-waiver")
_THROWAWAY = {
    True: "the stack becomes a throw-away one: nothing of it is protected any more, a signer whose server still runs "
    "may be deleted unretired, and policies are judged as if this did not stand here until it has been merged.",
    False: "the stack is no throw-away one any more: protection and all policies count from now on.",
}


def judged(fleet: Fleet, before: Fleet | None, judge: Judge) -> tuple[Finding, ...]:
    """What `judge` finds in the fleet, and a warning for each finding that only the change's own policy silences."""
    if before is None:
        return tuple(judge(fleet))
    found = _strict(fleet, before, judge)
    if (fleet.policy, fleet.platform) == (before.policy, before.platform):
        return found
    still = fleet.model_copy(
        update={
            "throwaway": fleet.throwaway and before.throwaway,
            "policy": before.policy,
            "platform": before.platform,
        }
    )
    counted = {_place(each) for each in found if not each.waived}
    forgiven = (each for each in judge(still) if not each.waived and each.rule not in _OF_WAIVERS)
    return (*found, *(_forgiven(each) for each in forgiven if _place(each) not in counted))


def changes(fleet: Fleet, before: Fleet | None) -> tuple[Finding, ...]:
    """A warning for each flag, limit or waiver that is not what it was."""
    return tuple(_changes(fleet, before)) if before else ()


def _strict(fleet: Fleet, before: Fleet, judge: Judge) -> tuple[Finding, ...]:
    """A stack that only becomes a throw-away one is judged as what it still is."""
    if not fleet.throwaway or before.throwaway:
        return tuple(judge(fleet))
    silenced = {_place(each) for each in judge(fleet)}
    found = judge(fleet.model_copy(update={"throwaway": False}))
    return tuple(each if _place(each) in silenced else _as_before(each) for each in found)


def _as_before(each: Finding) -> Finding:
    sentence = f"{each.sentence} (Judged without `throwaway`, which only this change sets.)"
    return replace(each, sentence=sentence)


def _place(each: Finding) -> tuple[str, str, str | None]:
    return each.rule, each.key, each.node


def _forgiven(each: Finding) -> Finding:
    sentence = f"{each.rule} would object, and this change itself silences it: {each.sentence}"
    return Finding("policy-changed", "warning", each.key, sentence, each.node)


def _changes(fleet: Fleet, before: Fleet) -> Iterator[Finding]:
    if fleet.throwaway != before.throwaway:
        yield Finding("throwaway-changed", "warning", "throwaway", _THROWAWAY[fleet.throwaway])
    for key, meaning in UNSEEN.items():
        if getattr(fleet, key) != getattr(before, key):
            yield Finding("setting-changed", "warning", key, f"is not what it was: {meaning}.")
    for key in LIMITS:
        old, new = getattr(before.policy, key), getattr(fleet.policy, key)
        if old != new:
            yield Finding("policy-changed", "warning", f"policy.{key}", f"is {_shown(new)}, and was {_shown(old)}.")
    for index, waiver in enumerate(fleet.policy.waivers):
        if waiver not in before.policy.waivers:
            yield Finding("policy-changed", "warning", f"policy.waivers[{index}]", f"is new: {_waives(waiver)}.")
    gone = [waiver for waiver in before.policy.waivers if waiver not in fleet.policy.waivers]
    for waiver in gone:
        yield Finding("policy-changed", "warning", "policy.waivers", f"a waiver is gone: {_waives(waiver)}.")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "empty"
    return "not set" if value is None else str(value)


def _waives(waiver: Waiver) -> str:
    scope = [f"of {waiver.node}" if waiver.node else "", f"at {waiver.key}" if waiver.key else ""]
    what = " ".join(filter(None, [waiver.rule, *scope])) if any(scope) else f"all that {waiver.rule} finds"
    return f"it waives {what} until {waiver.expires.isoformat()} ({waiver.reason})"
