"""What is measured with: flow logs made up once, kept below the work folder, and never seen half made."""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import say
from bench.tools import TOPTALKERS

CUSTOM_FIELDS = (
    "interface-id", "action", "log-status", "pkt-srcaddr", "srcaddr", "dstaddr", "pkt-dstaddr", "srcport", "dstport",
    "protocol", "packets", "bytes", "start", "end", "vpc-id",
)  # fmt: skip
CUSTOM_FORMAT = " ".join(f"${{{name}}}" for name in CUSTOM_FIELDS)
"""Other columns in another order, as a user would give it to `create-flow-logs` and `--log-format`."""

PACKED_LEVEL = 6
"""gzip's usual, and about what AWS delivers."""


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Give a folder, made under another name first if it is not there."""
    if not folder.exists():
        say(f"  making {folder.name}")
        making = folder.with_name(f"making-{folder.name}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        make(making)
        making.rename(folder)
    return folder


def sample(work: Path, records: int, layout: str = "default", *, dirty: bool = False) -> Path:
    """`toptalkers sample` of that many records."""
    words = [TOPTALKERS, "sample", "--records", str(records), "--layout", layout, *(["--dirty"] if dirty else [])]
    return once(
        work / f"{'dirty' if dirty else layout}-{records}",
        lambda folder: _quietly([*words, "--out", str(folder)]),
    )


def unpacked(folder: Path, most: int | None = None) -> Iterator[tuple[str, bytes]]:
    """The files of a headerless sample, in order: name without `.gz`, and text; empty ones left out."""
    for path in sorted(folder.glob("*.gz"))[:most]:
        text = gzip.decompress(path.read_bytes())
        if text:
            yield path.name.removesuffix(".gz"), text


def plain(work: Path, source: Path) -> Path:
    """The same files unpacked."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source):
            (folder / name).write_bytes(text)

    return once(work / f"plain-{source.name}", make)


def zstandard(work: Path, source: Path) -> Path:
    """The same files packed with Zstandard."""

    def make(folder: Path) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        for name, text in unpacked(source):
            (folder / f"{name}.zst").write_bytes(zstd.compress(text))

    return once(work / f"zst-{source.name}", make)


def custom(work: Path, source: Path) -> Path:
    """The same records in `CUSTOM_FORMAT`, headerless."""

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
    """The same records, in order, in that many files."""

    def make(folder: Path) -> None:
        lines = [line for _, text in unpacked(source) for line in text.splitlines(keepends=True)]
        for number in range(files):
            part = lines[len(lines) * number // files : len(lines) * (number + 1) // files]
            (folder / f"{number:04d}.log.gz").write_bytes(gzip.compress(b"".join(part), 1, mtime=0))

    return once(work / f"in-{files}-{source.name}", make)


def accepted_ipv4(work: Path, source: Path, files: int) -> Path:
    """What the recipe's chain would have captured of a sample, and its filter understands: ACCEPT, OK, IPv4."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source, files):
            kept = [
                line for line in text.splitlines(keepends=True) if line.endswith(b" ACCEPT OK\n") and b":" not in line
            ]
            (folder / f"{name}.gz").write_bytes(gzip.compress(b"".join(kept), PACKED_LEVEL, mtime=0))

    return once(work / f"accepted-{files}-{source.name}", make)


def packed_at(work: Path, source: Path) -> Path:
    """The same files packed as AWS would, where the sample is packed in haste."""

    def make(folder: Path) -> None:
        for name, text in unpacked(source):
            (folder / f"{name}.gz").write_bytes(gzip.compress(text, PACKED_LEVEL, mtime=0))

    return once(work / f"packed-{source.name}", make)


def some_files(work: Path, source: Path, files: int) -> Path:
    """The first files of a sample."""

    def make(folder: Path) -> None:
        for path in sorted(source.glob("*.gz"))[:files]:
            shutil.copy(path, folder)

    return once(work / f"first-{files}-{source.name}", make)


def joined(work: Path, source: Path, files: int) -> Path:
    """The first files of a sample as one file of lines, for standard input."""

    def make(folder: Path) -> None:
        with (folder / "lines.log").open("wb") as out:
            for _, text in unpacked(source, files):
                out.write(text)

    return once(work / f"joined-{files}-{source.name}", make) / "lines.log"


def count_records(folder: Path) -> int:
    """How many lines the files of a headerless sample have."""
    return sum(text.count(b"\n") for _, text in unpacked(folder))


def packed_bytes(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _quietly(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
