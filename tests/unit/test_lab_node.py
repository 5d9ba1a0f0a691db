"""How a node is configured: the commands that are run for it, with programs in their place that only tell."""

from pathlib import Path

import pytest

from images.lab import configuration
from images.lab.node import Node
from images.lab.settings import settings

TELL = '#!/bin/sh\nprintf "%s|" "$(basename "$0")" "$@" >>{log}\necho >>{log}\n'


def test_a_checkout_may_lie_in_a_folder_with_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAKEYARD_LAB", str(tmp_path / "lab"))
    log, programs, files = tmp_path / "log", tmp_path / "programs", tmp_path / "my $(checkout) 1"
    programs.mkdir()
    files.mkdir()
    (files / "configure.sh").write_text("true\n")
    (programs / "unshare").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    for name in ("mount", "chroot"):
        (programs / name).write_text(TELL.format(log=log))
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(configuration, "FILES", files)
    lab = settings({})
    node = Node(lab, configuration.nodes(lab, "qemu", "qemu")[0])
    (node.directory / "root/run").mkdir(parents=True)
    with (tmp_path / "output").open("w") as output:
        node.configure(b"", output)
    root = node.directory / "root"
    mount, _, _, run = log.read_text().splitlines()
    upper, work = f"{node.directory}/upper", f"{node.directory}/work"
    assert mount == f"mount|-t|overlay|overlay|-o|lowerdir={node.base},upperdir={upper},workdir={work}|{root}|"
    assert run == f"chroot|{root}|bash|/run/configure.sh|controller|{lab.instances}|"
    assert (root / "run/configure.sh").read_text() == "true\n"
