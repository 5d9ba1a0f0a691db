"""Names and addresses of a lab."""

import pytest

from images.lab.settings import settings
from stacks.errors import StakeyardError


def test_the_default_lab_has_the_documented_addresses() -> None:
    lab = settings({})
    assert (lab.gateway, lab.controller, lab.compute) == ("172.31.240.1", "172.31.240.2", "172.31.240.3")
    assert lab.cloud == "stakeyard-lab"


def test_two_labs_share_no_name_and_no_address() -> None:
    one = settings({})
    two = settings({"STAKEYARD_LAB_NAME": "lab2", "STAKEYARD_LAB_NETWORK": "172.31.241.0/24"})
    assert not one.network.overlaps(two.network)
    for attribute in ("bridge", "table", "cgroup", "cloud", "instances"):
        assert getattr(one, attribute) != getattr(two, attribute)


def test_interface_names_fit_the_kernel_s_15_characters() -> None:
    lab = settings({"STAKEYARD_LAB_NAME": "abcdefghij"})
    assert len(lab.bridge) <= 15
    assert len(f"vb-{lab.name}-1") <= 15


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "lab-1", "averylongname", "../x"])
def test_a_name_that_cannot_be_an_interface_is_refused(name: str) -> None:
    with pytest.raises(StakeyardError, match="STAKEYARD_LAB_NAME"):
        settings({"STAKEYARD_LAB_NAME": name})


@pytest.mark.parametrize("network", ["8.8.8.0/24", "10.0.0.0/8", "10.0.0.1/24", "nonsense", "fd00::/64"])
def test_a_network_that_is_not_a_private_24_is_refused(network: str) -> None:
    with pytest.raises(StakeyardError, match="STAKEYARD_LAB_NETWORK"):
        settings({"STAKEYARD_LAB_NETWORK": network})


@pytest.mark.parametrize(
    "state", ["lab", "/", "/proc", "/srv/my lab", "/srv/a:b", "/srv/a,b", "/srv/$(id)", "/srv/a\nb", "/srv/../root"]
)
def test_a_directory_that_is_no_place_for_a_lab_is_refused(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAKEYARD_LAB", state)
    with pytest.raises(StakeyardError, match="STAKEYARD_LAB is") as refused:
        settings({})
    assert "\n" not in str(refused.value)
