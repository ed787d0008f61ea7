"""The errors that we explain to the user, in one tree, with the exit code of each kind.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the job on the cluster failed.
Only `cli/failures.py` turns these errors into what a user sees.
"""


class ToptalkersError(Exception):
    """Something that we can explain: one line for the user, and what to do next.

    Args:
        message: what happened and where, one line, without a full stop at the end.
        hint: what to do next, when we know it.
        excerpt: lines that show the place, to be printed below: a text, and a caret under it.

    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, excerpt: tuple[str, ...] = ()) -> None:
        """Keep the parts separate; `str()` gives only the message."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.excerpt = excerpt


class UsageError(ToptalkersError):
    """The question or the command line is wrong; nothing was started."""

    exit_code = 2


class JobFailedError(ToptalkersError):
    """The job on the cluster failed; the command itself worked."""

    exit_code = 3
