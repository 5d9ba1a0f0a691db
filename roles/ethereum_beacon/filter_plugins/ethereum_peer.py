"""Identities on a devnet: a beacon node's key comes from its name, so that its peers know it before it has ever run.

Everybody can compute them: a devnet's identities protect nothing, and no other network uses them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# The order of the curve secp256k1 (SEC 2, section 2.4.1).
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer_key(name: str) -> str:
    """The private key of the beacon node of this name, in hexadecimal."""
    digest = hashlib.sha256(f"stakeyard devnet beacon {name}".encode()).digest()
    return f"{int.from_bytes(digest, 'big') % (_ORDER - 1) + 1:064x}"


def peer_id(name: str) -> str:
    """The node's libp2p peer id: base58 of an identity multihash over the public key's protobuf (libp2p, peer-ids)."""
    public = ec.derive_private_key(int(peer_key(name), 16), ec.SECP256K1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    # Field 1 (key type) is 2, secp256k1; field 2 holds the 33 bytes. The multihash 0x00 is the identity.
    message = b"\x08\x02\x12" + bytes([len(point)]) + point
    return base58(b"\x00" + bytes([len(message)]) + message)


def base58(data: bytes) -> str:
    """Base58 as Bitcoin writes it: one `1` for each leading zero byte."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _BASE58[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def multiaddresses(peers: Iterable[Mapping[str, str]], port: int) -> list[str]:
    """The addresses of nodes (name, address) as their peers are told them."""
    return [f"/ip4/{peer['address']}/tcp/{port}/p2p/{peer_id(peer['name'])}" for peer in peers]


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> Mapping[str, Callable[..., object]]:
        """The filters by name."""
        return {"ethereum_peers": multiaddresses, "ethereum_peer_key": peer_key}
