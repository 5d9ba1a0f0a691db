"""The scalars of a stack file, each with its own refusal, and the base of its models."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from stacks.fleet_text import near, refuse, shown

RFC1918 = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
WIDEST_PUBLIC_RANGE = 16
"""Prefix length; a public operator range wider than this is treated as open to the world."""
LONGEST_NODE_NAME = 40
"""Characters; names of ports, volumes and groups are made of it and must stay a DNS label of 63."""

_NOT_NAMES = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
_NEVER_OPERATORS = tuple(
    IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)


class Model(BaseModel):
    """A mapping of the stack file: frozen, and no key but the ones it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                problem = f"is not a known key; {near(str(key), cls.model_fields)}"
                raise PydanticCustomError("unknown_key", "{problem}", {"key": key, "problem": problem})
        return data


def _name(value: str) -> str:
    if value.lower() in _NOT_NAMES:
        refuse(f"{shown(value)} is a word that YAML readers turn into true, false or null; choose another name.")
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", value):
        refuse(
            f"{shown(value)} is not a DNS label; use lower-case letters, digits and hyphens, "
            "with a letter first and no hyphen last."
        )
    if len(value) > LONGEST_NODE_NAME:
        refuse(f"the name has {len(value)} characters; use at most {LONGEST_NODE_NAME}.")
    return value


def _token(value: str) -> str:
    """A name that the cloud gave: any printable text without blanks at its ends."""
    if not value:
        refuse("must not be empty; fill it in.")
    if value != value.strip() or not value.isprintable() or len(value) > 255:
        refuse(f"{shown(value)} is not a name a cloud gives; remove blanks and line ends.")
    if value.lower() in _NOT_NAMES:
        refuse(f"{shown(value)} is a word that YAML readers turn into true, false or null; choose another name.")
    return value


def _network(value: object) -> IPv4Network:
    if not isinstance(value, str):
        refuse(f"must be an IPv4 network such as 10.77.0.0/24, not {shown(value)}; put the value in quotes.")
    if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", value):
        refuse(f"{shown(value)} is not an IPv4 network; write it like 10.77.0.0/24.")
    try:
        loose = IPv4Network(value, strict=False)
    except ValueError:
        refuse(f"{shown(value)} is not an IPv4 network; write it like 10.77.0.0/24.")
    if str(loose) != value:
        refuse(f"{shown(value)} has bits set after its mask; write {loose}.")
    return loose


def _site(value: object) -> IPv4Network:
    network = _network(value)
    if not any(network.subnet_of(private) for private in RFC1918):
        refuse(f"{network} is not in the private ranges of RFC 1918; use one inside 10/8, 172.16/12 or 192.168/16.")
    if network.prefixlen > 28:
        refuse(f"{network} is too small; use a mask of /28 or shorter.")
    if network.prefixlen < 16:
        refuse(f"{network} is too large; use a mask of /16 or longer.")
    return network


def _operator_range(value: object) -> IPv4Network:
    if not isinstance(value, str):
        refuse(f"must be a range such as 198.51.100.7/32, not {shown(value)}; put the value in quotes.")
    try:
        loose = ip_network(value, strict=False)
    except ValueError:
        refuse(f"{shown(value)} is not a range of addresses; write it like 198.51.100.7/32.")
    if loose.prefixlen == 0:
        refuse(f"{value} opens SSH to the whole world; name the addresses that operators come from.")
    if isinstance(loose, IPv6Network):
        refuse(f"{shown(value)} is IPv6, but the site has IPv4 only; name IPv4 addresses.")
    if "/" not in value:
        refuse(f"{shown(value)} has no mask; write {loose}.")
    network = _network(value)
    inside_private = any(network.subnet_of(private) for private in RFC1918)
    if network.prefixlen < WIDEST_PUBLIC_RANGE and not inside_private:
        refuse(f"{network} opens SSH to {network.num_addresses:,} addresses; name a /{WIDEST_PUBLIC_RANGE} or smaller.")
    if any(network.overlaps(never) for never in _NEVER_OPERATORS):
        refuse(f"{network} holds addresses no operator can come from; name the addresses that operators come from.")
    return network


def _address(value: object) -> IPv4Address:
    if not isinstance(value, str):
        refuse(f"must be an IPv4 address such as 10.77.0.11, not {shown(value)}; put the value in quotes.")
    try:
        return IPv4Address(value)
    except ValueError:
        refuse(f"{shown(value)} is not an IPv4 address; write it like 10.77.0.11, without a mask.")


def _resolver(value: object) -> IPv4Address:
    address = _address(value)
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        refuse(f"{address} cannot be a DNS resolver for the nodes; name one that they can reach.")
    return address


def _mac(value: object) -> str:
    if not isinstance(value, str):
        refuse(f"must be a MAC address such as 'fa:16:3e:00:00:01', not {shown(value)}; put the value in quotes.")
    text = value.lower()
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        refuse(f"{shown(value)} is not a MAC address; write it like fa:16:3e:00:00:01.")
    if int(text[:2], 16) & 1:
        refuse(f"{text} is a multicast MAC address; make its first byte even.")
    if text == "00:00:00:00:00:00":
        refuse(f"{text} is the empty MAC address; write it like fa:16:3e:00:00:01.")
    return text


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value:
        refuse(f"must be the path of a file, not {shown(value)}; fill it in.")
    if not value.startswith(("/", "~/")):
        refuse(f"{shown(value)} is a relative path; write it from / or from ~/.")
    return Path(value).expanduser()


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError):
        refuse(f"{shown(value)} is not a regular expression; correct it.")
    if not value:
        refuse("must not be empty; fill it in.")
    return value


def _pin(value: str) -> str:
    if value != "recorded" and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        refuse(f"{shown(value)} pins nothing; write recorded, or the id of the image.")
    return value


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_V4 = r"[0-9]{1,3}(\.[0-9]{1,3}){3}"
_CIDR = rf"^{_V4}/[0-9]{{1,2}}$"

Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
Name = Annotated[
    str,
    Strict(),
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$", "maxLength": LONGEST_NODE_NAME}),
]
Token = Annotated[str, Strict(), AfterValidator(_token), WithJsonSchema({"type": "string", "minLength": 1})]
SiteNetwork = Annotated[IPv4Network, PlainValidator(_site), _text(_CIDR, "10.77.0.0/24")]
OperatorRange = Annotated[IPv4Network, PlainValidator(_operator_range), _text(_CIDR, "198.51.100.7/32")]
Address = Annotated[IPv4Address, PlainValidator(_address), _text(f"^{_V4}$", "10.77.0.11")]
Resolver = Annotated[IPv4Address, PlainValidator(_resolver), _text(f"^{_V4}$", "100.125.4.25")]
Mac = Annotated[str, PlainValidator(_mac), _text("^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$", "fa:16:3e:00:00:01")]
KeyPath = Annotated[Path, PlainValidator(_path), _text("^(/|~/)", "~/.ssh/id_ed25519")]
Regex = Annotated[str, Strict(), AfterValidator(_regex), WithJsonSchema({"type": "string", "format": "regex"})]
Pin = Annotated[
    str,
    Strict(),
    AfterValidator(_pin),
    _text("^(recorded|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$", "recorded"),
]
