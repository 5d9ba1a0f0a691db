"""The benchmark reads Pulumi's own times and compares within one run."""

from tests.bench.__main__ import Figure, per_resource, table

OUTPUT = """
 +  openstack:compute:Instance bitcoin-1 created (12s)
 +  pulumi-python:dynamic/stacks.convergence:Convergence bitcoin-1 created (184s)
 +  pulumi-python:dynamic/stacks.convergence:Convergence bitcoin-2 creating (3s)
"""


def test_only_finished_resources_of_the_kind_count() -> None:
    assert per_resource(OUTPUT, "Convergence") == [Figure("Convergence bitcoin-1", 184.0)]


def test_the_ratio_is_to_the_figure_of_the_same_run() -> None:
    rows = table([Figure("a", 5.0), Figure("b", 20.0)], Figure("a", 5.0)).splitlines()
    assert rows[-1] == "| b | 20.0 | 4.00 |"
