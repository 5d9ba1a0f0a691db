"""Where things are kept on the control machine, as the operator's environment says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks.errors import StakeyardError
from stacks.paths import cache, lab
from tools import build

HOME = Path("/home/me")


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that says nothing but where home is."""
    for name in ("STAKEYARD_CACHE", "STAKEYARD_LAB", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(HOME))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, HOME / ".cache" / "stakeyard"),
        ({"XDG_CACHE_HOME": "/x"}, Path("/x/stakeyard")),
        ({"XDG_CACHE_HOME": ""}, HOME / ".cache" / "stakeyard"),
        ({"XDG_CACHE_HOME": "x/y"}, HOME / ".cache" / "stakeyard"),
        ({"XDG_CACHE_HOME": "/x", "STAKEYARD_CACHE": "/c"}, Path("/c")),
        ({"STAKEYARD_CACHE": ""}, HOME / ".cache" / "stakeyard"),
    ],
)
def test_the_cache_is_where_the_shell_says(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], expected: Path
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert cache() == expected


@pytest.mark.parametrize(
    ("name", "ask"), [("STAKEYARD_CACHE", cache), ("STAKEYARD_CACHE", build.home), ("STAKEYARD_LAB", lab)]
)
def test_a_relative_path_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, ask: Callable[[], Path]) -> None:
    monkeypatch.setenv(name, "cache/here")
    with pytest.raises(StakeyardError, match=rf"^{name} is cache/here, a relative path: write it from /\.$"):
        ask()
