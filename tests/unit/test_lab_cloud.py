"""The lab's entry in clouds.yaml: others' entries stay as they are, nobody else can read the password."""

import json
from pathlib import Path

import openstack.config
import pytest

from images.lab import cloud, credentials
from images.lab.settings import Settings, settings
from stacks.errors import StakeyardError

OTHERS = """\
# my clouds
clouds:
  otc:   # production
    auth: {auth_url: "https://iam.example", username: 'me'}
    region_name: eu-de
  devstack:
    profile: x
cache:
  expiration_time: 3600
"""
FILE = Path("clouds.yaml")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STAKEYARD_LAB", str(tmp_path / "lab"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "lab").mkdir()
    return settings({})


def test_other_entries_and_comments_stay_byte_for_byte() -> None:
    new = cloud.merged(OTHERS, "stakeyard-lab", {"auth": {"username": "u"}}, FILE)
    kept = [line for line in new.splitlines() if line in OTHERS.splitlines()]
    assert kept == OTHERS.splitlines()
    assert cloud.without(new, "stakeyard-lab", FILE) == OTHERS


def test_the_same_entry_changes_nothing() -> None:
    once = cloud.merged(OTHERS, "a", {"auth": {"username": "u"}}, FILE)
    assert cloud.merged(once, "a", {"auth": {"username": "u"}}, FILE) == once


def test_an_older_entry_of_the_lab_is_replaced() -> None:
    once = cloud.merged(OTHERS, "a", {"auth": {"password": "old"}}, FILE)
    twice = cloud.merged(once, "a", {"auth": {"password": "new"}}, FILE)
    assert "old" not in twice
    assert "new" in twice


@pytest.mark.parametrize("text", ["", "clouds:\n", "# nothing\n", "clouds: {}\n"])
def test_a_file_without_clouds_gets_the_entry(text: str) -> None:
    new = cloud.merged(text, "a", {"auth": {"username": "u"}}, FILE)
    assert "username: u" in new


@pytest.mark.parametrize("text", ["- a\n", "clouds: [a]\n", "clouds: {a: [}\n", "just text"])
def test_a_file_that_is_not_clouds_yaml_is_refused_and_named(text: str) -> None:
    with pytest.raises(StakeyardError, match=r"clouds\.yaml"):
        cloud.merged(text, "a", {}, FILE)


def test_every_client_understands_the_entry(lab: Settings) -> None:
    passwords = credentials.load(lab)
    cloud.publish(lab, passwords, {"dns": "192.0.2.53"})
    region = openstack.config.OpenStackConfig(config_files=[str(cloud.user_file())], load_envvars=False).get_one(
        cloud="stakeyard-lab"
    )
    assert region.config["auth"]["auth_url"] == "http://172.31.240.2:5000/v3"
    assert region.config["auth"]["username"] == "stakeyard"
    assert region.config["auth"]["password"] == passwords.user
    assert json.loads((lab.state / "facts.json").read_text()) == {"dns": "192.0.2.53"}


def test_files_with_passwords_are_private_even_when_they_were_not(lab: Settings) -> None:
    cloud.user_file().parent.mkdir(parents=True)
    cloud.user_file().write_text(OTHERS)
    cloud.user_file().chmod(0o644)
    cloud.publish(lab, credentials.load(lab), {})
    for path in (cloud.user_file(), *lab.state.glob("*.yaml"), lab.state / "passwords.json"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_withdrawing_removes_the_entry_and_an_empty_file(lab: Settings) -> None:
    cloud.publish(lab, credentials.load(lab), {})
    cloud.withdraw(lab)
    assert not cloud.user_file().exists()
    cloud.user_file().write_text(OTHERS)
    cloud.publish(lab, credentials.load(lab), {})
    cloud.withdraw(lab)
    assert cloud.user_file().read_text() == OTHERS


def test_passwords_are_made_once_and_differ() -> None:
    one, two = credentials.new_passwords(), credentials.new_passwords()
    assert len({*vars(one).values(), *vars(two).values()}) == 2 * len(vars(one))


def test_a_lab_keeps_its_passwords(lab: Settings) -> None:
    assert credentials.load(lab) == credentials.load(lab)
