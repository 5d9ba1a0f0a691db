"""Makes `tokens.json` (Terraform name -> Pulumi name) and `differences.json` from the plugin and the SDK's classes.

    python -m tools.plugin.tokens BIN            write both; BIN is the folder that `tools/build.py` prints
    python -m tools.plugin.tokens BIN --check    only say whether they are as they would be written

`tokens.json` is part of the plugin: build again after writing it, then write `differences.json` once more.
The SDK does not say which Terraform name is behind a class. Names nearly always do (`openstack_lb_pool_v2` is
`loadbalancer/pool`), and properties decide where they do not.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.plugin import sdk

HERE = Path(__file__).resolve().parent
TABLE = HERE / "tokens.json"
DIFFERENCES = HERE / "differences.json"
PLUGIN = "pulumi-resource-openstack"

# Pulumi's word for an OpenStack service where it is not Terraform's.
SERVICES = {"db": "database", "fw": "firewall", "lb": "loadbalancer"}
# Terraform field -> Pulumi property, where the bridge's own rule gives another name.
FIELDS = {"openstack_orchestration_stack_v1": {"outputs": "StackOutputs"}}
# Classes whose names say too little, found by reading their documentation.
NAMED = {
    "openstack:loadbalancer/getFlavorV2:getFlavorV2": "openstack_lb_flavor_v2",
    "openstack:loadbalancer/getLbFlavorDeprecated:getLbFlavorDeprecated": "openstack_loadbalancer_flavor_v2",
}


@dataclass(frozen=True)
class Name:
    """One row of tokens.json."""

    terraform: str
    token: str
    legacy: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def flat(properties: Mapping[str, Any], *, inputs: bool, prefix: str = "") -> dict[str, str]:
    """The plugin's account of its properties in the form that sdk.py gives.

    An object that is an input has all its properties in the SDK, those that only the cloud sets among them.
    """
    found: dict[str, str] = {}
    for name, about in properties.items():
        if prefix or not inputs or about["input"]:
            found[prefix + name] = about["type"]
            found |= flat(about.get("properties", {}), inputs=inputs, prefix=f"{prefix}{name}.")
    return found


def ask(plugin: Path, question: str) -> dict[str, Any]:
    """What the plugin answers to `-tokens` (its Pulumi side) or `-terraform` (the provider in it)."""
    answer = subprocess.run([plugin, question], check=True, capture_output=True, text=True)
    known: dict[str, Any] = json.loads(answer.stdout)
    return known


def plain(terraform: str) -> str:
    """`openstack_lb_pool_v2` as `loadbalancerpool`."""
    service, _, rest = terraform.removeprefix("openstack_").partition("_")
    return SERVICES.get(service, service) + re.sub(r"(^|_)v\d$", "", rest).replace("_", "")


def plain_token(token: str) -> str:
    """`openstack:loadbalancer/getPoolV2:getPoolV2` as `loadbalancerpool`."""
    _, module, name = token.split(":")
    service = module.partition("/")[0]
    name = re.sub(r"^get(?=[A-Z])", "", name)
    return ("" if service == "index" else service) + re.sub(r"[vV]\d$", "", name).lower()


def likeness(token: str, signature: sdk.Signature, terraform: str, thing: Mapping[str, Any]) -> tuple[float, float]:
    """How sure it is that both are the same thing: by name (1: equal), then by the share of properties in common."""
    ours, theirs = plain(terraform), plain_token(token)
    service = token.split(":")[1].partition("/")[0]
    if service == "index":  # named by Terraform's word for the service
        ours = re.sub(r"v\d$", "", terraform.removeprefix("openstack_").replace("_", ""))
    elif not ours.startswith(service):
        return -1.0, 0.0
    by_name = float(NAMED[token] == terraform if token in NAMED else ours == theirs)
    mine = set(flat(thing["properties"], inputs=False)) | {"id"}
    wanted = set(signature.outputs) | {"id"}
    return by_name, len(mine & wanted) / len(mine | wanted)


def match(signatures: Mapping[str, sdk.Signature], things: Mapping[str, Any]) -> dict[str, str]:
    """Token -> Terraform name. A token without a likely one is left out."""
    found: dict[str, str] = {}
    for token, signature in signatures.items():
        scores = {name: likeness(token, signature, name, thing) for name, thing in things.items()}
        best = max(scores, key=lambda name: scores[name])
        by_name, by_properties = scores[best]
        if by_name == 1.0 or (by_name == 0.0 and by_properties > 0.5):
            found[token] = best
    return found


def rows(matches: Mapping[str, str]) -> list[Name]:
    """One row a Terraform name; of two tokens for it, the one outside its service's folder is the old one."""
    by_name: dict[str, list[str]] = {}
    for token, terraform in matches.items():
        by_name.setdefault(terraform, []).append(token)
    made = []
    for terraform, tokens in sorted(by_name.items()):
        current, *old = sorted(tokens, key=lambda token: ("index/" in token or "Deprecated" in token, token))
        if len(old) > 1:
            raise SystemExit(f"{terraform} has more than two classes: {tokens}")
        made.append(Name(terraform, current, old[0] if old else "", FIELDS.get(terraform, {})))
    return made


def table(terraform: Mapping[str, Any]) -> str:
    """The text of tokens.json for a plugin that answered `terraform` to `-terraform`.

    Raises SystemExit when a class of the SDK has nothing behind it.
    """
    made = {}
    for kind, signatures in (("resources", sdk.resources()), ("functions", sdk.functions())):
        matches = match(signatures, terraform[kind])
        missing = sorted(signatures.keys() - matches.keys())
        if missing:
            raise SystemExit(f"nothing in the Terraform provider looks like {', '.join(missing)}")
        made[kind] = [{key: value for key, value in asdict(row).items() if value} for row in rows(matches)]
    return _one_line_each(made)


def _one_line_each(kinds: Mapping[str, Iterable[object]]) -> str:
    """JSON with one row a line, so that a change of one name is a change of one line."""
    parts = []
    for kind, listed in kinds.items():
        lines = ",\n".join(f"    {json.dumps(row)}" for row in listed)
        parts.append(f'  "{kind}": [\n{lines}\n  ]' if lines else f'  "{kind}": []')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def differences(plugin: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where a plugin that answered `plugin` to `-tokens` and the SDK's classes do not agree, one row a property."""
    found: list[dict[str, str]] = []
    kinds = (
        ("resources", sdk.resources()),
        ("functions", sdk.functions()),
        ("provider", {sdk.PROVIDER: sdk.provider()}),
    )
    for kind, signatures in kinds:
        served = plugin[kind]
        for token in sorted(signatures.keys() | served.keys()):
            if token not in served or token not in signatures:
                side = "plugin" if token in served else "sdk"
                found.append({"token": token, "only": side})
                continue
            properties = served[token]["properties"]
            for side, wanted in (("inputs", signatures[token].inputs), ("outputs", signatures[token].outputs)):
                have = flat(properties, inputs=side == "inputs")
                if kind == "functions" and side == "outputs":
                    have.setdefault("id", "str")  # the bridge adds it
                found.extend(_compare(token, side, have, wanted))
    return found


def _compare(token: str, side: str, have: Mapping[str, str], wanted: Mapping[str, str]) -> Iterable[dict[str, str]]:
    for name in sorted(have.keys() | wanted.keys()):
        if have.get(name) != wanted.get(name):
            plugin, expected = have.get(name, "nothing"), wanted.get(name, "nothing")
            yield {"token": token, "property": f"{side} {name}", "plugin": plugin, "sdk": expected}


def main(arguments: list[str]) -> int:
    """Write the two files, or check them."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    plugin = Path(arguments[0]) / PLUGIN
    made = {
        TABLE: table(ask(plugin, "-terraform")),
        DIFFERENCES: _one_line_each({"differences": differences(ask(plugin, "-tokens"))}),
    }
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.name}: {'not as it would be written' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            path.write_text(made[path])
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
