"""A server that comes back: the disk of a node's old server, started again when another has taken its place."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stacks.hostkey import CloudPaths, read_host_key
from stacks.rebuild_state import Target
from stacks.ssh import Host, session

SECONDS = 300
CLOUD = "stakeyard-lab"


class Stranger:
    """One such server. A cloud that lost a hypervisor and finds it again makes them; here an image of the disk does."""

    def __init__(self, cloud: Any, stack: str) -> None:
        """`stack` is that of the node; everything made here has its mark, so that a sweep finds it."""
        self._cloud, self._mark = cloud, f"stakeyard-{stack}"
        self._image: Any = None
        self._host: Host | None = None
        self._flavor = ""

    def kill(self, server: Any) -> None:
        """End the process that emulates a server, as a crash of it would; return when the cloud has seen it."""
        table = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
        found = [line.split(None, 1) for line in table.splitlines() if f"-uuid {server.id}" in line]
        (pid,) = [int(pid) for pid, args in found if args.split()[0].endswith("qemu-system-x86_64")]
        os.kill(pid, signal.SIGKILL)
        self._cloud.compute.wait_for_server(server, status="SHUTOFF", wait=SECONDS)

    def keep_disk(self, server: Any) -> None:
        """Keep the disk of a server that is off."""
        self._flavor = server.flavor["original_name"]
        self._image = self._cloud.create_image_snapshot(f"{self._mark}-revived", server, wait=True, timeout=SECONDS)

    def revive(self, successor: Target) -> None:
        """Start the disk again in the network of the node's new server, and learn its host key as the program does."""
        neighbour = self._cloud.compute.get_server(successor.server)
        (beside,) = self._cloud.network.ports(device_id=neighbour.id)
        port = self._cloud.network.create_port(
            name=f"{self._mark}-revived", network_id=beside.network_id, security_groups=beside.security_group_ids
        )
        server = self._cloud.compute.create_server(
            name=f"{self._mark}-revived",
            image_id=self._image.id,
            flavor_id=self._cloud.compute.find_flavor(self._flavor).id,
            networks=[{"port": port.id}],
            key_name=self._mark,
        )
        self._cloud.compute.wait_for_server(server, wait=SECONDS)
        public = self._cloud.network.find_network("public")
        address = self._cloud.network.create_ip(
            floating_network_id=public.id, port_id=port.id, description=f"{self._mark}-revived"
        )
        key = read_host_key("revived", server.id, CloudPaths(CLOUD), lambda _: None)
        inputs = successor.inputs
        login, file = str(inputs["user"]), str(inputs["private_key_file"])
        self._host = Host("revived", address.floating_ip_address, key, login, file)
        end = time.monotonic() + SECONDS
        while self._answer("true").returncode != 0:
            assert time.monotonic() < end, "the revived server does not answer"
            time.sleep(5)

    def run(self, command: str, stdin: str = "") -> str:
        """What a command prints there; it must succeed."""
        answer = self._answer(command, stdin)
        assert answer.returncode == 0, f"{command}: {answer.stderr[-600:]}"
        return answer.stdout

    def refusal(self, unit: str) -> str:
        """What the journal says after a start by hand, which must not have started the unit."""
        self.run(f"sudo systemctl reset-failed {unit}; sudo systemctl start {unit}; ! systemctl is-active {unit}")
        return self.run(f"sudo journalctl -u {unit} -b -o cat -n 5")

    def remove(self) -> None:
        """Take everything of it away again; what is not there is no error."""
        for server in self._cloud.compute.servers(name=f"^{self._mark}-revived$"):
            self._cloud.compute.delete_server(server)
            self._cloud.compute.wait_for_delete(server, wait=SECONDS)
        for address in self._cloud.network.ips(description=f"{self._mark}-revived"):
            self._cloud.network.delete_ip(address)
        for port in self._cloud.network.ports(name=f"{self._mark}-revived"):
            self._cloud.network.delete_port(port)
        for image in self._cloud.image.images(name=f"{self._mark}-revived"):
            self._cloud.image.delete_image(image)

    def _answer(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        assert self._host is not None, "it was not revived"
        with session([self._host]) as opened:
            return opened.run("revived", command, stdin=stdin, timeout=SECONDS)


@contextmanager
def start_stranger(cloud: Any, stack: str) -> Iterator[Stranger]:
    """One that is gone at the end, whatever happened."""
    made = Stranger(cloud, stack)
    try:
        yield made
    finally:
        made.remove()
