"""Every clouds.yaml that cannot be used is told in one sentence."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openstack.config.loader
import pytest
from openstack.exceptions import SDKException

from stacks import cloud_login, hostkey
from stacks.convergence import server_runs
from stacks.errors import StakeyardError
from stacks.rebuild_outside import OpenStack
from stacks.signer_cloud import SignerCloud

NO_ENTRY = (
    "no clouds.yaml that can be read has an entry `otc`: write it into ~/.config/openstack/clouds.yaml, or correct "
    "`cloud` in the stack file."
)
ENTRY = "clouds: {otc: {auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: p}}}"


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "clouds.yaml"
    monkeypatch.setattr(openstack.config.loader, "CONFIG_FILES", [str(file)])
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    return file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, NO_ENTRY),
        ("", NO_ENTRY),
        ("clouds: {other: {}}", NO_ENTRY),
        ("clouds: [", NO_ENTRY),
        ("clouds: {otc: {}}", r"`otc` of clouds.yaml cannot be used \(.* not given: auth_url\): correct it\."),
        ("clouds: {otc: }", r"`otc` of clouds.yaml cannot be used \(.*\): correct it\."),
        ("clouds: {otc: {auth: text}}", r"`otc` of clouds.yaml cannot be used \(.*\): correct it\."),
        ("clouds: {otc: {auth_type: odd}}", r"`otc` of clouds.yaml cannot be used \(.*odd.*\): correct it\."),
    ],
)
def test_an_entry_that_cannot_be_used(clouds: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        clouds.write_text(text)
    with pytest.raises(StakeyardError, match=f"^(the entry )?{sentence}$"):
        cloud_login.connect("otc")


@pytest.mark.parametrize(
    "use",
    [OpenStack, SignerCloud, lambda cloud: hostkey.CloudPaths(cloud).console("s"), cloud_login.log_in],
)
def test_whoever_asks_the_cloud_says_that_there_is_no_entry(clouds: Path, use: Callable[[str], Any]) -> None:
    with pytest.raises(StakeyardError, match=f"^{NO_ENTRY}$"):
        use("otc")


def test_without_an_entry_nobody_denies_that_a_server_runs(clouds: Path) -> None:
    assert server_runs("otc", "s")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SDKException("Expecting to find domain in project."), "Expecting to find domain in project"),
        (OSError("Could not find a suitable TLS CA certificate bundle"), "Could not find a suitable .* bundle"),
        (SDKException(""), "SDKException"),
    ],
)
def test_a_login_that_fails(monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    def authorize() -> None:
        raise error

    monkeypatch.setattr("openstack.connect", lambda **_: SimpleNamespace(authorize=authorize))
    with pytest.raises(StakeyardError, match=rf"^the login at cloud `otc` failed \({reason}\): correct its entry in "):
        cloud_login.log_in("otc")


def test_an_entry_that_can_be_used_is_used(clouds: Path) -> None:
    clouds.write_text(ENTRY)
    assert cloud_login.connect("otc").config.name == "otc"
