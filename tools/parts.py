"""The parts of Pulumi that this project can build for itself, as data from `versions.toml`."""

import hashlib
import json
import platform
import tomllib
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent

# Changing how a part is built must give it another digest.
LINKER_FLAGS = "-s -w"


@dataclass(frozen=True)
class Part:
    """One Go module of `tools/` and what comes out of it."""

    name: str
    directory: Path
    version: str
    oldest: str
    module: str
    inputs: tuple[str, ...]
    programs: dict[str, str]
    scripts: dict[str, str]
    version_variable: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the programs and scripts that the part gives."""
        return (*self.programs, *self.scripts)

    @property
    def linker_flags(self) -> str:
        """Flags for `go build -ldflags`: no debug tables, and the version the program shall report."""
        if self.version_variable is None:
            return LINKER_FLAGS
        prefix = "v" if self.name == "cli" else ""
        return f"{LINKER_FLAGS} -X {self.version_variable}={prefix}{self.version}"

    def sources(self) -> list[Path]:
        """The files that decide what is built; tests and notes beside them do not."""
        found = {self.directory / "go.mod", self.directory / "go.sum"}
        for pattern in self.inputs:
            found.update(self.directory.glob(pattern))
        return sorted(path for path in found if not path.name.endswith("_test.go"))

    def digest(self) -> str:
        """16 hex digits over the sources, the recipe and the kind of machine."""
        total = hashlib.sha256()
        recipe = [self.name, self.version, self.linker_flags, self.programs, self.scripts, self.module]
        total.update(json.dumps([*recipe, platform.system(), platform.machine()]).encode())
        for path in self.sources():
            total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()[:16]


def load(directory: Path = TOOLS) -> dict[str, Part]:
    """The parts that `directory`/versions.toml lists, by name."""
    with (directory / "versions.toml").open("rb") as file:
        tables = tomllib.load(file)
    return {
        name: Part(
            name=name,
            directory=directory / name,
            version=table["version"],
            oldest=table["oldest"],
            module=table["module"],
            inputs=tuple(table["inputs"]),
            programs=table["programs"],
            scripts=table["scripts"],
            version_variable=table.get("version_variable"),
        )
        for name, table in tables.items()
    }
