"""Each rule says exactly what its cases say, and waivers cover what they name until their last day."""

import shutil
import time
from datetime import date
from pathlib import Path

import pytest

from stacks import paths
from stacks.catalogue import load_catalogue
from stacks.fleet import load_stack_file
from stacks.fleet_models import ExistingImage
from stacks.policy import handbook
from stacks.policy.administration import refused, world
from stacks.policy.check import check_fleet, check_resources
from stacks.policy.forks import older
from stacks.policy.model import Resource
from stacks.policy.regions import inside
from stacks.policy.rules import RULES
from stacks.preview.model import Finding
from tests.unit.bad_stack_files.cases import FakeMachine
from tests.unit.policy_data.cases import HERE, TODAY, Case, cases, catalogue, fleet

CASES = list(cases())
SHARED = {"nodes.signer-2.zone": "eu-de-01"}
PORT = Resource("openstack:networking/port:Port", "ledger-1")


def waived(*waivers: dict[str, str], today: date = TODAY) -> tuple[Finding, ...]:
    """What is found in a fleet whose signers share a zone and whose port is not protected, with these waivers."""
    made = fleet({**SHARED, "policy.waivers": list(waivers)})
    return check_fleet(made, catalogue(), today) + check_resources(made, catalogue(), [PORT], today)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_rule_says_exactly_what_is_wrong_and_what_to_do(case: Case) -> None:
    found = [each for each in case.findings() if each.rule == case.rule]
    assert [(each.key, each.node, each.sentence) for each in found] == case.expected
    for each in found:
        assert each.sentence.endswith("."), each.sentence
        assert each.level == next(rule.level for rule in RULES if rule.id == case.rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_a_passing_and_a_failing_case_and_a_row_in_the_handbook(rule: object) -> None:
    name = getattr(rule, "id", "")
    mine = [case for case in CASES if case.rule == name]
    assert any(case.passes for case in mine), "no case passes"
    assert any(not case.passes for case in mine), "no case fails"
    assert f"| `{name}` | " in handbook.page()


def test_every_case_is_of_a_rule_and_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.id for rule in RULES]
    assert len(set(names)) == len(names)
    assert {case.rule for case in CASES} == set(names)


def test_the_fleet_that_the_cases_change_breaks_no_rule() -> None:
    assert check_fleet(fleet(), catalogue(), TODAY) == ()


@pytest.mark.parametrize("stack", ["lab", "otc-eu-de"])
def test_the_committed_stack_files_break_no_rule_but_say_what_is_to_be_filled_in(stack: str) -> None:
    roles = load_catalogue()
    made = load_stack_file(paths.REPOSITORY / f"stacks/Pulumi.{stack}.yaml", roles, FakeMachine())
    found = check_fleet(made, roles, date(2026, 11, 26))
    # That of a real cloud is an example until its reader has filled it in.
    assert {each.rule for each in found} == ({"placeholder"} if made.platform == "otc" else set())


def test_ssh_that_a_role_opens_to_the_internet_is_found_in_the_fleet(tmp_path: Path) -> None:
    shutil.copytree(HERE / "roles", tmp_path / "roles")
    node = tmp_path / "roles/host/node.yml"
    node.write_text(node.read_text().replace("reach: operators", "reach: internet"))
    found = check_fleet(fleet(), load_catalogue(tmp_path / "roles"), TODAY)
    assert [(each.rule, each.key) for each in found] == [
        ("open-administration", "nodes.ledger-1.kind"),
        ("open-administration", "nodes.signer-1.kind"),
    ]
    assert found[0].sentence.startswith("nodes of kind ledger: tcp port 22 would be open to 0.0.0.0/0; ")


def test_an_image_without_a_pin_is_found_in_the_fleet() -> None:
    good = fleet()
    loose = ExistingImage.model_construct(source="existing", name_regex="^Debian", pin="newest")
    made = good.model_copy(update={"images": good.images | {"given": loose}})
    found = check_fleet(made, catalogue(), TODAY)
    assert [(each.rule, each.key, each.sentence) for each in found] == [
        ("pinned-images", "images.given.pin", "image given is not pinned; write pin: recorded, or the id of the image.")
    ]


class TestWaivers:
    """What a waiver covers."""

    def test_without_one_both_findings_count(self) -> None:
        assert [(each.rule, each.waived) for each in waived()] == [("zone-share", ""), ("protected", "")]

    @pytest.mark.parametrize(
        ("waiver", "covered"),
        [
            ({"rule": "zone-share"}, True),
            ({"rule": "zone-share", "key": "zones"}, True),
            ({"rule": "zone-share", "key": "zones[0]"}, True),
            ({"rule": "zone-share", "key": "zone"}, False),
            ({"rule": "zone-share", "key": "zones[1]"}, False),
            ({"rule": "zone-share", "node": "signer-1"}, False),
            ({"rule": "regions"}, False),
        ],
    )
    def test_it_covers_what_it_names(self, waiver: dict[str, str], covered: bool) -> None:
        found = waived({**waiver, "reason": "until zone 2 opens", "expires": "2027-01-31"})
        shared = next(each for each in found if each.rule == "zone-share")
        assert shared.waived == ("until zone 2 opens (until 2027-01-31)" if covered else "")
        assert ("unused-waiver" in {each.rule for each in found}) is not covered

    @pytest.mark.parametrize(
        ("waiver", "covered"),
        [
            ({"node": "ledger-1"}, True),
            ({"key": PORT.key}, True),
            ({"key": PORT.key, "node": "ledger-1"}, True),
            ({"node": "ledger-2"}, False),
            ({"key": PORT.key, "node": "ledger-2"}, False),
        ],
    )
    def test_it_covers_a_resource_by_its_node_or_its_name(self, waiver: dict[str, str], covered: bool) -> None:
        found = waived({"rule": "protected", **waiver, "reason": "x", "expires": "2027-01-31"})
        assert bool(next(each for each in found if each.rule == "protected").waived) is covered

    def test_after_its_last_day_it_does_not_count_and_says_so(self) -> None:
        waiver = {"rule": "zone-share", "reason": "x", "expires": "2027-01-31"}
        last = waived(waiver, today=date(2027, 1, 31))
        assert [(each.rule, bool(each.waived)) for each in last] == [("zone-share", True), ("protected", False)]
        after = waived(waiver, today=date(2027, 2, 1))
        assert [(each.rule, bool(each.waived)) for each in after] == [
            ("zone-share", False),
            ("expired-waiver", False),
            ("protected", False),
        ]

    def test_of_two_the_one_that_lasts_longer_is_shown_and_neither_is_unused(self) -> None:
        found = waived(
            {"rule": "zone-share", "reason": "short", "expires": "2027-01-02"},
            {"rule": "zone-share", "reason": "long", "expires": "2027-01-03"},
        )
        assert [(each.rule, each.waived) for each in found] == [
            ("zone-share", "long (until 2027-01-03)"),
            ("protected", ""),
        ]


def test_findings_come_in_the_same_order_whatever_the_order_of_the_resources() -> None:
    made = fleet(
        {**SHARED, "policy.waivers": [{"rule": "protected", "node": "b", "reason": "x", "expires": "2027-01-31"}]}
    )
    resources = [Resource("openstack:networking/port:Port", name) for name in ("c", "a", "b", "signer-1")]
    resources += [Resource("openstack:compute/instance:Instance", "z", inputs={"imageName": "x"})]
    found = check_resources(made, catalogue(), resources, TODAY)
    assert found == check_resources(made, catalogue(), resources[::-1], TODAY)
    assert [each.key.rpartition(":")[2] for each in found if each.rule == "protected"] == ["a", "b", "c", "signer-1"]
    assert [each.level for each in found] == ["error"] * 5 + ["warning"]


@pytest.mark.parametrize(
    ("prefix", "open_to_all"),
    [
        (None, True),
        ("", True),
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("2000::/3", True),
        ("1.0.0.0/8", True),
        ("what", True),
        ("10.0.0.0/8", False),
        ("198.51.0.0/16", False),
        ("198.51.100.7", False),
        ("2001:db8::/32", False),
    ],
)
def test_which_ranges_are_the_world(prefix: str | None, open_to_all: bool) -> None:
    assert world(prefix) is open_to_all


def test_ssh_is_never_open_to_the_world_whatever_a_kind_says() -> None:
    assert refused("tcp", 22, 22, frozenset({("tcp", 22)})) == "tcp port 22"
    assert refused("tcp", 7000, 7000, frozenset({("udp", 7000)})) == "tcp port 7000"
    assert refused("58", None, None, frozenset()) == ""


@pytest.mark.parametrize(
    ("release", "oldest", "is_older"),
    [("7.1.2", "7.1.10", True), ("7.1.10", "7.1.2", False), ("7.3.1", "7.3.1", False), ("7.3.1-rc1", "7.3.1", True)],
)
def test_releases_are_compared_as_numbers(release: str, oldest: str, is_older: bool) -> None:
    assert older(release, oldest) is is_older


@pytest.mark.parametrize(
    ("zone", "is_inside"),
    [("eu-de-01", True), ("eu-de", True), ("eu-de2-01", False), ("eu-nl-01", False), ("us", False)],
)
def test_which_zones_are_in_a_region(zone: str, is_inside: bool) -> None:
    assert inside(zone, ["eu-de"]) is is_inside


def test_a_fleet_ten_times_as_large_takes_about_ten_times_as_long() -> None:
    def seconds(nodes: int) -> float:
        base = fleet()
        made = {}
        for index in range(nodes // 2):
            server = base.nodes["ledger-1"].model_copy(update={"vars": {"ledger_client": ["alpha", "beta"][index % 2]}})
            made[f"ledger-{index}"] = server
            keys = {"uses": (f"ledger-{index}",), "signing_keys": (f"{index:x}",), "zone": "eu-nl-01"}
            made[f"signer-{index}"] = base.nodes["signer-1"].model_copy(update=keys)
        large = base.model_copy(update={"nodes": made})
        resources = [Resource(PORT.type, name) for name in made]
        begun = time.process_time()
        check_fleet(large, catalogue(), TODAY)
        assert len(check_resources(large, catalogue(), resources, TODAY)) == nodes
        return time.process_time() - begun

    seconds(20)
    small, large = min(seconds(200) for _ in range(3)), seconds(2000)
    assert large < 30 * small, "quadratic would be a hundred times"
