"""The models of a stack file's `policy`: its limits, and the findings that it waives (docs/policies.md)."""

import re
from datetime import date
from typing import Annotated

from pydantic import Field, PlainValidator, Strict, WithJsonSchema

from stacks.fleet_text import refuse, shown
from stacks.fleet_types import Model, Name, Text, Token

DEFAULT_SHARE = 67
"""Percent; more than two thirds of a set in one zone or on one client is worth a word where the file sets no limit."""
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def _day(value: object) -> date:
    text = value if isinstance(value, str) and re.fullmatch(_DATE, value) else ""
    try:
        return date.fromisoformat(text)
    except ValueError:
        refuse(f"{shown(value)} is not a day; write it in quotes like '2027-01-31'.")


def _reason(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        refuse(f"must say why, in words, not {shown(value)}; fill it in.")
    return " ".join(value.split())


Day = Annotated[
    date, PlainValidator(_day), WithJsonSchema({"type": "string", "pattern": f"^{_DATE}$", "examples": ["2027-01-31"]})
]
Reason = Annotated[str, PlainValidator(_reason), WithJsonSchema({"type": "string", "pattern": r"\S"})]
Percent = Annotated[int, Strict(), Field(ge=1, le=100)]
Days = Annotated[int, Strict(), Field(ge=0, le=365)]


class Waiver(Model):
    """What a rule says is accepted, for a reason and until a day. `key` and `node` narrow it; both must fit."""

    rule: Token = Field(description="Identifier of the rule, from docs/policies.md.")
    key: Text | None = Field(
        default=None,
        description="What it covers: the path that the finding begins with (and all below it), or a resource as "
        "`type::name`; without it, everything that the rule finds.",
    )
    node: Name | None = Field(default=None, description="The node that it covers; without it, every node.")
    reason: Reason = Field(description="Why, for the reader of a report.")
    expires: Day = Field(
        description="The last day on which it counts, in quotes: `'2027-01-31'`. From the next on the finding counts."
    )


class Policies(Model):
    """Limits that the rules of docs/policies.md keep, and waivers."""

    regions: tuple[Token, ...] = Field(
        default=(),
        max_length=32,
        description="Regions that nodes may be in, such as `eu-de`: a zone must be one of them or begin with one and "
        "a hyphen. Without it, any.",
    )
    encrypted_types: tuple[Token, ...] = Field(
        default=(),
        max_length=64,
        description="Volume types that the cloud encrypts; how a cloud other than Open Telekom Cloud says it.",
    )
    max_share_per_zone: Percent | None = Field(
        default=None,
        description="Percent of the keys of one set of signers (same kind, same network) that may be in one zone. "
        f"Without it, more than {DEFAULT_SHARE} is a warning.",
    )
    max_share_per_client: Percent | None = Field(
        default=None,
        description="Percent of the keys of one set of signers that may depend on one client. Without it, more than "
        f"{DEFAULT_SHARE} is a warning.",
    )
    fork_notice_days: Days = Field(
        default=30, description="Days before a fork from which a client that does not know it is refused."
    )
    waivers: tuple[Waiver, ...] = Field(default=(), max_length=256, description="Findings that are accepted.")
