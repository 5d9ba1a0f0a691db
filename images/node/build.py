"""Make the golden node image: Debian 12 with the static part of the role `host`, for every kind of node.

Nothing is mounted and no loop device is used: file systems are written by `mke2fs -d`, so a build that is killed leaves
only files with a temporary name, which the next one removes.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from images.lab import host
from images.lab.rootfs import in_chroot
from images.node import inputs
from stacks.errors import StakeyardError
from stacks.locks import exclusive
from stacks.paths import cache

Report = Callable[[str], None]

DISK_SIZE = "2G"  # a server's disk is larger: the root file system grows at boot
FILES = ("disk.qcow2", "vmlinuz", "initrd.img", "rootfs.tar.zst")
# Options of mmdebstrap that decide what is installed; they are part of the packages' digest.
RECIPE = (
    "--mode=root",
    "--variant=minbase",
    "--aptopt=APT::Install-Recommends false",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale", "i18n", "lintian", "bug")),
    "--dpkgopt=path-include=/usr/share/i18n/SUPPORTED",  # the package `locales` reads it when it is configured
    "--dpkgopt=force-unsafe-io",
    # The kernel package makes an initrd that nobody boots, as its settings come later: let that be a small one.
    '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"; '
    'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/stakeyard" ',
)
# For direct kernel boot; the manifest tells it to whoever uploads the image.
COMMAND_LINE = "root=/dev/vda ro console=tty0 console=ttyS0 quiet noresume"


def directory() -> Path:
    """Holds one directory an image, named by digest, and the link `current`."""
    return cache() / "node-image"


def current(digest: str) -> Path | None:
    """The finished image of that digest."""
    image = directory() / digest
    return image if (image / "manifest.json").is_file() else None


def build(report: Report) -> Path:
    """Return the directory of the current image; make it first if its inputs changed (minutes).

    Raises StakeyardError if this machine cannot build one.
    """
    digest = inputs.digest(inputs.read_inputs())
    link = directory() / "current"
    if (image := current(digest)) and link.is_symlink() and link.readlink() == Path(digest):
        return image
    if os.getuid() != 0:
        raise StakeyardError("Building the node image needs root: run it with sudo.")
    for program in ("mmdebstrap", "mke2fs", "qemu-img", "zstd", "tar", "unshare"):
        if shutil.which(program) is None:
            raise StakeyardError(f"`{program}` is missing on this machine: install the packages in tools/packages.txt.")
    with locked(report):
        image = current(digest) or _make(digest, report)
        new_link = directory() / f".current-{os.getpid()}"
        new_link.symlink_to(digest)
        new_link.rename(link)
        forget_old(digest)
    return image


@contextlib.contextmanager
def locked(report: Report) -> Iterator[None]:
    """Hold the only right to write below `directory()`; wait for it."""
    with exclusive(directory() / ".lock", lambda: report("waiting for another build of the node image")):
        yield


def _make(digest: str, report: Report) -> Path:
    for leftover in directory().glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    log_file = directory() / "build.log"
    new = directory() / f".new-{digest}"
    new.mkdir()
    try:
        with log_file.open("w") as log:
            packages = _packages(report, log)
            report("node image: configure")
            root = new / "root"
            root.mkdir()
            _run(["tar", "-x", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f", packages, "-C", root], log)
            installed = _installed(root)
            _configure(root, log)
            report("node image: write the disk")
            _write(root, new, log)
    except subprocess.CalledProcessError as error:
        tail = " ".join(log_file.read_text(errors="replace").split("\n")[-4:]).strip()[-300:]
        program = Path(str(error.cmd[0])).name
        raise StakeyardError(
            f"Building the node image failed in `{program}`: {tail} (all of it: {log_file})."
        ) from error
    shutil.rmtree(root)
    manifest = _manifest(digest, installed, {name: sha256(new / name) for name in FILES})
    (new / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    image = directory() / digest
    shutil.rmtree(image, ignore_errors=True)
    new.rename(image)
    return image


def _packages(report: Report, log: IO[str]) -> Path:
    """Debian's packages as they are installed; kept, so that a change of a configuration file costs no download."""
    names = inputs.package_names()
    name = f"packages-{inputs.package_digest(names, RECIPE)}.tar.zst"
    target = directory() / name
    if target.is_file():
        return target
    report(f"node image: install {len(names)} packages and what they need")
    sources = host.host_apt_sources()
    new = directory() / ".new-packages"
    new.mkdir()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as options:
        options.write(without_credentials(host.host_apt_options()))
        options.flush()
        command = ["mmdebstrap", *RECIPE, f"--aptopt={options.name}", f"--include={','.join(names)}"]
        _run([*command, inputs.SUITE, str(new / name), *sources], log)
    for old in directory().glob("packages-*.tar.zst"):
        old.unlink()
    (new / name).rename(target)
    new.rmdir()
    return target


def without_credentials(options: str) -> str:
    """apt options without those that hold a user or password: an image is read by many."""
    return "".join(line for line in options.splitlines(keepends=True) if "@" not in line)


def _configure(root: Path, log: IO[str]) -> None:
    for tree in inputs.TREES:
        copy_tree(tree, root)
    shutil.copyfile(inputs.NODE / "configure.sh", root / "configure.sh")
    in_chroot(root, ["sh", "/configure.sh"], log)
    (root / "configure.sh").unlink()


def copy_tree(tree: Path, root: Path, owner: int = 0, group: int = 0) -> None:
    """Copy the files of a tree in the repository, owned by root; git keeps no more of a mode than `executable`."""
    for source in sorted(tree.rglob("*")):
        target = root / source.relative_to(tree)
        if source.is_dir():
            if not target.is_dir():
                target.mkdir(mode=0o755)
            continue
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        os.chown(target, owner, group)


def _write(root: Path, new: Path, log: IO[str]) -> None:
    boot = root / "boot"
    for pattern, name in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd.img")):
        (newest,) = sorted(boot.glob(pattern))[-1:] or [boot / name]
        shutil.copyfile(newest, new / name)
    archive = f"--file={new / 'rootfs.tar.zst'}"
    _run(["tar", "-c", "--numeric-owner", "--xattrs", "-I", "zstd -q -3 -T0", archive, "-C", root, "."], log)
    raw = new / "disk.raw"
    _run(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, raw, DISK_SIZE], log)
    _run(["qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, new / "disk.qcow2"], log)
    raw.unlink()


def _installed(root: Path) -> dict[str, str]:
    return installed_packages((root / "var/lib/dpkg/status").read_text())


def installed_packages(status: str) -> dict[str, str]:
    """Name and version of every installed package in dpkg's status file."""
    found: dict[str, str] = {}
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", stanza, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            found[fields["Package"]] = fields["Version"]
    return found


def _manifest(digest: str, installed: dict[str, str], files: dict[str, str]) -> dict[str, object]:
    return {
        "digest": digest,
        "suite": inputs.SUITE,
        "command_line": COMMAND_LINE,
        "packages": installed,
        "files": files,
        "built_from": [item.name for item in sorted(inputs.read_inputs(), key=lambda item: item.name)],
        "built_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def sha256(file: Path) -> str:
    """Digest of a file in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def forget_old(digest: str, keep: int = 2) -> None:
    """Keep the image before this one: a stack that was brought up with it may still be compared with it."""
    images = [path for path in directory().iterdir() if (path / "manifest.json").is_file() and not path.is_symlink()]
    images.sort(key=lambda path: (path.name == digest, path.stat().st_mtime), reverse=True)
    for image in images[keep:]:
        shutil.rmtree(image)


def _run(command: Sequence[str | Path], log: IO[str]) -> None:
    text = [str(part) for part in command]
    log.write(f"+ {' '.join(text)}\n")
    log.flush()
    subprocess.run(text, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
