"""A report as one HTML file: what `report.py` found, in words, tables and bars.

The head, the colours, the picture and the script are those of `page.py`. All texts are escaped: names of machines and
files were written by others.
"""

import html
import importlib.resources
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from toptalkers.picture.page import format_graph, format_head, format_tail, format_theme_switch
from toptalkers.picture.report import MONTH_HOURS, ZONE_PRICE_DATE, Report, Row, Table, Zones
from toptalkers.picture.words import format_amount, format_sum
from toptalkers.question.times import HOUR_SECONDS, parse_seconds
from toptalkers.visible import visible

MOST_SAID = 3
"""How many conversations the summary names."""

_BARS_WIDTH, _BARS_HEIGHT = 960, 180
"""The picture of hours, in units of its own: it is scaled to the page."""

_TITLES = {
    "srcaddr": "From",
    "src.name": "From",
    "dstaddr": "To",
    "dst.name": "To",
    "service": "Service",
    "src.zone": "From zone",
    "dst.zone": "To zone",
    "hour": "Hour (UTC)",
}

_SUM_TITLES = {"bytes": "Volume", "records": "Records"}


def format_report(report: Report) -> Iterator[bytes]:
    """Yield the HTML file, in UTF-8, that shows a report."""
    for text in _format(report):
        yield text.encode()


def _format(report: Report) -> Iterator[str]:
    sections = list(_sections(report))
    yield format_head(report.title, _styles())
    yield '<a class="skip" href="#summary">Skip to the summary</a>\n'
    yield f"<header><h1>{_text(report.title)}</h1>{format_theme_switch()}</header>\n"
    yield '<main class="report">\n<nav aria-label="Sections"><ul>\n'
    for anchor, title, _ in sections:
        yield f'<li><a href="#{anchor}">{_text(title)}</a></li>\n'
    yield "</ul></nav>\n"
    for anchor, title, parts in sections:
        yield f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n<h2 id="{anchor}-title">{_text(title)}</h2>\n'
        yield from parts
        yield "</section>\n"
    yield f"<footer><p>{_text(report.made)}</p></footer>\n</main>\n"
    yield format_tail()


def _sections(report: Report) -> Iterator[tuple[str, str, Iterator[str]]]:
    """The anchor, the title and the HTML of each section."""
    yield "summary", "Summary", _summary(report)
    yield "talkers", "Who talks to whom", _tabled("The largest conversations", report.conversations)
    yield "senders", "Who sends most", _tabled("The largest senders", report.sources)
    yield "receivers", "Who receives most", _tabled("The largest receivers", report.targets)
    yield "services", "By service", _tabled("The largest services", report.services)
    yield "zones", "Between zones", _between_zones(report)
    yield "over-time", "Over time", _over_time(report)
    yield "refusals", "Refused", _refusals(report)
    yield "data-quality", "Quality of the data", _quality(report)
    yield "the-network", "The network", format_graph(report.network)


# --- the summary ---


def _summary(report: Report) -> Iterator[str]:
    total = report.hours.totals[0]
    files = f"{report.files:,} file{'' if report.files == 1 else 's'}"
    window = report.window
    span = ""
    if window:
        number = (window[1] - window[0]) // HOUR_SECONDS
        span = f", from {_time(window[0])} to {_time(window[1])} UTC ({number:,} hour{'' if number == 1 else 's'})"
    records = report.hours.totals[1]
    refused = report.refused.totals[0] if report.refused else 0
    what = {"ACCEPT": " accepted", "REJECT": " refused", "ALL": ""}[report.action]
    others = (
        f"; {refused:,} more {'was' if refused == 1 else 'were'} refused"
        if refused and report.action == "ACCEPT"
        else ""
    )
    yield (
        f"<p>{report.counted:,} record{' counts' if report.counted == 1 else 's count'}, in {files}{span}."
        f" The {records:,}{what} ones carried <strong>{_amount(total)}</strong>{others}.</p>\n"
    )
    if not report.conversations.rows:
        nothing = f"No record was{what}" if report.counted and what else "No record counts"
        yield f"<p>{nothing}, so there is nothing to rank.</p>\n"
    else:
        yield "<p>Most of it:</p>\n<ol>\n"
        for row in report.conversations.rows[:MOST_SAID]:
            yield f"<li>{_conversation(row)}: {_amount(row.sums[0])}{_of_all(row.sums[0], total)}</li>\n"
        yield "</ol>\n"
    yield "<ul>\n"
    if zones := report.zones:
        yield f"<li>{_amount(zones.across)}{_of_all(zones.across, total)} crossed zones: {_cost(zones, report)}.</li>\n"
    if report.refused and report.refused.rows:
        row = report.refused.rows[0]
        number = report.refused.totals[0]
        yield (
            f"<li>Most often refused of {number:,}: {_conversation(row)}, {format_sum('records', row.sums[0])}.</li>\n"
        )
    if report.doubts:
        number = len(report.doubts)
        yield (
            f'<li><a href="#data-quality">{number} doubt{"" if number == 1 else "s"}</a> about the data:'
            f" {_text(report.doubts[0])}{', and more' if number > 1 else ''}.</li>\n"
        )
    if not report.has_names:
        yield "<li>Addresses have no names here: <code>--names</code> with a snapshot gives them.</li>\n"
    yield "</ul>\n"


def _conversation(row: Row) -> str:
    source, target, service = map(_text, row.key)
    return f"<b>{source}</b> → <b>{target}</b>, {service}"


# --- tables ---


def _tabled(caption: str, table: Table) -> Iterator[str]:
    yield from _table(caption, table)
    yield _command(table)


def _table(caption: str, table: Table) -> Iterator[str]:
    """A table of rows, with the share of the first sum, and a last line for what is not shown."""
    if not table.rows:
        yield "<p>None.</p>\n"
        return
    titles = [_TITLES[word] for word in table.query.by]
    sums = [_SUM_TITLES[metric] for metric in table.query.metric]
    heads = [f'<th scope="col">{title}</th>' for title in titles]
    first_sum, *other_sums = (f'<th scope="col" class="number">{title}</th>' for title in sums)
    heads += [first_sum, '<th scope="col" class="number">Share</th><td></td>', *other_sums]
    longest = max(row.sums[0] for row in table.rows)
    yield (
        f'<div class="wide" tabindex="0" role="region" aria-label="{_text(caption)}, table">\n<table>'
        f"<caption>{_text(caption)}</caption>\n<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n"
    )
    for row in table.rows:
        first, *others = row.key
        keys = f'<th scope="row">{_text(first)}</th>' + "".join(f"<td>{_text(one)}</td>" for one in others)
        yield f"<tr>{keys}{_sums(table, row.sums, longest=longest)}</tr>\n"
    yield "</tbody>\n"
    if table.more:
        rows = f"{table.more:,} more row{'' if table.more == 1 else 's'}"
        rest = _sums(table, table.rest)
        yield f'<tfoot><tr><th scope="row" colspan="{len(titles)}">{rows}</th>{rest}</tr></tfoot>\n'
    yield "</table></div>\n"


def _sums(table: Table, sums: Sequence[int], *, longest: int = 0) -> str:
    """The cells of the sums, and after the first one its share of all and a bar beside those of the `longest` row."""
    cells = [
        f'<td class="number"><data value="{number}">{format_amount(metric, number)}</data></td>'
        for metric, number in zip(table.query.metric, sums, strict=True)
    ]
    share = 100 * sums[0] / table.totals[0] if table.totals[0] else 0.0
    cells.insert(1, f'<td class="number">{share:.1f}%</td><td class="share">{_bar(sums[0], longest)}</td>')
    return "".join(cells)


def _bar(number: int, longest: int) -> str:
    """A bar beside a number that is already said; none for what is longer than the longest row."""
    if not 0 < number <= longest:
        return ""
    length = 100 * number / longest
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{length:.1f}" height="10"/></svg>'
    )


def _command(table: Table) -> str:
    return f'<p class="again">The same figures:</p>\n<pre class="command"><code>{_text(table.command)}</code></pre>\n'


# --- the other sections ---


def _between_zones(report: Report) -> Iterator[str]:
    zones = report.zones
    if zones is None:
        yield (
            "<p>Zones are known by names only. Take a snapshot with"
            " <code>toptalkers snapshot --output network.json.gz</code>, and give it with"
            " <code>--names network.json.gz</code>.</p>\n"
        )
        return
    total = zones.table.totals[0]
    yield (
        f"<p><strong>{_amount(zones.across)}</strong>{_of_all(zones.across, total)} went from one zone to another:"
        f" {_cost(zones, report)}. {_amount(zones.within)} stayed within a zone; {_amount(zones.unknown)} came from or"
        " went to addresses without a zone, or with several.</p>\n"
    )
    if zones.counts_once:
        why = f"Each conversation is counted once, so a GB is paid for in both directions: {_dollars(zones.per_gb)}"
    else:
        why = (
            "Records are added up as logged. The interfaces of both ends log what crosses, and each log is for"
            f" the direction that its end pays: {_dollars(zones.per_gb)} per logged GB. If only one end is logged,"
            " it is twice as much"
        )
    yield (
        '<p class="note">A rule of thumb, not a bill: '
        f"{_dollars(zones.price)} per GB (10<sup>9</sup> bytes) in each direction, AWS's usual price as"
        f" of {ZONE_PRICE_DATE} (<code>--zone-price</code> sets another). {_text(why)}. Some traffic is free, such as"
        " that of a load balancer to its targets or of a database to its replica.</p>\n"
    )
    yield from _table("The largest pairs of zones", zones.table)
    yield _command(zones.table)


def _over_time(report: Report) -> Iterator[str]:
    table, window = report.hours, report.window
    if window is None:
        yield "<p>No record that counts has a time.</p>\n"
        return
    yield _bars(table, window)
    yield f"<details><summary>The {len(table.rows):,} hours as a table</summary>\n"
    yield from _table("Hours", table)
    yield "</details>\n"
    yield _command(table)


def _bars(table: Table, window: tuple[int, int]) -> str:
    """The volume of each hour, as a picture that says to those who cannot see it what is in it."""
    start, end = window
    volumes = {parse_seconds(row.key[0].encode()): row.sums[0] for row in table.rows if row.key[0] != "-"}
    slots = (end - start) // HOUR_SECONDS
    largest = max(volumes.values())
    peak = max(volumes, key=lambda hour: (volumes[hour], -hour))
    step = _BARS_WIDTH / slots
    bars = []
    for hour, volume in volumes.items():
        height = _BARS_HEIGHT * volume / largest if largest else 0.0
        left = (hour - start) // HOUR_SECONDS * step
        bars.append(
            f'<rect x="{left:.2f}" y="{_BARS_HEIGHT - height:.2f}" width="{max(step * 0.86, 0.5):.2f}"'
            f' height="{height:.2f}"><title>{_time(hour)}: {_amount(volume)}</title></rect>'
        )
    label = f"Volume per hour from {_time(start)} to {_time(end)}. The largest: {_amount(largest)} at {_time(peak)}."
    return (
        f'<figure>\n<svg class="hours" viewBox="0 0 {_BARS_WIDTH} {_BARS_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{label}">\n{"".join(bars)}\n</svg>\n'
        f'<p class="ends"><span>{_time(start)}</span><span>{_time(end)}</span></p>\n'
        f"<figcaption>{label}</figcaption>\n</figure>\n"
    )


def _refusals(report: Report) -> Iterator[str]:
    table = report.refused
    if table is None:
        why = (
            "no record says whether it was accepted or refused"
            if report.action == "ALL"
            else "--action leaves them out"
        )
        yield f"<p>Refused records are not counted: {why}.</p>\n"
        return
    yield (
        f"<p>{format_sum('records', table.totals[0])} refused by security groups or network ACLs. A sender who is"
        " refused on many services, or by many receivers, is looking around or wrongly set up.</p>\n"
    )
    yield from _table("The most refused", table)
    yield _command(table)


def _quality(report: Report) -> Iterator[str]:
    if report.doubts:
        yield f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in report.doubts)}</ul>\n"
    else:
        yield "<p>Nothing that <code>--strict</code> looks for is in doubt.</p>\n"
    if not report.counts_once:
        yield (
            "<p>Records are added up as they were logged: what several interfaces logged counts several times."
            " <code>--count once</code> counts each conversation once.</p>\n"
        )
    if report.has_names:
        yield (
            "<p>A name with <code>~</code> is of another time than the records; names with <code>|</code> between them"
            " are all that an address may have had.</p>\n"
        )
    lines = "\n".join(filter(None, (report.subject, report.tally, report.statement)))
    yield f'<pre class="tally">{html.escape(lines)}</pre>\n'


# --- words ---


def _text(text: str) -> str:
    """A text of somebody else as HTML, also within quotes, with every character visible."""
    return html.escape(visible(text))


def _amount(number: int) -> str:
    return format_amount("bytes", number)


def _of_all(number: int, total: int) -> str:
    return f" ({100 * number / total:.1f}%)" if total else ""


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _dollars(number: float) -> str:
    """USD, to the cent; small prices to the part of a cent."""
    return f"USD {number:,.2f}" if number == 0 or number >= 0.01 else f"USD {number:.2g}"


def _cost(zones: Zones, report: Report) -> str:
    """What crossing cost, and what it would cost in a month."""
    said = f"about {_dollars(zones.cost)}"
    if report.window and zones.cost:
        month = zones.cost * MONTH_HOURS * HOUR_SECONDS / (report.window[1] - report.window[0])
        said += f", or {_dollars(month)} a month at this rate"
    return said


def _styles() -> str:
    return (importlib.resources.files("toptalkers.picture") / "assets" / "report.css").read_text(encoding="utf-8")
