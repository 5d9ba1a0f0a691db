"""A threshold of pinned signers over a file of checksums, checked by gpg in a home directory of its own."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .model import ArtifactError, Signatures, Signer

WARN_BEFORE_EXPIRY = 60 * 24 * 3600
BLOCK = re.compile(rb"-----BEGIN PGP SIGNATURE-----.*?-----END PGP SIGNATURE-----", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """What one signature is worth: `state` is good, bad, expired, revoked or unknown."""

    state: str
    fingerprint: str = ""


@dataclass
class Outcome:
    """Names of the signers whose signatures are good, and what the operator should hear."""

    good: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Key:
    """A public key as gpg lists it; `expires` is a Unix time or None."""

    fingerprint: str
    expires: int | None
    subkeys: tuple[str, ...]


def parse_status(status: str, owners: dict[str, str]) -> Verdict:
    """Read gpg's status lines for one signature. `owners` maps key ids and fingerprints to primary fingerprints."""
    words = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    states = {"BADSIG": "bad", "EXPKEYSIG": "expired", "EXPSIG": "expired", "REVKEYSIG": "revoked", "GOODSIG": "good"}
    for line in words:
        if line[0] in states:
            return Verdict(states[line[0]], owners.get(line[1], ""))
    return Verdict("unknown")


def judge(verdicts: Sequence[Verdict], policy: Signatures, subject: str) -> Outcome:
    """Count the pinned signers; refuse a bad signature by one of them and too few good ones.

    A signature by somebody who is not pinned neither helps nor harms.
    """
    names = {signer.fingerprint: signer.name for signer in policy.signers}
    pinned = [verdict for verdict in verdicts if verdict.fingerprint in names]
    for verdict in pinned:
        if verdict.state == "bad":
            raise ArtifactError(
                f"{subject}: the signature of {names[verdict.fingerprint]} ({verdict.fingerprint}) is BAD; the file "
                "was changed after it was signed, do not use it."
            )
    good = sorted({names[verdict.fingerprint] for verdict in pinned if verdict.state == "good"})
    lost = sorted({f"{names[v.fingerprint]} ({v.state} key)" for v in pinned if v.state in ("expired", "revoked")})
    outcome = Outcome(good, [f"{subject}: the signature of {name} does not count." for name in lost])
    if len(good) < policy.threshold:
        detail = f"; not counted: {', '.join(lost)}" if lost else ""
        raise ArtifactError(
            f"{subject}: {len(good)} good signatures of pinned signers ({', '.join(good) or 'none'}) where "
            f"{policy.threshold} are needed{detail}; fetch the signers' newer keys and review them into artifacts.yml."
        )
    return outcome


def _gpg(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--no-autostart", "--trust-model", "always"]
    # gpg would otherwise ask the network or the user's own configuration.
    command += ["--no-options", "--no-auto-key-locate", "--no-auto-key-retrieve", "--status-fd", "1"]
    try:
        return subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
    except FileNotFoundError:
        raise ArtifactError("gpg is not installed on the control machine; install the package gnupg.") from None


@contextmanager
def private_home() -> Iterator[Path]:
    """A GNUPGHOME that nobody else reads and that is gone afterwards."""
    # Below /tmp whatever TMPDIR says: gpg's socket paths must stay short.
    with tempfile.TemporaryDirectory(prefix="stakeyard-gpg-", dir="/tmp") as name:
        yield Path(name)


def list_keys(home: Path) -> list[Key]:
    """The public keys in `home`."""
    keys: list[Key] = []
    kind = ""
    for line in _gpg(home, "--with-colons", "--list-keys").stdout.splitlines():
        field_ = line.split(":")
        if field_[0] in ("pub", "sub"):
            kind = field_[0]
            if kind == "pub":
                keys.append(Key("", int(field_[6]) if field_[6] else None, ()))
        elif field_[0] == "fpr" and keys:
            last = keys[-1]
            update = (field_[9], last.subkeys) if kind == "pub" else (last.fingerprint, (*last.subkeys, field_[9]))
            keys[-1] = Key(update[0], last.expires, update[1])
    return keys


def import_pinned(home: Path, signers: Sequence[Signer], subject: str) -> dict[str, str]:
    """Import each signer's key file; refuse a file that does not hold exactly the pinned key.

    Returns key ids and fingerprints (primary and sub) mapped to primary fingerprints.
    """
    owners: dict[str, str] = {}
    for signer in signers:
        if not signer.key.is_file():
            raise ArtifactError(
                f"{subject}: the public key of {signer.name} is missing at {signer.key}; export the key "
                f"{signer.fingerprint} there."
            )
        before = {key.fingerprint for key in list_keys(home)}
        _gpg(home, "--import", signer.key)
        fresh = [key for key in list_keys(home) if key.fingerprint not in before]
        if [key.fingerprint for key in fresh] != [signer.fingerprint]:
            found = ", ".join(key.fingerprint for key in fresh) or "no new key"
            raise ArtifactError(f"{signer.key}: it holds {found}, not the pinned key {signer.fingerprint}.")
        for item in (signer.fingerprint, *fresh[0].subkeys):
            owners[item] = owners[item[-16:]] = signer.fingerprint
    return owners


def expiry_warnings(keys: Sequence[Key], signers: Sequence[Signer], now: float) -> list[str]:
    """A sentence for each pinned key that has expired or will within 60 days."""
    names = {signer.fingerprint: signer.name for signer in signers}
    sentences: list[str] = []
    for key in keys:
        if key.expires is None or key.fingerprint not in names or key.expires - now > WARN_BEFORE_EXPIRY:
            continue
        day = time.strftime("%Y-%m-%d", time.gmtime(key.expires))
        verb = "expired" if key.expires <= now else "expires"
        sentences.append(f"The key of {names[key.fingerprint]} ({key.fingerprint}) {verb} on {day}: fetch a newer one.")
    return sentences


def verify(sums: Path, signature: Path, policy: Signatures, subject: str) -> Outcome:
    """Check `signature` (any number of detached signatures) over `sums` against `policy`."""
    with private_home() as home:
        owners = import_pinned(home, policy.signers, subject)
        keys = list_keys(home)
        data = signature.read_bytes()
        # One by one, so that no signature can hide or spoil another.
        blocks = BLOCK.findall(data) or [data]
        verdicts: list[Verdict] = []
        for number, block in enumerate(blocks):
            single = home / f"{number}.asc"
            single.write_bytes(block + b"\n")
            verdicts.append(parse_status(_gpg(home, "--verify", single, sums).stdout, owners))
        outcome = judge(verdicts, policy, subject)
        outcome.warnings += expiry_warnings(keys, policy.signers, time.time())
        return outcome


def pinned_in(sums: str, file: str, sha256: str, subject: str) -> None:
    """Refuse when the signed checksums do not name `file` with the digest of artifacts.yml."""
    found = [line.split()[0] for line in sums.splitlines() if line.split()[1:] in ([file], [f"*{file}"])]
    if found != [sha256]:
        raise ArtifactError(
            f"{subject}: the signed checksums say {', '.join(found) or 'nothing'} for {file}, "
            f"artifacts.yml pins {sha256}."
        )
