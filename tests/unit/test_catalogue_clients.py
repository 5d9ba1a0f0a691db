"""Which client a node runs, and what its role's folder says of releases and forks."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from tests.unit.policy_data.cases import HERE, catalogue


def test_the_role_chooses_client_and_release_where_the_stack_file_does_not() -> None:
    (client,) = catalogue().kind("ledger").clients({})
    assert (client.role, client.name, client.network, client.release) == ("ledger", "alpha", "main", "2.0")
    assert (client.oldest, client.private) == ("2.0", False)
    assert [(fork.name, fork.at, fork.certain) for fork in client.forks] == [
        ("Spring", datetime(2027, 3, 1, 12, tzinfo=UTC), True),
        ("Summer", None, False),
    ]


def test_the_stack_file_chooses_client_network_and_release() -> None:
    given = {"ledger_client": "beta", "ledger_network": "trial", "ledger_version": "7"}
    (client,) = catalogue().kind("ledger").clients(given)
    assert (client.name, client.network, client.release, client.private) == ("beta", "trial", "7", True)
    assert (client.oldest, client.forks, client.manifest.path.name) == (None, (), "artifacts-beta.yml")


def test_a_role_with_one_client_needs_no_variable() -> None:
    (client,) = catalogue().kind("validator").clients({})
    assert (client.name, client.release, client.network) == ("validatord", "5.0", None)


def test_a_client_that_the_role_does_not_have_is_refused() -> None:
    with pytest.raises(StakeyardError, match=r"^ledger_client names no client of ledger; use alpha or beta\.$"):
        catalogue().kind("ledger").clients({"ledger_client": "gamma"})


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        (
            "node.yml",
            "variable: ledger_client",
            "variable: ledger_cliend",
            r"'ledger_cliend' is no variable of the role",
        ),
        ("node.yml", "  release: ledger_version\n", "", r"client\.release: this key is missing; add it\."),
        ("node.yml", "  variable: ledger_client\n", "", r"client: must say either name or variable; give one"),
        (
            "node.yml",
            "  variable: ledger_client\n",
            "  name: a\n  variable: b\n",
            r"client: must say either name or variable",
        ),
        ("clients/beta.yml", "ledger_manifest", "manifest", r"beta\.yml: ledger_manifest: must name the client's file"),
        ("clients/beta.yml", "artifacts-beta.yml", "nowhere.yml", r"nowhere\.yml: there is no such file"),
        ("artifacts.yml", "artifact: alpha", "- a", r"artifacts\.yml: line"),
        ("networks.yml", "certain: true, ", "", r"networks\.yml: main\.forks\[0\]\.certain: this key is missing"),
        ("networks.yml", "12:00:00Z", "25:00:00Z", r"networks\.yml: main\.forks\[0\]\.at: "),
        (
            "networks.yml",
            "note: a rumour",
            "nota: x, note: y",
            r"main\.forks\[1\]\.nota: is not a known key",
        ),
    ],
)
def test_a_bad_file_of_a_role_is_refused_with_its_key(
    tmp_path: Path, file: str, old: str, new: str, sentence: str
) -> None:
    shutil.copytree(HERE / "roles", tmp_path / "roles")
    path = tmp_path / "roles/ledger" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StakeyardError, match=sentence):
        load_catalogue(tmp_path / "roles")


def test_a_role_whose_client_is_chosen_has_a_file_for_each(tmp_path: Path) -> None:
    shutil.copytree(HERE / "roles", tmp_path / "roles")
    shutil.rmtree(tmp_path / "roles/ledger/clients")
    with pytest.raises(StakeyardError, match=r"ledger/clients: holds no client; add a file for each\.$"):
        load_catalogue(tmp_path / "roles")


def test_every_kind_of_this_repository_names_a_release_on_each_of_its_networks() -> None:
    found = load_catalogue()
    for kind in found.kinds.values():
        variable = kind.network_variable
        networks = kind.options[variable].choices if variable else ()
        assert kind.software, f"{kind.name} does not say which client it runs"
        for network in networks:
            for client in kind.clients({str(variable): network}):
                assert client.release, f"{kind.name} on {network}"
                assert client.network == network


@pytest.mark.parametrize("network", ["mainnet", "hoodi", "sepolia", "devnet"])
def test_execution_client_and_beacon_node_expect_the_same_forks(network: str) -> None:
    clients = load_catalogue().kind("ethereum_node").clients({"ethereum_network": network})
    execution, beacon = ([(fork.name, fork.at) for fork in client.forks] for client in clients)
    assert execution == beacon
