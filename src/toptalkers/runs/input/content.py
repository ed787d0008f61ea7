"""Judge by an object's name and first bytes whether a cluster reads it.

The mapper tells by content how an object is compressed, as this machine does. But Hadoop itself unpacks what is named
`.bz2`, and an object that is named `.gz` must be compressed, as for `run-local`. An object that is not flow-log
lines after decompression cannot be read on a cluster.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from toptalkers.flowlog.neighbours import find_neighbour
from toptalkers.kernel.counter import Counter
from toptalkers.question.query import Query
from toptalkers.records.kinds import PARQUET_MAGIC, name_kind
from toptalkers.records.misfits import describe_misfit
from toptalkers.records.packing import MOST_LAYERS

LOOK_BYTES = 16 << 10
"""How much of an object is inspected, as stored: about a hundred records, compressed or not."""

UNPACKED_BYTES = 64 << 10
"""At most how much of it is decompressed."""

PARQUET = "Parquet"
"""What an object is called that `run-local` reads and a cluster does not."""

NOT_FOR_HADOOP = {
    ".7z": "7z",
    ".deflate": "deflate",
    ".lz4": "LZ4",
    ".lzo": "LZO",
    ".orc": "ORC",
    ".parquet": PARQUET,
    ".snappy": "Snappy",
    ".tar": "tar",
    ".tgz": "tar",
    ".zip": "zip",
    ".zst": "Zstandard",
}
"""Endings of names that a cluster does not read: Hadoop fails on some, and the mapper leaves the others out."""

_PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
"""The first bytes of what the mapper decompresses, and what it is called."""

_ZSTANDARD = b"\x28\xb5\x2f\xfd"

PACKED = {".gz": (*_PACKINGS, _ZSTANDARD), ".bz2": (b"BZh",)}
"""Endings of names that must tell the truth, and the first bytes of such objects: those of any compression for `.gz`,
as for `run-local`."""

_OPENERS: Mapping[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
}

_MAGIC = {
    PARQUET_MAGIC: PARQUET,
    _ZSTANDARD: "Zstandard",
    b"PK\x03\x04": "zip",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""First bytes of formats that this machine decompresses or decodes and a cluster does not."""

_MARK = b"\xef\xbb\xbf"
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")

_NEIGHBOUR_FOLDER = re.compile(
    r"(?:.*/)?AWSLogs/(?:o-[a-z0-9]+/)?(?:aws-account-id=)?[0-9]{12}/(?:aws-service=)?"
    r"(CloudTrail|CloudTrail-Digest|CloudTrail-Insight|Config|GuardDuty|WAFLogs|elasticloadbalancing|network-firewall"
    r"|vpcdnsquerylogs)/.+"
)
"""Folders of other AWS services, in the tree that flow logs are delivered to."""

_FLOW_LOG_ID = re.compile(r"(?<![A-Za-z0-9])fl-[0-9a-f]{8,17}(?![0-9a-f])")

Kind = Literal["right", "neighbour", "unreadable"]


@dataclass(frozen=True, slots=True)
class Content:
    """A judgement on an object.

    Attributes:
        kind: `right` if a cluster reads it; `neighbour` if AWS puts such objects beside flow logs; `unreadable`
            otherwise.
        what: a description of the object.

    """

    kind: Kind
    what: str = ""


RIGHT = Content("right")


def judge_name(key: str) -> Content:
    """Judge an object by its key only; `right` if nothing in the key tells otherwise."""
    if folder := _NEIGHBOUR_FOLDER.fullmatch(key):
        return Content("neighbour", folder[1])
    for ending, what in NOT_FOR_HADOOP.items():
        if key.endswith(ending):
            return Content("unreadable", what)
    if key.endswith((".tar.gz", ".tar.bz2", ".tar.xz")):
        return Content("unreadable", "tar")
    return RIGHT


def judge_content(key: str, head: bytes, query: Query, *, is_whole: bool) -> Content:
    """Judge an object by its key and its first bytes, as stored; `is_whole` if these are all of its bytes.

    The question tells the layout of lines without a header, and the fields that must be there.
    """
    for ending, magics in PACKED.items():
        if key.endswith(ending) and not head.startswith(magics):
            return Content("unreadable", f"named {ending}, but not compressed so")
    content = head
    layers = 0
    while packing := next((magic for magic in _PACKINGS if content.startswith(magic)), None):
        layers += 1
        if layers > MOST_LAYERS:
            return Content("unreadable", f"compressed more than {MOST_LAYERS} times over")
        try:
            content, has_ended = _unpack(content, packing)
        except (zlib.error, lzma.LZMAError, OSError):
            return Content("unreadable", f"damaged {_PACKINGS[packing]}")
        if is_whole and not has_ended:
            return Content("unreadable", f"{_PACKINGS[packing]} that ends early")
        is_whole = is_whole and len(content) < UNPACKED_BYTES
    return _judge_unpacked(content, key, query, is_whole=is_whole)


def find_flow_log_ids(text: str) -> set[str]:
    """Find the ids of flow logs, `fl-...`, in a name."""
    return set(_FLOW_LOG_ID.findall(text))


def _unpack(head: bytes, magic: bytes) -> tuple[bytes, bool]:
    """Decompress the bytes; returns them, and whether the compressed data is complete."""
    unpacked = b""
    while True:
        member = _OPENERS[magic]()
        unpacked += member.decompress(head, UNPACKED_BYTES - len(unpacked))
        if len(unpacked) >= UNPACKED_BYTES:
            return unpacked, True
        head = member.unused_data
        if not head.startswith(magic):
            return unpacked, member.eof


def _judge_unpacked(content: bytes, key: str, query: Query, *, is_whole: bool) -> Content:
    for magic, what in _MAGIC.items():
        if content.startswith(magic):
            return Content("unreadable", what)
    if content[257:262] == b"ustar":
        return Content("unreadable", "tar")
    if neighbour := find_neighbour(key, content, is_whole=is_whole):
        return Content("neighbour", neighbour.what)
    if kind := name_kind(content):
        return Content("unreadable", kind)
    if len(_CONTROL.findall(content)) * 20 > len(content):
        return Content("unreadable", "binary data")
    text = content.removeprefix(_MARK).decode("ascii", "replace").replace("\r", "\n")
    if text.lstrip().startswith(("{", "[")):
        if '"messageType"' in text:
            return Content("unreadable", "CloudWatch's envelopes")
        return Content("unreadable", "JSON")
    lines = text.split("\n")
    if not is_whole:
        lines.pop()
    return _judge_lines([line for line in lines if line.strip()], key, query)


def _judge_lines(lines: list[str], key: str, query: Query) -> Content:
    """Judge whether lines fit their layout, by the rules of the local engine."""
    counter = Counter(query)
    counter.feed("\n".join(lines).encode("ascii", "replace"))
    tally = counter.end_lines()
    misfit = counter.misfit()
    if misfit is None:
        return RIGHT
    first = lines[0]
    if "," in first or first.startswith('"'):
        return Content("unreadable", "CSV")
    if "\t" in first:
        return Content("unreadable", "separated by tabs")
    auto = "; --log-format auto asks AWS" if find_flow_log_ids(key) else ""
    return Content("unreadable", describe_misfit(misfit, tally, query) + auto)
