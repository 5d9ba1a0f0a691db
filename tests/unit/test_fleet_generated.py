"""Two thousand generated stack files: each gives a fleet or one sentence, never another exception."""

import copy
import math
from collections import Counter
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacks.errors import StakeyardError
from stacks.fleet import load_fleet
from stacks.fleet_yaml import parse_yaml
from tests.unit.bad_stack_files.cases import FakeMachine, good, invented

GOOD = good()
WEIRD: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2**63, 10**4000, 1.5, math.inf, -math.inf, math.nan, "", " ", "no", "null",
    "~", "0", "1e3",
    "\x00", "\n", "\ud800", "\u202e", "💥" * 200, "a" * 10_000, "10.77.0.0/24", "0.0.0.0/0", "::/0", "10.77.0.11",
    "fe80::1%eth0",
    "${x}", "{{ x }}", "{0}", "%s", "<<", [], {}, [[]], {"": ""}, {"secure": "v1:x"}, {1: 2}, {None: None}, (), b"x",
    date(2026, 1, 1), {"policy": []}, "golden", ["ledger-1"], "latest", "[", "(?P<a>", "(a+)+$",
)  # fmt: skip
PIECES = (
    "a: ", "- ", "\n", "  ", "\t", "{", "}", "[", "]", "&a ", "*a", "!!x ", "? ", "'", '"', "|", ">", "0x1", "1_0",
    "---", "...", "%YAML 9.9", "\0", "\ufeff", "\x85", "é", "2026-01-01", "<<: ", "~", "#", "@", "`",
)  # fmt: skip
scalars = st.one_of(st.sampled_from(WEIRD), st.text(max_size=20), st.integers(), st.floats(), st.binary(max_size=4))
keys = st.one_of(
    st.text(max_size=12), st.sampled_from(["cidr", "address", "vars", "nodes", "no", "__class__", "model_config"])
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(keys, st.integers()), inner, max_size=4)
    ),
    max_leaves=12,
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every (mapping or list, key) in `data`."""
    found: list[tuple[Any, Any]] = []
    open_ends = [data]
    while open_ends:
        here = open_ends.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)):
            found.append((here, key))
            if isinstance(here[key], dict | list):
                open_ends.append(here[key])
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The good fleet after one to four random changes."""
    data: Any = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        places = _places(data)
        if not places:
            break
        here, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(["remove", "replace", "weird", "add", "rename", "wrap", "swap", "deepen"])):
            case "remove":
                del here[key]
            case "replace":
                here[key] = copy.deepcopy(draw(trees))
            case "weird":
                here[key] = copy.deepcopy(draw(st.sampled_from(WEIRD)))
            case "add" if isinstance(here, dict):
                here[draw(keys)] = copy.deepcopy(draw(trees))
            case "rename" if isinstance(here, dict):
                here[draw(keys)] = here.pop(key)
            case "wrap":
                here[key] = [here[key]]
            case "swap":
                other, place = places[draw(st.integers(0, len(places) - 1))]
                here[key] = copy.deepcopy(other[place])
            case "deepen":
                for _ in range(draw(st.sampled_from([5, 40]))):
                    here[key] = {"a": here[key]}
            case _:
                pass
    return data


@st.composite
def deepened(draw: st.DrawFn) -> Any:
    """The same, now and then very deep; only at the end, as what is that deep could not be copied by other changes."""
    data: Any = draw(mutated())
    if (places := _places(data)) and draw(st.integers(0, 19)) == 0:
        here, key = places[draw(st.integers(0, len(places) - 1))]
        for _ in range(500):
            here[key] = {"a": here[key]}
    return data


def _outcome(load: Any) -> str:
    try:
        load()
    except StakeyardError as error:
        sentence = str(error)
        assert sentence
        assert "\n" not in sentence
        assert sentence.isprintable()
        assert len(sentence) < 1000
        assert sentence.endswith((".", "?"))
        return "refused"
    return "accepted"


def test_2000_mutated_fleets_give_a_fleet_or_one_sentence() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=2000, database=None, suppress_health_check=list(HealthCheck))
    @given(deepened())
    def judge(data: Any) -> None:
        seen[_outcome(lambda: load_fleet(data, invented(), FakeMachine()))] += 1

    judge()
    assert sum(seen.values()) >= 2000
    assert seen["refused"] > 1000
    assert seen["accepted"] > 0


def test_300_arbitrary_values_give_one_sentence() -> None:
    @settings(max_examples=300, database=None, suppress_health_check=list(HealthCheck))
    @given(trees)
    def judge(data: Any) -> None:
        assert _outcome(lambda: load_fleet(data, invented(), FakeMachine())) == "refused"

    judge()


def test_500_arbitrary_texts_are_parsed_or_refused_in_one_sentence() -> None:
    texts = st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=25).map("".join).map(str.encode),
        st.binary(max_size=40),
        st.text().map(str.encode),
    )

    @settings(max_examples=500, database=None, suppress_health_check=list(HealthCheck))
    @given(texts)
    def judge(raw: bytes) -> None:
        _outcome(lambda: parse_yaml(raw))

    judge()
