"""The table of rules as a Pulumi policy pack: what `pulumi preview --policy-pack stacks/policy` runs.

Pulumi skips what it does not know yet, and so do we: rules are given the inputs that are known. The fleet's rules judge
the same stack file that the program reads. A rule becomes a policy on single resources, which stops a resource before
it is made, and one on the whole stack, for what it says of the fleet or of all resources together.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pulumi_policy as pack

from stacks import configuration
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import load_fleet
from stacks.policy.check import finding, waiver_of
from stacks.policy.inputs import known, unknown
from stacks.policy.model import Breach, Context, Resource, Rule
from stacks.policy.rules import RULES
from stacks.preview.model import Finding

NAME = "stakeyard"
FLEET = "-fleet"
"""Ends the name of a rule's policy on the whole stack, where it has one on single resources too."""
_LEVELS = {"error": pack.EnforcementLevel.MANDATORY, "warning": pack.EnforcementLevel.ADVISORY}

Report = Callable[..., None]


@cache
def context() -> Context:
    """The fleet of the stack that is previewed. Raises `StakeyardError` where its stack file is refused."""
    catalogue = load_catalogue()
    # What Pulumi has decrypted looks as if it stood there in clear; the program, which is told more, judges that.
    fleet = load_fleet(configuration.fleet(), catalogue, secrets_in_clear=True)
    return Context(fleet, catalogue, datetime.now(UTC).date())


def run() -> None:
    """Serve the pack to Pulumi's engine."""
    pack.PolicyPack(NAME, policies(), enforcement_level=pack.EnforcementLevel.MANDATORY)


def policies(given: Callable[[], Context] = context) -> list[pack.Policy]:
    """The table as Pulumi's policies."""
    made: list[pack.Policy] = []
    for rule in RULES:
        if rule.of_changes:
            continue  # Pulumi tells a pack what there will be, and not what would be done to it
        if rule.resource:
            made.append(
                pack.ResourceValidationPolicy(
                    rule.id, rule.refuses, _on_resource(rule, given), enforcement_level=_LEVELS[rule.level]
                )
            )
        if rule.fleet or rule.resources:
            name = rule.id + FLEET if rule.resource else rule.id
            made.append(
                pack.StackValidationPolicy(
                    name, rule.refuses, _on_stack(rule, given), enforcement_level=_LEVELS[rule.level]
                )
            )
    return made


def _on_resource(rule: Rule, given: Callable[[], Context]) -> Callable[[pack.ResourceValidationArgs, Report], None]:
    def validate(args: pack.ResourceValidationArgs, report: Report) -> None:
        resource = _made(args.resource_type, args.name, args.urn, args.props, args.opts.protect)
        _report(rule, given, lambda context: rule.resource(context, resource) if rule.resource else (), report)

    return validate


def _on_stack(rule: Rule, given: Callable[[], Context]) -> Callable[[pack.StackValidationArgs, Report], None]:
    def validate(args: pack.StackValidationArgs, report: Report) -> None:
        def breaches(context: Context) -> Iterable[Breach]:
            yield from rule.on_fleet(context)
            if rule.resources:
                yield from rule.resources(context, [_resource(each) for each in args.resources])

        _report(rule, given, breaches, report)

    return validate


def _resource(given: pack.PolicyResource) -> Resource:
    return _made(given.resource_type, given.name, given.urn, given.props, given.opts.protect)


def _made(type_: str, name: str, urn: str, props: Mapping[str, Any], protect: bool) -> Resource:
    return Resource(type_, name, urn, known(props), bool(protect), unknown=unknown(props))


def _report(
    rule: Rule, given: Callable[[], Context], breaches: Callable[[Context], Iterable[Breach]], report: Report
) -> None:
    """Report what breaks the rule and is not waived; a stack file that cannot be read is said, not thrown."""
    try:
        context = given()
        found = [finding(rule, breach) for breach in breaches(context)]
    except StakeyardError as error:
        report(f"the stack file cannot be judged: {error}")
        return
    for each in found:
        if not waiver_of(each, context.fleet.policy.waivers, context.today):
            report(sentence(each))


def sentence(each: Finding) -> str:
    """A finding on one line: where, and what to do."""
    return f"{each.key}: {each.sentence}"
