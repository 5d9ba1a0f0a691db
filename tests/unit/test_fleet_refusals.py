"""Every bad stack file is refused with exactly its sentence."""

from pathlib import Path

import pytest

from stacks.errors import StakeyardError
from stacks.fleet import load_fleet
from tests.unit.bad_stack_files.cases import ON_OTC, Case, FakeMachine, cases, good, invented, put

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_stack_file_is_refused_with_one_sentence(case: Case, tmp_path: Path) -> None:
    with pytest.raises(StakeyardError) as refused:
        case.load(tmp_path)
    assert str(refused.value) == case.expected
    assert "\n" not in case.expected
    assert "Traceback" not in case.expected
    assert case.expected.endswith((".", "?"))


@pytest.mark.parametrize("case", [case for case in CASES if case.is_overlay], ids=lambda case: case.name)
def test_the_program_refuses_what_the_check_refuses(case: Case) -> None:
    with pytest.raises(StakeyardError) as refused:
        case.load_as_pulumi_does()
    # From a file the two checks of plain data differ in one thing: how the path begins.
    assert str(refused.value).removeprefix("config.stakeyard:fleet.") == case.expected.removeprefix(
        "config.stakeyard:fleet."
    )


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_fleet_that_the_cases_change_is_good() -> None:
    fleet = load_fleet(good(), invented(), FakeMachine())
    assert list(fleet.nodes) == ["ledger-1", "ledger-2", "signer-1"]


def test_the_fleet_of_the_open_telekom_cloud_cases_is_good() -> None:
    data = good()
    for path, value in ON_OTC.items():
        put(data, path, value)
    assert load_fleet(data, invented(), FakeMachine()).platform == "otc"


def test_other_readers_of_yaml_cannot_smuggle_in_a_key_that_is_not_text() -> None:
    with pytest.raises(StakeyardError, match=r"^nodes: the key false is not text; put the key in quotes\.$"):
        load_fleet({"nodes": {False: {}}}, invented(), FakeMachine())
