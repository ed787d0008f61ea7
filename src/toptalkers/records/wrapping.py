"""Extract flow-log lines from what tools wrap around them: JSON, CSV, tab-separated columns, time stamps, quotes.

The beginning of a file decides its wrapping, for the whole file: a line that is not wrapped like that passes
unchanged, for the engine to tally. A file that begins with plain lines passes untouched, piece by piece.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from toptalkers.flowlog.fields import FIELDS
from toptalkers.records.packing import holds_packed
from toptalkers.records.plain import LOOK_BYTES, is_plain
from toptalkers.records.source import Source, UnreadableError

LONGEST_LINE_BYTES = 1 << 20
"""Longer lines are cut to this; the engines read no more of a line either."""

_LINES = 30
_LINES_BYTES = 16 << 10
_COLUMNS = 3
_TITLES = 5
"""A header must be one of this many first lines."""

_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

_ISO = rb"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+|,\d{3})?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
_BSD = rb"[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
_SENDER = rb"(?:(?:[^\s:]+ )?[^\s:\[\]]+(?:\[[\w.-]+\])?: |(?:stdout|stderr) [FP] )"
_PREFIX = re.compile(
    rb"^[ \t]*(?:"
    rb"<\d{1,3}>1 (?:-|"
    + _ISO
    + rb") [^ \n]+ [^ \n]+ [^ \n]+ [^ \n]+ (?:-|(?:\[(?:[^\]\\\n]|\\.)*\])+) ?(?:\xef\xbb\xbf)?"
    rb"|(?:<\d{1,3}>)?" + _BSD + rb" (?:" + _SENDER + rb"|[A-Za-z][^\s:]* (?=\d))"
    rb"|(?:<\d{1,3}>)?\[?" + _ISO + rb"\]?:?(?:[ \t]+(?:" + _SENDER + rb")?|(?=\n|$))"
    rb"|<\d{1,3}>"
    rb")(?:[^ \n]*-(?:all|accept|reject)(?:[ \t]+|(?=\n|$)))?",
    re.MULTILINE,
)
"""A prefix of a line: that of syslog (RFC 5424, RFC 3164) or of `aws logs tail`; then the log stream, if any."""

_ADDRESS = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.:]*")
_NO_DATA = (b"NODATA", b"SKIPDATA")

_OTHER_NAMES = {
    "account": "account-id",
    "sourceaddress": "srcaddr",
    "destinationaddress": "dstaddr",
    "sourceport": "srcport",
    "destinationport": "dstport",
    "numpackets": "packets",
    "numbytes": "bytes",
    "starttime": "start",
    "endtime": "end",
}
"""The names that the Athena tables in AWS's documentation use for fields, besides the fields' own names."""

_BY_SQUASHED_NAME = {**{name.replace("-", ""): name for name in FIELDS}, **_OTHER_NAMES}
_MESSAGES = ("message", "@message")


@dataclass(frozen=True, slots=True)
class _Wrapping:
    """A wrapping: its name, the function that unwraps a block of lines, and whether a first line declares it."""

    words: str
    change: Callable[[bytes], bytes]
    is_sure: bool = False


def unwrapped(source: Source) -> tuple[str, Iterator[bytes]]:
    """Return the name of a decompressed file's wrapping, and pieces of its whole lines without the wrapping.

    For a plain file, these are `""` and its pieces, unchanged.

    Raises:
        UnreadableError: during the iteration: a JSON value does not end, or is too long.

    """
    head = source.peek(LOOK_BYTES)
    encoding = _UTF16.get(head[:2])
    if encoding:
        source = Source(_as_utf8(iter(source), encoding))
        head = source.peek(LOOK_BYTES)
    if is_plain(head):
        return "", iter(source)
    if re.match(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*(?:[\[{\]"]|[\d.]+\s*,))', head):
        return "JSON", _json_lines(iter(source))
    lines = _first_lines(head, is_whole=source.is_whole)
    wrong = [line for line in lines if not _looks_right(line)]
    tables = list(_tables(lines))
    for wrapping in (*(one for one in tables if one.is_sure), *_other_headers(lines)):
        return wrapping.words, _changed(_blocks(iter(source)), wrapping.change)
    for wrapping in (_STAMPED, *tables, *_LINE_CHANGES) if wrong else ():
        if _helps(wrapping.change, wrong, len(lines)):
            return wrapping.words, _changed(_blocks(iter(source)), wrapping.change)
    return "", iter(source)


def _first_lines(head: bytes, *, is_whole: bool) -> list[bytes]:
    """Return some first lines of a file that are not blank and not cut off."""
    start = head if len(head) <= _LINES_BYTES else head[:_LINES_BYTES]
    lines = start.removeprefix(codecs.BOM_UTF8).replace(b"\r", b"\n").split(b"\n")
    if len(lines) > 1 and not (is_whole and start is head):
        lines.pop()
    return [line for line in lines if line.strip()][:_LINES]


def _looks_right(line: bytes) -> bool:
    """Whether a line may be a record or a header, with any columns."""
    columns = line.split(b" ")
    if (
        len(columns) < _COLUMNS
        or b"" in columns
        or line.startswith(b"'")
        or any(mark in line for mark in (b'"', b",", b"\t", b"{"))
    ):
        return False
    addresses = sum(1 for column in columns if _ADDRESS.fullmatch(column))
    if addresses >= 2 or columns[-1] in _NO_DATA or any(column in columns for column in _NO_DATA):
        return _PREFIX.match(line) is None
    return columns[0].decode(errors="replace") in FIELDS


def _helps(change: Callable[[bytes], bytes], wrong: list[bytes], lines: int) -> bool:
    """Whether enough of the lines that look wrong look right after a change, or become empty."""
    mended = 0
    for line in wrong:
        changed = [one for one in change(line + b"\n").split(b"\n") if one.strip()]
        mended += _looks_right(changed[-1]) if changed else 1
    if change in (_without_blanks, _without_any):
        # A double blank may also be an empty column: one such line is not enough evidence.
        return mended > max(1, lines - len(wrong))
    return mended * 3 > lines or (mended > 0 and change is _without_prefix)


def _other_headers(lines: list[bytes]) -> Iterator["_Wrapping"]:
    """Find a header that is in quotes, follows a mark, or is not written as AWS writes one."""
    for number, line in enumerate(lines[:_TITLES]):
        header = _header_in(line)
        if header is None or header == line:
            continue
        behind = lines[number + 1 :]
        is_wrapped = any(not _looks_right(one) for one in behind)
        change = _without_any if is_wrapped else _unchanged
        width = len(header.split())
        if sum(len(change(one).split()) == width for one in behind) * 2 >= len(behind):
            yield _Wrapping("wrapped lines", _with_header(line, header, change), is_sure=True)
        return


def _header_in(line: bytes) -> bytes | None:
    """Return the column names in a line, in AWS's spelling; None if it is not a header."""
    line = _PREFIX.sub(b"", line)
    words = [word.decode() for word in re.findall(rb"[A-Za-z][A-Za-z0-9_-]*", line)]
    names = [_BY_SQUASHED_NAME.get(re.sub("[_-]", "", word.lower())) for word in words]
    while names and names[0] is None:  # `#Fields:`, `SELECT`
        names.pop(0)
    known = [name for name in names if name]
    is_header = len(known) >= _COLUMNS and len(known) == len(names) and {"srcaddr", "dstaddr"} <= set(known)
    return " ".join(known).encode() if is_header and len(set(known)) == len(known) else None


def _with_header(line: bytes, header: bytes, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def with_header(block: bytes) -> bytes:
        return b"\n".join(header if one == line else change(one) for one in block.split(b"\n"))

    return with_header


def _unchanged(line: bytes) -> bytes:
    return line


def _changed(blocks: Iterator[bytes], change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    for block in blocks:
        if holds_packed(block):
            raise UnreadableError("compressed data begins among its lines; split the file there")
        if lines := change(block):
            yield lines


def _blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines, each with a line feed, in blocks, without a byte order mark."""
    rest = b""
    is_first = True
    ends_in_carriage = False
    for piece in pieces:
        if ends_in_carriage and piece.startswith(b"\n"):
            piece = piece[1:]
        ends_in_carriage = piece.endswith(b"\r")
        data = rest + (piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece)
        if is_first and len(data) >= len(codecs.BOM_UTF8):
            data = data.removeprefix(codecs.BOM_UTF8)
            is_first = False
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        rest = data[end:]
        if len(rest) > 2 * LONGEST_LINE_BYTES:
            rest = rest[:LONGEST_LINE_BYTES]
    if rest:
        yield rest + b"\n"


def _as_utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in pieces:
            if text := _checked(decoder.decode(piece).removeprefix("\ufeff")):
                yield text.encode()
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise UnreadableError("damaged: it begins as UTF-16 text, but not all of it is") from error


def _checked(text: str) -> str:
    """Return the text if it is plausible, else raise UnicodeError: other data decodes to nonexistent characters."""
    if not text.isascii():
        from unicodedata import category

        for character in set(text):
            if category(character) in ("Cn", "Co", "Cs"):
                raise UnicodeError
    return text


# --- stamps, quotes, blanks ---


def _without_prefix(block: bytes) -> bytes:
    return _PREFIX.sub(b"", block)


def _without_quotes(block: bytes) -> bytes:
    return re.sub(rb"(?m)^[ \t]*([\"'])(.*)\1[ \t]*,?[ \t]*$", rb"\2", block)


def _without_blanks(block: bytes) -> bytes:
    block = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", block)
    return re.sub(rb"[ \t]{2,}|\t", b" ", block)


def _without_any(block: bytes) -> bytes:
    return _without_blanks(_without_quotes(_without_prefix(_without_blanks(_without_quotes(block)))))


_STAMPED = _Wrapping("lines behind time stamps", _without_prefix)
_LINE_CHANGES = (
    _Wrapping("lines in quotes", _without_quotes),
    _Wrapping("columns between several blanks", _without_blanks),
    _Wrapping("wrapped lines", _without_any),
)


# --- columns separated by commas, tabs and the like ---


def _cells(line: bytes, separator: bytes) -> list[bytes]:
    """Split a line into its cells, without quotes. A quote that is not closed ends with its line."""
    if b'"' not in line:
        return line.split(separator)
    import csv

    text = line.decode("latin-1")
    try:
        row = next(csv.reader([text], delimiter=separator.decode()), [])
    except csv.Error:
        return line.split(separator)
    return [cell.rstrip("\r\n").encode("latin-1") for cell in row]


def _tables(lines: list[bytes]) -> Iterator[_Wrapping]:
    """Yield the ways to read the lines as rows of a table, the most certain first."""
    for separator, words in (
        (b"\t", "columns between tabs"),
        (b",", "CSV"),
        (b";", "CSV"),
        (b"|", "columns between |"),
    ):
        if sum(1 for line in lines if separator in line) * 2 < len(lines):
            continue
        names = [cell.strip().decode(errors="replace").lower() for cell in _cells(lines[0], separator)] if lines else []
        message = next((names.index(name) for name in _MESSAGES if name in names), None)
        if message is not None:
            yield _Wrapping(words, _table_of_messages(separator, message, lines[0]), is_sure=True)
        fields = [_BY_SQUASHED_NAME.get(re.sub("[_ -]", "", name)) for name in names]
        if sum(1 for field in fields if field) >= _COLUMNS and not any("(" in name or "_col" in name for name in names):
            yield _Wrapping(words, _table_of_fields(separator, fields, lines[0]), is_sure=True)
        yield _Wrapping(words, _rows(separator))


def _table_of_messages(separator: bytes, message: int, header: bytes) -> Callable[[bytes], bytes]:
    def change(block: bytes) -> bytes:
        out = []
        for line in block.split(b"\n"):
            if line == header or not line.strip(b'" '):
                continue
            cells = _cells(line, separator)
            out.append(cells[message].strip() if len(cells) > message else line)
        return b"\n".join(out) + b"\n" if out else b""

    return change


def _table_of_fields(separator: bytes, fields: list[str | None], header: bytes) -> Callable[[bytes], bytes]:
    wanted = [(number, field) for number, field in enumerate(fields) if field]
    own_header = " ".join(field for _, field in wanted).encode()

    def change(block: bytes) -> bytes:
        out = [own_header]
        for line in block.split(b"\n"):
            if line == header or not line.strip():
                continue
            cells = _cells(line, separator)
            if len(cells) < len(fields):
                out.append(line)
            else:
                out.append(b" ".join(b"-".join(cells[number].split()) or b"-" for number, _ in wanted))
        return b"\n".join(out) + b"\n"

    return change


def _rows(separator: bytes) -> Callable[[bytes], bytes]:
    """Read rows without column names: a row's cells that are records, or else all its cells as one record's columns."""
    paging = re.compile(rb"SEARCHEDLOGSTREAMS\t.*|[bf]/\d+/s(?:\t[bf]/\d+/s)*")

    def change(block: bytes) -> bytes:
        out = []
        for line in block.split(b"\n"):
            if separator not in line:
                if not paging.fullmatch(line):
                    out.append(line)
                continue
            cells = [cell.strip() for cell in _cells(line, separator)]
            records = [cell for cell in cells if _looks_right(cell)]
            if records:
                out += records
            elif not any(b" " in cell for cell in cells):
                if not paging.fullmatch(line):
                    out.append(b" ".join(cell or b"-" for cell in cells if cell or separator != b"|"))
            else:
                # The message is the cell with the most columns; the engine judges its content.
                out.append(max(cells, key=lambda cell: cell.count(b" ")))
        return b"\n".join(out)

    return change


# --- JSON ---

_MOST_VALUE_CHARACTERS = 256 << 20


def _json_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines in JSON values: one value per line, glued together, spread over lines, or all in one list."""
    import json

    decode = json.JSONDecoder().raw_decode
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text, at, is_ended = "", 0, False
    names: tuple[str, ...] = ()
    out: list[str] = []
    while True:
        at = _BETWEEN_VALUES(text, at).end()  # type: ignore[union-attr]
        if at < len(text):
            try:
                value, end = decode(text, at if text[at] in '{["' else len(text))  # a number cannot contain lines
            except (json.JSONDecodeError, RecursionError) as error:
                cut = (
                    isinstance(error, json.JSONDecodeError)
                    and text[at] in '{["'
                    and (error.msg.startswith("Unterminated string") or error.pos >= len(text) - _LONGEST_TOKEN)
                )
                if cut and is_ended:
                    raise UnreadableError("ends early: a JSON value is cut off, or still being written") from error
                if not cut:
                    # A line that is not JSON, among lines of JSON.
                    end = text.find("\n", at)
                    end = len(text) if end < 0 else end
                    if end == len(text) and not is_ended and len(text) - at < LONGEST_LINE_BYTES:
                        text, is_ended = _more(pieces, decoder, text[at:], LONGEST_LINE_BYTES)
                        at = 0
                        continue
                    out.append(text[at:end])
                    at = end
                    continue
            else:
                names = _collect(value, out, names)
                at = end
                if len(out) < _LINES_TOGETHER:
                    continue
        if out:
            yield _as_bytes("".join(f"{line}\n" for line in out))
            out.clear()
        if at < len(text) and is_ended:
            continue
        if is_ended:
            return
        if len(text) - at > _MOST_VALUE_CHARACTERS:
            raise UnreadableError(
                f"a JSON value of more than {_MOST_VALUE_CHARACTERS >> 20} MiB; write one value per line"
            )
        text, is_ended = _more(pieces, decoder, text[at:], max(len(text) - at, LOOK_BYTES))
        at = 0


_BETWEEN_VALUES = re.compile("[ \t\r\n,\ufeff\x1e\0]*").match
_LONGEST_TOKEN = 32
_LINES_TOGETHER = 1_000


def _as_bytes(text: str) -> bytes:
    """Return a text as it was stored; half a surrogate pair, from a JSON escape, becomes `?`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _more(pieces: Iterator[bytes], decoder: codecs.IncrementalDecoder, text: str, characters: int) -> tuple[str, bool]:
    """Return the text with that many more characters appended, and whether the input ended."""
    parts, have = [text], 0
    while have < characters:
        piece = next(pieces, None)
        if piece is None:
            return "".join([*parts, decoder.decode(b"", final=True)]), True
        parts.append(decoder.decode(piece))
        have += len(parts[-1])
    return "".join(parts), False


def _collect(value: object, out: list[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Append the lines in a JSON value to `out`; return the columns of the last header among them."""
    try:
        found = _lines_in(value, names)
    except RecursionError:  # nested more deeply than any record
        found = None
    if found is None:
        out.append(_no_record(value))
        return names
    out += found[0]
    return found[1]


def _lines_in(value: object, names: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]] | None:
    """Return the lines in a JSON value, and the columns of the last header among them; None if it cannot hold any."""
    if isinstance(value, str):
        return [line.strip() for line in re.split("[\r\n]+", value)], names
    if isinstance(value, list):
        if value and all(isinstance(one, dict) and set(one) == {"field", "value"} for one in value):  # Logs Insights
            return _lines_in({one["field"]: one["value"] for one in value}, names)
        return _lines_in_list(value, names)
    if not isinstance(value, dict):
        return None
    if value.get("messageType") == "CONTROL_MESSAGE":
        return [], names
    for key in ("logEvents", "events", "results"):
        if isinstance(value.get(key), list):
            return _lines_in_list(value[key], names)
    for key in _MESSAGES:
        message = value.get(key)
        if isinstance(message, str | dict) and (found := _lines_in(message, names)) is not None:
            return found
    fields = {
        name: one for key, one in value.items() if (name := _BY_SQUASHED_NAME.get(re.sub("[_ -]", "", key.lower())))
    }
    if {"srcaddr", "dstaddr"} & fields.keys() and len(fields) >= _COLUMNS:
        header = [] if tuple(fields) == names else [" ".join(fields)]
        return [*header, " ".join(map(_as_column, fields.values()))], tuple(fields)
    return _lines_in_some_key(value, names)


def _lines_in_some_key(value: dict[str, object], names: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]] | None:
    """Return the lines under the one key that holds records, whatever its name; None if keys hold different records."""
    found = None
    for one in value.values():
        if isinstance(one, str) and not _looks_right(one.strip().encode("utf-8", "replace")):
            continue
        lines = _lines_in(one, names) if isinstance(one, str | dict | list) else None
        if lines is None or not lines[0] or all(line.startswith("{") for line in lines[0]):
            continue
        if found is not None and found != lines:
            return None
        found = lines
    return found


def _lines_in_list(values: list[object], names: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]] | None:
    """Return the lines in a list's items. Numbers beside them are times; None if there are only numbers."""
    out: list[str] = []
    items = [one for one in values if isinstance(one, dict | list) or (not re.fullmatch(r"[\d.]+", str(one)))]
    if values and not items:
        return None
    for one in items:
        names = _collect(one, out, names)
    return out, names


def _as_column(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "-".join(str(value).split()) or "-" if value is not None else "-"


def _no_record(value: object) -> str:
    """Return a line that is not a record, in place of a value; it shows the value's keys or its type."""
    keys = ",".join(value) if isinstance(value, dict) else type(value).__name__
    return "{" + re.sub(r"[^\w,]+", "_", keys)[:60] + "}"
