"""The input of the measurements: flow logs made once, kept below the work folder, and never visible half made."""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import say
from bench.tools import PEERS, TOPTALKERS

CUSTOM_FIELDS = (
    "interface-id", "action", "log-status", "pkt-srcaddr", "srcaddr", "dstaddr", "pkt-dstaddr", "srcport", "dstport",
    "protocol", "packets", "bytes", "start", "end", "vpc-id",
)  # fmt: skip
CUSTOM_FORMAT = " ".join(f"${{{name}}}" for name in CUSTOM_FIELDS)
"""Other columns in another order, as a user would pass them to `create-flow-logs` and `--log-format`."""

GZIP_LEVEL = 6
"""gzip's default, and about as AWS compresses."""


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder; if it does not exist, make it under another name and rename it."""
    if not folder.exists():
        say(f"  making {folder.name}")
        making = folder.with_name(f"making-{folder.name}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        make(making)
        making.rename(folder)
    return folder


def sample(work: Path, records: int, layout: str = "default", *, dirty: bool = False, seed: int | None = None) -> Path:
    """Make a `toptalkers sample` of that many records."""
    words = [TOPTALKERS, "sample", "--records", str(records), "--layout", layout, *(["--dirty"] if dirty else [])]
    words += [] if seed is None else ["--seed", str(seed)]
    return once(
        work / f"{'dirty' if dirty else layout}-{records}{'' if seed is None else f'-seed-{seed}'}",
        lambda folder: _quietly([*words, "--out", str(folder)]),
    )


def unpacked(folder: Path, most: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Give the files of a headerless sample in order, without empty ones: name without `.gz`, and text."""
    for path in sorted(folder.glob("*.gz"))[:most]:
        text = gzip.decompress(path.read_bytes())
        if text:
            yield path.name.removesuffix(".gz"), text


def plain(work: Path, source: Path) -> Path:
    """Make the same files, uncompressed."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source):
            (folder / name).write_bytes(text)

    return once(work / f"plain-{source.name}", make)


def zstandard(work: Path, source: Path) -> Path:
    """Make the same files, compressed with Zstandard."""

    def make(folder: Path) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        for name, text in unpacked(source):
            (folder / f"{name}.zst").write_bytes(zstd.compress(text))

    return once(work / f"zst-{source.name}", make)


def parquet(work: Path, source: Path, python: str) -> Path:
    """Make a Parquet file of the same records with DuckDB, which that Python has, as AWS delivers them."""

    def make(folder: Path) -> None:
        _quietly([python, str(PEERS / "duckdb_to_parquet.py"), str(source), str(folder / "flows.parquet")])

    return once(work / f"parquet-{source.name}", make) / "flows.parquet"


def custom(work: Path, source: Path) -> Path:
    """Make files of the same records in `CUSTOM_FORMAT`, without headers."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source):
            lines = []
            for line in text.decode().splitlines():
                _, _, eni, src, dst, srcport, dstport, protocol, packets, octets, *rest = line.split(" ")
                start, end, action, status = rest
                lines.append(
                    f"{eni} {action} {status} {src} {src} {dst} {dst} {srcport} {dstport} {protocol} {packets}"
                    f" {octets} {start} {end} vpc-0a1b2c3d4e5f60718\n"
                )
            (folder / f"{name}.gz").write_bytes(gzip.compress("".join(lines).encode(), 1, mtime=0))

    return once(work / f"custom-{source.name}", make)


def glued(work: Path, source: Path, files: int) -> Path:
    """Make that many files of the same records, in the same order."""

    def make(folder: Path) -> None:
        lines = [line for _, text in unpacked(source) for line in text.splitlines(keepends=True)]
        for number in range(files):
            part = lines[len(lines) * number // files : len(lines) * (number + 1) // files]
            (folder / f"{number:04d}.log.gz").write_bytes(gzip.compress(b"".join(part), 1, mtime=0))

    return once(work / f"in-{files}-{source.name}", make)


def accepted_ipv4(work: Path, source: Path, files: int) -> Path:
    """Make files of the records that the recipe's chain would capture and its filter can read: ACCEPT, OK, IPv4."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source, files):
            kept = [
                line for line in text.splitlines(keepends=True) if line.endswith(b" ACCEPT OK\n") and b":" not in line
            ]
            (folder / f"{name}.gz").write_bytes(gzip.compress(b"".join(kept), GZIP_LEVEL, mtime=0))

    return once(work / f"accepted-{files}-{source.name}", make)


def recompressed(work: Path, source: Path) -> Path:
    """Make the same files, compressed as AWS does; the sample itself is compressed fast."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source):
            (folder / f"{name}.gz").write_bytes(gzip.compress(text, GZIP_LEVEL, mtime=0))

    return once(work / f"packed-{source.name}", make)


def some_files(work: Path, source: Path, files: int) -> Path:
    """Copy the first files of a sample."""

    def make(folder: Path) -> None:
        for path in sorted(source.glob("*.gz"))[:files]:
            shutil.copy(path, folder)

    return once(work / f"first-{files}-{source.name}", make)


def joined(work: Path, source: Path, files: int) -> Path:
    """Join the first files of a sample into one file of lines, for standard input."""

    def make(folder: Path) -> None:
        with (folder / "lines.log").open("wb") as out:
            for _, text in unpacked(source, files):
                out.write(text)

    return once(work / f"joined-{files}-{source.name}", make) / "lines.log"


def framed(work: Path, source: Path, delimiter: bytes) -> Path:
    """Make a file of what Hadoop hands to a mapper of the whole files of a folder, for standard input."""
    from tests.frames import frames_of

    def make(folder: Path) -> None:
        with (folder / "frames").open("wb") as out:
            for path in sorted(source.glob("*.gz")):
                out.write(frames_of([path.read_bytes()], delimiter))

    return once(work / f"framed-{delimiter.decode()}-{source.name}", make) / "frames"


def count_records(folder: Path) -> int:
    """Return how many lines the files of a headerless sample have."""
    return sum(text.count(b"\n") for _, text in unpacked(folder))


def stored_bytes(folder: Path) -> int:
    """Return the size of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _quietly(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
