"""A beacon node as its standard HTTP API shows it (Ethereum Beacon APIs, v2 of the specification)."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 60.0
"""A beacon node may have to rebuild an old state before it can answer."""
LARGEST = 256 * 2**20
VALIDATORS = "/eth/v1/beacon/states/head/validators"


class BeaconError(Exception):
    """One sentence about a beacon node that cannot be relied on."""


@dataclass(frozen=True)
class Beacon:
    """One beacon node, by the address of its API such as http://10.0.0.5:3500."""

    url: str
    timeout: float = TIMEOUT_SECONDS

    def get(self, path: str) -> Any:
        """`data` of the answer; None when the node says that there is no such thing. Raises BeaconError."""
        return self._ask(path)

    def post(self, path: str, body: object) -> Any:
        """The same for a question with a body."""
        return self._ask(path, json.dumps(body).encode())

    def need(self, path: str) -> Any:
        """The same for what every beacon node has: nothing is an error too."""
        data = self.get(path)
        if data is None:
            raise BeaconError(f"beacon node {self.url} does not know {path}: ask one that does.")
        return data

    def _ask(self, path: str, content: bytes | None = None) -> Any:
        if not self.url.startswith(("http://", "https://")):
            raise BeaconError(f"{self.url} is no address of a beacon node: it begins with http:// or https://.")
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url.rstrip('/')}{path}", content, headers)  # noqa: S310 (see above)
        # No proxy of the environment: a beacon node is on the site's own network.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return json.loads(answer.read(LARGEST))["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == http.HTTPStatus.NOT_FOUND:
                    return None
                raise BeaconError(f"beacon node {self.url} answered {error.code} for {path}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise BeaconError(f"beacon node {self.url} cannot be reached ({_reason(error)}): look at it.") from None
        except (ValueError, KeyError, TypeError):
            raise BeaconError(f"beacon node {self.url} gave no Beacon API answer for {path}.") from None


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", error)) or type(error).__name__


@dataclass(frozen=True)
class Chain:
    """What identifies a chain and gives its time: seconds since 1970 of its genesis, lengths of slots and epochs."""

    genesis_validators_root: str
    genesis_time: int
    seconds_per_slot: float
    slots_per_epoch: int

    def slot_at(self, time: float) -> int:
        """The slot at a time (seconds since 1970); 0 before genesis."""
        return max(0, int((time - self.genesis_time) // self.seconds_per_slot))

    def time_of(self, slot: int) -> float:
        """When a slot begins, in seconds since 1970."""
        return self.genesis_time + slot * self.seconds_per_slot

    def epoch_of(self, slot: int) -> int:
        """The epoch of a slot."""
        return slot // self.slots_per_epoch


def chain_of(beacon: Beacon) -> Chain:
    """The chain that a node is on. Raises BeaconError."""
    genesis, spec = beacon.need("/eth/v1/beacon/genesis"), beacon.need("/eth/v1/config/spec")
    try:
        milliseconds = spec.get("SLOT_DURATION_MS")
        return Chain(
            genesis_validators_root=str(genesis["genesis_validators_root"]).lower(),
            genesis_time=int(genesis["genesis_time"]),
            seconds_per_slot=int(milliseconds) / 1000 if milliseconds else float(spec["SECONDS_PER_SLOT"]),
            slots_per_epoch=int(spec["SLOTS_PER_EPOCH"]),
        )
    except (KeyError, ValueError, TypeError):
        raise BeaconError(f"beacon node {beacon.url} does not say what chain it is on: ask another.") from None


@dataclass(frozen=True)
class Sync:
    """How a node follows its chain: its head's slot, the present one by its clock, and whether it can be relied on."""

    head_slot: int
    present_slot: int
    synced: bool


def sync_of(beacon: Beacon, chain: Chain) -> Sync:
    """Whether a node follows the head: not syncing, verified by its execution client, and less than an epoch behind.

    An epoch, as proposers miss slots, on small networks half of them; who counts time by what a node shows has to count
    it by the node's head. A new network stays at its genesis until its first validators start, however long that takes.
    """
    data = beacon.need("/eth/v1/node/syncing")
    try:
        head, distance = int(data["head_slot"]), int(data["sync_distance"])
        trouble = data["is_syncing"] or data.get("is_optimistic", True) or data.get("el_offline", False)
        return Sync(head, head + distance, not trouble and (head == 0 or distance < chain.slots_per_epoch))
    except (KeyError, ValueError, TypeError):
        raise BeaconError(f"beacon node {beacon.url} does not say how far it is: ask another.") from None


def indices(beacon: Beacon, public_keys: Iterable[str]) -> dict[int, str]:
    """Public keys (without 0x) by their validators' indices; those that the chain does not know are left out.

    Raises BeaconError. Of keys that it does not know a node says so with an empty list: one that answers 404 has no
    state of its head, and would make every key a new one.
    """
    wanted = sorted(public_keys)
    if not wanted:
        return {}
    found = beacon.post(VALIDATORS, {"ids": [f"0x{key}" for key in wanted]})
    if not isinstance(found, list):
        raise BeaconError(f"beacon node {beacon.url} lists no validators at its head: look at it, or ask another.")
    try:
        return {int(entry["index"]): _key(entry) for entry in found}
    except (KeyError, ValueError, TypeError):
        raise BeaconError(f"beacon node {beacon.url} gave no Beacon API answer for {VALIDATORS}.") from None


def _key(entry: Mapping[str, Any]) -> str:
    return str(entry["validator"]["pubkey"]).casefold().removeprefix("0x")
