"""Small words about other programs' output, and about what the system refuses."""


def last_line(text: str, otherwise: str = "no answer") -> str:
    """The last line of `text` that says something, or `otherwise`: what a user should see first of a failure."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise


def refused(error: OSError) -> str:
    """The system's reason in a few words, such as `not a directory`."""
    return (error.strerror or type(error).__name__).lower()
