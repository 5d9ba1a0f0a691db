"""Random schedules against the real decisions; `python -m tests.bench.signer` plays ten thousand of them."""

from hypothesis import HealthCheck, settings

from tests.signer.machine import Signers

TestSigners = Signers.TestCase
TestSigners.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
