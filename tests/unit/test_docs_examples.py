"""The stack files in the handbook are good ones: a reader who copies them is not refused."""

import re

import yaml

from stacks.catalogue import load_catalogue
from stacks.fleet import load_fleet
from stacks.paths import REPOSITORY
from tests.unit.bad_stack_files.cases import FakeMachine

FENCED = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_ethereum_stack_is_a_good_one() -> None:
    (text,) = FENCED.findall((REPOSITORY / "docs" / "ethereum.md").read_text())
    otc = yaml.safe_load((REPOSITORY / "stacks" / "Pulumi.otc-eu-de.yaml").read_text())
    fleet = otc["config"]["stakeyard:fleet"] | yaml.safe_load(text) | {"encryption": "optional", "groups": {}}
    loaded = load_fleet(fleet, load_catalogue(), FakeMachine())
    assert {node.kind for node in loaded.nodes.values()} == {"ethereum_node", "ethereum_validator"}
