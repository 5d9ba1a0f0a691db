"""`stakeyard preview`: policies, Pulumi, the look inside hosts, and the reports."""

import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markdown import Markdown

from stacks.catalogue import Catalogue, load_catalogue
from stacks.cloud_login import log_in
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet, load_stack_file
from stacks.preview import assemble, checkout, mocked, report, risk, terminal
from stacks.preview import base as bases
from stacks.preview.diagnostics import parsed, protections
from stacks.preview.drift import own_words
from stacks.preview.drifted import drifted
from stacks.preview.encrypted import decrypted
from stacks.preview.judged import Judged
from stacks.preview.looked import look_at
from stacks.preview.model import Preview, Verdict
from stacks.preview.seams import Look, Looking, Policies
from stacks.preview.secrets import scrub, scrubbed
from stacks.preview.steps import parents_in, steps
from stacks.runner import hider
from stacks.workspace import Workspace

MOCKED_NOTES = (
    "The operators' key files, encrypted values, identifiers of the cloud and floating addresses (198.18.0.0 to "
    "198.19.255.255) are placeholders; the golden image is the one that this revision would build.",
)
STOPPED_NOTE = "Pulumi stops at what is protected: what else would change is shown as far as it got."


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
        console.print(f"stakeyard: {sentence}", style="red", markup=False, highlight=False)
        if request.out:
            report.write_failure(request.stack, sentence, request.out, request.stack_file)
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
        base = bases.find(head, request.base, request.stack, scratch)
        cloud, why = _cloud(request, fleet)
        notes, looked_at = (*base.notes, *why), fleet
        with ThreadPoolExecutor() as beside:  # while other processes are at work
            reading = beside.submit(bases.known, base, catalogue)
            if cloud == "mocked":
                digest: Mapping[str, Any] = mocked.digest(head, base.checkout, request.stack, scratch)
                notes = (*notes, *MOCKED_NOTES)
            else:
                # With the operators' own key files, by which hosts let us in.
                operators = load_stack_file(request.stack_file, catalogue).operators
                looked_at = fleet.model_copy(update={"operators": operators})
                digest = _asked(request)
            known = reading.result()
        found = assemble.unmasked(steps(digest), fleet, catalogue, known.fleet, known.kinds)
        before = bases.in_force(fleet, base, known, any(step.unprotected for step in found))
        converged = assemble.converged(found)
        looking = Looking(
            request.stack, cloud, looked_at, catalogue, converged, request.repository, base.directory, known.fleet
        )
        insides = assemble.of_interest(look(looking), converged) if converged else {}
        new = assemble.new_nodes(digest)
        refused = protections(digest, parents_in(digest))
        nodes, shared = assemble.nodes(found, fleet, known.fleet, catalogue, insides, new=new)
        return Preview(
            stack=request.stack,
            base=_base_name(request, cloud),
            cloud=cloud,
            nodes=nodes,
            shared=shared,
            findings=(
                *policies.fleet(fleet, catalogue, before),
                *policies.resources(fleet, catalogue, before, digest),
                *refused,
                *base.findings,
                *bases.unreadable(base, known, request.stack),
            ),
            notes=(*notes, *([STOPPED_NOTE] if refused else [])),
            drift=_drift(request, catalogue, digest) if cloud == "asked" else {},
        )


def _base_name(request: Request, cloud: str) -> str:
    if cloud != "mocked":
        return "state"
    # As it was asked for: the commit behind `origin/main` moves while the preview stays the same.
    return request.base or "nothing"


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


def _drift(request: Request, catalogue: Catalogue, digest: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What the hosts are otherwise than they were left, without what operators keep secret."""
    if not drifted(digest):
        return {}
    return drifted(digest, hider(own_words(decrypted(Workspace(request.stack, request.repository), catalogue))))


def _asked(request: Request) -> dict[str, Any]:
    """What an update would do to what is deployed, with the cloud asked first."""
    workspace = Workspace(request.stack, request.repository)
    workspace.prepare()
    return parsed(workspace.pulumi("preview", "--json", "--refresh", "--non-interactive", capture=True))
