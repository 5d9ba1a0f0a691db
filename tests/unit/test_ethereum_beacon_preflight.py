"""What the role ethereum_beacon refuses before it touches a host, and the flags it starts with, as Ansible has them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY
from tests.unit import role_plays

ROLE = REPOSITORY / "roles/ethereum_beacon"
SOURCE, WITNESS = "ethereum_beacon_checkpoint_url", "ethereum_beacon_checkpoint_witness_url"
NONE = {SOURCE: "", WITNESS: ""}
DEVNET = {**NONE, "ethereum_network": "devnet", "ethereum_devnet": "{{ folder }}"}
GOOD: dict[str, Any] = {
    "ethereum_network": "hoodi",
    SOURCE: "https://one.example",
    WITNESS: "https://two.example",
    "stakeyard_ports": [],
    "stakeyard_address": "10.77.0.21",
}
TWO = " starts from a checkpoint that two sources name: give ethereum_beacon_checkpoint_url and, of somebody else,"
REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "mainnet from genesis": ({**NONE, "ethereum_network": "mainnet"}, f"a node of mainnet{TWO}"),
    "hoodi from genesis": (NONE, f"a node of hoodi{TWO}"),
    "no witness": ({WITNESS: ""}, f"a node of hoodi{TWO}"),
    "a witness alone": ({SOURCE: ""}, f"a node of hoodi{TWO}"),
    "a witness that is the source": ({WITNESS: "https://one.example"}, f"a node of hoodi{TWO}"),
    "the same witness, written differently": ({WITNESS: "https://One.example/"}, f"a node of hoodi{TWO}"),
    "a source that is blank": ({SOURCE: " "}, f"a node of hoodi{TWO}"),
    "a checkpoint of a devnet": (
        {**DEVNET, SOURCE: "https://one.example", WITNESS: "https://two.example"},
        "a devnet starts from its own genesis: leave ethereum_beacon_checkpoint_url and",
    ),
    "a witness of a devnet": ({**DEVNET, WITNESS: "https://two.example"}, "a devnet starts from its own genesis"),
    "an old release": (
        {"ethereum_beacon_version": "6.0.0"},
        "prysm 6.0.0 does not know the forks of hoodi: pin 7.1.0 or newer in artifacts.yml",
    ),
    "sepolia, whose fork the pinned release does not know": (
        {"ethereum_network": "sepolia"},
        "prysm 7.1.2 does not know the forks of sepolia: pin 7.3.1 or newer in artifacts.yml and name it in "
        "ethereum_beacon_version, or choose another network.",
    ),
    "files without a devnet": ({"ethereum_devnet": "/devnet"}, "give it with ethereum_network devnet, and only then."),
    "an engine of others without a secret": (
        {"stakeyard_uses": [{"name": "one", "address": "10.77.0.22"}]},
        "the execution client is on another server",
    ),
}
ALLOWED: Mapping[str, dict[str, Any]] = {
    "hoodi": {},
    "mainnet": {"ethereum_network": "mainnet"},
    "a devnet": DEVNET,
    "sepolia with a release that knows its fork": {"ethereum_network": "sepolia", "ethereum_beacon_version": "7.3.1"},
}
KEPT = {"kept": True, "root": "0x" + "ab" * 32, "epoch": "12"}
FILES = "/var/lib/ethereum-beacon/checkpoint"
CHECKPOINT = [
    f"--checkpoint-state={FILES}/state.ssz",
    f"--checkpoint-block={FILES}/block.ssz",
    f"--weak-subjectivity-checkpoint=0x{'ab' * 32}:12",
]
# What the task says of the checkpoint, and what of it becomes flags.
FLAGS: Mapping[str, tuple[dict[str, Any], Mapping[str, Any], list[str]]] = {
    "hoodi, fetched or found": ({}, KEPT, [f"--genesis-state={FILES}/genesis.ssz", *CHECKPOINT]),
    "mainnet, whose genesis Prysm has": ({"ethereum_network": "mainnet"}, KEPT, CHECKPOINT),
    "a database that began without files": ({}, {"kept": False}, []),
    "a devnet, which skips the task": (DEVNET, {"skipped": True}, []),
}
Answers = Mapping[str, Mapping[str, str]]


def plays(folder: Path) -> Iterator[dict[str, Any]]:
    """One for each case, with the folder of a devnet; what is found out is said in a line."""
    start = next(task for task in yaml.safe_load((ROLE / "tasks/run.yml").read_text()) if "vars" in task)
    role = {"name": "ethereum_beacon", "tasks_from": "preflight", "public": True}
    told = {"ansible.builtin.debug": {"msg": "CASE {{ asked }}: {{ ansible_failed_result.msg | default('') }}"}}
    for name, settings in {**{case: changes for case, (changes, _) in REFUSED.items()}, **ALLOWED}.items():
        asked = {"name": "Ask", "block": [{"ansible.builtin.include_role": role}], "rescue": [told]}
        yield play(name, {"folder": str(folder), **settings}, [asked])
    for name, (settings, answer, _) in FLAGS.items():
        flags = {"ansible.builtin.debug": {"msg": f"FLAGS {{{{ asked }}}}: {start['vars']['service_exec_start']}"}}
        given = {"folder": str(folder), **settings, "ethereum_beacon_checkpoint": answer}
        yield play(name, given, [{"ansible.builtin.include_role": role}, flags])


def play(name: str, settings: Mapping[str, Any], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """A play on this machine with the good settings changed."""
    given = {**GOOD, "asked": name, **settings}
    return {"name": name, "hosts": "localhost", "gather_facts": False, "vars": given, "tasks": tasks}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What Ansible says in each case, by the word that it begins with; one run for all of them."""
    folder = tmp_path_factory.mktemp("preflight")
    (folder / "devnet.json").write_text(json.dumps({"chain_id": 1}))
    output = role_plays.run(folder, list(plays(folder)))
    return {word: role_plays.told(output, word) for word in ("CASE", "FLAGS")}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(answers: Answers, case: str) -> None:
    assert REFUSED[case][1] in answers["CASE"].get(case, "not refused")


@pytest.mark.parametrize("case", ALLOWED)
def test_it_is_allowed(answers: Answers, case: str) -> None:
    assert answers["CASE"], "no case was refused at all: the preflight did not run"
    assert case not in answers["CASE"]


@pytest.mark.parametrize("case", FLAGS)
def test_a_checkpoint_becomes_flags_only_where_its_files_are(answers: Answers, case: str) -> None:
    flags = answers["FLAGS"][case].split()
    about = ("--checkpoint", "--weak", *(["--genesis"] if "devnet" not in case else []))
    assert [flag for flag in flags if flag.startswith(about)] == FLAGS[case][2]
    assert "--accept-terms-of-use" in flags
