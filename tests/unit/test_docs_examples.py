"""The stack files in the handbook are good ones: a reader who copies them is not refused."""

import re
from collections import Counter
from datetime import date

import yaml

from stacks.catalogue import load_catalogue
from stacks.fleet import load_fleet
from stacks.paths import REPOSITORY
from stacks.policy.check import check_fleet
from tests.unit.bad_stack_files.cases import FakeMachine

FENCED = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_ethereum_stack_is_a_good_one() -> None:
    (text,) = FENCED.findall((REPOSITORY / "docs" / "ethereum.md").read_text())
    otc = yaml.safe_load((REPOSITORY / "stacks" / "Pulumi.otc-eu-de.yaml").read_text())
    fleet = otc["config"]["stakeyard:fleet"] | yaml.safe_load(text)
    loaded = load_fleet(fleet, load_catalogue(), FakeMachine())
    assert loaded.encryption == "required"
    assert Counter(node.kind for node in loaded.nodes.values()) == {"ethereum_node": 2, "ethereum_validator": 2}
    found = check_fleet(loaded, load_catalogue(), date(2026, 11, 26))
    # The page tells of these three.
    expected = {"client-crowd", "client-next-fork", "placeholder"}
    assert {(each.rule, each.level) for each in found} == {(rule, "warning") for rule in expected}
