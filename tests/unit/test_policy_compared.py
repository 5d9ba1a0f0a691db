"""What a pull request brings along to silence a policy silences none before it has been looked at."""

from collections.abc import Mapping
from typing import Any

import pytest

from stacks.fleet import Fleet
from stacks.policy import compared
from stacks.policy.check import check_fleet, check_resources
from stacks.policy.model import Resource
from stacks.urns import VOLUME
from tests.unit.policy_data.cases import TODAY, catalogue, fleet

PLAIN = {"nodes.signer-1.volumes.keys.type": "plain"}
WAIVER = {"rule": "encrypted-volumes", "reason": "a trial", "expires": "2099-01-01"}
THROWAWAY = {"throwaway": True}


def judged(head: Fleet, before: Fleet | None) -> list[tuple[str, str, str]]:
    """Level, rule and key of what counts."""
    found = (
        *compared.judged(head, before, lambda each: check_fleet(each, catalogue(), TODAY)),
        *compared.changes(head, before),
    )
    return sorted((each.level, each.rule, each.key) for each in found if not each.waived)


KEYS = "nodes.signer-1.volumes.keys"


@pytest.mark.parametrize(
    ("base", "head", "found"),
    [
        ({}, {}, []),
        ({}, PLAIN, [("error", "encrypted-volumes", KEYS)]),
        (
            {},
            {**PLAIN, "policy.waivers": [WAIVER]},
            [("warning", "policy-changed", KEYS), ("warning", "policy-changed", "policy.waivers[0]")],
        ),
        (
            {},
            {**PLAIN, "policy.encrypted_types": ["safe", "plain"]},
            [("warning", "policy-changed", KEYS), ("warning", "policy-changed", "policy.encrypted_types")],
        ),
        ({"policy.waivers": [WAIVER]}, {**PLAIN, "policy.waivers": [WAIVER]}, []),
        (
            {**PLAIN, "policy.waivers": [WAIVER]},
            PLAIN,
            [("error", "encrypted-volumes", KEYS), ("warning", "policy-changed", "policy.waivers")],
        ),
        ({}, {"policy.fork_notice_days": 0}, [("warning", "policy-changed", "policy.fork_notice_days")]),
        ({}, THROWAWAY, [("warning", "throwaway-changed", "throwaway")]),
        (
            {},
            {**THROWAWAY, **PLAIN},
            [("error", "encrypted-volumes", KEYS), ("warning", "throwaway-changed", "throwaway")],
        ),
        (THROWAWAY, {**THROWAWAY, **PLAIN}, []),
        (THROWAWAY, {}, [("warning", "throwaway-changed", "throwaway")]),
        (
            {},
            {"backup": {"recipients": ["age1" + "q" * 58], "repository": {"type": "directory", "path": "/b"}}},
            [("warning", "setting-changed", "backup")],
        ),
    ],
)
def test_a_change_does_not_forgive_itself(
    base: Mapping[str, Any], head: Mapping[str, Any], found: list[tuple[str, str, str]]
) -> None:
    assert judged(fleet(head), fleet(base)) == found


def test_without_a_base_the_head_is_judged_alone() -> None:
    assert judged(fleet({**PLAIN, "policy.waivers": [WAIVER]}), None) == []


def test_protection_that_only_the_flag_lifts_is_still_asked_for_and_says_why() -> None:
    volume = Resource(VOLUME, "signer-1-keys", inputs={"volumeType": "safe"})
    found = compared.judged(fleet(THROWAWAY), fleet(), lambda each: check_resources(each, catalogue(), [volume], TODAY))
    (finding,) = (each for each in found if each.rule == "protected")
    assert finding.level == "error"
    assert finding.sentence.endswith("(Judged without `throwaway`, which only this change sets.)")


def test_what_is_forgiven_is_named_with_its_rule_and_its_sentence() -> None:
    head = fleet({**PLAIN, "policy.waivers": [WAIVER]})
    found = compared.judged(head, fleet(), lambda each: check_fleet(each, catalogue(), TODAY))
    (warning,) = (each for each in found if each.rule == "policy-changed")
    assert warning.sentence.startswith(
        "encrypted-volumes would object, and this change itself silences it: volume keys"
    )
    (told,) = (each for each in compared.changes(head, fleet()) if each.key == "policy.waivers[0]")
    assert told.sentence == "is new: it waives all that encrypted-volumes finds until 2099-01-01 (a trial)."
