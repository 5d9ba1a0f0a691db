"""Identities on a devnet: a node's key comes from its name, so that its peers know it before it has ever run.

Everybody can compute them: a devnet's identities protect nothing, and no other network uses them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# The order of the curve secp256k1 (SEC 2, section 2.4.1).
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def node_key(name: str) -> str:
    """The private key of the execution client of the node of this name, in hexadecimal."""
    digest = hashlib.sha256(f"stakeyard devnet execution {name}".encode()).digest()
    return f"{int.from_bytes(digest, 'big') % (_ORDER - 1) + 1:064x}"


def enode(name: str, address: str, port: int) -> str:
    """The address of the node as its peers are told it (devp2p: 64 bytes of the public key in hexadecimal)."""
    public = ec.derive_private_key(int(node_key(name), 16), ec.SECP256K1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return f"enode://{point[1:].hex()}@{address}:{port}"


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> Mapping[str, Callable[..., str]]:
        """The filters by name."""
        return {"ethereum_enode": enode, "ethereum_node_key": node_key}
