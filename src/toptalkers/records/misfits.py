"""Explain to the user, in one line, why a file does not fit its layout, and how to ask for it."""

from collections.abc import Iterator, Sequence

from toptalkers.answer.answer import Tally
from toptalkers.flowlog.fields import DEFAULT_FIELDS, TRANSIT_GATEWAY_FIELDS
from toptalkers.kernel.counter import Counter, Misfit
from toptalkers.question.conversations import counted_question
from toptalkers.question.digest import is_digest
from toptalkers.question.key import is_address
from toptalkers.question.query import Query


def why_left_out(counter: Counter, tally: Tally, query: Query, wrapping: str) -> str | None:
    """Explain why a file is left out because of its lines, in all engines alike; None if it counts.

    `counter` has just read the file's last line; `tally` is that of its lines; `wrapping` is `""` for plain lines.
    """
    misfit = counter.misfit()
    if misfit is None:
        return None
    return (f"read as {wrapping}: " if wrapping else "") + describe_misfit(misfit, tally, query)


def describe_misfit(misfit: Misfit, tally: Tally, query: Query) -> str:
    """Explain why a file is left out, and what to do, by its first line that does not fit and its tally."""
    from toptalkers.job.count_flows import begins_packed, names_columns  # loaded only if there is a misfit

    lacking = [name for name in counted_question(query).needed_fields if name not in misfit.fields]
    if lacking:
        return _describe_lack(misfit, lacking, query)
    columns = misfit.line.rstrip(b" ").split(b" ")
    if not misfit.is_odd and begins_packed(misfit.line):
        return "compressed data follows its lines: split the file there"
    if not misfit.is_odd and names_columns(misfit.line):
        return (
            f"a line names columns, but is not a header: {_start(misfit)}; write field names as AWS does, with blanks"
        )
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


def _start(misfit: Misfit) -> str:
    return repr(misfit.line[:60].decode("utf-8", "replace"))


def _impossible(fields: Sequence[str], columns: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the text of each column of a line that cannot have this text."""
    from toptalkers.job.count_flows import TELLING

    judges = {name.decode(): judge for name, judge in TELLING}
    for name, text in zip(fields, columns, strict=True):
        if text != b"-" and name in judges and not judges[name](text):
            yield name, text


def _describe_lack(misfit: Misfit, lacking: list[str], query: Query) -> str:
    whose = "its header names no" if misfit.by_header else "its layout has no"
    if lacking == ["action"]:
        kind = " (transit gateway records have none)" if "tgw-id" in misfit.fields else ""
        return f"{whose} action{kind}, and the question is for {query.action}: ask with --action ALL"
    others = [name for name in lacking if name != "action"]  # which is told when it is the only one
    if not all(query.options_needing([name]) for name in others):
        who = "a digest" if is_digest(query) else "the question"
        return f"{whose} {', '.join(lacking)}, which {who} needs"
    options = query.options_needing(others)
    verb = "needs" if len(options) == 1 else "need"
    return f"{whose} {', '.join(others)}, which {' and '.join(options)} {verb}: ask without, or of other files"


def _advise(misfit: Misfit, columns: list[bytes]) -> str:
    if misfit.line.startswith(b"{") and len(columns) == 1:
        return f"there is no flow record in {_start(misfit)}"
    how = "name its format with --log-format '${field} ${field} ...'"
    if len(columns) == len(TRANSIT_GATEWAY_FIELDS) and not misfit.by_header:
        addresses = columns[TRANSIT_GATEWAY_FIELDS.index("srcaddr")], columns[TRANSIT_GATEWAY_FIELDS.index("dstaddr")]
        if all(is_address(text.decode("latin-1")) for text in addresses):
            return "they look like transit gateway records: ask with --log-format transit-gateway --action ALL"
    if b"ACCEPT" in columns or b"REJECT" in columns or b"NODATA" in columns:
        if tuple(misfit.fields) == DEFAULT_FIELDS and len(columns) == len(DEFAULT_FIELDS):
            wrong = list(_impossible(misfit.fields, columns))
            if not wrong:
                return "write its lines as AWS does"
            name, text = wrong[0]
            reason = f"the column {name} cannot be {text.decode('utf-8', 'replace')!r}"
            return reason if len(wrong) == 1 else f"{reason}; if its columns are in another order, {how}"
        if len(columns) == len(DEFAULT_FIELDS) and columns[0].isdigit() and columns[-1] in (b"OK", b"NODATA"):
            return "they look like the default format: ask with --log-format default"
        return f"they look like another flow-log format: {how}"
    if any(is_address(text.decode("latin-1")) for text in columns):
        return f"they contain addresses: if this is a flow log, {how}"
    return f"if this is a flow log, {how}; it begins with {_start(misfit)}"
