"""The one exception that reaches a user: a single clear sentence, never a traceback."""


class StakeyardError(Exception):
    """Something the operator can act on.

    The message is one sentence that names the key, file or host and says what to do.
    The command line prints it to standard error and exits with status 1.
    """
