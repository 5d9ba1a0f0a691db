"""That a server is deleted is evidence only of the server that signed last with these keys, by the state's word."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openstack.exceptions import SDKException

from stacks import convergence, rebuild_plan, signing
from stacks.convergence import Convergence
from stacks.errors import StakeyardError
from stacks.rebuild import Progress, Request, progress
from stacks.rebuild_outside import OpenStack
from stacks.rebuild_state import target
from stacks.signer import Claim, Registration, Signed, fingerprint
from tests.unit.rebuild_world import OLD, World
from tests.unit.test_convergence import Hosts, converged, hosts
from tests.unit.test_rebuild_state import BASE, NODE, exported, resource
from tests.unit.test_rebuild_volume import emptied
from tests.unit.test_signing import INPUTS, KEY, MORE, SEEN, Cloud, prepare, restore, shown

__all__ = ["hosts", "shown"]
OLD_KEYS = frozenset({fingerprint("ab" * 48)})


def state(signed: dict[str, Any] | None, *, finished: bool) -> dict[str, Any]:
    found = exported()
    convergence = found["deployment"]["resources"][-1]
    if signed:
        convergence["outputs"]["signed"] = signed
    if not finished:
        convergence["initErrors"] = ["the last signer of these keys may still be alive"]
    return found


ONE = fingerprint("0xAB")
STATES: dict[str, tuple[dict[str, Any] | None, bool, Signed | None]] = {
    "its first update was refused": (None, False, None),
    "its first update was refused, then refreshed": (None, True, None),
    "it converged": ({"server": "s-1", "keys": [ONE]}, True, Signed("s-1", frozenset({ONE}))),
    "an update for more keys was refused": ({"server": "s-1", "keys": ["a"]}, False, Signed("s-1", frozenset({"a"}))),
}


@pytest.mark.parametrize("case", STATES)
def test_a_server_signed_only_once_its_keys_were_started_with_success(case: str) -> None:
    signed, finished, expected = STATES[case]
    assert target(state(signed, finished=finished), "n1").signed == expected


def test_a_newcomer_that_never_signed_is_not_named_as_the_last_signer(tmp_path: Path) -> None:
    """Its first update was refused, as another project's server may sign with the keys; then it was deleted."""
    world = emptied(tmp_path, status=None)
    world.signed = None
    world.rebuild()
    assert world.restored == [(None, None, False)]
    assert any("does not say which server signed last" in line for line in world.said)


def test_a_successor_that_never_signed_does_not_hide_whom_it_follows(tmp_path: Path) -> None:
    world = emptied(tmp_path, status=None)
    world.fails_at_refresh = 1
    with pytest.raises(StakeyardError, match="the cloud is gone"):
        world.rebuild()
    world.signed = None
    world.rebuild()
    assert world.restored == [(None, OLD, False)]


def test_a_successor_that_signed_is_the_last_signer(tmp_path: Path) -> None:
    world = emptied(tmp_path, status=None)
    world.fails_at_refresh = 1
    with pytest.raises(StakeyardError, match="the cloud is gone"):
        world.rebuild()
    world.signed = Signed("server-5", OLD_KEYS)
    world.rebuild()
    assert world.restored == [(None, "server-5", False)]


def test_what_is_kept_of_a_signer_is_its_server_and_its_keys(shown: dict[str, Any]) -> None:
    cloud: Any = Cloud()
    generation = prepare(cloud)["stakeyard_claim"]["generation"]
    assert signing.finish(INPUTS, cloud, generation) == {"server": "new", "keys": [fingerprint(KEY)]}


def test_who_signed_last_stays_in_the_state_when_a_later_update_fails(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud: Any = Cloud()
    cloud.registered = Registration("vol", frozenset({fingerprint(KEY)}), Claim("server-1", 1))
    monkeypatch.setattr(convergence, "SignerCloud", lambda _: cloud)
    monkeypatch.setattr(signing, "prepare", lambda *_: {"stakeyard_claim": {"generation": 1}})
    noted = {"server": "server-1", "keys": [fingerprint(KEY)]}
    given, state = converged(hosts, signer=INPUTS["signer"])
    assert state["signed"] == noted

    def refuse(*_: object) -> dict[str, object]:
        raise StakeyardError("the last signer of these keys may still be alive")

    monkeypatch.setattr(signing, "prepare", refuse)
    more = {**given, "signer": {**INPUTS["signer"], "public_keys": [KEY, MORE]}}
    for before, after in ((state, noted), ({}, None)):
        left: dict[str, Any] = {**before, **more}
        with pytest.raises(StakeyardError, match="may still be alive"):
            Convergence().apply(more, left, hosts.report)
        assert left.get("signed") == after


def test_a_server_that_signed_with_other_keys_is_no_evidence(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown |= {"seen": SEEN, "quiet_epochs": 0, "quiet_seconds": 5.0}
    cloud = Cloud()
    cloud.status = None
    restore(tmp_path, monkeypatch, target=10, holder={"server": "old", "keys": [fingerprint(MORE)]})
    with pytest.raises(StakeyardError, match="the last signer of these keys may still be alive"):
        prepare(cloud)
    restore(tmp_path, monkeypatch, target=10)
    assert prepare(cloud)["stakeyard_history"]


def test_where_nobody_knows_the_last_signer_an_older_history_is_refused_with_a_way_out(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown |= {"seen": SEEN, "quiet_epochs": 4, "quiet_seconds": 150.0}
    restore(tmp_path, monkeypatch, target=7, accept_older=True, holder=None)
    with pytest.raises(StakeyardError, match=r"both must hold\. Which server signed last .* is not known: leave the"):
        prepare(Cloud())
    # The way out: without a history, once the chain shows nothing of the keys.
    monkeypatch.delenv(signing.RESTORE)
    shown |= {"seen": {}, "quiet_epochs": None, "quiet_seconds": None}
    assert prepare(Cloud())["stakeyard_history"]


@pytest.mark.parametrize("holder", ["old", {"server": "old"}, {"server": "old", "keys": 1}, ["old"]])
def test_a_holder_without_its_keys_is_not_understood(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: object
) -> None:
    restore(tmp_path, monkeypatch, target=7, holder=holder)
    with pytest.raises(StakeyardError, match=r"restore\.json does not say what to restore"):
        prepare(Cloud())


# Another project.

OTHER = "^cloud entry lab is of project project-2, but n1 is in project project-1: there every server looks"


@pytest.mark.parametrize("signs", [True, False])
def test_credentials_of_another_project_are_refused_before_anything_is_said(tmp_path: Path, signs: bool) -> None:
    world = World(tmp_path, signs)
    world.project_of_login = "project-2"
    with pytest.raises(StakeyardError, match=OTHER):
        world.rebuild(fence="delete")
    assert world.said == ["inspect: ask the state and the cloud what there is"]
    with pytest.raises(StakeyardError, match=OTHER):
        rebuild_plan.plan(Request("lab", "n1"), Progress(), world)
    assert world.acts == []


def test_credentials_of_another_project_are_refused_when_a_rebuild_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.fails_at_refresh = 1
    with pytest.raises(StakeyardError, match="the cloud is gone"):
        world.rebuild()
    world.project_of_login, world.pending = "project-2", "server-1"
    with pytest.raises(StakeyardError, match=OTHER):
        world.rebuild()
    with pytest.raises(StakeyardError, match=OTHER):
        rebuild_plan.plan(Request("lab", "n1"), progress(world.journal.read()), world)
    assert world.pending == "server-1", "what the killed update left was cleared away in another project"


@pytest.mark.parametrize("unknown", ["project_of_node", "project_of_login"])
def test_where_no_project_is_known_a_deleted_server_is_no_evidence_of_a_signers_end(
    tmp_path: Path, unknown: str
) -> None:
    world = emptied(tmp_path, status=None)
    setattr(world, unknown, None)
    world.rebuild()
    assert world.restored == [(None, None, False)]


def test_the_project_is_part_of_the_evidence(tmp_path: Path) -> None:
    made = World(tmp_path, status=None).rebuild()
    (report,) = [path for path in made if path.suffix == ".json"]
    assert json.loads(report.read_text())["evidence"]["project"] == "project-1"


def test_the_project_is_the_one_of_the_nodes_port() -> None:
    assert target(exported(), "n1").project is None
    node = f"{BASE}{NODE}::n1"
    port = resource(f"{NODE}$openstack:networking/port:Port", "n1", node, id="p", outputs={"tenantId": "project-1"})
    assert target(exported(port), "n1").project == "project-1"


def test_the_project_of_the_credentials_is_asked_of_the_login() -> None:
    assert OpenStack("lab", SimpleNamespace(current_project_id="project-1")).project() == "project-1"
    assert OpenStack("lab", SimpleNamespace()).entry == "lab"


def test_a_login_that_fails_is_one_sentence() -> None:
    class Refusing:
        @property
        def current_project_id(self) -> str:
            raise SDKException("unauthorized")

    with pytest.raises(StakeyardError, match=r"^cloud lab does not do as asked \(unauthorized\)"):
        OpenStack("lab", Refusing()).project()
