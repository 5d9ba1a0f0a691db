"""What the role bitcoin refuses before it touches a host, as Ansible itself evaluates it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stacks.paths import REPOSITORY
from tests.unit import role_plays

MEMORY = 4096
# What is on the host: files under the folder of the chain data, and lines of the present bitcoin.conf.
Host = tuple[tuple[str, ...], str]
BLANK: Host = ((), "")
PRUNED: Host = (("blocks/blk00007.dat", "blocks/blk00008.dat", "signet/blocks/blk00002.dat"), "chain=main\nprune=600\n")
WHOLE: Host = (("blocks/blk00000.dat", "blocks/blk00001.dat"), "chain=main\nprune=600\n")
CHAIN = {"chain": {"device_id": "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"}}
REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "txindex of a pruned node": (
        {"bitcoin_prune": 600, "bitcoin_txindex": True},
        "bitcoin_txindex needs all blocks: set bitcoin_prune to 0 or bitcoin_txindex to false.",
    ),
    "too little to keep": (
        {"bitcoin_prune": 549},
        "bitcoin_prune is 549 MiB: use 0 to keep all blocks, or at least 550.",
    ),
    "manual pruning": ({"bitcoin_prune": 1}, "bitcoin_prune is 1 MiB"),
    "mining on main": ({"bitcoin_network": "main", "bitcoin_regtest_mine_seconds": 5}, "this node is on main"),
    "mining on testnet4": ({"bitcoin_network": "testnet4", "bitcoin_regtest_mine_seconds": 5}, "mines on regtest only"),
    "mining on signet": ({"bitcoin_network": "signet", "bitcoin_regtest_mine_seconds": 5}, "mines on regtest only"),
    "mining backwards": ({"bitcoin_regtest_mine_seconds": -1}, "bitcoin_regtest_mine_seconds must not be negative"),
    "a cache larger than the machine": (
        {"bitcoin_dbcache": 3073},
        "bitcoin_dbcache is 3073 MiB on a machine of 4096 MiB: use 0, or 4 to 3072.",
    ),
    "a cache below Core's least": ({"bitcoin_dbcache": 3}, "bitcoin_dbcache is 3 MiB"),
    "a name to announce": (
        {"bitcoin_externalip": "node.example"},
        'bitcoin_externalip is "node.example": write an IP address, with or without a port, such as 203.0.113.7,',
    ),
    "an address with a setting below it": (
        {"bitcoin_externalip": "203.0.113.7\nzmqpubrawtx=tcp://0.0.0.0:28332"},
        'bitcoin_externalip is "203.0.113.7\\nzmqpubrawtx=tcp://0.0.0.0:28332": write an IP address',
    ),
    "an address with a line break": ({"bitcoin_externalip": "203.0.113.7\n"}, "bitcoin_externalip is "),
    "a port that is none": ({"bitcoin_externalip": "203.0.113.7:65536"}, "bitcoin_externalip is "),
    "a lab release on main": (
        {"bitcoin_network": "main", "bitcoin_version": "31.99.0"},
        "Release 31.99.0 is for labs and tests, not for main",
    ),
}
ALLOWED: Mapping[str, dict[str, Any]] = {
    "regtest": {},
    "regtest that mines": {"bitcoin_regtest_mine_seconds": 10},
    "main": {"bitcoin_network": "main"},
    "main, pruned": {"bitcoin_network": "main", "bitcoin_prune": 550},
    "main with an index": {"bitcoin_network": "main", "bitcoin_txindex": True},
    "main with a large cache": {"bitcoin_network": "main", "bitcoin_dbcache": 3072},
    "an address to announce": {"bitcoin_externalip": "203.0.113.7"},
    "an IPv6 address to announce, with a port": {"bitcoin_externalip": "[2001:db8::7]:8333"},
    "a lab release on main, allowed": {
        "bitcoin_network": "main",
        "bitcoin_version": "31.99.0",
        "bitcoin_allow_lab_release": True,
    },
    "a lab release on signet": {"bitcoin_network": "signet", "bitcoin_version": "31.99.0"},
}


UNPRUNED: Mapping[str, tuple[dict[str, Any], Host, str]] = {
    "all blocks again": (
        {"bitcoin_network": "main"},
        PRUNED,
        "no longer has all blocks of main, and Bitcoin Core does not start on it without pruning: give the node an "
        "empty chain volume, or set bitcoin_prune back to 600.",
    ),
    "all blocks again, with an index": (
        {"bitcoin_network": "main", "bitcoin_txindex": True}, PRUNED, "set bitcoin_prune back to 600."
    ),
    "all blocks again, after a run that wrote so": (
        {"bitcoin_network": "main"}, (PRUNED[0], "prune=0\n"), "set bitcoin_prune back to at least 550."
    ),
    "all blocks again, on a new server": (
        {"bitcoin_network": "main"}, (PRUNED[0], ""), "set bitcoin_prune back to at least 550."
    ),
    "all blocks again, on signet": ({"bitcoin_network": "signet"}, PRUNED, "no longer has all blocks of signet"),
}  # fmt: skip
KEPT: Mapping[str, tuple[dict[str, Any], Host]] = {
    "another size of what is pruned": ({"bitcoin_network": "main", "bitcoin_prune": 900}, PRUNED),
    "pruned from now on": ({"bitcoin_network": "main", "bitcoin_prune": 600}, (WHOLE[0], "prune=0\n")),
    "no longer pruned before anything was": ({"bitcoin_network": "main"}, WHOLE),
    "an index from now on": ({"bitcoin_network": "main", "bitcoin_txindex": True}, WHOLE),
    "all blocks of a chain that is not there yet": ({"bitcoin_network": "testnet4"}, PRUNED),
    "what waits for its volume": ({"bitcoin_network": "main", "stakeyard_volumes": CHAIN}, PRUNED),
}


def lay(folder: Path, host: Host) -> dict[str, str]:
    """Put the files of a host into a folder; the variables that say where they are."""
    (folder / "data").mkdir(parents=True)
    for name in host[0]:
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).touch()
    (folder / "bitcoin.conf").write_text(host[1])
    return {"bitcoin_data": str(folder / "data"), "bitcoin_conf": str(folder / "bitcoin.conf")}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the preflight says in each case; one Ansible run for all of them."""
    folder = tmp_path_factory.mktemp("preflight")
    plays = []
    cases = {case: (changes, BLANK) for case, (changes, _) in REFUSED.items()}
    cases |= {case: (changes, BLANK) for case, changes in ALLOWED.items()}
    cases |= {case: (changes, there) for case, (changes, there, _) in UNPRUNED.items()} | dict(KEPT)
    for number, (name, (settings, there)) in enumerate(cases.items()):
        said = {"ansible.builtin.debug": {"msg": f"CASE {name}: {{{{ ansible_failed_result.msg | default('') }}}}"}}
        role = {
            "ansible.builtin.include_role": {"name": "bitcoin", "tasks_from": "preflight"},
            "vars": lay(folder / str(number), there),
        }
        plays.append(
            {
                "name": name,
                "hosts": "localhost",
                "gather_facts": False,
                "vars": {
                    "bitcoin_network": "regtest",
                    "ansible_facts": {"memtotal_mb": MEMORY},
                    "ansible_python_interpreter": sys.executable,
                    **settings,
                },
                "tasks": [{"name": "Ask", "block": [role], "rescue": [said]}],
            }
        )
    return role_plays.told(role_plays.run(folder, plays), "CASE")


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(answers: Mapping[str, str], case: str) -> None:
    assert REFUSED[case][1] in answers.get(case, "not refused")


@pytest.mark.parametrize("case", UNPRUNED)
def test_what_core_would_not_start_on_is_refused(answers: Mapping[str, str], case: str) -> None:
    assert UNPRUNED[case][2] in answers.get(case, "not refused")


@pytest.mark.parametrize("case", KEPT)
def test_what_core_starts_on_is_allowed(answers: Mapping[str, str], case: str) -> None:
    assert answers, "no case was refused at all: the preflight did not run"
    assert case not in answers


@pytest.mark.parametrize("case", ALLOWED)
def test_it_is_allowed(answers: Mapping[str, str], case: str) -> None:
    assert answers, "no case was refused at all: the preflight did not run"
    assert case not in answers


def test_the_role_refuses_an_unknown_network_by_its_argument_specs() -> None:
    import yaml

    specs = yaml.safe_load((Path(REPOSITORY) / "roles/bitcoin/meta/argument_specs.yml").read_text())
    node = yaml.safe_load((REPOSITORY / "roles/bitcoin/node.yml").read_text())
    choices = specs["argument_specs"]["main"]["options"]["bitcoin_network"]["choices"]
    for port in node["ports"].values():
        assert list(port["port"]) == choices
