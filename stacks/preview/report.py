"""Writes a preview down in its three forms, after the last look for secrets."""

from collections.abc import Mapping
from pathlib import Path

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from stacks.preview import as_json, markdown, sarif
from stacks.preview.model import Preview
from stacks.preview.secrets import scrub, scrubbed
from stacks.whole_files import replace

_SENTENCE = 5_000
"""Characters of a failure in the comment; as text that Markdown leaves alone, they may be eleven times as many."""


def write(preview: Preview, out: Path, stack_file: Path | None = None) -> None:
    """Write preview.md, preview.json and preview.sarif into `out`, which is made.

    Raises StakeyardError where that cannot be done.
    """
    clean = scrubbed(preview)
    file, text = _read(clean.stack, stack_file)
    _write(
        out,
        {
            "preview.md": markdown.render(clean),
            "preview.json": as_json.render(clean),
            "preview.sarif": sarif.render(clean, file, text),
        },
    )


def write_failure(stack: str, sentence: str, out: Path, stack_file: Path | None = None) -> None:
    """Write the same three files for a preview that there is not; `sentence` says why."""
    clean = scrub(sentence)
    file, text = _read(scrub(stack), stack_file)
    _write(
        out,
        {
            "preview.md": markdown.failure(scrub(stack), shortened(clean)),
            "preview.json": as_json.failure(scrub(stack), clean),
            "preview.sarif": sarif.failure(scrub(stack), clean, file, text),
        },
    )


def shortened(sentence: str) -> str:
    """As much of it as there is room for in a comment."""
    left = len(sentence) - _SENTENCE
    return f"{sentence[:_SENTENCE]}... ({left:,} more characters in preview.json)" if left > 0 else sentence


def _read(stack: str, stack_file: Path | None) -> tuple[str, str]:
    """The stack file's path as code scanning wants it, and its text; nothing where it cannot be read."""
    path = stack_file or REPOSITORY / "stacks" / f"Pulumi.{stack}.yaml"
    shown = path.resolve()
    name = str(shown.relative_to(REPOSITORY)) if shown.is_relative_to(REPOSITORY) else path.name
    try:
        return name, path.read_text(errors="replace")
    except OSError:
        return name, ""


def _write(out: Path, files: Mapping[str, str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            replace(out / name, text, 0o644)
    except OSError as error:
        raise StakeyardError(f"the preview cannot be written to {out}: {error.strerror or error}.") from None
