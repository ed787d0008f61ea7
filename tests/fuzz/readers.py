"""`python -m tests.fuzz.readers NUMBER [SEED]`: good files, in a random disguise, are read correctly or named.

A few flow records are written in a random layout; each file is or is not wrapped, compressed, put into an archive and
damaged, and is then counted in this process. Either the answer is that of the good file, or the file is left out by
name; any other answer, and any exception, is a failure. The seed and the number identify a case.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import sys
import tarfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random, SystemRandom

from tests.functional.test_wrapped_files import NAMES, WRAPPINGS, Wrap, each, table, zstd
from tests.reference import count
from toptalkers.engines import local
from toptalkers.engines.spill import Spill
from toptalkers.flowlog.fields import FIELDS
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile

QUERIES = (Query(), Query.parse(metric="bytes", ports="all"), Query.parse(metric="packets", ports="all", action="ALL"))
MOST_SHOWN = 5

_KNOWN = set(FIELDS)

Packing = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Case:
    """A good file, its disguise, and the kinds of the disguise.

    Attributes:
        kinds: the draws: layout, wrapping, compression, archive, damage.
        plain: the good file.
        content: the disguised file.
        name: the name of the disguised file.
        is_damaged: whether bytes changed that no checksum protects: then any outcome but an exception is right.

    """

    kinds: tuple[str, ...]
    plain: bytes
    content: bytes
    name: str
    is_damaged: bool


def _records(chance: Random) -> list[dict[str, str]]:
    records = []
    for _ in range(chance.choice((3, 9, 9, 30))):
        start = 1_795_400_000 + chance.randrange(3_600)
        values = (
            *("2", "123456789012", f"eni-0{chance.randrange(1 << 32):08x}"),
            *(f"10.0.0.{chance.randrange(250)}", chance.choice(("10.0.1.1", "2001:db8::1", "198.51.100.7"))),
            *(str(chance.randrange(32_768, 65_536)), chance.choice(("22", "443", "8080", "40000"))),
            *(chance.choice(("6", "17")), str(chance.randrange(1, 300)), str(chance.randrange(300, 900_000))),
            *(str(start), str(start + 59), chance.choice(("ACCEPT", "ACCEPT", "REJECT")), "OK"),
        )
        record = dict(zip(NAMES, values, strict=True))
        if chance.random() < 0.1:
            record |= dict.fromkeys(NAMES[3:10], "-") | {"action": "-", "log-status": "NODATA"}
        records.append(record)
    return records


HEADERS: dict[str, Callable[[list[str]], str]] = {
    "AWS's": " ".join,
    "under_scored": lambda names: " ".join(name.replace("-", "_") for name in names),
    "behind #": lambda names: "# " + " ".join(names),
    "behind #Fields:": lambda names: "#Fields: " + " ".join(names),
    "as asked for": lambda names: " ".join(f"${{{name}}}" for name in names),
    "capitals": lambda names: " ".join(names).upper(),
    "commas": ", ".join,
    "no hyphens": lambda names: " ".join(name.title().replace("-", "") for name in names),
    "quotes": lambda names: f'"{" ".join(names)}"',
}

PREFIXES = {
    "a file's name": "logs/a.log:",
    "a number": "17: ",
    "seconds": "1795400000 ",
    "milliseconds": "1795400000123 ",
    "klog": "I1123 17:00:00.123456 1 main.go:1] ",
    "a level": "2026-11-23T17:00:00Z INFO ",
    "Docker Compose": "app-1  | ",
    "a pod": "[pod/app-abc/app] ",
    "a stream": "eni-0abc-all ",
    "an address": "10.0.0.1 ",
    "Apache": "[23/Nov/2026:17:00:00 +0000] ",
    "a day": "Mon Nov 23 17:00:00 2026 ",
    "colours": "\x1b[32m",
    "a key": "msg=",
    "a number in front": "2 ",
}
SUFFIXES = {"a comma": ",", "a word": " flow", "a colour": "\x1b[0m", "NUL": "\0", "a quote": '"', "a form feed": "\f"}
REPLACED = {"tabs": "\t", "commas": ",", "commas and blanks": ", ", "semicolons": ";", "bars": "|", "wide": "\u00a0"}


def _wrappings() -> dict[str, Wrap]:
    more: dict[str, Wrap] = {
        **{f"behind {name}": each(f"{text}{{}}") for name, text in PREFIXES.items()},
        **{f"before {name}": each(f"{{}}{text}") for name, text in SUFFIXES.items()},
        **{f"columns between {name}": partial(_replaced, text) for name, text in REPLACED.items()},
        "CSV in quotes": table(",", NAMES, '"'),
        "Windows": lambda lines: "".join(f"{line}\r\n" for line in lines),
        "old Macs": lambda lines: "".join(f"{line}\r" for line in lines),
        "no line feed at the end": "\n".join,
        "glued together": "".join,
        "glued by blanks": " ".join,
        "UTF-16 without a mark": lambda lines: each("{}")(lines).encode("utf-16-le"),
        "UTF-32": lambda lines: each("{}")(lines).encode("utf-32"),
        "small letters": lambda lines: each("{}")(lines).lower(),
        "a mark amid": lambda lines: each("{}")(lines[:2]) + "\ufeff" + each("{}")(lines[2:]),
        "base 64": lambda lines: each("{}")(lines).encode().hex(),
    }
    return WRAPPINGS | more


def _replaced(text: str, lines: list[str]) -> str:
    return "".join(line.replace(" ", text) + "\n" for line in lines)


ALL_WRAPPINGS = _wrappings()


def _two(pack: Packing, other: Packing) -> Packing:
    def packed(content: bytes) -> bytes:
        middle = content.find(b"\n", len(content) // 2) + 1
        return pack(content[:middle]) + other(content[middle:])

    return packed


def _as_is(content: bytes) -> bytes:
    return content


_quick_gzip = partial(gzip.compress, compresslevel=1)
_quick_xz = partial(lzma.compress, preset=0)
PACKINGS: dict[str, Packing] = {
    "gzip": _quick_gzip,
    "bzip2": bz2.compress,
    "xz": _quick_xz,
    "Zstandard": zstd,
    "gzip in gzip": lambda content: _quick_gzip(_quick_gzip(content)),
    "bzip2 in gzip": lambda content: _quick_gzip(bz2.compress(content)),
    "gzip in Zstandard": lambda content: zstd(_quick_gzip(content)),
    "gzip, two members": _two(_quick_gzip, _quick_gzip),
    "gzip, then bzip2": _two(_quick_gzip, bz2.compress),
    "gzip, then plain": _two(_quick_gzip, _as_is),
    "plain, then gzip": _two(_as_is, _quick_gzip),
    "plain, then Zstandard": _two(_as_is, zstd),
    "plain, then bzip2": _two(_as_is, bz2.compress),
    "gzip and zeros": lambda content: _quick_gzip(content) + bytes(300),
    "gzip and garbage": lambda content: _quick_gzip(content) + b"garbage",
    "zlib": zlib.compress,
    "LZMA": lambda content: lzma.compress(content, lzma.FORMAT_ALONE, preset=0),
    "LZ4, say the first bytes": lambda content: b"\x04\x22\x4d\x18" + content,
    "7-Zip, say the first bytes": lambda content: b"7z\xbc\xaf\x27\x1c" + content,
}


def _tar(form: int, content: bytes) -> bytes:
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w", format=form) as archive:
        for name in ("../a/" + "long/" * 30 + "b.log", "._b"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/nowhere"
        archive.addfile(info)
    return stored.getvalue()


def _zip(method: int, content: bytes) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", method) as archive:
        archive.writestr("../a/b.log", content)
        archive.writestr("__MACOSX/b", b"\0\5\x16\7")
    return stored.getvalue()


ARCHIVES: dict[str, Packing] = {
    "tar, pax": partial(_tar, tarfile.PAX_FORMAT),
    "tar, GNU": partial(_tar, tarfile.GNU_FORMAT),
    "zip": partial(_zip, zipfile.ZIP_DEFLATED),
    "zip, stored": partial(_zip, zipfile.ZIP_STORED),
    "tar in tar": lambda content: _tar(tarfile.PAX_FORMAT, _tar(tarfile.GNU_FORMAT, content)),
    "tar in zip": lambda content: _zip(zipfile.ZIP_DEFLATED, _tar(tarfile.PAX_FORMAT, content)),
    "tar.gz": lambda content: _quick_gzip(_tar(tarfile.PAX_FORMAT, content)),
}


def draw(seed: int, number: int) -> Case:
    """Draw the case of a number."""
    chance = Random(f"{seed} {number}")
    records = _records(chance)
    lines = [" ".join(record.values()) for record in records]
    plain = "".join(f"{line}\n" for line in lines).encode()
    kinds = []
    content = plain
    if chance.random() < 0.2:
        order = chance.sample(NAMES, len(NAMES))
        header = chance.choice(sorted(HEADERS))
        text = "".join(" ".join(record[name] for name in order) + "\n" for record in records)
        amid = chance.randrange(len(lines)) * (chance.random() < 0.3)
        text = text.split("\n", amid)[-1]
        content = "".join(f"{line}\n" for line in lines[:amid]).encode() + f"{HEADERS[header](order)}\n{text}".encode()
        kinds.append(f"header {header}{' amid' if amid else ''}")
    elif chance.random() < 0.8:
        name = chance.choice(sorted(ALL_WRAPPINGS))
        wrapped = ALL_WRAPPINGS[name](lines)
        content = wrapped.encode() if isinstance(wrapped, str) else wrapped
        kinds.append(f"wrapping {name}")
    for share, ways, what in ((0.5, PACKINGS, "packing"), (0.3, ARCHIVES, "archive")):
        if chance.random() < share:
            way = chance.choice(sorted(ways))
            content = ways[way](content)
            kinds.append(f"{what} {way}")
    is_damaged = chance.random() < 0.15
    if is_damaged:
        content = _damaged(chance, content)
        kinds.append("damage")
    return Case(tuple(kinds), plain, content, chance.choice(("flows", "flows-1-0a1b", "a.log", "b.txt")), is_damaged)


def _damaged(chance: Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        (
            content[:at],
            content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :],
            content[:at] + chance.randbytes(9) + content[at:],
            content[at:],
            content + content[:at],
        )
    )


def ask(query: Query, content: bytes, name: str) -> tuple[bytes, bool]:
    """Return the answer from a file, and whether any part of it was left out by name."""
    engine = local.LocalEngine(
        query,
        [InputFile(name, len(content), lambda: io.BytesIO(content))],
        local.PIECE_BYTES,
        Spill(None),
        1 << 20,
        None,
        lambda _: None,
    )
    engine.count()
    chunks, _ = engine.ranked(0)
    return b"".join(chunks), any(problem.is_failure and problem.reason for problem in engine.problems)


def outcome(case: Case, query: Query) -> str:
    """Return the outcome of a case in one word: `read`, `named` and `damaged` are right, all others are failures."""
    try:
        answer, is_named = ask(query, case.content, case.name)
    except Exception as error:  # noqa: BLE001 - the test looks for exceptions
        return f"exception {error!r}"
    if is_named and not answer:
        return "named"
    if answer == count(query, [case.plain], _KNOWN).lines():
        return "read"
    if is_named:
        return "in part"
    return "damaged" if case.is_damaged else "else"


def run(number: int, seed: int) -> Counter[tuple[str, str]]:
    """Try cases; return how often each kind had each outcome, and print the first failures."""
    seen: Counter[tuple[str, str]] = Counter()
    failures = 0
    for at in range(number):
        case = draw(seed, at)
        came = outcome(case, QUERIES[at % len(QUERIES)])
        is_failure = came.partition(" ")[0] not in ("read", "named", "damaged")
        for kind in case.kinds or ("plain",):
            seen[kind, came.partition(" ")[0]] += 1
        seen["all", "failed" if is_failure else came] += 1
        if is_failure:
            failures += 1
            if failures <= MOST_SHOWN:
                print(f"case {at} of seed {seed}: {', '.join(case.kinds)}: {came}", flush=True)
    return seen


def main() -> int:
    """Try the given number of cases; return 1 if any fails."""
    number = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SystemRandom().randrange(1 << 32)
    began = time.monotonic()
    seen = run(number, seed)
    for (kind, came), times in sorted(seen.items()):
        print(f"{times:8,}  {came:9}  {kind}")
    failed = seen["all", "failed"]
    print(f"seed {seed}: {number:,} cases, {failed:,} failures, {number / (time.monotonic() - began):.0f} per second")
    return 1 if failed else 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
