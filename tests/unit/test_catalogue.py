"""Kinds of node: what node.yml becomes, and how a bad one is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.catalogue import load_catalogue
from stacks.catalogue_networks import Egress, Port
from stacks.catalogue_roles import Option
from stacks.errors import StakeyardError
from tests.unit.bad_stack_files.cases import HERE, invented, put, take


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """A copy of the invented roles, to be changed."""
    copied: Path = shutil.copytree(HERE / "roles", tmp_path / "roles")
    return copied


def test_a_kind_is_resolved_for_the_network_of_its_variables() -> None:
    main = invented().resolve("ledger", {"ledger_network": "main"})
    assert main.network == "main"
    assert main.ports == (
        Port("ssh", "tcp", 22, "operators"),
        Port("p2p", "tcp", 7000, "internet"),
        Port("rpc", "tcp", 7001, "loopback"),
        Port("query", "tcp", 7002, "users"),
    )
    assert (main.volumes["chain"].minimum_gib, main.volumes["chain"].required) == (100, True)


def test_without_the_variable_the_default_of_the_role_selects_the_network() -> None:
    trial = invented().resolve("ledger", {})
    assert trial.network == "trial"
    assert trial.ports[1].port == 17000
    assert (trial.volumes["chain"].minimum_gib, trial.volumes["chain"].required) == (1, False)


def test_egress_may_be_the_same_port_or_any() -> None:
    assert invented().resolve("ledger", {}).egress == (
        Egress("ntp", "udp", 123, "internet"),
        Egress("p2p", "tcp", 17000, "internet"),
        Egress("peers", "tcp", None, "peers"),
    )


def test_a_kind_has_the_files_and_the_roles_of_the_host_too() -> None:
    ledger = invented().resolve("ledger", {})
    assert [file.path for file in ledger.files] == ["/etc/hostname", "/etc/ledger/ledger.conf"]
    assert ledger.roles == ("host", "ledger")
    assert ledger.units == ("ledgerd.service",)


def test_imported_roles_belong_to_a_kind() -> None:
    ledger = invented().kind("ledger")
    assert ledger.role_names == ("host", "ledger", "shared")
    assert "shared_mirror" in ledger.options
    assert "shared_mirror" not in invented().kind("validator").options


def test_what_a_role_sets_where_it_imports_another_is_not_the_operators_to_set() -> None:
    assert "shared_path" not in invented().kind("ledger").options


def test_variables_carry_what_argument_specs_says() -> None:
    options = invented().kind("ledger").options
    assert options["ledger_network"].choices == ("main", "trial")
    assert options["ledger_extra"].description == "Further peers. One a line."
    assert invented().kind("validator").options["validator_comment"].type == "raw"


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
def test_a_text_is_one_line(character: str) -> None:
    secret = f"s3cret{character}second"
    problems = [Option("a", "", "str").problem(secret), Option("a", [], "list", elements="str").problem([secret])]
    for problem in problems:
        assert problem is not None
        assert "write the value on one line" in problem
        assert "s3cret" not in problem
        assert character not in problem


def test_no_text_of_a_real_role_may_have_a_line_break_but_a_keystore_may() -> None:
    options = [option for kind in load_catalogue().kinds.values() for option in kind.options.values()]
    texts = [option for option in options if option.type in ("str", "path") and not option.choices]
    assert {"bitcoin_externalip", "ethereum_validator_graffiti"} <= {option.name for option in texts}
    assert [option.name for option in texts if option.problem("a\nb") is None] == []
    assert [option.name for option in texts if option.problem("Grüße 💥") is not None] == []
    (keystores,) = {option.name: option for option in options if option.name == "ethereum_validator_keystores"}.values()
    assert keystores.problem([{"keystore": '{\n\t"crypto": {}\n}\n', "password": "p"}]) is None


@pytest.mark.parametrize("kind", ["int", "float", "bool", "list", "dict"])
def test_a_value_that_pulumi_has_decrypted_is_not_shown(kind: str) -> None:
    problem = Option("o", None, kind).problem("S3CR3T-words")
    assert problem is not None
    assert "S3CR3T" not in problem


def test_neither_is_one_inside_a_list_or_one_that_is_no_choice() -> None:
    for option in (Option("o", [], "list", elements="dict"), Option("o", "a", "str", choices=("a", "b"))):
        problem = option.problem(["S3CR3T-words"] if option.type == "list" else "S3CR3T-words")
        assert problem is not None
        assert "S3CR3T" not in problem


def test_a_mapping_in_a_list_is_encrypted_text_by_text() -> None:
    option = Option("o", [], "list", elements="dict")
    assert option.problem([{"password": {"secure": "v1:x"}}]) is None
    assert option.problem([{"secure": "v1:x"}]) == (
        "every entry must be a mapping, but what is encrypted becomes text; encrypt the texts inside it."
    )


def test_a_network_that_node_yml_does_not_name_is_refused() -> None:
    with pytest.raises(
        StakeyardError, match=r"^node\.yml has no ports\.p2p\.port for this network; did you mean trial\?$"
    ):
        invented().resolve("ledger", {"ledger_network": "tral"})


@pytest.mark.parametrize(
    ("variables", "required", "minimum"),
    [
        ({}, True, 1200),
        ({"bitcoin_prune": 0}, True, 1200),
        ({"bitcoin_prune": 550}, False, 1),
        ({"bitcoin_network": "signet"}, False, 60),
    ],
)
def test_a_chain_that_is_pruned_needs_no_volume(variables: dict[str, object], required: bool, minimum: int) -> None:
    need = load_catalogue().resolve("bitcoin", variables).volumes["chain"]
    assert (need.required, need.minimum_gib) == (required, minimum)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StakeyardError, match=r"^'leger' is not a kind of node; did you mean ledger\?$"):
        invented().kind("leger")


BAD: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "an unknown key": ({"port": {}}, [], "port: is not a known key; did you mean ports?"),
    "another name than the folder's": (
        {"kind": "leger"},
        [],
        "kind: is leger in the folder ledger; give both the same name.",
    ),
    "no kind": ({}, ["kind"], "kind: this key is missing; add it."),
    "no unit": ({}, ["unit"], "unit: this key is missing; add it."),
    "no roles": ({"roles": []}, [], "roles: this key is missing; add it."),
    "a role that is not there": ({"roles": ["ledgre"]}, [], "roles: there is no role 'ledgre'; correct it."),
    "a port beyond the last": (
        {"ports.rpc.port": 70000},
        [],
        "ports.rpc.port: must be at most 65535, not 70000; correct the value.",
    ),
    "a port as text": (
        {"ports.p2p.port.main": "7000"},
        [],
        "ports.p2p.port.main: must be a whole number, not '7000'; correct the value.",
    ),
    "an unknown reach": (
        {"ports.p2p.reach": "world"},
        [],
        "ports.p2p.reach: must be internet, site, peers, users, operators or loopback, not 'world'; correct the value.",
    ),
    "an unknown protocol": (
        {"ports.p2p.protocol": "sctp"},
        [],
        "ports.p2p.protocol: must be tcp or udp, not 'sctp'; correct the value.",
    ),
    "a port without reach": ({}, ["ports.p2p.reach"], "ports.p2p.reach: this key is missing; add it."),
    "a port named like one of the host": (
        {"ports.ssh": {"protocol": "tcp", "port": 2222, "reach": "internet"}},
        [],
        "ports.ssh: the role host has this name already; choose another.",
    ),
    "a network left out": ({}, ["ports.p2p.port.main"], "ports.p2p.port: the network main is missing; add its value."),
    "networks without a variable": (
        {},
        ["network_variable"],
        "the file: ports.p2p.port is given per network, but there is no network_variable; name the variable.",
    ),
    "the same port as none": (
        {"egress.sync": {"protocol": "tcp", "port": "same", "to": "internet"}},
        [],
        "the file: egress.sync.port is same, but there is no ports.sync; give the number.",
    ),
    "two volumes in one place": (
        {
            "volumes.more": {
                "mount": "/var/lib/ledgerd",
                "holds": "x",
                "restore": "resync",
                "minimum_gib": 1,
                "required": False,
            }
        },
        [],
        "the file: two volumes have the same mount; give each its own.",
    ),
    "a relative mount": (
        {"volumes.chain.mount": "var/lib"},
        [],
        "volumes.chain.mount: 'var/lib' is not an absolute path; write it from /.",
    ),
    "a mode as a number": (
        {"files": [{"path": "/etc/x", "owner": "root", "group": "root", "mode": 640}]},
        [],
        "files[0].mode: must be text, not 640; put the value in quotes.",
    ),
    "a mode of letters": (
        {"files": [{"path": "/etc/x", "owner": "root", "group": "root", "mode": "rw-r"}]},
        [],
        "files[0].mode: 'rw-r' is not a file mode; write four octal digits in quotes such as '0640'.",
    ),
    "a need of a variable that there is not": (
        {"needs": {"vars": {"ledger_owner": "an owner"}}},
        [],
        "needs.vars: 'ledger_owner' is no variable of the role; correct it.",
    ),
    "a need of others by a kind that uses none": (
        {"needs": {"uses": "a friend"}},
        [],
        "the file: needs.uses is given, but nodes of this kind use no others; name their kinds under uses.",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_node_yml_is_refused_with_its_file_and_key(name: str, roles: Path) -> None:
    changes, removed, sentence = BAD[name]
    path = roles / "ledger" / "node.yml"
    data = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        put(data, key, value)
    for key in removed:
        take(data, key)
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(StakeyardError) as refused:
        load_catalogue(roles)
    assert str(refused.value) == f"{path}: {sentence}"


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (
            "ledger/node.yml",
            "kind: [",
            "line 1: expected the node content, but found '<stream end>'; correct the YAML.",
        ),
        ("ledger/node.yml", "", "the file: must be a mapping, not nothing; correct the value."),
        ("ledger/node.yml", "1: x", "the file: the key 1 is not text; put the key in quotes."),
        ("ledger/defaults/main.yml", "- a\n", "must be a mapping of variables; correct the file."),
        ("ledger/tasks/main.yml", "- a: b\n  a: c\n", "line 2: [0].a: this key is there twice; keep one of them."),
    ],
)
def test_a_broken_file_of_a_role_is_named(roles: Path, file: str, content: str, sentence: str) -> None:
    (roles / file).write_text(content)
    with pytest.raises(StakeyardError) as refused:
        load_catalogue(roles)
    assert str(refused.value) == f"{roles / file}: {sentence}"


def test_without_the_host_there_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(StakeyardError, match=r"host/node\.yml: is missing, and every kind builds on it; restore it\.$"):
        load_catalogue(tmp_path)


def test_every_kind_of_this_repository_is_good_on_each_of_its_networks() -> None:
    catalogue = load_catalogue()
    assert "bitcoin" in catalogue.kinds
    for name, kind in catalogue.kinds.items():
        variable = kind.network_variable
        networks = kind.options[variable].choices if variable else ()
        for variables in [{variable: network} for network in networks if variable] or [{}]:
            resolved = catalogue.resolve(name, variables)
            assert resolved.units
            assert all(unit.endswith(".service") for unit in resolved.units)
            assert any(port.name == "ssh" and port.reach == "operators" for port in resolved.ports)


def test_a_kind_may_put_others_on_one_server(roles: Path) -> None:
    (roles / "pair").mkdir()
    (roles / "pair" / "node.yml").write_text("{kind: pair, summary: Both, roles: [ledger, validator]}")
    # One server does not reach itself through the network: the name of a port may not stand for both ends.
    node = roles / "validator" / "node.yml"
    node.write_text(node.read_text().replace("  query:", "  ask:"))
    both = load_catalogue(roles).resolve("pair", {"ledger_network": "main"})
    assert both.units == ("ledgerd.service", "validatord.service")
    assert set(both.volumes) == {"chain", "keys", "spare-keys"}
    assert both.signer is not None
    assert (both.signer.kind, both.signer.mount) == ("validator", "/var/lib/keys")
    (roles / "pair" / "node.yml").write_text("{kind: pair, summary: x, roles: [ledger], unit: x.service}")
    with pytest.raises(StakeyardError, match=r"unit: belongs to a role; write it in the node\.yml of one of"):
        load_catalogue(roles)


def test_two_roles_of_a_kind_cannot_give_one_name_to_two_ports(roles: Path) -> None:
    shutil.copytree(roles / "ledger", roles / "other")
    path = roles / "other" / "node.yml"
    path.write_text(path.read_text().replace("kind: ledger", "kind: other").replace("[ledger]", "[other, ledger]"))
    with pytest.raises(StakeyardError, match=r"ports\.p2p: the role other has this name already; choose another\."):
        load_catalogue(roles)


@pytest.mark.parametrize(
    ("signer", "sentence"),
    [
        ("volume: spare-keys,", r"signer\.volume is 'spare-keys', which is no required volume"),
        (
            "volume: keys, key_form: {pattern: '[', words: text},",
            r"signer\.key_form\.pattern: '\[' is no regular expression",
        ),
    ],
    ids=["its key volume", "a form of keys"],
)
def test_a_signer_needs_what_its_node_yml_names(roles: Path, signer: str, sentence: str) -> None:
    path = roles / "validator" / "node.yml"
    path.write_text(path.read_text().replace("volume: keys,", signer))
    with pytest.raises(StakeyardError, match=sentence):
        load_catalogue(roles)
