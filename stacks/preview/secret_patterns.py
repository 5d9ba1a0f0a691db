"""What secrets look like, and what only looks like one."""

import re
from dataclasses import dataclass

from stacks.encrypted_value import PLACEHOLDER


@dataclass(frozen=True)
class Pattern:
    """One kind of secret. Group `secret` (else the whole match) is hidden; `certain`: nothing harmless looks so."""

    kind: str
    regex: re.Pattern[str]
    certain: bool = True
    by_name: bool = False
    """Whether it is its name that makes a value a likely secret."""


_WORD = r"[A-Za-z0-9_.-]{0,200}"
_TEMPLATE = r"(?:\{\{[^{}\n]{0,200}\}\}|\$\{[^{}\n]{0,200}\})"
NAMES = (
    r"(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?key"
    r"|auth[_-]?key|signing[_-]?key(?!s)|encryption[_-]?key|credential|cookie|jwt|bearer|mnemonic|seed(?:[_-]?(?:phrase|words?))?"
    r"|rpcauth|rpcpassword|xprv|wif|hsm[_-]?pin)"
)
PUBLIC_WORDS = (
    # What follows such a word in a name is where or how, not the secret itself.
    r"(?:[_-]?(?:file|path|dir|directory|name|length|bytes|size|id|type|mode|owner|group|user|url|version|seconds|mount"
    r"|variables?))"
)
PATTERNS = (
    Pattern(
        "private key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
        ),
    ),
    Pattern("age key", re.compile(r"(?i)age-secret-key-[0-9a-z-]+")),
    Pattern("encrypted value of a stack file", re.compile(r"\bv1:[A-Za-z0-9+/=]{8,}:[A-Za-z0-9+/=]{8,}")),
    Pattern("encrypted value of a stack file", re.compile(r"secure[\"']?\s*:\s*[\"']?(?P<secret>[^\s\"',}]{8,})")),
    Pattern("encrypted value of a stack file", re.compile(re.escape(PLACEHOLDER) + r"[0-9a-f]+"), certain=False),
    Pattern("extended private key", re.compile(r"\b[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{20,}")),
    Pattern("private key of a wallet", re.compile(r"\b[5KLc9][1-9A-HJ-NP-Za-km-z]{50,51}\b")),
    Pattern("web token", re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?")),
    Pattern("access key", re.compile(r"\b(?:AKIA|ASIA|AGPA|AIDA)[A-Z0-9]{12,}\b")),
    Pattern(
        "access token",
        re.compile(
            r"\b(?:gh[opusr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{8,}"
            r"|pul-[0-9a-f]{32,}|sk-[A-Za-z0-9_-]{20,}|sk_live_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{20,}|hvs\.[A-Za-z0-9_-]{20,})"
        ),
    ),
    Pattern(
        "hash of a password",
        re.compile(r"\$(?:1|2[abxy]?|5|6|7|y|argon2id?|scrypt|pbkdf2[a-z0-9-]*)\$[^\s\"':,]{8,}"),
    ),
    Pattern("password in an address", re.compile(r"://[^\s/:@\"']*:(?P<secret>[^\s/@\"']+)@")),
    Pattern("login in a header", re.compile(r"(?i)\b(?:basic|bearer)\s+(?P<secret>[A-Za-z0-9+/=._~-]{8,})")),
    Pattern(
        "login of a command",
        re.compile(
            rf"(?<![\w-])(?:-u|--user)[\s=,\"']+(?!\d+:\d+\b)[^\s:\"',]+:(?!//)(?P<secret>(?:{_TEMPLATE}|[^\s\"',])+)"
        ),
        certain=False,
    ),
    Pattern(
        "words of a wallet",
        re.compile(r"(?<![A-Za-z])(?:[a-z]{3,8}[\"']?[ ,]+[\"']?){11,23}[a-z]{3,8}(?![A-Za-z])"),
        certain=False,
    ),
    Pattern(
        # One a line: as a list in YAML or JSON, also in a diff.
        "words of a wallet",
        re.compile(r"(?<![A-Za-z])(?:[a-z]{3,8}[\"']?,?[ \t]*\n[-+ \t]*[\"']?){11,23}[a-z]{3,8}(?![A-Za-z])"),
        certain=False,
    ),
)
"""What is known by its form."""
NAMED_PATTERNS = (
    Pattern(
        "assignment",
        re.compile(
            rf"(?i)(?<![A-Za-z0-9_.-])(?P<name>{_WORD}{NAMES}{_WORD}?)[\"']?[ \t]*(?:=>|:=|=|:)[ \t]*"
            rf"(?P<secret>\"(?:[^\"\\\n]|\\.)+\"|'(?:[^'\\\n]|\\.)+'|(?:{_TEMPLATE}|<[^<>\n]{{0,200}}>|[^\s,;}}\]\"'])+)"
        ),
        certain=False,
        by_name=True,
    ),
    Pattern(
        "option",
        re.compile(
            rf"(?i)(?<![A-Za-z0-9_.-])--(?P<name>{_WORD}{NAMES}{_WORD}?)[ \t]+(?P<secret>(?!-)(?:{_TEMPLATE}|\S)+)"
        ),
        certain=False,
        by_name=True,
    ),
)
"""What is known by its name, on the same line."""
NAMED_LINE = re.compile(rf"(?i)[\"']?(?P<name>{_WORD}{NAMES}{_WORD})[\"']?[ \t]*(?:=>|:=|=|:)(?P<value>.*)")
"""A line that begins with the name of a secret, without what stands before it."""
NAME_IS_PUBLIC = re.compile(rf"(?i){NAMES}s?{PUBLIC_WORDS}$|(?:^|[_.-])public[_-]|secret[_-]?variables$")
NAME_IS_SECRET = re.compile(rf"(?i){NAMES}s?$")
HARMLESS = re.compile(
    r"(?i:true|false|null|none|omit|yes|no)|\d{1,9}|\[secret\]|\(known after the update\)"
    # A value of a template, also as the beginning of a path, with no text of its own; a variable of a shell.
    r"|(?:\{\{(?:[^\"'{}]|\"\"|'')*\}\}[:@]?)+(?:/[\w.~-]+)*|\$(?:[A-Z_][A-Z0-9_]*|\{[A-Za-z_]\w*\})"
    # A path, a placeholder, what opens a value on the lines below, or one with names of its own.
    r"|[~.]{0,2}(?:/[\w.~-]+){2,}/?|<[^<>]*>|[|>][-+0-9]{0,2}|[\[{(]?|\[?\{[\"']?[\w.-]+[\"']?:"
)
"""Values that a secret is only read from, or that say nothing."""
ENDS_AS_PIN = re.compile(r"(?i)(?:passw(?:or)?d|passwd|passphrase|pwd|pin)s?$")
"""Names whose values may well be a number."""
PRIVATE_KEY_FIELD = re.compile(r"(?i)key[\"']?\s*(?:=>|[:=])\s*[\"']?$")
"""The name of a key that stands before a value; where the name says that it is public, PUBLIC_FIELD knows it."""


def harmless(name: str, value: str) -> bool:
    """Whether this value tells no secret, though that is what its name says."""
    bare = value.strip("\"'")
    return not (bare.isdigit() and ENDS_AS_PIN.search(name)) and bool(HARMLESS.fullmatch(bare))


TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
ENTROPY_BITS = 3.6
"""Bits a character from which on a mixed token counts as random; English identifiers have fewer."""
HEX = re.compile(r"(?i)(?:0x)?[0-9a-f]{32,}")
UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PUBLIC_TOKENS = re.compile(
    r"ssh-(?:ed25519|rsa)\s+AAAA[A-Za-z0-9+/=]+|AAAA[A-Z][3-9][A-Za-z0-9+/=]{20,}|\bage1[0-9a-z]{58}\b"
    r"|\b(?:bc|tb|bcrt)1[0-9a-z]{25,}\b|\benr:-[A-Za-z0-9_-]+|\benode://[0-9a-f]{128}|SHA256:[A-Za-z0-9+/]{43}"
)
PUBLIC_HEX = re.compile(r"(?i)\b0x(?:[0-9a-f]{96}|[0-9a-f]{40})\b|\b[0-9a-f]{96}\b")
"""Public keys of validators (48 bytes) and addresses (20 bytes): a private key has 32."""
PUBLIC_FIELD = re.compile(
    r"(?i)(?:sha-?(?:256|512)(?:sum)?s?|checksum|digest|hash|fingerprint|commit|revision|root|pub(?:lic)?[_-]?keys?|signing_keys"
    r"|genesis\w*|address|txid|block|peer_?id|device_id|volume_id|server_id|image_?id|network_?id|key_digest)"
    r"(?:\[[^\]]*\])?[\"']?\s*(?:=>|[:= ]|$)"
)
"""Names of fields whose hexadecimal values are public."""


FIELD = Pattern("value of a secret's name", re.compile(""), certain=False)
RANDOM = Pattern("random text", re.compile(""), certain=False)
HEXADECIMAL = Pattern("hexadecimal text without a public name", re.compile(""), certain=False)
