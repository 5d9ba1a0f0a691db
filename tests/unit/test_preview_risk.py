"""What a change means: for the reviewer, for the signer, and for those who use the node."""

from pathlib import Path
from typing import Any

import pytest

from stacks.catalogue import HOST
from stacks.catalogue_networks import Downtime
from stacks.paths import REPOSITORY
from stacks.preview import opened, risk
from stacks.preview.model import Change, Difference, Finding, Inside, Node, Task, Verdict
from stacks.preview.rows import ROWS, UNKNOWN, About, rows
from tests.unit.previews import CONVERGENCE, RULE, SERVER, VOLUME, change, preview

SIGNS = About(signs=True, key_volume="n1-keys")
PLAIN = About()
NEW = About(new=True)
ATTACHMENT = "openstack:compute/volumeAttach:VolumeAttach"
FLOATING = "openstack:networking/floatingIp:FloatingIp"
SIZE = Difference("size", "1", "2")
PORTS = Difference("variables.stakeyard_ports[rpc].port", "", "1")
PASSAGE = Difference(opened.PATH, "", "in tcp 1 from 0.0.0.0/0")
PEERS = Difference("variables.stakeyard_peers[n2].address", "", "1")
LARGER = Difference("variables.stakeyard_volumes.chain.size_gib", "10", "20")
OTHER = Difference("variables.bitcoin_prune", "0", "550")
MASKED = Difference("variables", "[secret]", "[secret] (another value)")
RECIPIENTS = Difference("variables.stakeyard_backup_recipients[]", "", "age1")
ROLES = Difference("roles_digest", "a", "b")
LIFTED = Difference("protect", "true", "false")


@pytest.mark.parametrize(
    ("one", "about", "expected"),
    [
        (change("create", SERVER, "n1"), NEW, {"server-new"}),
        (change("create", SERVER, "n1"), PLAIN, {"server-again"}),
        (change("replace", SERVER, "n1"), PLAIN, {"server-replaced"}),
        (change("delete", SERVER, "n1"), PLAIN, {"server-gone"}),
        (change("update", SERVER, "n1"), PLAIN, {"server-changed"}),
        (change("create", VOLUME, "n1-chain"), NEW, {"volume-new"}),
        (change("create", VOLUME, "n1-keys"), SIGNS, {"keys", "volume-again"}),
        (change("unprotect", VOLUME, "n1-keys", LIFTED), SIGNS, {"keys", "unprotected"}),
        (change("unprotect", FLOATING, "n1", LIFTED), PLAIN, {"unprotected"}),
        (change("update", FLOATING, "n1", LIFTED), PLAIN, {"address", "unprotected"}),
        (change("update", VOLUME, "n1-keys", SIZE), SIGNS, {"keys", "volume-grows"}),
        (change("update", VOLUME, "n1-chain", SIZE), PLAIN, {"volume-grows"}),
        (change("update", VOLUME, "n1-chain", SIZE, Difference("x", "", "1")), PLAIN, {"volume-changed"}),
        (change("replace", VOLUME, "n1-chain"), PLAIN, {"volume-lost"}),
        (change("delete", VOLUME, "n1-chain", protected=True), PLAIN, {"volume-lost", "protected"}),
        (change("create", ATTACHMENT, "n1-chain"), PLAIN, {"attached"}),
        (change("replace", ATTACHMENT, "n1-keys"), SIGNS, {"keys", "attachment"}),
        (change("create", FLOATING, "n1"), NEW, {"address-new"}),
        (change("create", FLOATING, "n1"), PLAIN, {"address-again"}),
        (change("replace", FLOATING, "n1", protected=True), PLAIN, {"address-lost", "protected"}),
        (change("create", RULE, "x"), PLAIN, {"firewall"}),
        (change("delete", RULE, "x"), PLAIN, {"firewall"}),
        (change("create", CONVERGENCE, "n1", PORTS), NEW, {"software-new"}),
        (change("create", CONVERGENCE, "n1", PORTS), PLAIN, {"software-again"}),
        (change("update", CONVERGENCE, "n1"), PLAIN, {"software"}),
        (change("update", CONVERGENCE, "n1", PORTS), PLAIN, {"software", "host-firewall"}),
        (change("update", CONVERGENCE, "n1", MASKED, PASSAGE), PLAIN, {"software", "host-firewall", "settings"}),
        (change("update", CONVERGENCE, "n1", MASKED), PLAIN, {"software", "settings"}),
        (change("update", CONVERGENCE, "n1", PEERS), PLAIN, {"software"}),
        (change("update", CONVERGENCE, "n1", LARGER), PLAIN, {"software"}),
        (change("update", CONVERGENCE, "n1", OTHER), PLAIN, {"software", "settings"}),
        (change("update", CONVERGENCE, "n1", RECIPIENTS), PLAIN, {"software", "settings"}),
        (change("update", CONVERGENCE, "n1", ROLES), PLAIN, {"software", "roles"}),
        (change("replace", CONVERGENCE, "n1"), PLAIN, {"software-moves"}),
        (change("delete", CONVERGENCE, "n1"), PLAIN, {"software-gone"}),
        (change("create", "openstack:networking/network:Network", "s"), PLAIN, {"site-new"}),
        (change("update", "openstack:networking/network:Network", "s"), PLAIN, {"site"}),
        (change("delete", "openstack:images/image:Image", "s"), PLAIN, {"image"}),
        (change("update", "pulumi:index:Stash", "s"), PLAIN, {"site"}),
        (change("replace", "stakeyard:index:HostKey", "n1"), PLAIN, {"host-key"}),
        (change("update", "stakeyard:index:FleetChecks", "k"), PLAIN, {"checks"}),
        (change("create", "other:thing:Thing", "x"), PLAIN, {"unknown"}),
        (change("update", "pulumi:providers:openstack", "cloud"), PLAIN, {"unknown"}),
    ],
)
def test_each_change_has_its_rows(one: Change, about: About, expected: set[str]) -> None:
    assert {row.id for row in rows(one, about)} == expected


def test_every_row_is_needed_by_a_case_and_told_in_the_handbook() -> None:
    cases: Any = test_each_change_has_its_rows.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert set().union(*(case[2] for case in cases)) == {row.id for row in (*ROWS, UNKNOWN)}
    told = (REPOSITORY / "docs" / "preview.md").read_text()
    for row in (*ROWS, UNKNOWN):
        signer = "yes" if row.signer else "no"
        assert f"| `{row.id}` | {row.what} | {'yes' if row.review else 'no'} | {signer} | {_DOWN[row.down]} |" in told


_DOWN = {
    "": "none",
    "restart": "a restart",
    "server": "a new server",
    "address": "until others know it",
    "data": "until the data is back",
    "end": "for good",
}


@pytest.mark.parametrize(
    ("about", "changes", "inside", "touched"),
    [
        (SIGNS, [change("update", CONVERGENCE, "n1")], None, True),
        (SIGNS, [change("replace", SERVER, "n1")], None, True),
        (SIGNS, [change("update", VOLUME, "n1-keys", SIZE)], None, True),
        (SIGNS, [change("create", SERVER, "n1")], None, True),
        (SIGNS, [], Inside("seen"), True),
        (SIGNS, [change("update", "stakeyard:index:FleetChecks", "k")], None, False),
        (PLAIN, [change("replace", SERVER, "n1")], Inside("seen"), False),
    ],
)
def test_a_signer_is_touched_when_its_server_software_keys_or_volume_are(
    about: About, changes: list[Change], inside: Inside | None, touched: bool
) -> None:
    assert risk.touches_signer(changes, inside, about) is touched


EXPECTED = Downtime(restart=60, server=900)


@pytest.mark.parametrize(
    ("changes", "expected", "text"),
    [
        ([change("update", CONVERGENCE, "n1")], EXPECTED, "about 60 s (service restarted)"),
        ([change("update", CONVERGENCE, "n1"), change("replace", SERVER, "n1")], EXPECTED, "about 15 min (new server)"),
        ([change("update", CONVERGENCE, "n1")], None, "unknown (service restarted)"),
        ([change("replace", VOLUME, "n1-chain")], EXPECTED, "until its data is there again"),
        ([change("delete", SERVER, "n1"), change("delete", VOLUME, "n1-chain")], EXPECTED, "for good"),
        ([change("create", SERVER, "n1"), change("delete", SERVER, "n1-old")], EXPECTED, "about 15 min (new server)"),
        ([change("create", SERVER, "n1")], EXPECTED, "about 15 min (new server)"),
        ([change("replace", FLOATING, "n1")], EXPECTED, "until others know its new address"),
        ([change("unprotect", FLOATING, "n1", LIFTED)], EXPECTED, ""),
        ([change("update", VOLUME, "n1-chain", SIZE)], EXPECTED, ""),
        ([], EXPECTED, ""),
    ],
)
def test_the_worst_downtime_is_told(changes: list[Change], expected: Downtime | None, text: str) -> None:
    assert risk.downtime(changes, PLAIN, expected) == text


def test_a_new_node_has_no_users_yet() -> None:
    assert risk.downtime([change("create", SERVER, "n1"), change("create", CONVERGENCE, "n1")], NEW, EXPECTED) == ""


def node(*changes: Change, **more: Any) -> Node:
    return Node(**{"name": "n1", "kind": "k", "signs": False, "changes": changes, **more})


ERROR = Finding("r", "error", "k", "s")
WARNING = Finding("r", "warning", "k", "s")
WAIVED = Finding("r", "error", "k", "s", waived="until 2027-01-31: reason")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (preview(), Verdict.SAFE),
        (preview(node(change("create", SERVER, "n1"), change("create", CONVERGENCE, "n1"), new=True)), Verdict.SAFE),
        (preview(node(change("create", SERVER, "n1"))), Verdict.REVIEW),
        (preview(node(change("create", VOLUME, "n1-chain"))), Verdict.REVIEW),
        (preview(node(change("unprotect", VOLUME, "n1-chain", LIFTED))), Verdict.REVIEW),
        (preview(node(change("update", CONVERGENCE, "n1", ROLES))), Verdict.REVIEW),
        (preview(node(change("update", CONVERGENCE, "n1", PEERS))), Verdict.SAFE),
        (preview(shared=(change("update", "stakeyard:index:FleetChecks", "k"),)), Verdict.SAFE),
        (preview(node(change("update", CONVERGENCE, "n1"))), Verdict.SAFE),
        (preview(node(change("update", CONVERGENCE, "n1"), signs=True, touches_signer=True)), Verdict.REVIEW),
        (preview(node(change("replace", SERVER, "n1"))), Verdict.REVIEW),
        (preview(node(change("delete", SERVER, "n1"))), Verdict.REVIEW),
        (preview(shared=(change("create", RULE, "x"),)), Verdict.REVIEW),
        (preview(node(inside=Inside("unknown", "x"))), Verdict.REVIEW),
        (preview(node(inside=Inside("seen", tasks=(Task(HOST, "x"),)))), Verdict.REVIEW),
        (preview(node(inside=Inside("seen", tasks=(Task("other", "x"),)))), Verdict.SAFE),
        (preview(node(inside=Inside("seen", "x", (Task("other", "x"),), complete=False))), Verdict.REVIEW),
        (preview(node(inside=Inside("told", "x", complete=False))), Verdict.REVIEW),
        (preview(drift={"n1": ("x",)}), Verdict.REVIEW),
        (preview(drift={"n1": ()}), Verdict.SAFE),
        (preview(findings=(WARNING,)), Verdict.REVIEW),
        (preview(findings=(WAIVED,)), Verdict.SAFE),
        (preview(node(change("replace", SERVER, "n1")), findings=(ERROR, WAIVED)), Verdict.REFUSED),
    ],
)
def test_the_verdict_is_the_worst_of_what_was_found(found: Any, verdict: Verdict) -> None:
    assert risk.verdict(found) is verdict


def test_what_must_be_looked_at_stands_first_and_numbers_are_in_order() -> None:
    def named(name: str, *changes: Change, **more: Any) -> Node:
        return Node(name, "k", bool(more.get("touches_signer")), changes, **more)

    nodes = [
        named("n-10", change("update", CONVERGENCE, "n-10")),
        named("n-9", change("update", CONVERGENCE, "n-9")),
        named("n-2", change("update", SERVER, "n-2")),
        named("v-1", change("update", CONVERGENCE, "v-1"), touches_signer=True),
        named("n-1", change("replace", SERVER, "n-1")),
        named("quiet"),
    ]
    for order in (nodes, nodes[::-1]):
        found = risk.ordered(preview(*order))
        assert [n.name for n in found.nodes] == ["n-1", "v-1", "n-2", "n-9", "n-10", "quiet"]


def test_firewalls_and_what_is_protected_stand_before_other_changes_that_need_review() -> None:
    replaced = change("replace", SERVER, "n1")
    lifted = change("unprotect", VOLUME, "n1-chain", LIFTED)
    quiet = change("update", CONVERGENCE, "n1")
    (found,) = risk.ordered(preview(node(quiet, replaced, lifted))).nodes
    assert found.changes == (lifted, replaced, quiet)


def test_many_warnings_do_not_hide_that_the_program_is_changed() -> None:
    rules = ("client-crowd", "expired-waiver", "policy-changed", "program-changed", "zone-crowd")
    found = risk.ordered(preview(findings=tuple(Finding(rule, "warning", "k", "s") for rule in rules)))
    told = [finding.rule for finding in found.findings]
    assert told == ["program-changed", "policy-changed", "client-crowd", "expired-waiver", "zone-crowd"]


def test_node_files_say_what_downtime_to_expect() -> None:
    for path in sorted(Path(REPOSITORY / "roles").glob("*/node.yml")):
        text = path.read_text()
        if "unit:" in text:
            assert "downtime:" in text, f"{path.parent.name}: nobody could tell what a restart costs"
