"""What artifacts.yml may say: pins that stay, or one clear sentence."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.artifacts import default_version, library
from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY

artifact = library()
build, model = artifact.build, artifact.model

BITCOIN = REPOSITORY / "roles" / "bitcoin"
DIGEST = "a" * 64
FINGERPRINTS = ["A" * 40, "B" * 40, "C" * 40]
SAMPLE: dict[str, Any] = {
    "artifact": "thing",
    "members": ["bin/thing"],
    "releases": {
        "1.2": {
            "archives": {
                "x86_64": {
                    "file": "thing-1.2.tar.gz",
                    "sha256": DIGEST,
                    "urls": ["https://example.org/thing-1.2.tar.gz"],
                },
            },
            "signatures": {
                "sums": "https://example.org/1.2/SHA256SUMS",
                "signature": "https://example.org/1.2/SHA256SUMS.asc",
                "threshold": 3,
            },
        },
    },
    "signers": [{"name": f"n{i}", "fingerprint": f, "key": f"n{i}.asc"} for i, f in enumerate(FINGERPRINTS)],
}


def parse(data: object, version: str = "1.2", platform: str = "x86_64") -> Any:
    return artifact.parse_release(data, Path("/pins"), version, platform)


def changed(path: str, value: object) -> dict[str, Any]:
    """The sample with one value replaced; `path` is dotted, `-` stands for a dot inside a key."""
    data = copy.deepcopy(SAMPLE)
    *parents, last = [part.replace("-", ".") for part in path.split("/")]
    inner: Any = data
    for part in parents:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return data


def test_a_pinned_release_is_understood() -> None:
    release = parse(SAMPLE)
    assert (release.file, release.accepted, release.members) == ("thing-1.2.tar.gz", (DIGEST,), ("bin/thing",))
    assert release.signatures.signers[0].key == Path("/pins/n0.asc")


@pytest.mark.parametrize("version", ["", "latest", "stable", "main", "master", "HEAD", "nightly", "v1.2", "1.2-latest"])
def test_a_floating_version_is_refused(version: str) -> None:
    with pytest.raises(artifact.ArtifactError, match=r"is not a pinned version; name a release of artifacts\.yml"):
        parse(SAMPLE, version)


def test_a_floating_version_is_refused_even_where_artifacts_yml_has_it() -> None:
    data = changed("releases/latest", SAMPLE["releases"]["1.2"])
    with pytest.raises(artifact.ArtifactError, match="`latest` is not a pinned version"):
        parse(data, "latest")


ARCHIVE = "releases/1-2/archives/x86_64"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("releases", None, "it must hold `artifact` and `releases`"),
        ("artifact", None, "`artifact` is missing"),
        (f"{ARCHIVE}/sha256", None, "`sha256` must be 64 lower-case hexadecimal digits"),
        (f"{ARCHIVE}/sha256", "A" * 64, "`sha256` must be 64 lower-case"),
        (f"{ARCHIVE}/sha256", "a" * 63, "`sha256` must be 64 lower-case"),
        (f"{ARCHIVE}/file", "../thing", "is not a plain file name"),
        (f"{ARCHIVE}/urls", ["http://example.org/thing"], "must start with https://"),
        (f"{ARCHIVE}/urls", ["https://example.org/latest/thing"], "is a moving address"),
        (f"{ARCHIVE}/urls", ["https://example.org/archive/master/thing.tar.gz"], "is a moving address"),
        (f"{ARCHIVE}/urls", "https://example.org/x", "`urls` must be a list"),
        ("releases/1-2/signatures/threshold", 4, "4 good signatures are asked for but only 3 signers are pinned"),
        ("releases/1-2/signatures/threshold", 0, "must be a whole number of at least 1"),
        ("releases/1-2/signatures/threshold", True, "must be a whole number of at least 1"),
        ("releases/1-2/signatures/sums", "ftp://example.org/S", "must start with https://"),
        ("signers", [{"name": "n", "fingerprint": "ABCD", "key": "k"}], "is not 40 hexadecimal digits"),
        ("signers", [SAMPLE["signers"][0]] * 3, "is listed twice"),
    ],
)
def test_a_pin_that_is_none_is_refused(path: str, value: object, sentence: str) -> None:
    with pytest.raises(artifact.ArtifactError, match=sentence):
        parse(changed(path, value))


def test_an_unknown_version_or_platform_is_refused() -> None:
    with pytest.raises(artifact.ArtifactError, match=r"version 1\.3 is not pinned in artifacts\.yml; it knows 1\.2"):
        parse(SAMPLE, "1.3")
    with pytest.raises(artifact.ArtifactError, match="no archive is pinned for the platform riscv64"):
        parse(SAMPLE, platform="riscv64")


def test_the_policy_changes_with_every_pin() -> None:
    before = parse(SAMPLE).policy()
    for path, value in (
        (f"{ARCHIVE}/sha256", "b" * 64),
        ("releases/1-2/signatures/threshold", 2),
        ("signers", [{**SAMPLE["signers"][0], "fingerprint": "D" * 40}, *SAMPLE["signers"][1:]]),
    ):
        assert parse(changed(path, value)).policy() != before
    assert parse(copy.deepcopy(SAMPLE)).policy() == before


def pins() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((BITCOIN / "artifacts.yml").read_text())
    return data


def test_every_release_of_bitcoin_is_pinned() -> None:
    for version, release in pins()["releases"].items():
        for platform in release["archives"]:
            parsed = artifact.load(BITCOIN / "artifacts.yml", version, platform)
            assert parsed.source or (parsed.sha256 and parsed.signatures.threshold >= 3), version


def test_each_network_of_bitcoin_has_a_default_release_and_main_no_lab_release() -> None:
    for network in yaml.safe_load((BITCOIN / "node.yml").read_text())["ports"]["p2p"]["port"]:
        release = artifact.load(BITCOIN / "artifacts.yml", default_version("bitcoin", network))
        assert not (network == "main" and release.lab_only)


def test_a_kind_without_a_default_release_is_named() -> None:
    with pytest.raises(StakeyardError, match="names no default release for bitcoin on moon"):
        default_version("bitcoin", "moon")
    with pytest.raises(StakeyardError, match="names no default release for nothing"):
        default_version("nothing", "main")


def test_the_keys_of_bitcoin_signers_are_here() -> None:
    for signer in pins()["signers"]:
        assert (BITCOIN / signer["key"]).is_file(), signer["name"]


def test_cargo_lock_pins_the_crate_that_artifacts_yml_pins() -> None:
    release = artifact.load(BITCOIN / "artifacts.yml", "31.99.0")
    build.check_lock((release.source.manifest / "Cargo.lock").read_text(), release.source, "x")


@pytest.mark.parametrize("old", ['version = "0.4.1"', "345d18a1"])
def test_a_lock_that_disagrees_is_refused(old: str) -> None:
    release = artifact.load(BITCOIN / "artifacts.yml", "31.99.0")
    lock = (release.source.manifest / "Cargo.lock").read_text().replace(old, old.replace("4", "5"))
    with pytest.raises(artifact.ArtifactError, match=r"Cargo\.lock pins .* for libbitcoinkernel-sys"):
        build.check_lock(lock, release.source, "x")
    with pytest.raises(artifact.ArtifactError, match=r"Cargo\.lock pins nothing"):
        build.check_lock("", release.source, "x")


def test_the_key_of_a_build_changes_with_recipe_and_compiler() -> None:
    release = artifact.load(BITCOIN / "artifacts.yml", "31.99.0")
    key = build.build_key(release, release.source, "c++ 12")
    assert build.build_key(release, release.source, "c++ 13") != key
    recipe = pins()
    recipe["releases"]["31.99.0"]["source"]["options"][1] = "-DCMAKE_CXX_FLAGS_RELEASE=-O2"
    other = artifact.parse_release(recipe, BITCOIN, "31.99.0", "x86_64")
    assert build.build_key(other, other.source, "c++ 12") != key


def test_old_cargo_is_known() -> None:
    assert build.cargo_too_old("cargo 1.65.0")
    assert build.cargo_too_old("")
    assert not build.cargo_too_old("cargo 1.68.0 (115f34552 2023-02-26)")


def test_model_knows_no_other_floating_words_than_it_refuses() -> None:
    for word in model.FLOATING - {""}:
        with pytest.raises(artifact.ArtifactError):
            artifact.model.check_version("thing", word)
