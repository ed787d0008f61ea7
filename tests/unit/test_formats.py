"""Formats of an answer with any key and several sums; and what is shown beside the sums."""

import csv
import io
import json
from dataclasses import replace

import pytest

from toptalkers.answer.answer import Answer, Tally, totals_of
from toptalkers.answer.formats import format_answer
from toptalkers.answer.outcome import absent_parts, notes_of_format
from toptalkers.answer.presentation import FORMATS, Format, Presentation
from toptalkers.answer.quality import Quality
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.query import Query


def answer(query: Query, *lines: str, **totals: int) -> Answer:
    """An answer of these lines, whose columns and sums are separated by spaces here."""
    chunks = ["".join(line.replace(" ", "\t") + "\n" for line in lines).encode()]
    return Answer(query, chunks, Tally(10, 8, {"ports": 2}, 1), len(lines), 0, totals)


def write(of: Answer, form: Format, *show: str) -> str:
    presentation = Presentation.parse(format=form, show=",".join(show) or None)
    presentation.check(of.query)
    return b"".join(format_answer(of, form, presentation.show)).decode()


HOURLY = Query.parse(by="hour,protocol,vpc-id", metric="bytes,records,last")
HOURLY_LINES = (
    "2026-11-23T18:00:00Z 6 vpc-0a1b 1234567 7 2026-11-23T18:59:59Z",
    "2026-11-23T18:00:00Z 253 - 5 1 2026-11-23T18:01:00Z",
    "2026-11-23T19:00:00Z - vpc-0a1b 0 1 2026-11-23T19:01:00Z",
)


def test_tsv_has_no_header_and_nothing_added() -> None:
    """Columns and sums, separated by tabs, as the engines print them."""
    assert write(answer(HOURLY, *HOURLY_LINES), "tsv") == "".join(
        line.replace(" ", "\t") + "\n" for line in HOURLY_LINES
    )


def test_csv_has_a_header_line() -> None:
    """Names of the key's parts, then the metrics; `-` is a value, and times stay as they are printed."""
    assert write(answer(HOURLY, *HOURLY_LINES), "csv") == (
        "rank,hour,protocol,vpc-id,bytes,records,last\n"
        "1,2026-11-23T18:00:00Z,6,vpc-0a1b,1234567,7,2026-11-23T18:59:59Z\n"
        "2,2026-11-23T18:00:00Z,253,-,5,1,2026-11-23T18:01:00Z\n"
        "3,2026-11-23T19:00:00Z,-,vpc-0a1b,0,1,2026-11-23T19:01:00Z\n"
    )


def test_json_has_names_numbers_and_the_question() -> None:
    """Numbers are numbers, times are texts in ISO 8601, and the question has its key, metrics and expression."""
    written = json.loads(write(answer(HOURLY, *HOURLY_LINES), "json"))
    assert written["query"] == {
        "by": "hour,protocol,vpc-id",
        "metric": "bytes,records,last",
        "where": None,
        "ports": "0-1024",
        "action": "ACCEPT",
        "since": None,
        "until": None,
        "top": 0,
    }
    assert written["talkers"][1] == {
        "rank": 2,
        "hour": "2026-11-23T18:00:00Z",
        "protocol": 253,
        "vpc-id": "-",
        "bytes": 5,
        "records": 1,
        "last": "2026-11-23T18:01:00Z",
    }
    lines = write(answer(HOURLY, *HOURLY_LINES), "ndjson").splitlines()
    assert [json.loads(line) for line in lines] == written["talkers"]


def test_the_table_is_for_people() -> None:
    """Sums have separators, protocols have their names, texts and names are on the left and numbers on the right."""
    assert write(answer(HOURLY, *HOURLY_LINES), "table") == (
        "#  hour                  protocol  vpc-id        bytes  records                  last\n"
        "-  --------------------  --------  --------  ---------  -------  --------------------\n"
        "1  2026-11-23T18:00:00Z  tcp       vpc-0a1b  1,234,567        7  2026-11-23T18:59:59Z\n"
        "2  2026-11-23T18:00:00Z  253       -                 5        1  2026-11-23T18:01:00Z\n"
        "3  2026-11-23T19:00:00Z  -         vpc-0a1b          0        1  2026-11-23T19:01:00Z\n"
    )


PAIRS = Query.parse(count="once", pairs="yes")
PAIRS_LINES = (
    "192.0.2.7 10.0.2.11 443 6 149335093 120000 1200 1335093 148000000 50000 70000 500 700 syn",
    "10.0.1.23 10.0.2.11 - 1 840 10 2 420 420 5 5 1 1 ?",
)


def test_pairs_in_csv_and_json_have_both_directions() -> None:
    """The client, the server, the sums of both directions, then of each, then the rule; a share is behind it."""
    written = write(answer(PAIRS, *PAIRS_LINES), "csv")
    assert written == (
        "rank,client,server,port,protocol,bytes,packets,records,bytes_to_server,bytes_to_client,"
        "packets_to_server,packets_to_client,records_to_server,records_to_client,how\n"
        "1,192.0.2.7,10.0.2.11,443,6,149335093,120000,1200,1335093,148000000,50000,70000,500,700,syn\n"
        "2,10.0.1.23,10.0.2.11,-,1,840,10,2,420,420,5,5,1,1,?\n"
    )
    read = json.loads(write(answer(PAIRS, *PAIRS_LINES), "json"))
    assert {name: read["query"][name] for name in ("by", "metric", "ports", "count", "pairs")} == {
        "by": None,
        "metric": "bytes",
        "ports": "all",
        "count": "once",
        "pairs": "yes",
    }
    first = read["talkers"][0]
    assert ",".join(first) == written.split("\n")[0]
    assert ",".join(map(str, first.values())) == written.split("\n")[1]
    shared = write(answer(PAIRS, *PAIRS_LINES, bytes=149335933), "csv", "shares").splitlines()
    ends = [line.split(",")[-2:] for line in shared]
    assert ends == [["how", "bytes_percent"], ["syn", "99.999438"], ["?", "0.000562"]]


def test_a_table_of_pairs_shows_both_directions_of_what_ranks() -> None:
    """And says under it what `?` means, if there is one; it fits into a terminal of 100 columns."""
    table = write(answer(PAIRS, *PAIRS_LINES), "table")
    assert table == (
        "#  client     server     port  proto        bytes  to server    to client  packets  records  how\n"
        "-  ---------  ---------  ----  -----  -----------  ---------  -----------  -------  -------  ---\n"
        "1  192.0.2.7  10.0.2.11   443  tcp    149,335,093  1,335,093  148,000,000  120,000    1,200  syn\n"
        "2  10.0.1.23  10.0.2.11     -  icmp           840        420          420       10        2  ?\n"
        "?: nothing tells which side is the server\n"
    )
    by_records = write(answer(Query.parse(pairs="yes", metric="records"), PAIRS_LINES[0]), "table").splitlines()
    assert by_records[0].split()[5:] == ["records", "to", "server", "to", "client", "bytes", "packets", "how"]
    assert by_records[2].split()[5:] == ["1,200", "500", "700", "149,335,093", "120,000", "syn"]
    assert "nothing tells" not in "".join(by_records)


def test_pairs_have_no_rates() -> None:
    """They have no times, and the error says what does go with them."""
    with pytest.raises(UsageError) as raised:
        write(answer(PAIRS, *PAIRS_LINES), "table", "rates")
    assert raised.value.message == "--show rates: a line of --pairs has no times"
    assert raised.value.hint == "--show shares goes with --pairs"


LACKS = Quality(without_flags=4282, without_packet_addresses=1)
NO_FLAGS = (
    "4,282 TCP records have no tcp-flags, which show who opened a connection:"
    " servers were found by peers and ports, too"
)
NO_PACKETS = (
    "1 record has no pkt-srcaddr and pkt-dstaddr: what a NAT gateway sent on is counted as a conversation of its own"
)
RICHER = "; flow logs of 'enable-flowlogs --log-format rich' have these fields"


@pytest.mark.parametrize(
    ("asked", "quality", "notes"),
    [
        ({"count": "once", "pairs": "yes"}, LACKS, [NO_FLAGS, NO_PACKETS + RICHER]),
        ({"count": "once", "pairs": "yes"}, Quality(without_flags=0, without_packet_addresses=0), []),
        ({"count": "once", "pairs": "yes"}, Quality(), []),
        ({"count": "once", "pairs": "yes", "address": "eni"}, LACKS, [NO_FLAGS + RICHER]),
        ({"pairs": "yes"}, LACKS, [NO_FLAGS + RICHER]),
        ({"count": "once"}, LACKS, [NO_PACKETS + RICHER]),
        ({"count": "once", "by": "service-port,side"}, LACKS, [NO_FLAGS, NO_PACKETS + RICHER]),
        ({"by": "service-port"}, LACKS, []),
    ],
)
def test_what_a_format_does_not_tell(asked: dict[str, str], quality: Quality, notes: list[str]) -> None:
    """A note says what cannot be told only where the question asks for it, and which format would tell."""
    assert notes_of_format(Query.parse(**asked), quality) == notes


TEXTS = ["plain", 'quoted"', "with,comma", "=1+1", "日本語", "e\u0301", "\u202eturned", "\u0085next", "<b>", "\u2028"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_goes_through_any_format(text: str) -> None:
    """CSV and JSON give it back unchanged; the table shows every character and keeps its columns aligned."""
    query = Query.parse(by="instance-tag-2")
    written = {form: write(answer(query, f"{text} 7", "other 3"), form) for form in FORMATS}
    assert list(csv.reader(io.StringIO(written["csv"], newline="")))[1] == ["1", text, "7"]
    assert json.loads(written["json"])["talkers"][0]["instance-tag-2"] == text
    assert json.loads(written["ndjson"].split("\n")[0])["instance-tag-2"] == text
    assert len(written["table"].splitlines()) == 4
    assert all(line.isprintable() for line in written["table"].split("\n"))


def test_wide_characters_take_two_columns() -> None:
    """The sums behind texts of another width end in the same column of a terminal."""
    table = write(answer(Query.parse(by="instance-tag-2"), "日本 7", "ab 3"), "table")
    assert table.splitlines()[2:] == ["1  日本" + " " * 10 + "        7", "2  ab" + " " * 12 + "        3"]


def test_a_key_with_the_name_of_a_metric_has_another() -> None:
    """`--by bytes --metric bytes`: no value hides the other."""
    of = answer(Query.parse(by="bytes", metric="bytes"), "40 120")
    assert json.loads(write(of, "ndjson")) == {"rank": 1, "by-bytes": 40, "bytes": 120}


SEEN = Query.parse(by="srcaddr", metric="bytes,records,first,last")
SEEN_LINES = (
    "10.0.0.1 6000 5 2026-11-23T18:00:00Z 2026-11-23T18:10:00Z",
    "10.0.0.2 500 3 2026-11-23T18:00:00Z 2026-11-23T18:00:00Z",
)


def test_shares_and_rates_are_shown_beside_the_sums() -> None:
    """A share is of all that counted, not only of what is shown; a rate is over at least one second."""
    of = answer(SEEN, *SEEN_LINES, bytes=10_000, records=8)
    row = json.loads(write(of, "ndjson", "shares", "rates").splitlines()[0])
    assert list(row)[-4:] == ["bytes_percent", "bytes_per_second", "records_percent", "records_per_second"]
    assert [row["bytes_percent"], row["bytes_per_second"]] == [60.0, 10.0]
    assert [row["records_percent"], row["records_per_second"]] == [62.5, 0.008]
    table = write(answer(SEEN, *SEEN_LINES, bytes=10_000, records=8), "table", "rates", "shares").splitlines()
    assert table[0].split("  ")[-4:] == ["bytes/s", "% of bytes", "records/s", "% of records"]
    assert table[3].split()[-4:] == ["500.0", "5.0%", "3.000", "37.5%"]


def test_shares_need_no_times() -> None:
    """One metric is enough, and of nothing there is no share."""
    query = Query.parse(by="srcaddr", metric="bytes")
    assert write(answer(query, "10.0.0.1 0", bytes=0), "csv", "shares").endswith("1,10.0.0.1,0,0.0\n")


@pytest.mark.parametrize(
    ("metric", "show", "message"),
    [
        (
            "bytes",
            "rates",
            "--show rates needs the times between which the sums were counted; --metric bytes lacks first and last",
        ),
        (
            "bytes,last",
            "shares,rates",
            "--show rates needs the times between which the sums were counted; --metric bytes,last lacks first",
        ),
        ("first,last", "rates", "--show rates: of the times in --metric first,last there are no shares or rates"),
        ("last", "shares", "--show shares: of the times in --metric last there are no shares or rates"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_to_ask(metric: str, show: str, message: str) -> None:
    """The line names the metric, and the hint the metrics to ask for."""
    with pytest.raises(UsageError) as raised:
        Presentation.parse(format="csv", show=show).check(Query.parse(metric=metric))
    assert raised.value.message == message
    assert "--metric " in (raised.value.hint or "")


def test_tsv_shows_nothing_beside_the_sums() -> None:
    """The recipe's format is the engines' own bytes; the line names the other formats."""
    with pytest.raises(UsageError, match="--show adds columns, which --format tsv cannot have") as raised:
        Presentation.parse(format="tsv", show="shares")
    assert raised.value.hint == "--format table, csv, json or ndjson"
    with pytest.raises(UsageError) as raised:
        Presentation.parse(show="shares")
    assert (raised.value.hint or "").startswith("tsv is the default where no terminal reads the answer")


def test_shares_of_an_unknown_total_are_refused() -> None:
    """Without the log of a run nobody knows what all its bytes are."""
    with pytest.raises(ToptalkersError, match="it is not known what all bytes add up to"):
        write(answer(SEEN, *SEEN_LINES, records=8), "csv", "shares")


def test_totals_come_from_the_counters_of_a_job() -> None:
    """In halves of 32 bits, by metric, without those that are 0. The first versions name no metric; times have none."""
    counters = {
        "counted": 8,
        "values_high_bytes": 1,
        "values_low_bytes": 5,
        "values_high_packets": 0,
        "values_low_packets": 9,
    }
    query = Query.parse(metric="bytes,first,records,packets")
    assert totals_of(query, counters) == {"bytes": (1 << 32) + 5, "records": 8, "packets": 9}
    assert totals_of(Query.parse(metric="bytes"), {"values_high": 2, "values_low": 1}) == {"bytes": (2 << 32) + 1}
    assert totals_of(query, {"records_read": 3}) == {"bytes": 0, "records": 0, "packets": 0}
    assert totals_of(query, {}) == {}


@pytest.mark.parametrize(
    ("lines", "top", "note"),
    [
        (["- 1 7", "- 2 3"], 0, "no record has vpc-id: a flow log has only the fields of its format"),
        (["- - 7"], 5, "no record has vpc-id or az-id: a flow log has only the fields of its format"),
        (["- 1 7", "vpc-0a1b - 3"], 0, ""),
        (["- 1 7"], 1, ""),
        ([], 0, ""),
    ],
)
def test_a_part_that_no_record_has_is_told(lines: list[str], top: int, note: str) -> None:
    """If every line of a whole answer has `-` there; the answer itself stays as it is."""
    given = answer(Query.parse(by="vpc-id,az-id"), *lines)
    passed, said = absent_parts(replace(given, top=top))
    assert said == note
    assert b"".join(passed.chunks) == "".join(line.replace(" ", "\t") + "\n" for line in lines).encode()
