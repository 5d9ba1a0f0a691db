"""What the role ethereum_execution refuses before it touches a host, as Ansible has it."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit import role_plays

RELEASE = "ethereum_execution_version"
DEVNET = {"ethereum_network": "devnet", "ethereum_devnet": "/devnet"}
ENGINE = {"stakeyard_ports": [{"name": "engine", "protocol": "tcp", "port": 8551, "sources": ["10.77.0.0/24"]}]}
GOOD: dict[str, Any] = {"ethereum_network": "hoodi", "stakeyard_ports": [], "stakeyard_address": "10.77.0.21"}


def unknown(release: str, network: str, oldest: str) -> str:
    """The sentence for a release that is too old."""
    return (
        f"geth {release} does not know the forks of {network}: pin {oldest} or newer in artifacts.yml and name it in "
        "ethereum_execution_version, or choose another network."
    )


REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "mainnet with a release from before Osaka": (
        {"ethereum_network": "mainnet", RELEASE: "1.16.5"},
        unknown("1.16.5", "mainnet", "1.16.6"),
    ),
    "hoodi with one from before Osaka": ({RELEASE: "1.16.3"}, unknown("1.16.3", "hoodi", "1.16.4")),
    "sepolia with one from before Glamsterdam": (
        {"ethereum_network": "sepolia", RELEASE: "1.17.5"},
        unknown("1.17.5", "sepolia", "1.17.6"),
    ),
    "files without a devnet": ({"ethereum_devnet": "/devnet"}, "give it with ethereum_network devnet, and only then."),
    "a devnet without files": ({"ethereum_network": "devnet"}, "give it with ethereum_network devnet, and only then."),
    "a short secret": ({"ethereum_jwt_secret": "abc"}, "ethereum_jwt_secret must be 64 hexadecimal digits"),
    "an engine for others without a secret": (ENGINE, "a beacon node on another server uses this execution client"),
}
ALLOWED: Mapping[str, dict[str, Any]] = {
    **{f"{name} with the pinned release": {"ethereum_network": name} for name in ("mainnet", "hoodi", "sepolia")},
    "mainnet with the oldest": {"ethereum_network": "mainnet", RELEASE: "1.16.6"},
    "hoodi with the oldest": {RELEASE: "1.16.4"},
    "a newer one by number, not by letters": {RELEASE: "1.16.10"},
    "sepolia with the oldest": {"ethereum_network": "sepolia", RELEASE: "1.17.6"},
    "a devnet with any": {**DEVNET, RELEASE: "1.0.0"},
    "a devnet with the pinned release": DEVNET,
    "an engine for others with a secret": {**ENGINE, "ethereum_jwt_secret": "ab" * 32},
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What is said of each case that is refused; one run of Ansible for all of them."""
    role = {"ansible.builtin.include_role": {"name": "ethereum_execution", "tasks_from": "preflight"}}
    told = {"ansible.builtin.debug": {"msg": "CASE {{ asked }}: {{ ansible_failed_result.msg | default('') }}"}}
    asked = {"name": "Ask", "block": [role], "rescue": [told]}
    plays = [
        {
            "name": name,
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {**GOOD, "asked": name, **settings},
            "tasks": [asked],
        }
        for name, settings in {**{case: changes for case, (changes, _) in REFUSED.items()}, **ALLOWED}.items()
    ]
    return role_plays.told(role_plays.run(tmp_path_factory.mktemp("preflight"), plays), "CASE")


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(said: Mapping[str, str], case: str) -> None:
    assert REFUSED[case][1] in said.get(case, "not refused")


@pytest.mark.parametrize("case", ALLOWED)
def test_it_is_allowed(said: Mapping[str, str], case: str) -> None:
    assert said, "no case was refused at all: the preflight did not run"
    assert case not in said
