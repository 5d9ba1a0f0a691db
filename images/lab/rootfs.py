"""The root filesystem that all nodes share: Debian with the OpenStack packages, nothing configured."""

import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from images.lab import cgroups, host
from images.lab.settings import SUITE

FILES = Path(__file__).parent / "node"

# The bare system: what the second stage needs, and tools for whoever looks into a node.
_BASE = (
    "systemd,systemd-sysv,dbus,iproute2,procps,ca-certificates,curl,nftables,iptables,eatmydata,python3,"
    "debconf-utils,sudo,netbase,less"
)
_IDENTITY = "usr/lib/stakeyard-lab/build"
_LEAN = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


def packages(text: str) -> list[str]:
    """Names in a package list: one a line, `#` begins a comment."""
    return [name for line in text.splitlines() if (name := line.split("#")[0].strip())]


def build(target: Path, cgroup: str, log: IO[str]) -> None:
    """Make `target` from nothing. A build that is killed leaves only `target` with `.new` appended, and what still
    runs of it in the control group `cgroup`."""
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as options:
        options.write(host.host_apt_options() + 'APT::Install-Recommends "false";\n')
        options.flush()
        mmdebstrap = ["mmdebstrap", "--variant=minbase", f"--aptopt={options.name}", f"--include={_BASE}"]
        mmdebstrap += [f"--dpkgopt=path-exclude={path}" for path in _LEAN]
        mmdebstrap += ["--dpkgopt=force-unsafe-io", SUITE, str(new), *host.host_apt_sources()]
        subprocess.run(cgroups.inside(cgroup, mmdebstrap), check=True, stdout=log, stderr=log)
        shutil.copyfile(options.name, new / "etc/apt/apt.conf.d/99lab")
        (new / "etc/apt/apt.conf.d/99lab").chmod(0o644)
    (new / "etc/resolv.conf").unlink(missing_ok=True)
    (new / "etc/resolv.conf").write_text(f"nameserver {host.host_resolver()}\n")
    shutil.copyfile(FILES / "preseed.txt", new / "root/preseed.txt")
    shutil.copyfile(FILES / "install.sh", new / "root/install.sh")
    install = ["bash", "/root/install.sh", *packages((FILES / "packages.txt").read_text())]
    in_chroot(new, install, log, cgroup)
    (new / _IDENTITY).write_text(secrets.token_hex(8) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)


def in_chroot(root: Path, command: list[str], log: IO[str], cgroup: str = "") -> None:
    """Run a command in a root filesystem, with its own process and mount namespace: a kill leaves neither behind.

    With `cgroup` it runs in that control group.
    """
    entered = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        f"--mount-proc={root}/proc",
        "chroot",
        str(root),
    ]
    entered += command
    subprocess.run(
        cgroups.inside(cgroup, entered) if cgroup else entered,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
    )


def identity(base: Path) -> str:
    """Tells one build of the base system from the next, which may hold other versions of its packages."""
    return (base / _IDENTITY).read_text().strip()
