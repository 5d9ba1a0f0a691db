"""That a server is deleted is evidence only of the server that signed last with these keys, by the state's word."""

from pathlib import Path
from typing import Any

import pytest

from stacks import signing
from stacks.errors import StakeyardError
from stacks.rebuild_state import target
from stacks.signer import Signed, fingerprint
from tests.unit.rebuild_world import OLD
from tests.unit.test_rebuild_state import exported
from tests.unit.test_rebuild_volume import emptied
from tests.unit.test_signing import INPUTS, KEY, MORE, SEEN, Cloud, prepare, restore, shown

__all__ = ["shown"]
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
    "an older version converged it": (None, True, Signed("s-1", frozenset({ONE}))),
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
    assert any("the state does not say which server signed last" in line for line in world.said)


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
    prepare(cloud)
    assert signing.finish(INPUTS, cloud) == {"server": "new", "keys": [fingerprint(KEY)]}


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
