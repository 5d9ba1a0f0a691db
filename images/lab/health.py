"""Whether a lab works: every service, agent and hypervisor has reported since the nodes booted."""

import datetime as dt
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

import keystoneauth1.exceptions
import openstack
from openstack.connection import Connection

from stacks.errors import StakeyardError

# binaries that a two-node lab must have, and how many of each
SERVICES = {"nova-conductor": 1, "nova-scheduler": 1, "nova-compute": 2, "cinder-scheduler": 1, "cinder-volume": 1}
AGENTS = {
    "neutron-linuxbridge-agent": 2,
    "neutron-dhcp-agent": 1,
    "neutron-l3-agent": 1,
    "neutron-metadata-agent": 1,
}


@dataclass(frozen=True)
class Member:
    """A service or agent as its API tells it."""

    binary: str
    host: str
    up: bool
    reported: str | None  # UTC, in one of the forms that the services write


def fresh(reported: str | None, since: dt.datetime) -> bool:
    """Whether a report is younger than a moment; the services write `2026-01-31T10:00:00.000000` or with a space."""
    if not reported:
        return False
    moment = dt.datetime.fromisoformat(reported.replace("Z", "").replace(" ", "T")[:19]).replace(tzinfo=dt.UTC)
    return moment >= since.replace(microsecond=0)


def missing(members: Iterable[Member], since: dt.datetime, expected: dict[str, int]) -> list[str]:
    """What keeps a lab from being ready, in words; nothing when it is."""
    seen = list(members)
    found = [f"{m.binary} on {m.host}" for m in seen if not (m.up and fresh(m.reported, since))]
    for binary, count in expected.items():
        present = sum(1 for member in seen if member.binary == binary)
        if present < count:
            found.append(f"{binary} ({present} of {count})")
    return found


def problems(connection: Connection, since: dt.datetime) -> list[str]:
    """Ask every service. An API that does not answer is a problem too."""
    try:
        members = [Member(s.binary, s.host, s.state == "up", s.updated_at) for s in connection.compute.services()]
        members += [Member(a.binary, a.host, a.is_alive, a.last_heartbeat_at) for a in connection.network.agents()]
        members += [
            Member(s.binary, s.host, s.state == "up", s.updated_at) for s in connection.block_storage.services()
        ]
        found = missing(members, since, SERVICES | AGENTS)
        hypervisors = len(list(connection.compute.hypervisors()))
        if hypervisors < 2:
            found.append(f"hypervisors ({hypervisors} of 2)")
        list(connection.image.images(limit=1))
    except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException) as error:
        return [str(error)[:300]]
    return found


def await_ready(connection: Connection, since: dt.datetime, seconds: float, log: IO[str]) -> None:
    """Return when nothing is missing; raise with what is when the time is over."""
    begin = time.monotonic()
    limit = begin + seconds
    while found := problems(connection, since):
        log.write(f"{time.monotonic() - begin:.0f} s: missing {', '.join(found)}\n")
        log.flush()
        if time.monotonic() > limit:
            raise StakeyardError(
                f"The lab is not ready after {seconds:.0f} s, still missing: {', '.join(found)}; "
                "`stakeyard lab down` and `up` start it anew."
            )
        time.sleep(2)
