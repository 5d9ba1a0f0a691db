"""Signatures over checksums: who counts, who does not, and what is refused."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stacks.artifacts import library
from stacks.paths import REPOSITORY
from tests.unit.artifact_keys import Keyring

artifact = library()
model, signature = artifact.model, artifact.signature

SUMS = b"0123  bitcoin-31.1-x86_64-linux-gnu.tar.gz\n"
PAST = "20200115T000000"
NAMES = ("anna", "bela", "cora", "dora")


@pytest.fixture(scope="module")
def keyring() -> Iterator[Keyring]:
    # A short path: gpg's agent listens on a socket in its home.
    with tempfile.TemporaryDirectory(prefix="sy-", dir="/tmp") as name:
        ring = Keyring(Path(name), Path(name) / "public")
        ring.public.mkdir()
        yield ring
        ring.close()


@pytest.fixture(scope="module")
def people(keyring: Keyring) -> Mapping[str, str]:
    """Fingerprints by name: four good ones, one whose key has expired, one whose key will soon, one stranger."""
    found = {name: keyring.make(name) for name in (*NAMES, "stranger")}
    found["late"] = keyring.make("late", "1y", PAST)
    found["soon"] = keyring.make("soon", "30d")
    return found


@pytest.fixture
def signed(keyring: Keyring, people: Mapping[str, str], tmp_path: Path) -> Callable[[Sequence[str]], tuple[Path, Path]]:
    """Files of checksums and of concatenated signatures by these people, as upstream publishes them."""

    def make(signers: Sequence[str]) -> tuple[Path, Path]:
        sums, signatures = tmp_path / "SHA256SUMS", tmp_path / "SHA256SUMS.asc"
        sums.write_bytes(SUMS)
        times = {"late": PAST}
        signatures.write_bytes(b"".join(keyring.sign(people[name], SUMS, times.get(name, "")) for name in signers))
        return sums, signatures

    return make


def policy(keyring: Keyring, people: Mapping[str, str], names: Sequence[str], threshold: int = 3) -> Any:
    signers = tuple(model.Signer(name, people[name], keyring.public / f"{name}.asc") for name in names)
    return model.Signatures("https://example.org/SHA256SUMS", "https://example.org/SHA256SUMS.asc", threshold, signers)


def test_enough_pinned_signers_are_good(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    outcome = signature.verify(*signed(NAMES), policy(keyring, people, NAMES), "x")
    assert outcome.good == sorted(NAMES)
    assert outcome.warnings == []


def test_a_signature_by_a_stranger_does_no_harm(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    files = signed(["stranger", "anna", "bela", "cora"])
    assert signature.verify(*files, policy(keyring, people, NAMES), "x").good == ["anna", "bela", "cora"]


def test_only_strangers_are_refused(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    with pytest.raises(
        model.ArtifactError, match=r"x: 0 good signatures of pinned signers \(none\) where 1 are needed"
    ):
        signature.verify(*signed(["stranger", "dora"]), policy(keyring, people, ["anna"], 1), "x")


def test_too_few_signers_are_refused(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    with pytest.raises(model.ArtifactError, match=r"2 good signatures .* \(anna, bela\) where 3 are needed"):
        signature.verify(*signed(["anna", "bela", "stranger"]), policy(keyring, people, NAMES), "x")


def test_one_signer_twice_counts_once(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    with pytest.raises(model.ArtifactError, match="2 good signatures"):
        signature.verify(*signed(["anna", "anna", "anna", "bela"]), policy(keyring, people, NAMES), "x")


def test_a_bad_signature_of_a_pinned_signer_is_refused_even_beside_enough_good_ones(
    keyring: Keyring, people: Mapping[str, str], signed: Any
) -> None:
    sums, signatures = signed(["anna", "bela", "cora"])
    other = keyring.sign(people["dora"], SUMS + b"another line\n")
    signatures.write_bytes(signatures.read_bytes() + other)
    with pytest.raises(model.ArtifactError, match=r"signature of dora \(\w{40}\) is BAD"):
        signature.verify(sums, signatures, policy(keyring, people, NAMES), "x")


def test_checksums_changed_after_signing_are_refused(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    sums, signatures = signed(NAMES)
    sums.write_bytes(SUMS.replace(b"0123", b"9999"))
    with pytest.raises(model.ArtifactError, match="is BAD"):
        signature.verify(sums, signatures, policy(keyring, people, NAMES), "x")


def test_a_file_that_is_no_signature_is_refused(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    sums, signatures = signed(NAMES)
    signatures.write_bytes(b"<html>not found</html>\n")
    with pytest.raises(model.ArtifactError, match="0 good signatures"):
        signature.verify(sums, signatures, policy(keyring, people, NAMES), "x")


def test_an_expired_key_does_not_count(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    names = ["anna", "bela", "late"]
    with pytest.raises(model.ArtifactError, match=r"2 good signatures .*; not counted: late \(expired key\)"):
        signature.verify(*signed(names), policy(keyring, people, names), "x")


def test_an_expired_key_beside_enough_good_ones_is_a_warning(
    keyring: Keyring, people: Mapping[str, str], signed: Any
) -> None:
    names = [*NAMES, "late"]
    outcome = signature.verify(*signed(names), policy(keyring, people, names), "x")
    assert outcome.good == sorted(NAMES)
    assert len(outcome.warnings) == 2
    assert "late (expired key) does not count" in outcome.warnings[0]
    assert "expired on 2021-01-14" in outcome.warnings[1]


def test_a_key_that_expires_within_60_days_is_a_warning(
    keyring: Keyring, people: Mapping[str, str], signed: Any
) -> None:
    names = ["anna", "bela", "soon"]
    outcome = signature.verify(*signed(names), policy(keyring, people, names), "x")
    assert outcome.good == sorted(names)
    assert [f"The key of soon ({people['soon']}) expires on" in line for line in outcome.warnings] == [True]


def test_the_warning_starts_60_days_before() -> None:
    now = time.time()
    signer = model.Signer("anna", "A" * 40, Path("anna.asc"))
    for days, count in ((59, 1), (61, 0)):
        key = signature.Key("A" * 40, int(now + days * 86400), ())
        assert len(signature.expiry_warnings([key], [signer], now)) == count


def test_a_key_file_with_another_key_is_refused(keyring: Keyring, people: Mapping[str, str], signed: Any) -> None:
    signers = (model.Signer("anna", people["anna"], keyring.public / "stranger.asc"),)
    swapped = model.Signatures("https://e.org/S", "https://e.org/S.asc", 1, signers)
    with pytest.raises(model.ArtifactError, match=f"holds {people['stranger']}, not the pinned key {people['anna']}"):
        signature.verify(*signed(["stranger"]), swapped, "x")


def test_a_missing_key_file_is_refused(people: Mapping[str, str], signed: Any, tmp_path: Path) -> None:
    signers = (model.Signer("anna", people["anna"], tmp_path / "none.asc"),)
    with pytest.raises(model.ArtifactError, match="the public key of anna is missing"):
        signature.verify(*signed(["anna"]), model.Signatures("https://e.org/S", "https://e.org/A", 1, signers), "x")


PUBLISHED = Path(__file__).with_name("artifact_data") / "31.1"
"""Checksums of Bitcoin Core 31.1 with four of the signatures that bitcoin-core/guix.sigs holds over them."""


def test_the_pinned_builders_signed_the_pinned_digest_of_bitcoin_core(tmp_path: Path) -> None:
    release = artifact.load(REPOSITORY / "roles/bitcoin/artifacts.yml", "31.1")
    outcome = signature.verify(PUBLISHED / "SHA256SUMS", PUBLISHED / "SHA256SUMS.asc", release.signatures, "x")
    assert outcome.good == ["achow101", "pinheadmz", "theStack"]
    sums = (PUBLISHED / "SHA256SUMS").read_text()
    signature.pinned_in(sums, release.file, release.sha256, "x")
    tampered = tmp_path / "SHA256SUMS"
    tampered.write_text(sums.replace(release.sha256, "0" * 64))
    with pytest.raises(model.ArtifactError, match="is BAD"):
        signature.verify(tampered, PUBLISHED / "SHA256SUMS.asc", release.signatures, "x")


def test_checksums_that_name_another_digest_are_refused() -> None:
    with pytest.raises(model.ArtifactError, match=r"say 0123 for file\.tar\.gz, artifacts\.yml pins 4567"):
        signature.pinned_in("0123  file.tar.gz\n", "file.tar.gz", "4567", "x")
    with pytest.raises(model.ArtifactError, match="say nothing for file"):
        signature.pinned_in("0123  other\n", "file.tar.gz", "4567", "x")
    with pytest.raises(model.ArtifactError, match="say 4567, 0123"):
        signature.pinned_in("4567  file\n0123  file\n", "file", "4567", "x")
    signature.pinned_in("0123  other\n4567 *file\n", "file", "4567", "x")
