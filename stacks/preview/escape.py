"""Texts of others inside Markdown: whatever they hold, they stay text and keep their place."""

import re

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")
_CALLS = re.compile(r"([@#!$%&])(?=[\w{\"'])")
"""Begins of mentions and references of GitHub and GitLab, which look at the text after Markdown has been read."""
_LINK = re.compile(r"(?i)(\b(?:[a-z][a-z0-9+.-]*:)?//|\bwww\.)")


def one_line(text: str) -> str:
    """The text on one line; what cannot be seen, or turns the direction of writing, is written as a code."""
    return "".join(_visible(character, keep="") for character in text)


def _visible(character: str, keep: str) -> str:
    if character in keep or (character.isprintable() and character != "\u00ad"):
        return character
    return character.encode("unicode_escape").decode("ascii") if character != "\n" else "⏎"


def code(text: str, longest: int = 200) -> str:
    """The text as a code span, also inside a table: no mention, link or tag in it works. Cut after `longest`."""
    line = one_line(text)
    if len(line) > longest:
        line = f"{line[:longest]}..."
    if not line.strip():
        return "*nothing*" if not line else "*blanks*"
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def prose(text: str, begins: bool = False) -> str:
    """The text as a sentence: no markup, mention, link or command of it works. `begins`: nothing stands before it."""
    line = _SPECIAL.sub(r"\\\1", one_line(text).strip())
    line = _CALLS.sub(r"\1<!-- -->", line)
    line = _LINK.sub(lambda match: f"{match.group()[:-1]}<!-- -->{match.group()[-1]}", line)
    # It would begin a list, a heading or a command to GitLab.
    return re.sub(r"^([-+/=#]|\d+[.)])", r"&#8203;\1", line) if begins else line


def html(text: str) -> str:
    """The text inside an HTML tag, where there is no Markdown."""
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALLS.sub(lambda match: match.group() if match.group() == "&" else f"{match.group()}<!-- -->", line)


def block(text: str, language: str, longest: int) -> str:
    """The text as a fenced block, without what is after `longest` characters."""
    kept = "".join(_visible(character, keep="\n\t") for character in text.replace("\r\n", "\n")).strip("\n")
    if len(kept) > longest:
        cut = kept[:longest].rpartition("\n")[0] or kept[:longest]
        left = len(kept) - len(cut)
        kept = f"{cut}\n... {left:,} more characters"
    fence = "`" * max(3, _longest_run(kept) + 1)
    return f"{fence}{language}\n{kept}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
