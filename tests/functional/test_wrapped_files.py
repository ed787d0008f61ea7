"""A flow log counts the same, whatever tools have wrapped around its lines."""

import bz2
import gzip
import itertools
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toptalkers.engines import Engine, Watch, local, mrjob
from toptalkers.question.query import Query
from toptalkers.records.files import Problem, find_inputs

COLUMNS = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action"
NAMES = [*COLUMNS.split(), "log-status"]
ATHENA = "version account interfaceid sourceaddress destinationaddress sourceport destinationport protocol numpackets"
ATHENA_NAMES = [*ATHENA.split(), *["numbytes", "starttime", "endtime", "action", "logstatus"]]
NODATA = "2 123456789012 eni-0abc - - - - - - - 1795400000 1795400059 - NODATA"


def record(src: int, dst: str, port: int, bytes_: int, action: str) -> str:
    return (
        f"2 123456789012 eni-0{src:x}abc 10.0.0.{src} {dst} 40111 {port} 6 3 {bytes_} 1795400000 1795400059 {action} OK"
    )


RECORDS = st.builds(
    record,
    st.integers(0, 255),
    st.sampled_from(["10.0.1.1", "2001:db8::1", "198.51.100.7"]),
    st.sampled_from([22, 80, 443, 40000]),
    st.integers(0, 10**12),
    st.sampled_from(["ACCEPT", "ACCEPT", "REJECT"]),
)
LINES = st.lists(st.one_of(RECORDS, RECORDS, RECORDS, st.just(NODATA)), min_size=3, max_size=60)

Wrap = Callable[[list[str]], str | bytes]


def envelope(lines: list[str], kind: str = "DATA_MESSAGE") -> str:
    events = [{"id": "1", "timestamp": 1795400000000, "message": line} for line in lines]
    return json.dumps({"messageType": kind, "owner": "1", "logStream": "eni-0-all", "logEvents": events})


def each(shape: str) -> Callable[[list[str]], str]:
    return lambda lines: "".join(shape.format(line) + "\n" for line in lines)


def under(*keys: str | int) -> Wrap:
    """JSON, one value per line, with a record below these keys; a number means a list."""

    def wrap(lines: list[str]) -> str:
        out = []
        for line in lines:
            value: object = line
            for key in reversed(keys):
                value = ["x"] * key + [value] if isinstance(key, int) else {"time": 1.5, key: value, "stream": "out"}
            out.append(json.dumps(value) + "\n")
        return "".join(out)

    return wrap


def table(separator: str, names: list[str], quote: str = "", nothing: str = "-") -> Wrap:
    def wrap(lines: list[str]) -> str:
        rows = [names, *([nothing if cell == "-" else cell for cell in line.split(" ")] for line in lines)]
        return "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in rows)

    return wrap


def events(lines: list[str], **more: object) -> str:
    return json.dumps({"events": [{"timestamp": 1, "message": line} for line in lines], **more}, indent=4)


def results(lines: list[str]) -> str:
    rows = [[{"field": "@timestamp", "value": "1"}, {"field": "@message", "value": line}] for line in lines]
    return json.dumps({"results": rows, "status": "Complete"}, indent=4)


WRAPPINGS: dict[str, Wrap] = {
    "JSON with a message a line": lambda lines: "".join(json.dumps({"message": line}) + "\n" for line in lines),
    "JSON glued together": lambda lines: "".join(json.dumps({"message": line}) for line in lines),
    "JSON over many lines": lambda lines: "\n".join(json.dumps({"message": line}, indent=2) for line in lines),
    "JSON of fields": lambda lines: "\n".join(
        json.dumps(dict(zip(NAMES, line.split(" "), strict=True))) for line in lines
    ),
    "JSON as Docker writes it": lambda lines: "".join(
        json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-11-23T17:00:00Z"}) + "\n" for line in lines
    ),
    "JSON of Splunk": under("result", "_raw"),
    "JSON of Elasticsearch": under("_source", "event", "original"),
    "JSON of Google": under("textPayload"),
    "JSON of Loki": lambda lines: json.dumps({"streams": [{"stream": {}, "values": [["17", line] for line in lines]}]}),
    "JSON of Elasticsearch's hits": lambda lines: json.dumps(
        {"took": 3, "hits": {"hits": [{"_id": "a", "_source": {"message": line}} for line in lines]}}
    ),
    "JSON of a record twice": lambda lines: "".join(
        json.dumps({"log": line, "event": {"original": line}}) + "\n" for line in lines
    ),
    "JSON of nested fields": lambda lines: "\n".join(
        json.dumps({"vpcflow": dict(zip(NAMES, line.split(" "), strict=True))}) for line in lines
    ),
    "JSON of fields as numbers": lambda lines: "\n".join(
        json.dumps(
            {
                name: float(cell) if cell.isdigit() and name != "account-id" else cell
                for name, cell in zip(NAMES, line.split(" "), strict=True)
            }
        )
        for line in lines
    ),
    "a header behind a mark": lambda lines: "# " + " ".join(NAMES) + "\n" + each("{}")(lines),
    "a header as AWS is asked for it": lambda lines: " ".join(f"${{{n}}}" for n in NAMES) + "\n" + each("{}")(lines),
    "a header in capitals": lambda lines: " ".join(NAMES).upper() + "\n" + each("{}")(lines),
    "a header with commas": lambda lines: ", ".join(NAMES) + "\n" + each("{}")(lines),
    "Kubernetes": each("2026-11-23T17:00:00.123456789Z stdout F {}"),
    "Heroku": each("2026-11-23T17:00:00+00:00 app[web.1]: {}"),
    "envelopes": lambda lines: envelope(lines[:2]) + envelope(["probe"], "CONTROL_MESSAGE") + envelope(lines[2:]),
    "envelopes, packed each": lambda lines: b"".join(
        gzip.compress(envelope(some).encode()) for some in (lines[:2], lines[2:])
    ),
    "packed envelopes, packed": lambda lines: gzip.compress(
        b"".join(gzip.compress(envelope(some).encode()) for some in (lines[:2], lines[2:]))
    ),
    "logs tail": each("2026-11-23T17:00:00 {}"),
    "logs tail, detailed": each("2026-11-23T17:00:00.123000+00:00 eni-0abc-all {}"),
    "logs tail, json": each("2026-11-23T17:00:00+00:00 eni-0abc-all \n{}"),
    "get-log-events as text": lambda lines: "b/3/s\tf/3/s\n" + each("EVENTS\t1795400001000\t{}\t1795400000000")(lines),
    "filter-log-events as text": lambda lines: (
        each("EVENTS\t3\t17954\teni-0-all\t{}\t17954")(lines) + "SEARCHEDLOGSTREAMS\teni-0-all\tTrue\n"
    ),
    "events as JSON": lambda lines: events(lines, nextForwardToken="f/1"),
    "messages as JSON": lambda lines: json.dumps(lines, indent=4),
    "messages as text": lambda lines: "\t".join(lines) + "\n",
    "Insights as JSON": results,
    "console CSV": lambda lines: "timestamp,message\n" + each("1795400000000,{}")(lines),
    "Insights CSV": lambda lines: "@timestamp,@message\n" + each("2026-11-23 17:00:01.000,{}")(lines),
    "Insights CSV in quotes": lambda lines: '"@timestamp","@message"\n' + each('"2026-11-23 17:00","{}"')(lines),
    "Insights CSV with a line feed in each": lambda lines: "@timestamp,@message\n" + each('1,"{}\n"')(lines),
    "CSV without names": each("2026-11-23 17:00:01.000,{}"),
    "Athena CSV": table(",", [name.replace("-", "_") for name in NAMES], '"'),
    "Athena CSV with nothing for -": table(",", ATHENA_NAMES, '"', ""),
    "Athena TSV": table("\t", [name.replace("-", "_") for name in NAMES]),
    "AWS's own names between semicolons": table(";", NAMES),
    "syslog": each("<134>Nov 23 17:00:00 host app: {}"),
    "syslog in a file": each("Nov  3 17:00:00 ip-10-0-0-1 vector[12]: {}"),
    "syslog, RFC 5424": each('<134>1 2026-11-23T17:00:00.123Z host app 123 ID47 [a@1 b="c \\] d"] {}'),
    "rsyslog": each("2026-11-23T17:00:00+00:00 host flow: {}"),
    "a stamp with a blank": each("2026-11-23 17:00:00,123 {}"),
    "a stamp in brackets": each("[2026-11-23T17:00:00Z] {}"),
    "CloudWatch's export": each("2026-11-23T17:00:00.000Z {}"),
    "doubled blanks": lambda lines: each("{}")([line.replace(" ", "  ") for line in lines]),
    "trailing blanks": each("{}  "),
    "leading blanks": each("\t{}"),
    "quotes": each('"{}"'),
    "single quotes": each("'{}'"),
    "a header with a trailing blank": lambda lines: " ".join(NAMES) + " \n" + each("{}")(lines),
    "UTF-16, little end": lambda lines: b"\xff\xfe" + each("{}")(lines).encode("utf-16-le"),
    "UTF-16, big end": lambda lines: b"\xfe\xff" + each("{}")(lines).encode("utf-16-be"),
    "UTF-16 CSV": lambda lines: b"\xff\xfe" + ("timestamp,message\r\n" + each("1,{}\r")(lines)).encode("utf-16-le"),
    "UTF-8 with a mark": lambda lines: b"\xef\xbb\xbf" + each("{}\r")(lines).encode(),
    "a CSV with a mark": lambda lines: b"\xef\xbb\xbftimestamp,message\n" + each("1,{}")(lines).encode(),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "gzip twice": lambda content: gzip.compress(gzip.compress(content)),
    "bzip2": bz2.compress,
    "bzip2, two streams": lambda content: bz2.compress(content[:99]) + bz2.compress(content[99:]),
    "xz": lzma.compress,
    "Zstandard behind an empty frame": lambda content: b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd(content),
}


def zstd(content: bytes) -> bytes:
    from backports import zstd as library

    return library.compress(content)


def ask(path: Path, query: Query, engine: Engine = local) -> tuple[bytes, int, list[Problem]]:
    """Return the answer, the number of records read, and what was skipped."""
    problems: list[Problem] = []
    answer = engine.count_files(query, find_inputs([str(path)]).files, watch=Watch(on_problem=problems.append))
    return b"".join(answer.chunks), answer.tally.records_read, problems


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@settings(max_examples=8, deadline=None)
@given(lines=LINES, packing=st.sampled_from(sorted(PACKINGS)))
def test_a_wrapped_file_counts_as_its_lines(
    tmp_path_factory: pytest.TempPathFactory, wrap: Wrap, lines: list[str], packing: str
) -> None:
    """Answer and number of records are those of the plain lines, in every compression and under any name."""
    folder = tmp_path_factory.mktemp("wrapped")
    (folder / "plain.log").write_text("".join(line + "\n" for line in lines))
    wrapped = wrap(lines)
    content = wrapped.encode() if isinstance(wrapped, str) else wrapped
    (folder / "flows-1-0a1b").write_bytes(PACKINGS[packing](content))
    for query in (Query(), Query.parse(metric="bytes", ports="all", action="ALL")):
        assert ask(folder / "flows-1-0a1b", query) == ask(folder / "plain.log", query)


@pytest.mark.parametrize("name", ["JSON glued together", "Athena CSV", "syslog", "UTF-16 CSV"])
def test_other_engines_get_the_same_lines(tmp_path: Path, name: str) -> None:
    """Lines are unwrapped before any engine reads them."""
    lines = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(9)]
    wrapped = WRAPPINGS[name](lines)
    (tmp_path / "wrapped").write_bytes(wrapped.encode() if isinstance(wrapped, str) else wrapped)
    assert ask(tmp_path / "wrapped", Query(), mrjob) == ask(tmp_path / "wrapped", Query())


@pytest.mark.parametrize("wrapped", [name for name in WRAPPINGS if "UTF-16" not in name and "packed" not in name])
def test_a_line_that_is_not_wrapped_so_is_tallied(tmp_path: Path, wrapped: str) -> None:
    """Lines that do not fit the wrapping are tallied as malformed; the rest counts."""
    lines = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(9)]
    content = WRAPPINGS[wrapped](lines)
    text = content.decode() if isinstance(content, bytes) else content
    (tmp_path / "good").write_text(text)
    (tmp_path / "mixed").write_text(text.rstrip("\n") + "\nsome-words that are no record\n")
    good, mixed = ask(tmp_path / "good", Query()), ask(tmp_path / "mixed", Query())
    assert (mixed[0], mixed[1]) == (good[0], good[1] + 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda names: "# " + " ".join(names),
        lambda names: "# made today\n#Fields: " + " ".join(names),
        lambda names: " ".join(f"${{{name}}}" for name in names),
        lambda names: " ".join(names).upper(),
        ", ".join,
        lambda names: " ".join(name.title().replace("-", "") for name in names),
        lambda names: " ".join(names) + ":",
    ],
)
@settings(max_examples=20, deadline=None)
@given(lines=LINES, order=st.permutations(NAMES))
def test_a_header_in_any_writing_holds(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[[list[str]], str], lines: list[str], order: list[str]
) -> None:
    """Columns in another order are read by their names, in any spelling, and never as the default's."""
    folder = tmp_path_factory.mktemp("headers")
    (folder / "plain.log").write_text("".join(line + "\n" for line in lines))
    rows = [dict(zip(NAMES, line.split(" "), strict=True)) for line in lines]
    text = "".join(" ".join(row[name] for name in order) + "\n" for row in rows)
    (folder / "other.log").write_text(f"{write(order)}\n{text}")
    query = Query.parse(metric="bytes", ports="all")
    assert ask(folder / "other.log", query)[::2] == ask(folder / "plain.log", query)[::2]


def test_json_of_two_records_is_no_record(tmp_path: Path) -> None:
    """If an object has two different records, neither counts, because nobody can tell which one was meant."""
    lines = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(9)]
    text = "".join(json.dumps({"old": one, "new": two}) + "\n" for one, two in itertools.pairwise(lines))
    (tmp_path / "two.json").write_text(text)
    assert ask(tmp_path / "two.json", Query())[0] == b""
    assert "{old,new}" in ask(tmp_path / "two.json", Query())[2][0].reason


def test_plain_lines_among_json_are_read(tmp_path: Path) -> None:
    """A line that is not JSON passes unchanged, even if it begins with a number, which could be a value."""
    lines = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(9)]
    (tmp_path / "plain").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "mixed").write_text(str(WRAPPINGS["JSON with a message a line"](lines[:5])) + each("{}")(lines[5:]))
    assert ask(tmp_path / "mixed", Query()) == ask(tmp_path / "plain", Query())


def test_json_of_something_else_is_named_as_what_it_is(tmp_path: Path) -> None:
    """JSON without a record is skipped by name, and the reason says that it was read as JSON."""
    (tmp_path / "a.json").write_text('{"a": 1}\n{"b": [1, 2]}\n')
    _, _, problems = ask(tmp_path / "a.json", Query())
    assert [problem.is_failure for problem in problems] == [True]
    assert "JSON" in problems[0].reason


@pytest.mark.parametrize("depth", [100, 300, 500, 900, 5_000])
def test_json_of_any_depth_leaves_other_files_alone(tmp_path: Path, depth: int) -> None:
    """JSON that is nested too deeply is skipped by name, and the rest counts."""
    (tmp_path / "deep.json").write_text('{"a":[' * depth + "1" + "]}" * depth + "\n")
    (tmp_path / "good.log").write_text(record(1, "10.0.1.1", 443, 1, "ACCEPT") + "\n")
    problems: list[Problem] = []
    answer = local.count_files(Query(), find_inputs([str(tmp_path)]).files, watch=Watch(on_problem=problems.append))
    assert b"".join(answer.chunks) == b"10.0.0.1:10.0.1.1:443\t1\n"
    assert [Path(problem.name).name for problem in problems] == ["deep.json"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_json_cut_off_anywhere_is_no_traceback(tmp_path: Path, cut: int) -> None:
    """JSON that ends within a value is skipped by name, like any file that is cut off."""
    lines = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(3)]
    for wrap in (WRAPPINGS["JSON with a message a line"], WRAPPINGS["events as JSON"]):
        (tmp_path / "cut").write_text(str(wrap(lines)).rstrip()[:-cut])
        _, _, problems = ask(tmp_path / "cut", Query())
        assert "cut off" in problems[0].reason


def test_many_pieces_come_to_the_same(tmp_path: Path) -> None:
    """Values and lines that cross the pieces in which a file is read are complete."""
    lines = [record(n % 256, "10.0.1.1", 443, n, "ACCEPT") for n in range(3_000)]
    (tmp_path / "plain").write_text("".join(line + "\n" for line in lines))
    query = Query.parse(metric="bytes")
    for name, wrap in WRAPPINGS.items():
        wrapped = wrap(lines)
        (tmp_path / "wrapped").write_bytes(wrapped.encode() if isinstance(wrapped, str) else wrapped)
        files = find_inputs([str(tmp_path / "wrapped")]).files
        answer = local.count_files(query, files, block_bytes=5_000)
        assert b"".join(answer.chunks) == ask(tmp_path / "plain", query)[0], name
