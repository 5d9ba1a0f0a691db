"""What a preview compares with: a revision's files, its stack file and its fleet, and what is in force until then."""

from dataclasses import dataclass
from pathlib import Path

from stacks.catalogue import Catalogue, load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet
from stacks.preview import checkout, shaping
from stacks.preview.checkout import Checkout
from stacks.preview.model import Finding

UNREADABLE = "base-unreadable"


@dataclass(frozen=True)
class Base:
    """The revision that was named; nothing in it where none was."""

    commit: str = ""
    checkout: Checkout | None = None
    """None also where the revision has no such stack, or a stack file that cannot be read."""
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What differs beside the fleet."""

    @property
    def directory(self) -> Path | None:
        """The revision's files."""
        return self.checkout.directory if self.checkout else None


def find(head: Checkout, reference: str | None, stack: str, scratch: Path) -> Base:
    """The revision `reference` in a folder below `scratch`. Raises StakeyardError where it cannot be read."""
    if reference is None:
        return Base()
    repository = head.directory
    commit = checkout.resolve(repository, reference)
    directory = scratch / "base"
    checkout.extract(repository, commit, directory)
    files = shaping.changed(shaping.in_commit(repository, commit), shaping.in_folder(repository, len(commit) == 40))
    if not (directory / "stacks" / f"Pulumi.{stack}.yaml").exists():
        note = f"Revision {commit[:12]} has no stack {stack}: everything is new."
        return Base(commit, None, (note,), shaping.findings(files, (), stack))
    try:
        found = checkout.read(directory, stack, scratch / "keys")
    except StakeyardError as error:
        # The pull request that mends such a file must be one that can be previewed.
        note = f"The stack file of revision {commit[:12]} cannot be read, so everything is shown as new: {error}"
        return Base(commit, None, (note,), (*shaping.findings(files, (), stack), unread(stack)))
    keys = shaping.beside_the_fleet(found.document, head.document)
    return Base(commit, found, (), shaping.findings(files, keys, stack))


@dataclass(frozen=True)
class Known:
    """The base's fleet with its own kinds, as far as this revision can read them."""

    fleet: Fleet | None = None
    kinds: Catalogue | None = None


def known(base: Base, catalogue: Catalogue) -> Known:
    """Judged by the head's kinds, as policies are; the base's own say what is open there."""
    if base.checkout is None:
        return Known()
    try:
        # A change that encrypts what stood there in clear must be compared like any other.
        fleet = load_fleet(base.checkout.fleet, catalogue, secrets_in_clear=True)
    except StakeyardError:
        return Known()
    try:
        return Known(fleet, load_catalogue(base.checkout.directory / "roles"))
    except StakeyardError:
        return Known(fleet)


def in_force(fleet: Fleet, base: Base, known: Known, lifted: bool) -> Fleet | None:
    """The fleet whose flags, limits and waivers count until the change has been looked at; None where nothing does.

    `lifted`: something loses its protection, which it would not have in a throw-away stack.
    """
    if known.fleet:
        return known.fleet
    if base.commit:
        # A stack that is new, or was never readable to us, has no waiver that somebody has agreed to.
        return fleet.model_copy(update={"policy": fleet.policy.model_copy(update={"waivers": ()})})
    return fleet.model_copy(update={"throwaway": False}) if lifted else None


def unreadable(base: Base, known: Known, stack: str) -> tuple[Finding, ...]:
    """A warning where there is a base whose fleet nothing could be compared with."""
    return () if base.checkout is None or known.fleet else (unread(stack),)


def unread(stack: str) -> Finding:
    """The warning that a base's fleet could not be compared with."""
    sentence = (
        "the fleet of the base is none to this revision, so that policies, limits and flags could not be compared with "
        "it: compare them yourself."
    )
    return Finding(UNREADABLE, "warning", f"stacks/Pulumi.{stack}.yaml", sentence)
