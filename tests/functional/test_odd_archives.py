"""Archives are read file by file, and faulty ones are named; no file is written under its name in the archive."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.functional.test_wrapped_files import record
from toptalkers.engines import Engine, Watch, local, mrjob
from toptalkers.question.query import Query
from toptalkers.records.files import Problem, find_inputs

LINES = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(40)]
FIRST = "\n".join(LINES[:20]).encode()
HEADER = (
    "version account-id interface-id srcaddr dstaddr dstport srcport protocol packets bytes start end action log-status"
)
OTHER = "\n".join([HEADER, *(line.replace(" 40111 443 ", " 443 40111 ") for line in LINES[20:])]).encode()


def tar(files: dict[str, bytes], mode: str = "w:", kind: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=kind) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def ask(folder: Path, content: bytes, engine: Engine = local) -> tuple[bytes, list[Problem]]:
    """Return the answer for a file with that content, and what was skipped of it."""
    path = folder / "logs"
    path.write_bytes(content)
    problems: list[Problem] = []
    answer = engine.count_files(Query(), find_inputs([str(path)]).files, watch=Watch(on_problem=problems.append))
    return b"".join(answer.chunks), problems


def expected(folder: Path) -> bytes:
    return ask(folder, "\n".join(LINES).encode())[0]


TWO = {"./logs/a.log": FIRST, "logs/b.log.gz": gzip.compress(OTHER)}
ARCHIVES = {
    "tar": tar(TWO),
    "tar.gz": tar(TWO, "w:gz"),
    "tar.bz2": tar(TWO, "w:bz2"),
    "tar.xz": tar(TWO, "w:xz"),
    "old tar": tar(TWO, kind=tarfile.USTAR_FORMAT),
    "new tar": tar(TWO, kind=tarfile.PAX_FORMAT),
    "tar with long names": tar({"x" * 300 + "/a": FIRST, "\u00e9" * 200: OTHER}),
    "new tar with long names": tar({"x" * 300 + "/a": FIRST, "\u00e9" * 200: OTHER}, kind=tarfile.PAX_FORMAT),
    "tar in a tar": tar({"in.tar.gz": tar(TWO, "w:gz")}),
    "two tars, one behind the other": tar({"a": FIRST}) + tar({"b": OTHER}),
    "zip": zipped(TWO),
    "zip, not packed": zipped(TWO, zipfile.ZIP_STORED),
    "zip in a zip": zipped({"in.zip": zipped(TWO)}),
    "names that lead elsewhere": tar({"../../a.log": FIRST, "/b.log": OTHER}),
    "markers beside them": zipped({**TWO, "__MACOSX/._a.log": b"junk", ".DS_Store": b"junk"}),
}


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_counts_as_its_files(tmp_path: Path, content: bytes) -> None:
    """Each file of it has its own header, and counts; afterwards only the archive is in the folder."""
    answer, problems = ask(tmp_path, content)
    assert answer == expected(tmp_path)
    assert not [problem for problem in problems if problem.is_failure]
    assert [path.name for path in tmp_path.rglob("*")] == ["logs"]


@pytest.mark.parametrize("name", ["tar.gz", "zip", "markers beside them"])
def test_other_engines_get_the_same_files(tmp_path: Path, name: str) -> None:
    """Mrjob gets each file of an archive as a separate file."""
    assert ask(tmp_path, ARCHIVES[name], mrjob) == ask(tmp_path, ARCHIVES[name])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["tar", "tar.gz", "new tar", "zip"]), st.floats(0, 1), st.booleans())
def test_an_archive_that_is_cut_off_is_named(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: float, is_cut: bool
) -> None:
    """Cut anywhere, it is skipped as a whole; with a byte changed anywhere, there is no traceback."""
    folder = tmp_path_factory.mktemp("cut")
    content = ARCHIVES[name].rstrip(b"\0") if "tar" in name else ARCHIVES[name]
    at = int(where * (len(content) - 1))
    broken = content[:at] if is_cut else content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :]
    answer, problems = ask(folder, broken)
    whole = expected(folder)
    if is_cut:
        assert any(problem.is_failure for problem in problems)
        assert answer in (b"", whole)


def test_one_bad_file_of_an_archive_is_named_by_its_own_name(tmp_path: Path) -> None:
    """A file of an archive that is no flow log is skipped under both names; the rest counts."""
    answer, problems = ask(tmp_path, tar({**TWO, "pictures/a.png": b"\x89PNG\r\n\x1a\n" + bytes(99)}, "w:gz"))
    assert answer == expected(tmp_path)
    assert [problem.name for problem in problems] == [f"{tmp_path}/logs:pictures/a.png"]
    assert "PNG" in problems[0].reason


def test_a_damaged_file_leaves_the_whole_archive_out(tmp_path: Path) -> None:
    """A file of an archive that ends early is named, and nothing of the archive counts."""
    answer, problems = ask(tmp_path, tar({**TWO, "c.log.gz": gzip.compress(FIRST)[:-9]}))
    assert answer == b""
    assert "c.log.gz" in problems[0].reason
    assert "ends early" in problems[0].reason


def test_traps_end(tmp_path: Path) -> None:
    """Too many layers, archives in archives, and overlapping files are named at once."""
    layers = FIRST
    for _ in range(9):
        layers = gzip.compress(layers)
    nested = tar({"a.log": FIRST})
    for _ in range(6):
        nested = tar({"in.tar": nested})
    one = zipped({"a.log": FIRST * 50, "b.log": FIRST * 50}, zipfile.ZIP_STORED)
    central = one.index(b"PK\x01\x02")
    entry = one[central : one.index(b"PK\x05\x06")]
    end = bytearray(one[one.index(b"PK\x05\x06") :])
    half = entry[: len(entry) // 2]
    end[8:12] = (3).to_bytes(2, "little") * 2
    end[12:16] = (3 * len(half)).to_bytes(4, "little")
    for trap in (layers, nested, one[:central] + half * 3 + bytes(end)):
        answer, problems = ask(tmp_path, trap)
        assert answer == b""
        assert [problem.is_failure for problem in problems] == [True]


KINDS = {
    "7-Zip": b"7z\xbc\xaf\x27\x1c\0\4",
    "RAR": b"Rar!\x1a\x07\x01\0",
    "LZ4": b"\x04\x22\x4d\x18d@\xa7",
    "Snappy": b"\xff\x06\0\0sNaPpY",
    "Parquet": b"PAR1\x15\x04",
    "ORC": b"ORC\x0a",
    "Avro": b"Obj\x01\x04",
    "pcap": b"\xd4\xc3\xb2\xa1\2\0\4\0",
    "PDF": b"%PDF-1.7\n",
    "ELF": b"\x7fELF\2\1\1",
    "SQLite": b"SQLite format 3\0",
    "cpio": b"070701000",
    "Office": zipped({"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b"<b/>"}),
    "encrypted": b"Salted__12345678",
    "XML": b"<?xml version='1.0'?>\n",
}


@pytest.mark.parametrize(("word", "content"), KINDS.items(), ids=KINDS)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, word: str, content: bytes) -> None:
    """The reason has its kind, compressed or not, in an archive or not."""
    for packed in (content, gzip.compress(content), tar({"a": content})):
        _, problems = ask(tmp_path, packed)
        assert [problem.is_failure for problem in problems] == [True]
        assert word in problems[0].reason
