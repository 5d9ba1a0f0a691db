"""Reads cases.yaml and judges each case as a preview does: the fleet first, then the resources."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from stacks.catalogue import Catalogue, load_catalogue
from stacks.fleet import Fleet, load_fleet
from stacks.fleet_yaml import read_yaml
from stacks.policy.check import check_fleet, check_resources
from stacks.policy.model import Resource
from stacks.preview.model import Finding
from tests.unit.bad_stack_files.cases import FakeMachine, put, take

HERE = Path(__file__).parent
TODAY = date(2027, 1, 1)


@cache
def catalogue() -> Catalogue:
    """The invented kinds."""
    return load_catalogue(HERE / "roles")


def data(changes: Mapping[str, Any] | None = None, remove: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the stack file says, with changes."""
    found = read_yaml(HERE / "fleet.yaml")
    assert isinstance(found, dict)
    for path in remove:
        take(found, path)
    for path, value in (changes or {}).items():
        put(found, path, value)
    return found


def fleet(changes: Mapping[str, Any] | None = None, remove: tuple[str, ...] = (), unchecked: bool = False) -> Fleet:
    """The fleet with changes; `unchecked` past the rules of the stack file's reader."""
    given = data(changes, remove)
    return Fleet.model_validate(given) if unchecked else load_fleet(given, catalogue(), FakeMachine())


@dataclass(frozen=True)
class Case:
    """One situation and what the rule says of it."""

    rule: str
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.rule}: {self.spec['what']}"

    @property
    def passes(self) -> bool:
        """Whether the rule has nothing to say."""
        return not self.spec.get("expect")

    @property
    def expected(self) -> list[tuple[str, str | None, str]]:
        """Key, node and sentence of each finding."""
        return [(each["key"], each.get("node"), each["sentence"]) for each in self.spec.get("expect", ())]

    def findings(self) -> tuple[Finding, ...]:
        """All findings, of every rule."""
        made = fleet(self.spec.get("set"), tuple(self.spec.get("remove", ())), self.spec.get("unchecked", False))
        today = date.fromisoformat(self.spec["today"]) if "today" in self.spec else TODAY
        resources = [Resource(**each) for each in self.spec.get("resources", ())]
        return check_fleet(made, catalogue(), today) + check_resources(made, catalogue(), resources, today)


def cases() -> Iterator[Case]:
    """Every case of cases.yaml."""
    found = read_yaml(HERE / "cases.yaml")
    assert isinstance(found, dict)
    for rule, specs in found.items():
        yield from (Case(rule, spec) for spec in specs)
