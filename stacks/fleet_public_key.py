"""Which public SSH keys of operators the hosts let in: as the sshd_config of roles/host has it."""

import base64
import binascii

from stacks.fleet_text import clean

KINDS = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ssh-rsa")
"""sshd takes a signature of an RSA key with SHA-2 only, which every client of today makes."""
RSA_BITS = 3072
_MAKE = "make one with `ssh-keygen -t ed25519`."


def key_problem(line: str) -> str:
    """Why the hosts would refuse the key in this line of a .pub file, with what to do; empty where they would not."""
    kind, *words = line.split() or [""]
    if kind not in KINDS:
        return f"is a key of the kind {clean(kind)}, which the hosts let nobody in with; {_MAKE}"
    if kind != "ssh-rsa":
        return ""
    bits = rsa_bits(words[0] if words else "")
    if bits is None:
        return "holds an RSA key that cannot be read, as its text is cut off or damaged; copy the file again."
    if bits < RSA_BITS:
        return f"is an RSA key of {bits} bits, and the hosts let nobody in with less than {RSA_BITS}; {_MAKE}"
    return ""


def rsa_bits(text: str) -> int | None:
    """Bits of the modulus of an RSA key from the base64 of its line (RFC 4253, 6.6); None where it is no such key."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    parts = []
    while blob:
        length = int.from_bytes(blob[:4])
        part, blob = blob[4 : 4 + length], blob[4 + length :]
        if len(part) != length or not length:
            return None
        parts.append(part)
    if len(parts) != 3 or parts[0] != b"ssh-rsa":
        return None
    return int.from_bytes(parts[2]).bit_length()
