"""RPC users of bitcoind: made once, kept, repaired, and never in clear where bitcoind or a result can show them."""

import grp
import hashlib
import hmac
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.artifact_modules import load

module = load("bitcoin", "bitcoin_rpc_users")
GROUP = grp.getgrgid(os.getgid()).gr_name

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the module gives files to root")


def run(folder: Path, *users: str, check: bool = False, chain: str = "regtest") -> dict[str, Any]:
    parameters = {"users": list(users), "chain": chain, "group": GROUP, "folder": str(folder)}
    result: dict[str, Any] = module.run(parameters, check)
    return result


def password(folder: Path, user: str) -> str:
    found = re.search(r"rpcpassword=(\S+)", (folder / f"credentials/{user}.conf").read_text())
    assert found
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bitcoin"


def test_each_user_gets_a_file_for_root_alone(folder: Path) -> None:
    assert run(folder, "operator", "monitor") == {"changed": True, "rpcauth_changed": True}
    for user in ("operator", "monitor"):
        path = folder / f"credentials/{user}.conf"
        assert path.stat().st_mode & 0o7777 == 0o400
        assert path.read_text().startswith(f"chain=regtest\nrpcuser={user}\nrpcpassword=")
    assert (folder / "credentials").stat().st_mode & 0o7777 == 0o700
    assert (folder / "rpcauth.conf").stat().st_mode & 0o7777 == 0o640
    assert password(folder, "operator") != password(folder, "monitor")
    assert len(password(folder, "operator")) >= 43


def test_bitcoind_gets_salted_digests_that_fit(folder: Path) -> None:
    run(folder, "operator", "monitor")
    text = (folder / "rpcauth.conf").read_text()
    lines = dict(re.findall(r"^rpcauth=(\w+):(\S+)$", text, re.MULTILINE))
    assert set(lines) == {"operator", "monitor"}
    for user, line in lines.items():
        salt, digest = line.split("$")
        key = password(folder, user)
        assert digest == hmac.new(salt.encode(), key.encode(), hashlib.sha256).hexdigest()
        assert key not in text


def test_a_second_run_changes_nothing(folder: Path) -> None:
    run(folder, "operator", "monitor")
    before = {path: path.read_bytes() for path in folder.rglob("*.conf")}
    assert run(folder, "operator", "monitor") == {"changed": False, "rpcauth_changed": False}
    assert {path: path.read_bytes() for path in folder.rglob("*.conf")} == before


def test_a_new_user_leaves_the_others_alone(folder: Path) -> None:
    run(folder, "operator")
    before, line = password(folder, "operator"), (folder / "rpcauth.conf").read_text().splitlines()[1]
    assert run(folder, "operator", "miner")["rpcauth_changed"]
    assert password(folder, "operator") == before
    assert line in (folder / "rpcauth.conf").read_text()


def test_a_user_that_is_no_longer_named_loses_access(folder: Path) -> None:
    run(folder, "operator", "miner")
    assert run(folder, "operator") == {"changed": True, "rpcauth_changed": True}
    assert not (folder / "credentials/miner.conf").exists()
    assert "miner" not in (folder / "rpcauth.conf").read_text()


def test_open_modes_are_closed_again(folder: Path) -> None:
    run(folder, "operator")
    (folder / "credentials/operator.conf").chmod(0o444)
    assert run(folder, "operator") == {"changed": True, "rpcauth_changed": False}
    assert (folder / "credentials/operator.conf").stat().st_mode & 0o7777 == 0o400


def test_a_damaged_password_is_replaced_and_bitcoind_told(folder: Path) -> None:
    run(folder, "operator")
    (folder / "credentials/operator.conf").write_text("chain=regtest\nrpcuser=operator\nrpcpassword=short\n")
    assert run(folder, "operator")["rpcauth_changed"]
    assert len(password(folder, "operator")) >= 43


def test_another_chain_keeps_the_password(folder: Path) -> None:
    run(folder, "operator")
    before = password(folder, "operator")
    assert run(folder, "operator", chain="signet") == {"changed": True, "rpcauth_changed": False}
    assert password(folder, "operator") == before


def test_check_mode_touches_nothing(folder: Path) -> None:
    assert run(folder, "operator", check=True)["changed"]
    assert not folder.exists()
    run(folder, "operator")
    before = password(folder, "operator")
    assert run(folder, "operator", "miner", check=True) == {"changed": True, "rpcauth_changed": True}
    assert not (folder / "credentials/miner.conf").exists()
    assert password(folder, "operator") == before


def test_check_mode_needs_no_group_that_would_only_be_made_now(folder: Path) -> None:
    parameters = {"users": ["operator"], "chain": "main", "group": "no-such-group", "folder": str(folder)}
    assert module.run(parameters, True)["changed"]
    with pytest.raises(KeyError):
        module.run(parameters, False)
