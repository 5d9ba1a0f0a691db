"""The parts of a preview without a cloud: collected resources, the state made of them, and the stand-in for a cloud."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from dryrun.answers import address_of, made_up, outputs_of, urn_of
from stacks.errors import StakeyardError
from stacks.preview import checkout, diagnostics
from stacks.preview.deployment import deployment
from stacks.preview.sample import sample
from stacks.preview.stand_in import clouds_yaml, stand_in
from tests.unit.previews import SERVER, VOLUME, told, urn

STACK = "urn:pulumi:s::stakeyard::pulumi:pulumi:Stack::stakeyard-s"


@pytest.mark.parametrize(
    "pattern",
    [
        "^Standard_Debian_12_latest$",
        "^a(b|c)+[0-9]{2}.*\\d$",
        "[^a]x?",
        "(?i)Deb",
        "^Debian 12( \\(cloud\\))?$",
        "\\w+\\s",
        "x",
    ],
)
def test_a_name_is_made_for_a_pattern(pattern: str) -> None:
    import re

    assert re.search(pattern, sample(pattern))


@pytest.mark.parametrize("pattern", ["(?=a)b", "a(?<!a)$", "a^b"])
def test_a_pattern_without_a_name_is_refused_in_one_sentence(pattern: str) -> None:
    with pytest.raises(StakeyardError, match="write name_regex without look-arounds"):
        sample(pattern)


def ask(url: str, data: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data=data)) as answer:  # noqa: S310 - our own server
        return json.loads(answer.read())


def test_the_stand_in_answers_what_a_preview_asks_and_nothing_else() -> None:
    with stand_in(["^Debian$"]) as url:
        assert url.startswith("http://127.0.0.1:")
        token = ask(f"{url}/v3/auth/tokens", b"{}")["token"]
        ends = {each["type"]: each["endpoints"][0]["url"] for each in token["catalog"]}
        (network,) = ask(f"{ends['network']}v2.0/networks?name=public&router:external=true")["networks"]
        assert network == network | {"name": "public", "id": made_up("public"), "router:external": True}
        (image,) = ask(f"{ends['image']}v2/images?visibility=public")["images"]
        assert image["id"] == made_up("^Debian$")
        assert image["name"] == "Debian"
        for path, data in (
            ("/network/v2.0/ports", None),
            ("/network/v2.0/networks", b"{}"),
            ("/compute/v2/servers", None),
        ):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                ask(f"{url}{path}", data)
    with pytest.raises(urllib.error.URLError):
        ask(f"{url}/v3")


def test_the_clouds_of_both_revisions_are_the_stand_in() -> None:
    clouds = json.loads(clouds_yaml(["b", "a", "b"], "http://x"))["clouds"]
    assert list(clouds) == ["a", "b"]
    assert {cloud["auth"]["auth_url"] for cloud in clouds.values()} == {"http://x/v3"}


def test_urns_are_those_of_the_engine() -> None:
    site = urn_of("s", "stakeyard", STACK, "stakeyard:index:Site", "x")
    assert site == "urn:pulumi:s::stakeyard::stakeyard:index:Site::x"
    node = urn_of("s", "stakeyard", site, "stakeyard:index:Node", "n1")
    assert urn_of("s", "stakeyard", node, SERVER, "n1") == urn(SERVER, "n1")


def test_what_is_made_up_is_the_same_in_every_run_and_another_for_another_thing() -> None:
    assert made_up("a") == made_up("a") != made_up("b")
    assert address_of("n1").startswith(("198.18.", "198.19."))
    assert address_of("n1") != address_of("n2")
    assert outputs_of("openstack:networking/floatingIp:FloatingIp", "n1", {})["address"] == address_of("n1")
    assert outputs_of("pulumi:index:Stash", "x", {"input": "i"})["output"] == "i"
    assert outputs_of("other:x:Y", "x", {"a": 1}) == {"a": 1}


def declared(kind: str, name: str, **more: Any) -> dict[str, Any]:
    empty = {"parent": "", "provider": "", "protect": False, "dependencies": [], "propertyDependencies": {}}
    base = {"type": kind, "name": name, "urn": urn(kind, name), "id": f"id-{name}", "custom": True, "inputs": {}}
    return {**empty, **base, "outputs": {}, **more}


def test_a_state_has_the_providers_that_an_engine_adds_and_each_before_what_needs_it() -> None:
    resources = [
        declared("pulumi:providers:openstack", "cloud"),
        declared(SERVER, "n1", provider="urn::id", protect=True),
        declared("stakeyard:index:HostKey", "n1"),
        declared("stakeyard:index:Convergence", "n1"),
        declared("stakeyard:index:Node", "n1", custom=False, id=""),
    ]
    state = deployment(resources)
    assert state["version"] == 3
    made = state["deployment"]["resources"]
    kinds = [each["type"] for each in made]
    assert kinds.count("pulumi:providers:stakeyard") == 1
    assert kinds.index("pulumi:providers:stakeyard") < kinds.index("stakeyard:index:HostKey")
    by_kind = {each["type"]: each for each in made}
    default = by_kind["pulumi:providers:stakeyard"]
    assert by_kind["stakeyard:index:HostKey"]["provider"] == f"{default['urn']}::{default['id']}"
    assert by_kind[SERVER]["provider"] == "urn::id"
    assert by_kind[SERVER]["protect"] is True
    assert "provider" not in by_kind["stakeyard:index:Node"]
    assert "id" not in by_kind["stakeyard:index:Node"]


def test_of_what_is_unchanged_a_state_has_only_what_others_stand_on() -> None:
    alone = declared(VOLUME, "n1")
    node = declared("stakeyard:index:Node", "n1", custom=False, id="")
    cloud = declared("pulumi:providers:openstack", "cloud")
    server = declared(
        SERVER,
        "n1",
        parent=node["urn"],
        provider=f"{cloud['urn']}::id-cloud",
        dependencies=[alone["urn"], "other"],
        propertyDependencies={"a": [alone["urn"]], "b": ["other", alone["urn"]]},
    )
    unchanged = {each["urn"] for each in (alone, node, cloud)}
    made = deployment([cloud, node, alone, server], unchanged)["deployment"]["resources"]
    assert [each["urn"] for each in made] == [cloud["urn"], node["urn"], server["urn"]]
    assert made[-1]["dependencies"] == ["other"]
    assert made[-1]["propertyDependencies"] == {"b": ["other"]}
    assert (made[-1]["parent"], made[-1]["provider"]) == (node["urn"], f"{cloud['urn']}::id-cloud")


def test_encrypted_values_become_placeholders_that_differ_as_the_secrets_do() -> None:
    one, two = (checkout.without_secrets({"a": [{"b": {"secure": text}}], "c": 1}) for text in ("v1:x", "v1:y"))
    assert "v1:" not in json.dumps(one)
    assert one != two
    assert one["c"] == 1
    assert one == checkout.without_secrets({"a": [{"b": {"secure": "v1:x"}}], "c": 1})


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example", *arguments],
        cwd=directory,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    target = tmp_path / "repository"
    (target / "stacks").mkdir(parents=True)
    (target / "Pulumi.yaml").write_text("name: x\n")
    (target / "stacks" / "a").write_text("committed")
    (target / "other").write_text("not a part of the program")
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message=x")
    (target / "stacks" / "a").write_text("changed")
    return target


def test_a_revision_is_extracted_as_it_was_committed_and_the_working_tree_is_left_alone(
    repository: Path, tmp_path: Path
) -> None:
    checkout.extract(repository, checkout.resolve(repository, "main"), tmp_path / "base")
    assert (tmp_path / "base" / "stacks" / "a").read_text() == "committed"
    assert (repository / "stacks" / "a").read_text() == "changed"
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["Pulumi.yaml", "stacks"]


@pytest.mark.parametrize("reference", ["nothing", "--help", "main:stacks", "", "HEAD~5"])
def test_a_revision_that_is_not_there_is_refused(repository: Path, reference: str) -> None:
    with pytest.raises(StakeyardError, match=r"this repository has no such revision"):
        checkout.resolve(repository, reference)


def result(digest: object, code: int, stderr: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(
        ["pulumi"], code, digest if isinstance(digest, str) else json.dumps(digest), stderr
    )


TRACEBACK = """error: Program failed with an unhandled exception:
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    raise KeyError(x)
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in <module>
Exception: no network:
  ask for another
"""


def error(message: str) -> dict[str, str]:
    return {"severity": "error", "message": message}


def protected(verb: str, name: str) -> dict[str, str]:
    """As Pulumi says it of one to be replaced, of one that goes with another, and of one to be deleted."""
    why = "as it is currently marked for protection. To unprotect"
    return error(
        {
            "replace": f'error: unable to replace resource "{urn(VOLUME, name)}"\n{why}',
            "follow": f'error: unable to replace resource "{urn(VOLUME, name)}" as part of replacing "urn:x" {why}',
            "delete": f'error: resource "{urn(VOLUME, name)}" cannot be deleted\nbecause it is protected. To unprotect',
        }[verb]
    )


def test_what_is_protected_is_a_finding_and_the_preview_is_one() -> None:
    step = told("replace", VOLUME, "n1-chain", {"a": 1}, {"a": 2}, node="n1")
    refused = {"n1-chain": "replace", "n2-keys": "delete", "n3-chain": "follow"}
    messages = [protected(verb, name) for name, verb in refused.items()]
    digest = {"steps": [step], "diagnostics": [*messages, error("error: preview failed\n")]}
    assert diagnostics.parsed(result(digest, 255)) == digest
    found = diagnostics.protections(digest, {urn(VOLUME, "n1-chain"): urn("stakeyard:index:Node", "n1")})
    assert [(f.rule, f.level, f.key, f.node) for f in found] == [
        ("pulumi-protection", "error", f"{VOLUME}::n1-chain", "n1"),
        ("pulumi-protection", "error", f"{VOLUME}::n2-keys", None),
        ("pulumi-protection", "error", f"{VOLUME}::n3-chain", None),
    ]
    verbs = ("replace", "delete", "replace")
    assert all(f"refuses to {verb} it" in each.sentence for verb, each in zip(verbs, found, strict=True))
    assert diagnostics.protections({"steps": [step]}, {}) == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (result("not json", 1, "error: no stack\n"), "`pulumi preview` failed: error: no stack"),
        (result("[]", 1, ""), "`pulumi preview` failed: no answer"),
        (result({"steps": []}, 1, "error: killed"), "`pulumi preview` failed: error: killed"),
        (
            result({"diagnostics": [protected("delete", "n1"), error("error: x:\n  y")]}, 1),
            "`pulumi preview` failed: error: x: y",
        ),
        (result({"diagnostics": [error("error: preview failed")]}, 1, "why"), "`pulumi preview` failed: why"),
        (
            result({"diagnostics": [error("error: 2 errors occurred:\n\t* one: a\n\t* two:\n  b\n\n  more\n")]}, 1),
            "`pulumi preview` failed: two: b",
        ),
        (
            result({"diagnostics": [error(TRACEBACK)]}, 1),
            "`pulumi preview` failed: Exception: no network: ask for another",
        ),
    ],
)
def test_a_preview_that_failed_says_why(given: subprocess.CompletedProcess[str], sentence: str) -> None:
    with pytest.raises(StakeyardError) as caught:
        diagnostics.parsed(given)
    assert str(caught.value) == sentence
