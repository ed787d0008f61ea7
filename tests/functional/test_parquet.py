"""Flow records in Parquet files give the same answer as in lines."""

import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.parquet import aws_types, write_parquet
from tests.strategies import ADDRESSES, BAD_ADDRESSES, BAD_NUMBERS, BAD_PORTS, NUMBERS, PORTS, STARTS, STATUSES, queries
from toptalkers.answer.answer import Answer
from toptalkers.cli.main import cli
from toptalkers.engines import Watch, local
from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS, FieldType
from toptalkers.question.query import Query
from toptalkers.records.files import YOUNGEST_S, Problem, find_inputs

RECORD = "2 123456789012 eni-0a1b2c3d4e5f60718 10.0.0.1 10.0.0.2 40000 443 6 10 8400 1793491200 1793491260 ACCEPT OK"
NODATA = "2 123456789012 eni-1 - - - - - - - 1793491200 1793491260 - NODATA"
ANSWER = b"10.0.0.1:10.0.0.2:443\t1\n"


def ask(query: Query, *paths: Path) -> tuple[bytes, Answer, list[Problem]]:
    """Count files with the local engine."""
    problems: list[Problem] = []
    answer = local.count_files(query, find_inputs(map(str, paths)).files, watch=Watch(on_problem=problems.append))
    return b"".join(answer.chunks), answer, problems


def write_default(path: Path, lines: list[str], options: str = "") -> Path:
    """Write records of the default format with AWS's types."""
    rows = [line.split(" ") for line in lines]
    return write_parquet(path, DEFAULT_FIELDS, rows, types=aws_types(DEFAULT_FIELDS), options=options)


_GOOD = {
    "srcaddr": ADDRESSES,
    "dstaddr": ADDRESSES,
    "srcport": PORTS,
    "dstport": PORTS,
    "protocol": ["6", "17", "1"],
    "packets": NUMBERS[:-1],  # AWS's numbers have no leading zeros
    "bytes": NUMBERS[:-1],
    "start": STARTS,
    "end": STARTS,
    "action": ["ACCEPT", "ACCEPT", "REJECT"],
    "log-status": ["OK"] * 5 + STATUSES,
    "tcp-flags": ["2", "18", "0", "3"],
    "interface-id": ["eni-0a1b2c3d4e5f60718", "eni-1"],
    "vpc-id": ["vpc-1", "vpc-ä"],
    "flow-direction": ["ingress", "egress"],
}
_BAD = {
    "srcaddr": [one for one in BAD_ADDRESSES if one and "\0" not in one],
    "dstaddr": [one for one in BAD_ADDRESSES if one and "\0" not in one],
    "srcport": [one for one in BAD_PORTS if one and " " not in one],
    "dstport": [one for one in BAD_PORTS if one and " " not in one],
    "packets": [*filter(None, BAD_NUMBERS), "007"],
    "bytes": [*filter(None, BAD_NUMBERS), "007"],
    "start": [*filter(None, BAD_NUMBERS), "999999999999999"],
    "action": ["accept", "DROP"],
    "log-status": ["ok", "Z"],
    "protocol": ["256", "06", "tcp"],
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[str, ...], list[list[str]], bool]:
    """Columns, rows of texts, and whether all values fit AWS's types. The last column is never empty."""
    columns = draw(st.permutations([name for name in _GOOD if name != "log-status" or draw(st.integers(0, 3))]))
    is_clean = draw(st.booleans())
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        nodata = draw(st.integers(0, 9)) == 0
        row = []
        for name in columns:
            values = _GOOD[name] if is_clean or draw(st.integers(0, 19)) else _BAD.get(name, ["-"])
            empty = nodata and name not in ("interface-id", "start", "end", "log-status")
            row.append("-" if empty or draw(st.integers(0, 29)) == 0 else draw(st.sampled_from(values)))
        rows.append([*row, "2"])
    return (*columns, "version"), rows, is_clean


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), queries(tuple(_GOOD)))
def test_parquet_counts_like_lines(table: tuple[tuple[str, ...], list[list[str]], bool], query: Query) -> None:
    """Records written by DuckDB, with AWS's types or as texts, give the answer and the tally of their lines."""
    columns, rows, is_clean = table
    with tempfile.TemporaryDirectory() as name:
        lines = Path(name, "lines.log")
        lines.write_text("\n".join([" ".join(columns), *map(" ".join, rows), ""]))
        types = aws_types(columns) if is_clean else {}
        stored = write_parquet(Path(name, "records"), columns, rows, types=types)
        bytes_, answer, problems = ask(query, stored)
        expected_bytes, expected, expected_problems = ask(query, lines)
    if expected_problems:
        # Lines are left out, too, for odd values in columns that the question does not need.
        assert problems or answer.tally.files_read == 1
    else:
        assert not problems
        assert bytes_ == expected_bytes
        assert answer.tally == expected.tally


def test_counts_are_kept_in_the_cache(tmp_path: Path) -> None:
    """A Parquet file that was counted before is not read again, and gives the same answer and tally."""
    path = write_default(tmp_path / "x.parquet", [RECORD, NODATA])
    os.utime(path, (1, 1))
    time.sleep(YOUNGEST_S)  # a younger file could still change
    arguments = ["run-local", str(path), "--cache", str(tmp_path / "cache")]
    first, second = (CliRunner().invoke(cli, arguments) for _ in range(2))
    assert first.stdout_bytes == second.stdout_bytes == ANSWER
    assert "0 of 1 files" in first.stderr
    assert "1 of 1 files" in second.stderr
    assert first.stderr.splitlines()[1:] == second.stderr.splitlines()[1:]


def test_progress_has_each_stored_byte_once(tmp_path: Path) -> None:
    """What is reported as read adds up to the size of the file, though not all of its columns are read."""
    path = write_default(tmp_path / "x.parquet", [RECORD.replace("8400", str(10**9 + i)) for i in range(9000)])
    told: list[int] = []
    local.count_files(Query(), find_inputs([str(path)]).files, watch=Watch(on_read=told.append))
    assert sum(told) == path.stat().st_size


def test_row_groups_and_nulls(tmp_path: Path) -> None:
    """Many row groups, in several compressions, give the answer of the lines."""
    lines = [RECORD.replace("10.0.0.1", f"10.0.{i % 7}.{i % 50}").replace("8400", str(i)) for i in range(9000)]
    lines[1::90] = [NODATA] * 100
    (tmp_path / "lines.log").write_text("\n".join([*lines, ""]))
    query = Query.parse(metric="bytes")
    expected = ask(query, tmp_path / "lines.log")
    for codec in ("gzip", "snappy", "zstd", "uncompressed"):
        path = write_default(tmp_path / codec, lines, f", COMPRESSION {codec}, ROW_GROUP_SIZE 2048")
        assert parquet.ParquetFile(path).num_row_groups > 2
        bytes_, answer, problems = ask(query, path)
        assert not problems
        assert (bytes_, answer.tally) == (expected[0], expected[1].tally)


TYPES = {
    "Spark": (
        {"start": pa.timestamp("us", "UTC"), "end": pa.timestamp("ns"), "bytes": pa.decimal128(38, 0)},
        {"dstport": pa.int16(), "srcport": pa.uint16(), "srcaddr": pa.large_string()},
    ),
    "pandas": (
        {"dstport": pa.float64(), "protocol": pa.float32(), "start": pa.timestamp("ms", "Europe/Berlin")},
        {"srcaddr": pa.dictionary(pa.int8(), pa.string()), "dstaddr": pa.dictionary(pa.int32(), pa.large_string())},
    ),
    "Impala": ({"srcaddr": pa.binary(), "dstaddr": pa.large_binary()}, {"action": pa.binary(6)}),
    "Polars": (
        {"srcaddr": pa.string_view(), "dstport": pa.uint64()},
        {"packets": pa.uint32(), "account-id": pa.int64()},
    ),
    "texts": (dict.fromkeys(DEFAULT_FIELDS, pa.string()), {}),
}


@pytest.mark.parametrize("tool", TYPES)
def test_types_of_other_tools(tmp_path: Path, tool: str) -> None:
    """The types that other tools give columns make no difference."""
    kinds = {**TYPES[tool][0], **TYPES[tool][1]}
    rows = [RECORD.replace("8400", str(number)).split(" ") for number in range(5)]
    rows.append(NODATA.split(" "))
    arrays = []
    for number, name in enumerate(DEFAULT_FIELDS):
        texts = [None if row[number] == "-" else row[number] for row in rows]
        kind = kinds.get(name, pa.string() if FIELDS[name].type is FieldType.STRING else pa.int64())
        if pa.types.is_timestamp(kind):
            array = pa.array(texts).cast(pa.int64()).cast(pa.timestamp("s", kind.tz)).cast(kind)
        elif pa.types.is_dictionary(kind):
            array = pa.array(texts).cast(kind.value_type).dictionary_encode().cast(kind)
        elif pa.types.is_fixed_size_binary(kind):
            array = pa.array([text and text.encode() for text in texts], kind)
        elif pa.types.is_string(kind) or pa.types.is_string_view(kind) or "binary" in str(kind):
            array = pa.array(texts).cast(kind)
        else:
            array = pa.array(texts).cast(pa.int64() if "string" not in str(kind) else kind).cast(kind)
        arrays.append(array)
    parquet.write_table(
        pa.table(arrays, names=[name.upper().replace("-", "_") for name in DEFAULT_FIELDS]), tmp_path / "x"
    )
    query = Query.parse(metric="bytes", since="2026-11-01T00:00:00Z", until="2026-11-01T00:00:01Z")
    bytes_, answer, problems = ask(query, tmp_path / "x")
    assert not problems
    assert bytes_ == b"10.0.0.1:10.0.0.2:443\t10\n"
    assert answer.tally.skipped == {"nodata": 1}


def test_odd_tables(tmp_path: Path) -> None:
    """Of two columns of one name the first counts; a table without rows is read; one without row groups, too."""
    columns = {"srcaddr": ["10.0.0.1"], "dstaddr": ["10.0.0.2"], "dstport": [443], "action": ["ACCEPT"]}
    table = pa.table(columns)
    parquet.write_table(pa.table([*table.columns, pa.array([9])], names=[*columns, "dstport"]), tmp_path / "twice")
    parquet.write_table(pa.table([*table.columns, pa.array([9])], names=[*columns, "DstPort"]), tmp_path / "capitals")
    parquet.write_table(table.slice(0, 0), tmp_path / "empty")
    with parquet.ParquetWriter(tmp_path / "nothing", table.schema):
        pass
    for name in ("twice", "capitals"):
        assert ask(Query(), tmp_path / name)[0] == ANSWER
    bytes_, answer, problems = ask(Query(), tmp_path / "empty", tmp_path / "nothing")
    assert (bytes_, answer.tally.records_read, answer.tally.files_read, problems) == (b"", 0, 2, [])


def test_hive_folders_archives_and_pipes(tmp_path: Path) -> None:
    """Parquet is read from partitions, from compressed files, from archives and from a pipe."""
    folder = tmp_path / "aws-account-id=123456789012" / "year=2026" / "month=11"
    folder.mkdir(parents=True)
    path = write_default(folder / "123456789012_vpcflowlogs_x.log.parquet", [RECORD])
    content = path.read_bytes()
    packed = tmp_path / "a.parquet.gz"
    packed.write_bytes(gzip.compress(content))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(path, "in/a.parquet")
    for one in (tmp_path / "aws-account-id=123456789012", packed, tmp_path / "a.tar.gz"):
        assert ask(Query(), one)[0] == ANSWER
    piped = CliRunner().invoke(cli, ["run-local", "-"], input=content)
    assert (piped.exit_code, piped.stdout_bytes) == (0, ANSWER)


def test_a_column_that_the_question_does_not_need_is_not_read(tmp_path: Path) -> None:
    """Damage in a column that is not needed does no harm; in one that is needed, the file is left out."""
    path = write_default(tmp_path / "x.parquet", [RECORD.replace("8400", str(10**9 + i)) for i in range(3000)])
    chunk = next(
        column
        for number in range(len(DEFAULT_FIELDS))
        if (column := parquet.ParquetFile(path).metadata.row_group(0).column(number)).path_in_schema == "bytes"
    )
    content = bytearray(path.read_bytes())
    start = min(filter(None, (chunk.data_page_offset, chunk.dictionary_page_offset)))
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    assert ask(Query(), path)[0] == b"10.0.0.1:10.0.0.2:443\t3000\n"
    bytes_, answer, problems = ask(Query.parse(metric="bytes"), path)
    assert (bytes_, answer.tally.files_unreadable) == (b"", 1)
    assert "a damaged Parquet file" in problems[0].reason


def test_damaged_files_are_left_out(tmp_path: Path) -> None:
    """A file that is cut, or changed at any place, counts or is left out with one line, and nothing else happens."""
    path = write_default(tmp_path / "good.parquet", [RECORD] * 50)
    content = path.read_bytes()
    bad = tmp_path / "bad.parquet"
    for size in [4, 8, 12, len(content) // 2, len(content) - 1]:
        bad.write_bytes(content[:size])
        bytes_, _, problems = ask(Query(), bad)
        assert bytes_ == b""
        assert len(problems) == 1
        assert "\n" not in problems[0].reason
    for place in range(4, len(content), 11):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        bytes_, answer, problems = ask(Query(), bad)
        assert answer.tally.files_read + len(problems) == 1
        assert not (problems and bytes_)


def test_no_flow_log_and_lacking_fields(tmp_path: Path) -> None:
    """A Parquet file without fields of ours, without one that is needed, or with a nested one is named for that."""
    shop = tmp_path / "shop.parquet"
    parquet.write_table(pa.table({"price": [1], "customer": ["a"]}), shop)
    lacking = write_parquet(tmp_path / "lacking.parquet", ("srcaddr", "dstaddr"), [["10.0.0.1", "10.0.0.2"]] * 3)
    nested = tmp_path / "nested.parquet"
    parquet.write_table(pa.table({"srcaddr": [[1]], "dstport": [1]}), nested)
    _, _, problems = ask(Query.parse(action="ALL"), shop, lacking, nested)
    assert [problem.reason for problem in problems] == [
        "not a flow log: a Parquet file with other columns: price, customer",
        "read as Parquet: its header names no dstport, which the question needs",
        "its column srcaddr has the type list<element: int64>, and a flow log's srcaddr is a number or a text",
    ]


def test_other_engines_name_the_one_that_reads_parquet(tmp_path: Path) -> None:
    """The engines of the scripts read lines only, and say so."""
    path = write_default(tmp_path / "x.parquet", [RECORD])
    good = tmp_path / "good.log"
    good.write_text(f"{RECORD}\n")
    result = CliRunner().invoke(cli, ["run-local", "--engine", "mrjob", str(path), str(good)])
    assert (result.exit_code, result.stdout_bytes) == (1, ANSWER)
    assert "x.parquet: a Parquet file, which only 'run-local' with --engine local reads" in result.stderr


def test_without_pyarrow(tmp_path: Path) -> None:
    """Without pyarrow, all else counts, and one line says what to install."""
    for name in ("a.parquet", "b.parquet"):
        write_default(tmp_path / name, [RECORD])
    (tmp_path / "good.log").write_text(f"{RECORD}\n")
    code = "import sys; sys.modules['pyarrow'] = None; from toptalkers.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "run-local", str(tmp_path)], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, ANSWER)
    lines = [line for line in done.stderr.decode().splitlines() if "pyarrow" in line]
    assert len(lines) == 1
    assert "pip install 'toptalkers[parquet]'" in lines[0]
    assert "Traceback" not in done.stderr.decode()
