"""A metadata service for one connection, on standard input and output: what QEMU's user network runs for a guest.

usage: metadata.py DIRECTORY, which holds `public_key`, and gets `host_key` when the guest posts it.
"""

import json
import sys
from pathlib import Path

VERSION = "2018-08-27"


def documents(public_key: str) -> dict[str, str]:
    """What cloud-init's OpenStack datasource asks for."""
    meta = {
        "uuid": "11111111-2222-4333-8444-555555555555",
        "hostname": "boot-test",
        "name": "boot-test",
        "public_keys": {"operator": public_key},
    }
    root = f"/openstack/{VERSION}"
    return {
        "/openstack": f"{VERSION}\nlatest",
        f"{root}/meta_data.json": json.dumps(meta),
        f"{root}/network_data.json": json.dumps({"links": [], "networks": [], "services": []}),
        f"{root}/vendor_data.json": "{}",
        f"{root}/user_data": "#cloud-config\n{}\n",
        "/latest/meta-data": "instance-id",  # cloud-init asks for Amazon's form too, and retries for seconds
        "/latest/meta-data/instance-id": "i-00000001",
    }


def answer(method: str, path: str, body: str, directory: Path) -> tuple[int, str]:
    """Status and body for one request."""
    if method == "POST" and path == "/openstack/latest/password":
        host_key = directory / "host_key"
        if host_key.exists():
            return 409, ""
        host_key.write_text(body)
        return 200, ""
    text = documents((directory / "public_key").read_text().strip()).get(path.rstrip("/"))
    return (404, "") if text is None else (200, text)


def main() -> None:
    """Answer one request."""
    request = sys.stdin.buffer
    method, path, _ = request.readline().decode().split(" ", 2)
    length = 0
    while line := request.readline().strip().decode():
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    status, text = answer(method, path, request.read(length).decode(), Path(sys.argv[1]))
    head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    sys.stdout.write(head + text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
