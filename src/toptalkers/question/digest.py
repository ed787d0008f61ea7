"""The digest: the answer to one long question, kept as a Parquet file, from which later questions are answered.

Its rows have a key of ten columns (`DIGEST_KEY`) and five sums (`DIGEST_METRICS`). Read again, a row is a record that
counts for `records` of them: `start` is its first time seen, `end` its last.
"""

from toptalkers.errors import UsageError
from toptalkers.question.clauses import Metric
from toptalkers.question.query import Query

DIGEST_VERSION = 1
"""The version of the schema, in the file's metadata."""

DIGEST_KEY = (
    "hour",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "service-port",
    "side",
    "client-port",
    "protocol",
    "action",
    "tcp-flags",
)
DIGEST_METRICS: tuple[Metric, ...] = ("bytes", "packets", "records", "first", "last")


def digest_texts(**texts: str | None) -> dict[str, str | None]:
    """The texts of the clauses of a digest's question: the key and the metrics of digests, all ports, all actions."""
    given = {name: text for name, text in texts.items() if text is not None}
    fixed = {"by": ",".join(DIGEST_KEY), "metric": ",".join(DIGEST_METRICS)}
    return {"ports": "all", "action": "ALL", **given, **fixed}


def is_digest(query: Query) -> bool:
    """Whether the answer to a question is the rows of a digest."""
    return query.by == DIGEST_KEY and query.metric == DIGEST_METRICS


def check_question(query: Query) -> None:
    """Check that a question can be answered from digests with the same answer as from the records themselves.

    Raises:
        UsageError: it needs what a digest lacks; the message says what, and what can be asked instead.

    """
    raise NotImplementedError(UsageError, query)
