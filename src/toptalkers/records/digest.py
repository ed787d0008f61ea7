"""Digests, read as flow records: a row is a record that counts for as many as its column `records` says.

For a question about conversations, a row is one of `folded_question`, with the columns of the digest as fields.
`question/digest.py` says which questions a digest answers, and so which fields are looked at.
"""

from collections.abc import Callable
from typing import Any

from toptalkers.answer.answer import Tally
from toptalkers.answer.digest import COLUMNS, DigestOrigin
from toptalkers.answer.quality import Quality
from toptalkers.flowlog.fields import FIELDS, column_name
from toptalkers.question.conversations import folded_question
from toptalkers.question.digest import DIGEST_KEY, DIGEST_METRICS, is_digest
from toptalkers.question.key import ACK, FOLDED_PARTS, HIGHEST_PORT, PORT_FIELDS, SYN
from toptalkers.question.query import Query
from toptalkers.question.times import FIRST_MILLISECONDS

WEIGHT = "records"
"""The name of the column that says for how many records a row counts."""

_SERVER_COLUMNS = {1: ("service_port", "side", "client_port"), 2: ("server_port", "server_side", "peer_port")}
"""By the version of the schema, the columns with the server's port, its side, and the client's port."""

_SOURCES: dict[str, str] = {
    "start": "first",
    "end": "last",
    **{
        name: column_name(name)
        for name in (*DIGEST_KEY, *DIGEST_METRICS)
        if name in FIELDS or name in FOLDED_PARTS or name == WEIGHT
    },
}
"""The column that each field of a record is taken from; the ports are made of several."""


class DigestRows:
    """The rows of a digest as records.

    Attributes:
        names: the fields that a question looks at, and the weight.
        columns: the columns of the file that they are made of.
        tally: the records that were skipped when the digest was made.
        quality: the interfaces that could not log all; for questions that join records, also how many of the
            digest's records had no packet addresses.
        note: what of the records the digest lacks; empty for nothing.

    """

    def __init__(self, metadata: bytes, query: Query, name: str) -> None:
        """Take the metadata of the file `name`.

        Raises:
            UsageError: a digest, or this one, cannot answer the question.
            ToptalkersError: the metadata are damaged, or of a newer version.

        """
        origin = DigestOrigin.parse(metadata)
        origin.check(query, name)
        without = None
        if query.joins_records or is_digest(query):
            query = folded_question(query)
            without = origin.without_packet_addresses
        used = {*query.used_fields, WEIGHT, "start"}  # which hours there are is always told
        self.names = tuple(field for field in (*_SOURCES, *PORT_FIELDS) if field in used)
        self._servers = _SERVER_COLUMNS[origin.version]
        needed = {_SOURCES[field] for field in self.names if field in _SOURCES}
        if {*PORT_FIELDS} & used:
            needed |= {*self._servers, "tcp_flags"}
        self.columns = [column for column in (*COLUMNS, *_SERVER_COLUMNS[1]) if column in needed]
        skipped = origin.tally.skipped if origin.tally else {}
        self.tally = Tally(records_read=sum(skipped.values()), skipped=skipped)
        self.quality = Quality(skipdata=origin.skipdata, without_packet_addresses=without)
        self.note = origin.note

    def arrays(self, batch: Any) -> list[Any]:
        """The values of the fields, in their order, of a batch of rows."""
        ports = _ports(batch, self._servers) if {*PORT_FIELDS} & {*self.names} else {}
        return [ports[field] if field in ports else _MAKERS.get(field, _as_it_is)(batch, field) for field in self.names]


def _as_it_is(batch: Any, field: str) -> Any:
    return batch.column(column_name(field))


def _seconds(batch: Any, field: str) -> Any:
    """Times in seconds or milliseconds, so that the rules understand each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = batch.column(_SOURCES[field]).cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    return pc.if_else(pc.less(times, FIRST_MILLISECONDS), pc.divide(times, 1000), times)


def _ports(batch: Any, servers: tuple[str, str, str]) -> dict[str, Any]:
    """The source and destination ports: the server's on its side, the client's on the other.

    A client's port that was dropped, as those above 1024 are, is given as the highest port. But if the rule of services
    would then find another service, there was none (`-`).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    server, side, client, flags = (batch.column(name) for name in (*servers, "tcp_flags"))
    is_at = {field: _equal(side, field.removesuffix("port")) for field in PORT_FIELDS}
    is_found = pc.less(server, HIGHEST_PORT)
    if flags.null_count < len(flags):
        flags = pc.fill_null(flags, 0).cast(pa.int32())
        has_syn = pc.not_equal(pc.bit_wise_and(flags, SYN), 0)
        has_ack = pc.not_equal(pc.bit_wise_and(flags, ACK), 0)
        is_found = pc.if_else(has_syn, pc.equal(has_ack, _equal(side, "src")), is_found)
    if server.null_count:
        is_found = pc.and_kleene(is_found, pc.is_valid(server))
    dropped = pc.if_else(is_found, pa.scalar(HIGHEST_PORT, pa.int32()), pa.scalar(None, pa.int32()))
    clients = dropped if client.null_count == len(client) else pc.coalesce(client, dropped)
    return {field: pc.if_else(is_servers, server, clients) for field, is_servers in is_at.items()}


def _equal(texts: Any, text: str) -> Any:
    """Whether each of some texts, most probably a dictionary's, is this one."""
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_dictionary(texts.type) and not texts.dictionary.null_count:
        return pc.equal(texts.indices, texts.dictionary.index(text).as_py())  # -1 if it is none of them
    return pc.equal(texts, text)


_MAKERS: dict[str, Callable[[Any, str], Any]] = {
    "start": _seconds,
    "end": _seconds,
}
