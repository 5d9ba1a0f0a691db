"""The cases of bad stack files, and an invented catalogue to judge them by."""

import base64
import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from stacks.catalogue import Catalogue, load_catalogue
from stacks.fleet import Fleet, load_fleet, load_stack_file
from stacks.fleet_machine import KeyFile
from stacks.fleet_yaml import read_yaml
from stacks.paths import REPOSITORY

HERE = Path(__file__).parent
NOT_CASES = ("good.yaml",)
KMS_KEY = {"__system__encrypted": "1", "__system__cmkid": "5b0e2a5c-7f53-4d6e-8a43-0f4f7a6a5a01"}
# What turns the good fleet into a good one on Open Telekom Cloud.
ON_OTC: dict[str, Any] = {
    "platform": "otc",
    "encryption": "required",
    "network.external": "admin_external_net",
    "images.fast.boot": "disk",
    "groups.loose": "anti-affinity",
    "nodes.ledger-1.volumes.chain": {"size_gib": 10, "type": "SSD", "metadata": KMS_KEY},
    "nodes.ledger-1.root_volume": {"size_gib": 20, "type": "SAS"},
    "nodes.signer-1.root_volume": {"size_gib": 20, "type": "SAS"},
    "nodes.ledger-2.root_volume": {"size_gib": 20, "type": "SAS"},
    "nodes.signer-1.volumes.keys": {"size_gib": 10, "type": "ESSD", "metadata": KMS_KEY},
}


def rsa_blob(bits: int) -> str:
    """The base64 of a public RSA key whose modulus has so many bits and is no product of primes."""
    modulus = (1 << (bits - 1) | 1).to_bytes(bits // 8 + 1)  # with a zero before it, as the number would be negative
    parts = (b"ssh-rsa", (65537).to_bytes(3), modulus)
    return base64.b64encode(b"".join(len(part).to_bytes(4) + part for part in parts)).decode()


PUBLIC_KEYS = {
    "public": "ssh-ed25519 AAAAC3Nza",
    "ecdsa": "ecdsa-sha2-nistp256 AAAAE2Vj",
    "hardware ecdsa": "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNr",
    "dsa": "ssh-dss AAAAB3Nz",
    "rsa 2048": f"ssh-rsa {rsa_blob(2048)}",
    "cut rsa": f"ssh-rsa {rsa_blob(4096)[:400]}",
}


@dataclass
class FakeMachine:
    """A control machine without files: each of the two keys is as a case wants it."""

    keys: dict[str, str] = field(default_factory=dict)
    containers: bool = True

    def key_file(self, path: Path) -> KeyFile:
        half = "public" if path.suffix == ".pub" else "private"
        match self.keys.get(half, half):
            case kind if kind in PUBLIC_KEYS:
                return KeyFile(f"{PUBLIC_KEYS[kind]} operator", 0o644)
            case "private":
                return KeyFile("-----BEGIN OPENSSH PRIVATE KEY-----", 0o600)
            case "open":
                return KeyFile("-----BEGIN OPENSSH PRIVATE KEY-----", 0o644)
            case "garbage":
                return KeyFile("hello", 0o600)
            case "forbidden":
                raise PermissionError(13, "Permission denied")
            case "directory":
                raise IsADirectoryError(21, "Is a directory")
            case _:
                raise FileNotFoundError(2, "No such file or directory")

    def lab_has_containers(self) -> bool:
        return self.containers


class LabWithoutKeys(FakeMachine):
    """The key files of the lab do not exist, all others do."""

    def key_file(self, path: Path) -> KeyFile:
        if "lab" in path.parts:
            raise FileNotFoundError(2, "No such file or directory")
        return super().key_file(path)


@cache
def invented() -> Catalogue:
    """The catalogue of the invented kinds."""
    return load_catalogue(HERE / "roles")


def good() -> dict[str, Any]:
    """The good fleet that every case changes."""
    data = read_yaml(HERE / "good.yaml")
    assert isinstance(data, dict)
    return data


def good_of_real_kinds() -> dict[str, Any]:
    """The fleet that the recorded pull requests change: what cases marked `real` change, too."""
    data = read_yaml(REPOSITORY / "tests/preview/scenarios/base.yaml")
    assert isinstance(data, dict)
    fleet: dict[str, Any] = data["config"]["stakeyard:fleet"]
    return fleet


def _parts(path: str) -> list[str]:
    return path.split(".")


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set the key at `path`, making the mappings on the way."""
    *way, last = _parts(path)
    for part in way:
        data = data.setdefault(part, {})
    data[last] = copy.deepcopy(value)


def take(data: dict[str, Any], path: str) -> None:
    """Remove the key at `path`, which must be there."""
    *way, last = _parts(path)
    for part in way:
        data = data[part]
    del data[last]


@dataclass(frozen=True)
class Case:
    """One bad stack file with the sentence that refuses it."""

    name: str
    spec: dict[str, Any]

    @property
    def expected(self) -> str:
        """The sentence; `TMP` in it stands for the directory of the case's file."""
        return str(self.spec["expect"])

    def load(self, directory: Path) -> Fleet:
        """Load the case as `stakeyard check` does."""
        return load_stack_file(self._file(directory), self._catalogue, LabWithoutKeys(self.spec.get("keys", {})))

    def load_as_pulumi_does(self) -> Fleet:
        """Load an overlay from data, as the program does."""
        return load_fleet(self.data(), self._catalogue, LabWithoutKeys(self.spec.get("keys", {})))

    @property
    def _catalogue(self) -> Catalogue:
        return load_catalogue() if self.spec.get("real") else invented()

    @property
    def is_overlay(self) -> bool:
        """Whether the case is a change to the good fleet, not a file of its own."""
        return not set(self.spec) & {"file", "hex", "repeat", "path"}

    def data(self) -> dict[str, Any]:
        """The good fleet with the case's change."""
        data = good_of_real_kinds() if self.spec.get("real") else good()
        if self.spec.get("otc"):
            for path, value in ON_OTC.items():
                put(data, path, value)
        for path in self.spec.get("remove", ()):
            take(data, path)
        for path, value in self.spec.get("set", {}).items():
            put(data, path, value)
        return data

    def _file(self, directory: Path) -> Path:
        if "path" in self.spec:
            return directory / str(self.spec["path"])
        path = directory / "Pulumi.case.yaml"
        if "file" in self.spec:
            path.write_text(self.spec["file"], encoding="utf-8")
        elif "hex" in self.spec:
            path.write_bytes(bytes.fromhex(self.spec["hex"]))
        elif "repeat" in self.spec:
            text, times = self.spec["repeat"]
            path.write_text(text * times)
        else:
            path.write_text(json.dumps({"config": {"stakeyard:fleet": self.data()}}), encoding="utf-8")
        return path


def cases() -> Iterator[Case]:
    """Every case of every file in this directory."""
    for path in sorted(HERE.glob("*.yaml")):
        if path.name in NOT_CASES:
            continue
        data = read_yaml(path)
        assert isinstance(data, dict)
        for name, spec in data.items():
            assert re.fullmatch(r"[A-Za-z0-9 -]+", name), f"{path.name}: {name}"
            yield Case(f"{path.stem}: {name}", spec)
