"""A preview as `stakeyard preview` shows it on the terminal: Markdown, without the details that fill a comment."""

from stacks.preview import markdown
from stacks.preview.model import Preview


def render(preview: Preview) -> str:
    """What is never cut in the comment; `preview` is clean and in order."""
    return markdown.essential(preview).partition("\n")[2]
