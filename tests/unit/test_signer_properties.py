"""Random schedules against the real decisions; `python -m tests.bench.signer` plays ten thousand of them."""

import pytest
from hypothesis import HealthCheck, settings

from stacks import signer_claim
from tests.signer.machine import Signers
from tests.signer.short import GUARDS, play
from tests.signer.world import without

TestSigners = Signers.TestCase
TestSigners.settings = settings(max_examples=60, stateful_step_count=40, suppress_health_check=list(HealthCheck))

SEED = 1
"""Fixed, so that a guard is found to matter by the same schedules each time."""


def test_short_schedules_break_nothing() -> None:
    played = play(3_000, SEED)
    assert not played.broken, f"schedule {played.schedules}: {played.broken}"
    assert played.signatures > 3_000


@pytest.mark.parametrize("guard", GUARDS, ids=".".join)
def test_short_schedules_find_what_each_guard_prevents(guard: tuple[str, str]) -> None:
    """A double sign; for `current` and `accepted`, a history that was taken although it is too old."""
    with without(*guard):
        played = play(5_000, SEED)
    found = "an older history was taken" if guard in {("seed", "current"), ("seed", "accepted")} else "key "
    assert played.broken.startswith(found)


def test_short_schedules_find_an_update_that_overwrites_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signer_claim, "_require_untouched", lambda _cloud, _own: None)
    assert play(5_000, SEED).broken.startswith("key ")
