"""`stakeyard preview`: policies, Pulumi, the look inside hosts, and the reports."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markdown import Markdown

from stacks.catalogue import Catalogue, load_catalogue
from stacks.cloud_login import log_in
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet, load_stack_file
from stacks.preview import assemble, checkout, mocked, report, risk, terminal
from stacks.preview.diagnostics import parsed, protections
from stacks.preview.judged import Judged
from stacks.preview.looked import look_at
from stacks.preview.model import Preview, Verdict
from stacks.preview.seams import Look, Looking, Policies
from stacks.preview.secrets import scrub, scrubbed
from stacks.preview.steps import parents_in, steps
from stacks.workspace import Workspace

MOCKED_NOTES = (
    "The operators' key files, encrypted values and identifiers of the cloud are placeholders; the golden image is "
    "the one that this revision would build.",
)


@dataclass(frozen=True)
class Request:
    """What is to be previewed."""

    stack: str
    base: str | None = None
    """A revision of the repository to compare with; without one, what is deployed."""
    out: Path | None = None
    mocked: bool | None = None
    """Whether the cloud is mocked; None lets it depend on whether a cloud answers."""
    repository: Path = field(default_factory=lambda: Workspace("").directory)

    @property
    def stack_file(self) -> Path:
        """The stack file of the head."""
        return self.repository / "stacks" / f"Pulumi.{self.stack}.yaml"


def run(request: Request, console: Console, policies: Policies | None = None, look: Look = look_at) -> Verdict:
    """Preview, write the reports and show the summary; the verdict is the command's exit status."""
    try:
        found = preview(request, policies or Judged(), look)
    except StakeyardError as error:
        sentence = scrub(str(error))
        if request.out:
            report.write_failure(request.stack, sentence, request.out, request.stack_file)
        console.print(f"stakeyard: {sentence}", style="red", markup=False, highlight=False)
        return Verdict.FAILED
    clean = risk.ordered(scrubbed(found))
    if request.out:
        report.write(clean, request.out, request.stack_file)
    console.print(Markdown(terminal.render(clean)))
    return risk.verdict(clean)


def preview(request: Request, policies: Policies, look: Look) -> Preview:
    """What would change. Raises StakeyardError with the sentence because of which there is no preview."""
    catalogue = load_catalogue(request.repository / "roles")
    Workspace(request.stack, request.repository).stack_file_bytes()  # says which stacks there are
    with tempfile.TemporaryDirectory(prefix="stakeyard-preview-") as folder:
        scratch = Path(folder)
        head = checkout.read(request.repository, request.stack, scratch / "keys")
        fleet = load_fleet(head.fleet, catalogue)
        broken = policies.fleet(fleet, catalogue)
        base, notes = _base(request, scratch)
        cloud, why = _cloud(request, fleet)
        if cloud == "mocked":
            digest = mocked.digest(head, base, request.stack, scratch)
            notes = (*notes, *why, *MOCKED_NOTES)
        else:
            load_stack_file(request.stack_file, catalogue)  # with the operators' own key files
            digest = _asked(request)
        found = steps(digest)
        base_fleet = _fleet(base, catalogue)
        updated = assemble.updated(found)
        looking = Looking(
            request.stack,
            cloud,
            fleet,
            catalogue,
            updated,
            request.repository,
            base.directory if base else None,
            base_fleet,
        )
        insides = look(looking) if updated else {}
        nodes, shared = assemble.nodes(found, fleet, base_fleet, catalogue, insides)
        return Preview(
            stack=request.stack,
            base=_base_name(request, cloud),
            cloud=cloud,
            nodes=nodes,
            shared=shared,
            findings=(*broken, *policies.resources(fleet, catalogue, digest), *protections(digest, parents_in(digest))),
            notes=notes,
        )


def _base_name(request: Request, cloud: str) -> str:
    if cloud != "mocked":
        return "state"
    # As it was asked for: the commit behind `origin/main` moves while the preview stays the same.
    return request.base or "nothing"


def _base(request: Request, scratch: Path) -> tuple[checkout.Checkout | None, tuple[str, ...]]:
    """The revision to compare with, and what the reader must know of it."""
    if request.base is None:
        return None, ()
    commit = checkout.resolve(request.repository, request.base)
    directory = scratch / "base"
    checkout.extract(request.repository, commit, directory)
    if not (directory / "stacks" / f"Pulumi.{request.stack}.yaml").exists():
        return None, (f"Revision {commit[:12]} has no stack {request.stack}: everything is new.",)
    return checkout.read(directory, request.stack, scratch / "keys"), ()


def _fleet(base: checkout.Checkout | None, catalogue: Catalogue) -> Fleet | None:
    """The base's fleet, as far as the head's models can read it."""
    if base is None:
        return None
    try:
        return load_fleet(base.fleet, catalogue)
    except StakeyardError:
        return None


def _cloud(request: Request, fleet: Fleet) -> tuple[Literal["asked", "mocked"], tuple[str, ...]]:
    """Whether the cloud is asked, and why it is not where nobody said that it should be mocked."""
    if request.mocked:
        return "mocked", ()
    try:
        log_in(fleet.cloud)  # Pulumi would say the same, but in a traceback
    except StakeyardError as error:
        if request.mocked is None:
            return "mocked", (f"The cloud is mocked because {error}",)
        raise
    return "asked", ()


def _asked(request: Request) -> dict[str, object]:
    """What an update would do to what is deployed, with the cloud asked first."""
    workspace = Workspace(request.stack, request.repository)
    workspace.prepare()
    return parsed(workspace.pulumi("preview", "--json", "--refresh", "--non-interactive", capture=True))
