"""Signers for the tests: small ed25519 keys in a GNUPGHOME of their own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Keyring:
    """A GNUPGHOME with secret keys; `public` is where exported keys go."""

    home: Path
    public: Path

    def _gpg(self, *arguments: str, time: str = "", stdin: bytes | None = None) -> bytes:
        clock = ["--faked-system-time", f"{time}!"] if time else []
        command = ["gpg", "--homedir", str(self.home), "--batch", "--no-tty", "--passphrase", "", *clock, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout

    def make(self, name: str, expires: str = "never", time: str = "") -> str:
        """Make a signing key and export it to `public/<name>.asc`; its fingerprint."""
        user = f"{name} <{name}@example.org>"
        self._gpg("--pinentry-mode", "loopback", "--quick-gen-key", user, "ed25519", "sign", expires, time=time)
        listing = self._gpg("--with-colons", "--list-keys", f"{name}@example.org").decode()
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
        (self.public / f"{name}.asc").write_bytes(self._gpg("--armor", "--export", fingerprint))
        return fingerprint

    def sign(self, fingerprint: str, data: bytes, time: str = "") -> bytes:
        """A detached, armoured signature."""
        arguments = ("--pinentry-mode", "loopback", "--local-user", fingerprint, "--armor", "--detach-sign")
        return self._gpg(*arguments, time=time, stdin=data)

    def close(self) -> None:
        """End the agent that gpg started."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)
