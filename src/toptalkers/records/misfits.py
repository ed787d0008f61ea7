"""What a file that does not fit its layout looks like, and how to ask for it: one line for the user."""

from collections.abc import Iterator, Sequence

from toptalkers.answer.answer import Tally
from toptalkers.flowlog.fields import DEFAULT_FIELDS, TRANSIT_GATEWAY_FIELDS
from toptalkers.kernel.counter import Counter, Misfit
from toptalkers.question.key import is_address
from toptalkers.question.query import Query


def why_left_out(counter: Counter, tally: Tally, query: Query, wrapping: str) -> str | None:
    """Say why a file does not count for what its lines are, as all engines have it; None when it counts.

    Args:
        counter: which has just ended the file's lines.
        tally: of them.
        query: what was asked.
        wrapping: what they were taken out of, in words; `""` for plain lines.

    """
    misfit = counter.misfit()
    if misfit is None:
        return None
    read_as = f"read as {wrapping}: " if wrapping else ""
    return read_as + describe_misfit(misfit, tally, query)


def describe_misfit(misfit: Misfit, tally: Tally, query: Query) -> str:
    """Say why a file is left out, and what to do.

    Args:
        misfit: its first line that does not fit.
        tally: the file's.
        query: what was asked; a header may lack what it needs.

    """
    from toptalkers.job.count_flows import begins_packed, names_columns  # only for who has a misfit

    lacking = [name for name in query.needed_fields if name not in misfit.fields]
    if lacking:
        return _describe_lack(misfit, lacking, query)
    columns = misfit.line.rstrip(b" ").split(b" ")
    if not misfit.is_odd and begins_packed(misfit.line):
        return "packed bytes follow its lines: split it there"
    if not misfit.is_odd and names_columns(misfit.line):
        start = misfit.line[:60].decode("utf-8", "replace")
        return f"a line in it names columns, but is no header: {start!r}; write field names as AWS does, with blanks"
    whose = "its header names" if misfit.by_header else "the log format has"
    if misfit.is_odd:
        what = f"its lines have the right number of columns, but not what {whose}"
    elif len(columns) != len(misfit.fields):
        number, width = len(columns), "column" if len(columns) == 1 else "columns"
        if not query.log_format and not misfit.by_header:
            whose = "the default format has"
        what = f"its lines have {number} {width}, and {whose} {len(misfit.fields)}"
    else:
        what = f"{tally.malformed:,} of its {tally.records_read:,} lines are not what {whose}"
    return f"{what}; {_advise(misfit, columns)}"


def _wrong(fields: Sequence[str], columns: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """The columns of a line that hold what they cannot hold, each with its name."""
    from toptalkers.job.count_flows import TELLING

    judges = {name.decode(): judge for name, judge in TELLING}
    for name, text in zip(fields, columns, strict=True):
        if text != b"-" and name in judges and not judges[name](text):
            yield name, text


def _describe_lack(misfit: Misfit, lacking: list[str], query: Query) -> str:
    names = ", ".join(lacking)
    whose = "its header names no" if misfit.by_header else "its layout has no"
    if lacking == ["action"]:
        kind = " (transit gateway records have none)" if "tgw-id" in misfit.fields else ""
        return f"{whose} action{kind}, and {query.action} was asked for: ask with --action ALL"
    return f"{whose} {names}, which the question needs"


def _advise(misfit: Misfit, columns: list[bytes]) -> str:
    if misfit.line.startswith(b"{") and len(columns) == 1:
        return f"no flow record is in {misfit.line[:60].decode('utf-8', 'replace')!r}"
    how = "name its format with --log-format '${field} ${field} ...'"
    if len(columns) == len(TRANSIT_GATEWAY_FIELDS) and not misfit.by_header:
        addresses = columns[TRANSIT_GATEWAY_FIELDS.index("srcaddr")], columns[TRANSIT_GATEWAY_FIELDS.index("dstaddr")]
        if all(is_address(text.decode("latin-1")) for text in addresses):
            return "they look like transit gateway records: ask with --log-format transit-gateway --action ALL"
    if b"ACCEPT" in columns or b"REJECT" in columns or b"NODATA" in columns:
        if tuple(misfit.fields) == DEFAULT_FIELDS and len(columns) == len(DEFAULT_FIELDS):
            wrong = list(_wrong(misfit.fields, columns))
            if not wrong:
                return "write its lines as AWS does"
            name, text = wrong[0]
            said = f"{text.decode('utf-8', 'replace')!r} is no {name}"
            return said if len(wrong) == 1 else f"{said}; if its columns are in another order, {how}"
        if len(columns) == len(DEFAULT_FIELDS) and columns[0].isdigit() and columns[-1] in (b"OK", b"NODATA"):
            return "they look like the default format: ask with --log-format default"
        return f"they look like another flow-log format: {how}"
    if any(is_address(text.decode("latin-1")) for text in columns):
        return f"they hold addresses: if this is a flow log, {how}"
    start = misfit.line[:60].decode("utf-8", "replace")
    return f"if this is a flow log, {how}; it begins with {start!r}"
