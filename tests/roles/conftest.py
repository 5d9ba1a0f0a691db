"""Hosts for the tests of roles."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.roles.machine import Machine, machine


@pytest.fixture(scope="module")
def make_host() -> Iterator[Callable[[str], Machine]]:
    """A function that starts a host by name; all of them end with the test module."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(machine(name))


@pytest.fixture(scope="module")
def host(make_host: Callable[[str], Machine]) -> Machine:
    """One host of its own for the test module."""
    return make_host("host-1")
