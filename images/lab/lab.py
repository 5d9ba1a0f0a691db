"""The order of things: how a lab comes up, goes down, and is destroyed."""

import contextlib
import datetime as dt
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.lab import (
    cache,
    cgroups,
    claim,
    cleanup,
    cloud,
    configuration,
    credentials,
    health,
    host,
    kvm,
    making,
    network,
    preflight,
    rootfs,
    seed,
)
from images.lab import settings as names
from images.lab.node import Node
from images.lab.settings import Settings
from images.lab.steps import Report, Steps
from stacks import paths
from stacks.errors import StakeyardError


@dataclass(frozen=True)
class Made:
    """What the state directory's nodes were made as; kept beside them."""

    digest: str
    virt: configuration.Virt
    second: configuration.Virt


def base_archive() -> cache.Archive:
    """The cached base system: depends on the package list and how it is installed."""
    inputs = {name: (rootfs.FILES / name).read_bytes() for name in ("packages.txt", "preseed.txt", "install.sh")}
    return cache.Archive(paths.cache() / "lab" / f"base-{cache.digest(inputs)}.tar.zst")


def nodes_digest(settings: Settings, virt: str, second: str, dns: str) -> str:
    """Digest of everything that the initialised nodes depend on."""
    inputs = cache.files_below(rootfs.FILES)
    for module in (seed, names, configuration):
        inputs[str(module.__name__)] = Path(str(module.__file__)).read_bytes()
    base = rootfs.identity(settings.state / "base")
    inputs["lab"] = json.dumps([settings.name, str(settings.network), virt, second, dns, base]).encode()
    return cache.digest(inputs)


def remembered(path: Path) -> Any:
    """What a file of the state directory says, or None: one that a kill left without its text is as good as none."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


class Lab:
    """One lab on this machine."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.steps = Steps(settings.state / "log", report)

    # -- what there is ---------------------------------------------------------------------------------------

    @property
    def _made_file(self) -> Path:
        return self.settings.state / "made.json"

    def made(self) -> Made | None:
        """What the nodes were made as, or None while they are not whole."""
        found = remembered(self._made_file)
        return None if found is None else Made(**found)

    def nodes(self, made: Made) -> tuple[Node, Node]:
        first, second = configuration.nodes(self.settings, made.virt, made.second)
        return Node(self.settings, first), Node(self.settings, second)

    def node(self, role: str) -> Node:
        """A node by its role, for looking into it; what it computes with does not matter."""
        for spec in configuration.nodes(self.settings, "qemu", "qemu"):
            if spec.role == role:
                return Node(self.settings, spec)
        raise StakeyardError(f"The lab has no node `{role}`: its nodes are controller and compute.")

    def running(self) -> list[str]:
        """Roles of the nodes that run."""
        return [role for role in ("controller", "compute") if self.node(role).leader() is not None]

    def booted_at(self) -> dt.datetime:
        """When the node that booted last did: reports older than that are from before."""
        boots = []
        for role in self.running():
            start = Path(f"/proc/{self.node(role).leader()}/stat").read_text().rsplit(")", 1)[1].split()[19]
            uptime = float(Path("/proc/uptime").read_text().split()[0])
            age = uptime - int(start) / os.sysconf("SC_CLK_TCK")
            boots.append(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age))
        return max(boots)

    def problems(self) -> list[str]:
        """What a lab lacks to be up; nothing when every service has reported."""
        stopped = sorted({"controller", "compute"} - set(self.running()))
        if stopped or self.made() is None:
            return [f"node {role} does not run" for role in stopped] or ["it was never initialised"]
        with contextlib.closing(seed.connect(self.settings, credentials.load(self.settings))) as connection:
            return health.problems(connection, self.booted_at())

    # -- up --------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Bring the lab up from whatever state it is in."""
        facts = host.gather(self.settings.state)
        preflight.check_system(facts)
        with claim.held(self.settings, make=True):
            made = self.made()
            if made and len(self.running()) == 2 and not self.problems():
                self._publish(made)
                self._note_age(made)
                self.steps.say("lab is up")
                return
            self._bring_up(facts)

    def _bring_up(self, facts: host.HostFacts) -> None:
        # A lab with a node missing is a killed one: what still runs of it goes first.
        if len(self.running()) < 2 or self.made() is None:
            self._stop()
            cleanup.clean(self.settings)
            preflight.check_room(facts, self.settings, made=(self.settings.state / "base").exists())
        self._base()
        made = self._nodes_made()
        if len(self.running()) < 2:
            self.steps.run("network", "bridge and address translation", lambda _: network.up(self.settings))
            for node in self.nodes(made):
                making.start(self.steps, node)
        if self.problems():
            making.await_ready(self.settings, self.steps, self.booted_at)
        self._publish(made)
        self.steps.say(f"lab is up: cloud `{self.settings.cloud}` in {cloud.user_file()}")

    def _base(self) -> None:
        state, work, archive = self.settings.state, self.settings.work_cgroup, base_archive()
        base, marker = state / "base", state / "base.json"
        if base.exists() and remembered(marker) == archive.path.name:
            return
        marker.unlink(missing_ok=True)
        self._made_file.unlink(missing_ok=True)
        shutil.rmtree(base, ignore_errors=True)
        if archive.exists():
            self.steps.run("unpack-base", "unpack the cached base system", lambda log: archive.unpack(state, work, log))
        else:
            self.steps.run("base", "base system and packages", lambda log: rootfs.build(base, work, log))
            self.steps.run("cache-base", "cache the base system", lambda log: archive.pack(state, ["base"], log))
            archive.prune("base-*.tar.zst", keep=1)
        credentials.write_private(marker, json.dumps(archive.path.name))

    def _nodes_made(self) -> Made:
        """The initialised nodes: as they are, from the cache, or made."""
        state, work = self.settings.state, self.settings.work_cgroup
        virt, second = self._hypervisors()
        wanted = Made(nodes_digest(self.settings, virt, second, host.host_resolver()), virt, second)
        made = self.made()
        if made and (made == wanted or self.running()):
            return made
        if made:
            self.steps.say("the lab's files were made by another version of its scripts: making the nodes again")
        self._made_file.unlink(missing_ok=True)
        for name in ("nodes", "volumes", "passwords.json"):
            path = state / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        volumes = state / "volumes"
        volumes.mkdir()
        volumes.chmod(0o777)  # below a directory that only root may enter
        archive = cache.Archive(paths.cache() / "lab" / f"{wanted.digest}.tar.zst")
        if archive.exists():
            self.steps.run("unpack-nodes", "unpack the cached nodes", lambda log: archive.unpack(state, work, log))
        else:
            making.initialise(self.settings, self.steps, *self.nodes(wanted), self.booted_at)
            self.steps.run(
                "cache-nodes", "cache the initialised nodes", lambda log: making.snapshot(self.settings, archive, log)
            )
            archive.prune("[0-9a-f]" * 16 + ".tar.zst", keep=4)
        credentials.write_private(self._made_file, json.dumps(vars(wanted)))
        return wanted

    def _hypervisors(self) -> tuple[configuration.Virt, configuration.Virt]:
        path = self.settings.state / "kvm.json"
        works = remembered(path)
        if works is None:
            answer: list[bool] = []
            self.steps.run(
                "probe-kvm",
                "try a guest under KVM",
                lambda _: answer.append(kvm.probe(self.settings.state / "base")),
            )
            (works,) = answer
            credentials.write_private(path, json.dumps(works))
            self.steps.say("guests boot under KVM" if works else "no guest boots under KVM here")
        return kvm.hypervisors(works, Path("/sys/fs/cgroup/memory").is_dir())

    def _publish(self, made: Made) -> None:
        credentials.operator_key(self.settings)
        facts = {
            "cloud": self.settings.cloud,
            "dns": host.host_resolver(),
            "external_network": names.EXTERNAL_NETWORK,
            "volume_type": names.VOLUME_TYPE,
            "flavors": list(names.FLAVORS),
            "zone": "nova",
            "region": names.REGION,
            "network": str(self.settings.network),
            "gateway": self.settings.gateway,
            "hypervisors": {
                f"{self.settings.name}-controller": made.virt,
                f"{self.settings.name}-compute": made.second,
            },
        }
        cloud.publish(self.settings, credentials.load(self.settings), facts)

    def _note_age(self, made: Made) -> None:
        if made.digest != nodes_digest(self.settings, made.virt, made.second, host.host_resolver()):
            self.steps.say("made by another version of the lab's scripts: `stakeyard lab down` and `up` renew it")

    # -- down ------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Stop the lab and leave nothing of it but its files."""
        preflight.check_system(host.gather(self.settings.state))
        with claim.held(self.settings):
            self._down()

    def _down(self) -> None:
        if self.settings.state.exists():
            self._stop()
        cleanup.clean(self.settings)
        left = cleanup.leftovers(self.settings)
        if left:
            raise StakeyardError(f"The lab is stopped, but these are left of it: {', '.join(left)}.")
        claim.release(self.settings)
        self.steps.say("lab is down")

    def _stop(self) -> None:
        cgroups.freeze(self.settings.cgroup, False)  # killed while it made an archive
        for role in ("compute", "controller"):
            node = self.node(role)
            if cgroups.processes(node.cgroup):
                self._stop_node(node)

    def _stop_node(self, node: Node) -> None:
        self.steps.run(f"stop-{node.spec.role}", f"stop node {node.spec.role}", lambda _: node.stop())

    def destroy(self, with_cache: bool) -> None:
        """Stop the lab and remove its files; the cache only when asked."""
        preflight.check_system(host.gather(self.settings.state))
        with claim.held(self.settings):
            self._down()
            cloud.withdraw(self.settings)
            claim.remove(self.settings.state)
        if with_cache:
            shutil.rmtree(paths.cache() / "lab", ignore_errors=True)
