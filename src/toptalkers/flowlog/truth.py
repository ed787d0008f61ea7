"""How the files that `toptalkers sample` writes beside its flow logs are told from them."""

TRUTH_NAME = "truth.json"
TRUTH_HEAD = b'{"toptalkers": "truth"'
"""The name and the first bytes of what was really sent."""

SNAPSHOT_NAME = "snapshot.json"
SNAPSHOT_HEAD = b'{"toptalkers": "snapshot"'
"""The name and the first bytes of what the addresses belong to."""

_HEADS = {TRUTH_NAME: TRUTH_HEAD, SNAPSHOT_NAME: SNAPSHOT_HEAD}

HEAD_BYTES = max(map(len, _HEADS.values()))
"""So many bytes tell whether a file is one of these."""


def has_sample_name(name: str) -> bool:
    """Whether a file may be one that a sample has beside its records, by its name.

    The name may have folders or, if it is in an archive, the archive's name and a colon before it.
    """
    return _last_part(name) in _HEADS


def is_beside_sample(name: str, head: bytes) -> bool:
    """Whether a file is one that a sample has beside its records, which is passed over without a word.

    Args:
        name: as for `has_sample_name`.
        head: its first bytes, at least `HEAD_BYTES` if it has as many.

    """
    return has_sample_name(name) and head.startswith(_HEADS[_last_part(name)])


def _last_part(name: str) -> str:
    return name.replace(":", "/").rpartition("/")[2]
