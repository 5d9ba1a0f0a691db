"""A preview as `stakeyard preview` shows it on the terminal: Markdown, without the details that fill a comment."""

from stacks.preview import markdown
from stacks.preview.escape import prose
from stacks.preview.model import Preview
from stacks.preview.why import reasons


def render(preview: Preview) -> str:
    """Verdict, table, and what led to the verdict; `preview` is clean and in order."""
    parts = [
        markdown.summary(preview).partition("\n")[2],
        _review(preview),
        markdown.findings(preview.findings),
        markdown.drift(preview),
        markdown.notes(preview.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _review(preview: Preview) -> str:
    lines = [f"- {prose(reason)}: {markdown.named(names)}" for reason, names in reasons(preview).items()]
    return "\n".join(["#### What needs review", "", *lines]) if lines else ""
