"""Answers that were saved: CSV, TSV, JSON and NDJSON, as run-local and fetch-results write them, plain or gzip."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toptalkers.answer.answer import Answer
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.clauses import METRICS
from toptalkers.question.conversations import PAIR_SUMS
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.named import BETWEEN_OWNERS, OTHER_TIME, parse_named
from toptalkers.question.query import Query
from toptalkers.visible import visible

HEAD_BYTES = 64 << 10
"""By so much of a file it is told what it is."""

_GZIP = b"\x1f\x8b"
_SUMS = {*METRICS, *PAIR_SUMS}

Talker = tuple[str, int]
"""The values of a key, separated by tabs, and its sum."""


@dataclass(frozen=True)
class Talkers:
    """An answer to be compared with another one.

    Attributes:
        name: what errors call it.
        columns: the names of the key's columns.
        metric: the name of the sum.
        rows: the talkers. Read them once.
        query: the question; None if it is not known.
        is_cut: whether talkers are known to be missing at the end, because fewer were asked for than there are.

    """

    name: str
    columns: tuple[str, ...]
    metric: str
    rows: Iterator[Talker]
    query: Query | None = None
    is_cut: bool = False


def talkers_of(answer: Answer, name: str, metric: str | None = None) -> Talkers:
    """The talkers of an answer, which is read while they are."""
    lines = answer.query.lines
    key, sums = lines.names[: len(lines.columns)], lines.names[len(lines.columns) :]
    chosen = _choose(sums, metric or _first_sum(answer.query), name)
    at = sums.index(chosen)
    rows = (("\t".join(map(str, row.key)), row.sums[at]) for row in answer.rows())
    is_cut = bool(answer.top) and answer.talkers is not None and answer.talkers > answer.top
    return Talkers(name, key, chosen, _checked(rows, name), answer.query, is_cut)


def unmarked(talkers: Talkers) -> Talkers:
    """The same talkers, whose names have no `~`: a name of another time is the same name.

    Without named columns, the talkers as they are. With them, memory holds the talkers, because some may become one.

    Raises:
        ToptalkersError: the answer is damaged, or has a talker twice.

    """
    are_named = [parse_named(column) is not None for column in talkers.columns]
    if not any(are_named):
        return talkers
    sums: dict[str, int] = {}
    seen: set[str] = set()
    for key, value in talkers.rows:
        if key in seen:
            raise twice(talkers.name, key)
        seen.add(key)
        values = zip(key.split("\t"), are_named, strict=True)
        name = "\t".join(_without_marks(one) if is_named else one for one, is_named in values)
        sums[name] = sums.get(name, 0) + value
    return replace(talkers, rows=iter(sums.items()))


def _without_marks(label: str) -> str:
    """`web-1|web-2` for `~web-2|web-1`: the labels are sorted without their marks."""
    return BETWEEN_OWNERS.join(sorted({one.removeprefix(OTHER_TIME) for one in label.split(BETWEEN_OWNERS)}))


def twice(name: str, key: str) -> ToptalkersError:
    """The error for an answer that has a talker twice."""
    return ToptalkersError(f"{name} has the talker {visible(key)} twice")


def read_saved(path: Path, query: Query, metric: str | None = None) -> Talkers | None:
    """Read a file that holds an answer; None if it holds something else.

    TSV has no names of columns: its lines are those of `query`. JSON is read into memory, the others as they are read.

    Args:
        path: the file.
        query: the question of a TSV.
        metric: the sum that is compared; None for the first one that adds up.

    Raises:
        ToptalkersError: the file cannot be read, or is damaged.
        UsageError: the answer does not have the metric.

    """
    name = str(path)
    try:
        return _read(path, name, query, metric)
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeError) as error:
        raise ToptalkersError(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def _read(path: Path, name: str, query: Query, metric: str | None) -> Talkers | None:
    head = _head(path)
    line = head.partition(b"\n")[0].rstrip(b"\r")
    if head.lstrip().startswith(b"{"):
        if _is_row(line):
            return _of_objects(_read_objects(path, name), name, metric)
        return _of_json(path, name, metric) if b'"talkers"' in head and b'"query"' in head else None
    if line.startswith(b"rank,"):
        return _of_csv(path, name, metric)
    if b"\t" in line and ((b" " not in line and _is_text(line)) or (query.is_named and _fits(line, query))):
        return _of_tsv(path, name, query, metric)
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(_GZIP):
        with gzip.open(path) as file:
            head = file.read(HEAD_BYTES)
    return head


def _open(path: Path) -> io.TextIOWrapper:
    with path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP
    return gzip.open(path, "rt", encoding="utf-8") if is_gzip else path.open(encoding="utf-8", newline="")


def _is_text(line: bytes) -> bool:
    """Whether it is no piece of a digest or of a compressed file, which may have tabs as well."""
    try:
        return line.decode().replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False


def _fits(line: bytes, query: Query) -> bool:
    """Whether a line is one of the answer to a question, whose names may have spaces."""
    try:
        query.lines.read(line)
    except ValueError:
        return False
    return True


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and "rank" in row


def _choose(sums: Sequence[str], metric: str | None, name: str) -> str:
    """The sum to compare."""
    additive = [one for one in sums if one in _SUMS and one not in TIME_METRICS]
    if metric is None and additive:
        return additive[0]
    if metric not in additive:
        has = f"it has {', '.join(additive)}" if additive else "it has only times, which do not grow by a factor"
        raise UsageError(f"--metric {metric or ','.join(sums)}: not a sum of {name}", hint=has)
    return metric


def _split(names: Sequence[str], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of the key, and those of the sums."""
    own = [one for one in names if one != "rank"]
    first = next((at for at, one in enumerate(own) if one in _SUMS), 0)
    if not first:
        raise ToptalkersError(f"{name}: its columns are not those of an answer: {', '.join(names)}")
    return tuple(own[:first]), tuple(own[first:])


def _of_csv(path: Path, name: str, metric: str | None) -> Talkers:
    with _open(path) as file:
        names = next(csv.reader(file))
    key, sums = _split(names, name)
    chosen = _choose(sums, metric, name)
    at = [names.index(one) for one in key]
    where = names.index(chosen)

    def rows() -> Iterator[Talker]:
        with _open(path) as file:
            reader = csv.reader(file)
            next(reader)
            for row in reader:
                if len(row) != len(names):
                    raise ValueError(f"line {reader.line_num:,} has {len(row)} columns, not {len(names)}")
                yield "\t".join([row[one] for one in at]), int(row[where])

    return Talkers(name, key, chosen, _checked(rows(), name))


def _of_tsv(path: Path, name: str, query: Query, metric: str | None) -> Talkers:
    lines = query.lines
    key, sums = lines.names[: len(lines.columns)], lines.names[len(lines.columns) :]
    chosen = _choose(sums, metric or _first_sum(query), name)
    at = sums.index(chosen)

    def rows() -> Iterator[Talker]:
        with _open(path) as file:
            for line in file:
                try:
                    values = lines.read(line.encode())
                except ValueError:
                    raise UsageError(
                        f"{name}: {line[:100].rstrip()!r} is no line of the answer to this question",
                        hint="TSV does not name its columns: give the --by and --metric it was asked with,"
                        " or compare CSV or JSON",
                    ) from None
                yield "\t".join(map(str, values[0])), values[1][at]

    return Talkers(name, key, chosen, _checked(rows(), name))


def _of_json(path: Path, name: str, metric: str | None) -> Talkers:
    try:
        with _open(path) as file:
            content = json.load(file)
        rows, asked = content["talkers"], content["query"]
        texts = {key: str(value) for key, value in asked.items() if value is not None and key != "top"}
        known = {key: text for key, text in texts.items() if key in Query.__slots__}
        query = Query.parse(**known)
        cut = content.get("talkers_in_all")
        is_cut = isinstance(cut, int) and cut > len(rows)
    except UsageError as error:
        raise ToptalkersError(f"{name}: its question is not understood: {error.message}") from error
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ToptalkersError(f"{name}: not the JSON of an answer: {error}") from error
    if not rows:
        lines = query.lines
        key = lines.names[: len(lines.columns)]
        return Talkers(name, key, _choose(lines.names[len(key) :], metric or _first_sum(query), name), iter(()), query)
    found = _of_objects(iter(rows), name, metric or _first_sum(query))
    return Talkers(name, found.columns, found.metric, found.rows, query, is_cut)


def _first_sum(query: Query) -> str | None:
    return next((one for one in query.metric if one not in TIME_METRICS), None)


def _read_objects(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ToptalkersError(f"{name}: line {number:,} is not JSON: {error}") from error


def _of_objects(objects: Iterator[Mapping[str, Any]], name: str, metric: str | None) -> Talkers:
    first = next(objects)
    if not isinstance(first, dict):
        raise ToptalkersError(f"{name}: {str(first)[:100]!r} is no talker")
    key, sums = _split([*first], name)
    chosen = _choose(sums, metric, name)

    def rows() -> Iterator[Talker]:
        row: Mapping[str, Any] = first
        while row is not None:
            value = row[chosen]
            if type(value) is not int:
                raise ValueError(f"{chosen} is {value!r}, not a number")
            yield "\t".join([str(row[one]) for one in key]), value
            row = next(objects, None)  # type: ignore[arg-type]

    return Talkers(name, key, chosen, _checked(rows(), name))


def _checked(rows: Iterator[Talker], name: str) -> Iterator[Talker]:
    """The same rows; an error names the answer."""
    try:
        yield from rows
    except KeyError as error:
        raise ToptalkersError(f"{name}: a talker lacks {error}") from error
    except (OSError, EOFError, zlib.error, ValueError, TypeError, csv.Error) as error:
        raise ToptalkersError(f"{name}: {error}") from error
