"""Walk through the phases of a rebuild: note each in the journal, go on where a killed run ended, report at the end."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from stacks import rebuild, rebuild_phases, rebuild_report
from stacks.errors import StakeyardError
from stacks.rebuild import Progress, Request
from stacks.rebuild_journal import Journal
from stacks.rebuild_phases import Job
from stacks.rebuild_seams import Outside

Say = Callable[[float, str, str], None]
"""Shows a line: the seconds since the command, the phase, what is going on."""


def run(request: Request, outside: Outside, journal: Journal, say: Say, anew: bool = False) -> list[Path]:
    """Rebuild the node, or go on with its rebuild; returns where the reports are.

    `anew` gives up a rebuild that was not finished: what it knew of an old server is forgotten.
    Raises StakeyardError for what is refused, or when another rebuild of the node is under way; run again, it goes on.
    """
    with journal.alone():
        journal.repair()
        now = outside.now()
        if anew:
            journal.give_up(_name(now))
        before = rebuild.progress(journal.read())
        if before.begun is not None:
            say(0.0, "resume", f"going on with the rebuild that began {_utc(before.begun)}")
        journal.add(now, "run", fence=request.fence, restore=request.restore, accept_older=request.accept_older)
        walk = _Walk(request, outside, journal, say, now)
        if not rebuild.changing(before):
            walk.one("inspect")
        for name in rebuild.remaining(before, signs=walk.progress().done["inspect"]["signs"]):
            walk.one(name)
        return _finish(request, walk.progress(), journal)


class _Walk:
    """One command's way through the phases."""

    def __init__(self, request: Request, outside: Outside, journal: Journal, say: Say, begun: float) -> None:
        self._request, self._outside, self._journal, self._say, self._begun = request, outside, journal, say, begun

    def progress(self) -> Progress:
        """Where the rebuild stands, by what is on disk."""
        return rebuild.progress(self._journal.read())

    def one(self, name: str) -> None:
        """Do one phase; what it found, or why it refused, is in the journal before anything else happens."""

        def say(text: str) -> None:
            self._say(self._outside.now() - self._begun, name, text)

        say(rebuild.WORDS[name])
        self._journal.add(self._outside.now(), "phase", phase=name)
        try:
            data = rebuild_phases.BY_NAME[name](Job(self._request, self.progress(), self._outside, say))
        except StakeyardError as error:
            self._journal.add(self._outside.now(), "refused", phase=name, sentence=str(error))
            raise
        self._journal.add(self._outside.now(), "done", phase=name, data=data)


def _finish(request: Request, progress: Progress, journal: Journal) -> list[Path]:
    found = rebuild_report.report(request, progress)
    files = {"json": rebuild_report.as_json(found), "md": rebuild_report.as_markdown(found)}
    return journal.archive(_name(progress.begun or 0.0), files)


def _name(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
