"""What can go wrong, in one tree, with the exit code that each kind ends in.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the job on the cluster failed.
`cli/failures.py` alone turns these into what a user sees.
"""


class ToptalkersError(Exception):
    """Something that we can explain: one line for the user, and what to do next.

    Args:
        message: what happened and where, one line, without a full stop at the end.
        hint: what to do next, when we know it.

    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the two lines apart; `str()` is the message alone."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ToptalkersError):
    """The question or the command line is wrong; nothing was begun."""

    exit_code = 2


class JobFailedError(ToptalkersError):
    """The job on the cluster failed; the command itself did its part."""

    exit_code = 3
