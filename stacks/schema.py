"""The stack file's JSON Schema, its reference and the page of policies, all generated.

`python -m stacks.schema` writes docs/stack-file.schema.json (what an editor completes from), docs/stack-file.md
and docs/policies.md; with `--check` it writes nothing and fails where a committed file differs.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from stacks import paths
from stacks.catalogue import Catalogue, Kind, load_catalogue
from stacks.catalogue_roles import Option, may_be_encrypted
from stacks.errors import StakeyardError
from stacks.fleet_backup import Backup, DirectoryRepository, ResticRepository
from stacks.fleet_file import FLEET_KEY, StackFile
from stacks.fleet_models import ExistingImage, Fleet, GoldenImage, Group, Network, Node, Operators, RootVolume, Volume
from stacks.fleet_policy import Policies, Waiver
from stacks.fleet_types import WIDEST_PUBLIC_RANGE
from stacks.policy import handbook
from stacks.policy.rules import BY_ID as RULES_BY_ID

SCHEMA, REFERENCE = Path("docs/stack-file.schema.json"), Path("docs/stack-file.md")
POLICIES = Path("docs/policies.md")

_TYPES = {"str": "string", "path": "string", "int": "integer", "float": "number"}
_TYPES |= {"bool": "boolean", "list": "array", "dict": "object"}
RULES = (
    "An unknown key anywhere, with the key that was probably meant; a value of another type; a key that is twice.",
    f"SSH from everywhere. A public operator range is at most a /{WIDEST_PUBLIC_RANGE}; private ones (RFC 1918) may be "
    "larger. No range may overlap another, or `network.cidr`.",
    "A key file that is missing, swapped with its other half, or (the private one) readable by other users.",
    "An address outside `network.cidr`, in its last quarter, of the gateway or of two nodes; a MAC address of two.",
    "A zone, group, image, peer or wave member that is not declared; a peer of another kind; a node in two waves.",
    "A group whose nodes need more hosts than it has, or must share a host across zones.",
    "A variable that the kind's roles do not have, of another type than they say, or that the program itself sets.",
    "A secret in clear: text or a number instead of `secure: ...` in a variable, or a part of one, that is given only "
    "as a secret.",
    "A line break, a tab or another control character in a variable that is text, or in a list of texts.",
    "Text with `{{`, `{%` or `{#`, wherever it is: Ansible would run it as a template, on the control machine.",
    "A volume that the kind does not know, a required one that is missing, one smaller than the chain needs.",
    "A node without what its kind needs: others to use, or a variable for which there is no default; a value of such a "
    "variable that the kind finds wrong, such as an address whose checksum does not fit.",
    "A peer, or a node under `uses`, on another network of the same chain.",
    "A signing key that is not written as the kind's keys are, such as one cut short.",
    "Two signers with one key: hexadecimal keys are compared without regard to case and `0x`.",
    "An existing image without a pin: clouds replace images under one name.",
    "On Open Telekom Cloud (`platform: otc`): other networks than `admin_external_net`, other policies than "
    "`anti-affinity`, other volume types than its own, images that do not boot from disk, "
    "nodes without a `root_volume`, volumes of less than 10 GiB.",
    "A waiver of a rule that does not exist, without a reason, or without a last day.",
    "Plain scalars that readers of YAML disagree about (`0755`, `1_000`, dates), tags, tabs, anchors, two documents.",
)
_SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("The fleet", FLEET_KEY, Fleet),
    ("Operators", "operators", Operators),
    ("Network", "network", Network),
    ("Golden image", "images.NAME", GoldenImage),
    ("Existing image", "images.NAME", ExistingImage),
    ("Group", "groups.NAME", Group),
    ("Node", "nodes.NAME", Node),
    ("Root volume", "nodes.NAME.root_volume", RootVolume),
    ("Volume", "nodes.NAME.volumes.NAME", Volume),
    ("Backup", "backup", Backup),
    ("Directory of backups", "backup.repository", DirectoryRepository),
    ("restic repository of backups", "backup.repository", ResticRepository),
    ("Policy", "policy", Policies),
    ("Waiver", "policy.waivers[]", Waiver),
)


def json_schema(catalogue: Catalogue) -> dict[str, Any]:
    """The JSON Schema of a whole Pulumi.<stack>.yaml."""
    schema = Fleet.model_json_schema()
    definitions = schema.pop("$defs")
    definitions["Fleet"] = schema
    definitions["Waiver"]["properties"]["rule"]["enum"] = [rule.id for rule in RULES_BY_ID.values() if rule.waivable]
    node = definitions["Node"]
    node["properties"]["kind"]["enum"] = sorted(catalogue.kinds)
    node["allOf"] = [_of_kind(kind) for _, kind in sorted(catalogue.kinds.items())]
    whole = StackFile.model_json_schema()
    whole["properties"]["config"] = {
        "type": "object",
        "description": whole["properties"]["config"]["description"],
        "properties": {FLEET_KEY: {"$ref": "#/$defs/Fleet"}},
        # Keys of other namespaces belong to Pulumi itself.
        "patternProperties": {r"^(?!stakeyard:)[^:]+:.+$": {}},
        "additionalProperties": False,
        "required": [FLEET_KEY],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_untitled(whole),
        "title": "Stakeyard stack file",
        "description": "Pulumi.<stack>.yaml: one site and its nodes.",
        "$defs": {name: _untitled(definition) for name, definition in sorted(definitions.items())},
    }


def _untitled(schema: Any) -> Any:
    """The schema without the titles that pydantic makes of each key: an editor shows the key anyway."""
    if isinstance(schema, dict):
        return {
            key: _untitled(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))
        }
    return [_untitled(one) for one in schema] if isinstance(schema, list) else schema


def _of_kind(kind: Kind) -> dict[str, Any]:
    """What a node may say when it is of this kind: its variables, its volumes."""
    volumes = {name: {"$ref": "#/$defs/Volume", "description": rule.holds} for name, rule in kind.volume_rules.items()}
    variables = {name: _variable(option) for name, option in sorted(kind.options.items())}
    return {
        "if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]},
        "then": {
            "properties": {
                "volumes": {"properties": volumes, "additionalProperties": False},
                "vars": {"properties": variables, "additionalProperties": False},
            }
        },
    }


def _variable(option: Option) -> dict[str, Any]:
    value: dict[str, Any] = {"type": _TYPES[option.type]} if option.type in _TYPES else {}
    if option.no_log and option.type == "str":
        value["maxLength"] = 0  # what is longer is encrypted
    if option.choices:
        value["enum"] = list(option.choices)
    if option.elements in _TYPES and option.type == "list":
        value["items"] = _or_encrypted(option.elements, {"type": _TYPES[option.elements]})
    description = _described(option)
    described = {"description": description} if description else {}
    return _or_encrypted(option.type, value) | described


def _described(option: Option) -> str:
    """What the role says of it, and what of it is a secret."""
    parts = ", ".join(f"`{name}`" for name, part in option.options.items() if part.no_log)
    if option.no_log:
        parts = "every text in it" if option.type in ("list", "dict") else "the text"
    return f"{option.description} Only as a secret (`secure: ...`): {parts}.".strip() if parts else option.description


def _or_encrypted(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """A value of this type of Ansible's, or `secure: ...` in its place where it may be encrypted."""
    if not may_be_encrypted(kind):
        return value
    encrypted = {"type": "object", "properties": {"secure": {"type": "string"}}, "required": ["secure"]}
    return {"anyOf": [value, {**encrypted, "additionalProperties": False}]}


def reference(catalogue: Catalogue) -> str:
    """The reference for people, in Markdown."""
    return "\n".join(_lines(catalogue)) + "\n"


def _lines(catalogue: Catalogue) -> Iterator[str]:
    yield from (
        "# The stack file",
        "",
        "<!-- Generated by `python -m stacks.schema` from the models and roles/*/node.yml; do not edit. -->",
        "",
        "A stack is one file, `stacks/Pulumi.<stack>.yaml`: one site and its nodes, under the key "
        f"`config.{FLEET_KEY}`.",
        "`stakeyard check FILE` says what is wrong in it without a cloud: one sentence that begins with the path of",
        "the key. An editor with the YAML language server completes and checks it from `docs/stack-file.schema.json`.",
        "",
        "Names of nodes, images, groups are DNS labels: lower-case letters, digits and hyphens, at most 40 characters.",
        "A text under `vars`, also inside a list or mapping, may be a Pulumi secret (`secure: ...`,",
        "see [Secrets in a stack file](secrets.md)); anchors and aliases are refused.",
        "",
        "Examples: [`Pulumi.lab.yaml`](../stacks/Pulumi.lab.yaml) (the lab) and",
        "[`Pulumi.otc-eu-de.yaml`](../stacks/Pulumi.otc-eu-de.yaml) (Open Telekom Cloud).",
    )
    yield from ("", "## What is refused", "", *(f"- {rule}" for rule in RULES))
    for title, place, model in _SECTIONS:
        yield from ("", f"## {title}", "", f"`{place}`", "", "| key | needed | what it is |", "|---|---|---|")
        for name, field in model.model_fields.items():
            yield f"| `{name}` | {_needed(field.is_required(), field.default)} | {_cell(field.description or '')} |"
    for kind in (catalogue.kinds[name] for name in sorted(catalogue.kinds)):
        yield from _kind_lines(kind)


def _needed(required: bool, default: object) -> str:
    if required:
        return "yes"
    if default in (None, (), PydanticUndefined):
        return "no"
    return f"no: `{json.dumps(default)}`"


def _kind_lines(kind: Kind) -> Iterator[str]:
    yield from ("", f"## Kind `{kind.name}`", "", f"{kind.file.summary}.")
    if kind.volume_rules:
        titles = ("volume", "mounted on", "holds", "smallest size (GiB)", "needed", "when it is lost")
        yield from ("", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|")
    for name, rule in kind.volume_rules.items():
        sizes, needed = _each(rule.minimum_gib), _each(rule.required)
        needed += f"; not with `{rule.unless}`" if rule.unless else ""
        yield f"| `{name}` | `{rule.mount}` | {_cell(rule.holds)} | {sizes} | {needed} | `{rule.restore}` |"
    yield from _restored(kind)
    yield from ("", "| variable | type | default | what it is |", "|---|---|---|---|")
    for name, option in sorted(kind.options.items()):
        kinds = "one of " + ", ".join(f"`{choice}`" for choice in option.choices) if option.choices else option.type
        default = json.dumps(option.default, default=str)
        default = default if len(default) <= 60 else "see the role"
        yield f"| `{name}` | {kinds} | `{_cell(default)}` | {_cell(_described(option))} |"


def _restored(kind: Kind) -> Iterator[str]:
    safe = sorted({what for part in kind.parts for what in part.restore.safe})
    never = sorted({what for part in kind.parts for what in part.restore.never})
    if safe:
        yield from ("", f"Safe to restore, from whatever copy: {', '.join(safe)}.")
    if never:
        yield from ("", f"Never restored: {', '.join(never)}.")


def _each(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{network}: {_each(one)}" for network, one in value.items())
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def outputs(catalogue: Catalogue) -> dict[Path, str]:
    """What each generated file must hold, by its path in the repository."""
    schema = json.dumps(json_schema(catalogue), indent=2, ensure_ascii=False) + "\n"
    return {SCHEMA: schema, REFERENCE: reference(catalogue), POLICIES: handbook.page()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` compare them. Exit status 1 where one differs."""
    parser = argparse.ArgumentParser(description="Generate the JSON Schema and the reference of the stack file.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a committed file differs")
    check = parser.parse_args(arguments).check
    try:
        wanted = outputs(load_catalogue())
    except StakeyardError as error:
        print(f"stakeyard: {error}", file=sys.stderr)
        return 1
    status = 0
    for name, text in wanted.items():
        path = paths.REPOSITORY / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{name}: differs from the models; run `python -m stacks.schema` and commit it.", file=sys.stderr)
            status = 1
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
