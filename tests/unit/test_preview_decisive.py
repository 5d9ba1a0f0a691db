"""What stands first in a comment: the reasons, and firewalls with port and prefix; no length of anything hides them."""

from stacks.preview import decisive, markdown
from stacks.preview.model import Change, Difference, Inside, Node, Task
from tests.unit.previews import CONVERGENCE, RULE, SERVER, change, preview

LONG = "stakeyard-production-europe-west-with-a-long-name-ethereum_validator-ingress-tcp-8332-80.0.0.0/9"


def rule(operation: str, before: str, after: str, name: str = LONG) -> Change:
    return change(operation, RULE, name, Difference("lets through", before, after))


def test_a_rule_is_told_with_its_direction_protocol_port_and_prefix_however_long_its_name() -> None:
    text = markdown.render(preview(shared=(rule("create", "", "in tcp 8332 from 80.0.0.0/9"),)))
    line = "- **opens** `in tcp 8332 from 80.0.0.0/9`: security group `stakeyard-production-europe-west"
    assert line in text
    assert text.index("#### What needs review") < text.index(line) < text.index("#### Details")
    assert f"**create** security group rule `{LONG}`" in text


def test_cloud_and_hosts_that_open_the_same_share_a_line_and_the_world_comes_first() -> None:
    def host(name: str, *more: Difference) -> Node:
        opened = Difference("lets through", "", "in tcp 22 from 10.0.0.0/8")
        return Node(name, "k", signs=False, changes=(change("update", CONVERGENCE, name, opened, *more),))

    world = Difference("lets through", "", "in tcp 9 from 0.0.0.0/0")
    closed = rule("delete", "out udp 1 to 10.0.0.0/8", "", "g-egress-udp")
    found = preview(
        host("n-1"), host("n-2", world), shared=(rule("create", "", "in tcp 22 from 10.0.0.0/8", "g-ingress-x"), closed)
    )
    assert decisive.firewall(found).splitlines()[2:] == [
        "- **opens** `in tcp 9 from 0.0.0.0/0`: host `n-2`",
        "- **opens** `in tcp 22 from 10.0.0.0/8`: security group `g`; host `n-1`, `n-2`",
        "- **closes** `out udp 1 to 10.0.0.0/8`: security group `g`",
    ]


def test_many_signers_with_long_details_leave_reasons_and_firewall_where_they_are() -> None:
    signers = [
        Node(
            f"validator-{number}",
            "k",
            True,
            (change("replace", SERVER, f"validator-{number}"),),
            Inside("told", "", (Task("role", "task", f"+{number}\n" * 3000),)),
            touches_signer=True,
        )
        for number in range(8)
    ]
    text = markdown.render(preview(*signers, shared=(rule("create", "", "in tcp 22 from 0.0.0.0/0"),)))
    assert len(text) < markdown.LIMIT
    for line in (
        "- a signer is touched: `validator-0`, `validator-1`",
        "- a security group or a rule of one, whatever is done to it: `stakeyard",
        "- **opens** `in tcp 22 from 0.0.0.0/0`: security group",
    ):
        assert text.index(line) < text.index("| Node |")


def test_names_give_way_where_there_are_too_many_and_reasons_never() -> None:
    names = [f"{'n' * 55}-{number}" for number in range(2000)]
    shared = tuple(change("update", f"other:thing:T{number}", name) for number, name in enumerate(names))
    found = preview(
        *(Node(name, "k", signs=False, changes=(change("replace", SERVER, name),)) for name in names), shared=shared
    )
    assert "- something that this preview has no rule for: `nnn" in decisive.review(found)
    assert "and 1,994 more" in decisive.review(found)
    assert len(markdown.render(found)) < markdown.LIMIT


def test_a_network_that_changes_for_all_is_said_as_the_table_cannot() -> None:
    subnet, router = ("openstack:networking/subnet:Subnet", "openstack:networking/router:Router")
    found = preview(shared=(change("replace", subnet, "s"), change("update", router, "s")))
    assert "What all nodes share would change (change router; replace subnet)" in markdown.render(found)
    assert decisive.network(preview(shared=(change("create", subnet, "s"),))) == ""


def test_nothing_is_said_where_there_is_nothing() -> None:
    assert decisive.review(preview()) == decisive.firewall(preview()) == decisive.network(preview()) == ""
