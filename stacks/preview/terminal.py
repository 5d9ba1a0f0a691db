"""A preview as `stakeyard preview` shows it on the terminal: Markdown, without what only a comment needs."""

from stacks.preview import markdown
from stacks.preview.model import Preview


def render(preview: Preview) -> str:
    """Verdict, table, and what the reader must know; `preview` is clean and in order."""
    parts = [markdown.summary(preview).partition("\n")[2], markdown.notes(preview.notes)]
    return "\n\n".join(part for part in parts if part)
