"""Small words about other programs' output."""


def last_line(text: str, otherwise: str = "no answer") -> str:
    """The last line of `text` that says something, or `otherwise`: what a user should see first of a failure."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise
