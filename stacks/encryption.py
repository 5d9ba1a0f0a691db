"""How a cloud is told to encrypt a volume, where its metadata says so (Open Telekom Cloud)."""

from collections.abc import Mapping

ENCRYPTED, KEY_ID = "__system__encrypted", "__system__cmkid"


def by_metadata(metadata: Mapping[str, object]) -> bool:
    """Whether this metadata of a new volume asks for encryption with a key that it names."""
    return metadata.get(ENCRYPTED) == "1" and bool(metadata.get(KEY_ID))
