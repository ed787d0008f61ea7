"""How the truth of a sample is told from flow logs, beside which it lies."""

TRUTH_NAME = "truth.json"
TRUTH_HEAD = b'{"toptalkers": "truth"'
"""The name and the first bytes of what `toptalkers sample` writes beside its records: what was really sent."""


def is_truth(name: str, head: bytes) -> bool:
    """Whether a file is the truth of a sample, by its name and its first bytes: it is passed over without a word.

    The name may have folders or, if it is in an archive, the archive's name and a colon before it.
    """
    return name.replace(":", "/").rpartition("/")[2] == TRUTH_NAME and head.startswith(TRUTH_HEAD)
