"""What a source of checkpoints answers over the Beacon API: a beacon node, or Checkpointz, which has few paths."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL, LARGE = 32 * 2**20, 4 * 2**30
"""Most bytes of a block and of a state: several times those of mainnet (a state of 300 MB), to spare the disk."""
_PIECE = 2**20


class SourceError(Exception):
    """One sentence for the operator."""


@dataclass(frozen=True)
class Source:
    """An API by its address, such as https://beacon.example.org."""

    url: str
    silence: float
    """Seconds without a byte after which it is given up: a node may have to rebuild a state first."""
    patience: float
    """Seconds that one answer may take in all."""

    def network(self) -> str:
        """The genesis_validators_root of its network. Raises SourceError."""
        return self._field("/eth/v1/beacon/genesis", "genesis_validators_root")

    def genesis_time(self) -> int:
        """When its network's slot 0 began, in seconds since 1970. Raises SourceError."""
        found = self._field("/eth/v1/beacon/genesis", "genesis_time")
        if not (found.isascii() and found.isdigit()):
            raise SourceError(f"{self.url} names {found[:40]!r} as its network's genesis time: name another.")
        return int(found)

    def block_root(self, block: str) -> str:
        """The root of the block at a slot, or of the one that it calls `finalized`. Raises SourceError."""
        return self._field(f"/eth/v1/beacon/blocks/{block}/root", "root")

    def block(self, root: str) -> bytes:
        """The signed block of a root as SSZ. Raises SourceError."""
        return b"".join(self._ssz(f"/eth/v2/beacon/blocks/{root}", SMALL))

    def save_state(self, state: str, path: Path) -> None:
        """Write the state after a slot, or `genesis`, as SSZ. Raises SourceError, or OSError of the disk."""
        with path.open("xb") as file:
            for piece in self._ssz(f"/eth/v2/debug/beacon/states/{state}", LARGE):
                file.write(piece)

    def _field(self, path: str, name: str) -> str:
        text = b"".join(self._pieces(path, "application/json", SMALL))
        try:
            found: Any = json.loads(text)["data"][name]
        except (ValueError, KeyError, TypeError):
            raise SourceError(f"{self.url} gives no Beacon API answer to {path}: name another source.") from None
        return str(found).lower()

    def _ssz(self, path: str, largest: int) -> Iterator[bytes]:
        return self._pieces(path, "application/octet-stream", largest)

    def _pieces(self, path: str, accept: str, largest: int) -> Iterator[bytes]:
        """An answer to its end: one that breaks off, goes on for too long or is too large raises SourceError."""
        if not self.url.startswith(("https://", "http://")):
            raise SourceError(f"{self.url} is no address of a Beacon API: write it from https://.")
        # Some public sources refuse clients that name themselves as Python's library.
        headers = {"Accept": accept, "User-Agent": "stakeyard"}
        request = urllib.request.Request(f"{self.url.rstrip('/')}{path}", headers=headers)  # noqa: S310 (see above)
        end, got = time.monotonic() + self.patience, 0
        try:
            with urllib.request.urlopen(request, timeout=self.silence) as answer:  # noqa: S310
                length = answer.headers.get("Content-Length")
                if length is None and not answer.chunked:
                    raise self._broken(path, "it does not say how long it is")
                while piece := answer.read(_PIECE):
                    got += len(piece)
                    if got > largest:
                        raise self._broken(path, f"it is longer than {largest} bytes")
                    if time.monotonic() > end:
                        raise self._broken(path, f"it takes longer than {self.patience:.0f} s")
                    yield piece
                if length is not None and got != int(length):
                    raise self._broken(path, f"it broke off after {got} of {length} bytes")
        except urllib.error.HTTPError as error:
            with error:
                raise self._silent(path, f"{error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._silent(path, str(getattr(error, "reason", error)) or type(error).__name__) from None

    def _silent(self, path: str, why: str) -> SourceError:
        # Checkpointz has the blocks of epochs' first slots alone, and says 500 for all others.
        return SourceError(
            f"{self.url} does not answer {path} ({why}): wait some minutes and run it again, or name another source."
        )

    def _broken(self, path: str, why: str) -> SourceError:
        return SourceError(f"The answer of {self.url} to {path} is of no use, as {why}: run it again, or name another.")
