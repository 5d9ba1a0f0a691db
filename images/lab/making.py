"""How the nodes of a lab come into being: configured, booted for the first time, filled, and archived."""

import concurrent.futures
import contextlib
import datetime as dt
import os
from collections.abc import Callable
from typing import IO

from images.lab import cache, cgroups, configuration, credentials, health, host, network, seed
from images.lab import settings as names
from images.lab.node import Node
from images.lab.settings import Settings
from images.lab.steps import Steps

# Generous: a start costs 150 seconds of processor time, and the machine may have other work.
_READY_SECONDS = 600.0
_LIBRARY = "/usr/local/lib/stakeyard-lab"
_DISCOVER = """
for attempt in $(seq 150); do
  hosts=$(openstack compute service list --service nova-compute -f value -c Host | wc -l)
  if [ "$hosts" = 2 ]; then
    exec setpriv --reuid nova --regid nova --init-groups nova-manage cell_v2 discover_hosts --verbose
  fi
  sleep 2
done
echo "only $hosts of 2 compute services reported"
exit 1
"""


def initialise(
    settings: Settings, steps: Steps, controller: Node, compute: Node, since: Callable[[], dt.datetime]
) -> None:
    """From the base system to a lab that is ready, both nodes running. Interrupted, it begins anew."""
    passwords, dns = credentials.load(settings), host.host_resolver()
    for node in (controller, compute):
        _configure(steps, node, configuration.pack(configuration.render(settings, node.spec, passwords, dns)))
    steps.run("network", "bridge and address translation", lambda _: network.up(settings))
    start(steps, controller)
    # The schemas keep one processor busy for a minute: Keystone, which is ready first, takes in its catalogue beside.
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(_catalogue, settings, passwords)
        try:
            steps.run("databases", "databases, schemas, service catalogue", lambda log: _databases(controller, log))
        except BaseException:
            future.cancel()
            raise
        future.result()
    steps.run("release", "start the services", lambda log: controller.run(["bash", f"{_LIBRARY}/release.sh"], log))
    start(steps, compute)
    # A token carries the catalogue of its time: this connection sees the services.
    with contextlib.closing(seed.await_keystone(settings, passwords)) as connection:
        steps.run("services", "wait for the services", lambda _: seed.await_services(connection))
        steps.run("offers", "flavors, external network, volume type", lambda _: seed.offers(connection, settings))
    steps.run("hosts", "map both hypervisors", lambda log: controller.run(["bash", "-c", _DISCOVER], log))
    await_ready(settings, steps, since)


def start(steps: Steps, node: Node) -> None:
    """Boot a node that does not run."""
    if node.leader() is None:
        steps.run(f"start-{node.spec.role}", f"start node {node.spec.role}", lambda _: node.start())


def await_ready(settings: Settings, steps: Steps, since: Callable[[], dt.datetime]) -> None:
    """Wait until the lab is whole."""
    with contextlib.closing(seed.await_keystone(settings, credentials.load(settings))) as connection:
        steps.run(
            "ready",
            "wait until every service has reported",
            lambda log: health.await_ready(connection, since(), _READY_SECONDS, log),
        )


def snapshot(settings: Settings, archive: cache.Archive, log: IO[str]) -> None:
    """Archive the nodes as they run: frozen, so that every file is as after a power cut, which they survive."""
    cgroups.freeze(settings.cgroup, True)
    try:
        os.sync()
        archive.pack(
            settings.state,
            ["nodes", "passwords.json"],
            log,
            exclude=["nodes/*/work", "nodes/*/root/*", "nodes/*/upper/var/log/journal/*"],
        )
    finally:
        cgroups.freeze(settings.cgroup, False)


def _configure(steps: Steps, node: Node, files: bytes) -> None:
    role = node.spec.role
    steps.run(f"configure-{role}", f"configure node {role}", lambda log: node.configure(files, log))


def _catalogue(settings: Settings, passwords: credentials.Passwords) -> None:
    with contextlib.closing(seed.await_keystone(settings, passwords)) as connection:
        seed.catalogue(connection, settings, passwords)


def _databases(controller: Node, log: IO[str]) -> None:
    passwords = credentials.load(controller.settings)
    exports = (
        f"export DATABASE_PASSWORD={passwords.database}\n"
        f"export RABBIT_PASSWORD={passwords.rabbit}\n"
        f"export ADMIN_PASSWORD={passwords.admin}\n"
    )
    url = f"http://{controller.settings.controller}:5000/v3/"
    controller.run(["bash", f"{_LIBRARY}/initialise.sh", url, names.REGION], log, exports)
