"""Recognize files of other kinds by their first bytes, with advice on how to read them."""

_UNPACK = "unpack it first"
_DECOMPRESS = "decompress it first"
_AS_TEXT = "only text and Parquet are read: have AWS deliver these, or export the rows as CSV"

PARQUET_MAGIC = b"PAR1"

_PCAP = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")

_KINDS: tuple[tuple[bytes | tuple[bytes, ...], str, str], ...] = (
    (b"PARE", "an encrypted Parquet file", "write it again without encryption"),
    (b"ORC", "an ORC file", _AS_TEXT),
    (b"Obj\x01", "an Avro file", _AS_TEXT),
    (b"SEQ\x06", "a Hadoop sequence file", _AS_TEXT),
    (b"RCF\x01", "a Hive RCFile", _AS_TEXT),
    (b"ARROW1", "an Arrow file", _AS_TEXT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_TEXT),
    (b"SQLite format 3\0", "an SQLite database", "export its rows as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (xls, doc)", "save the lines as text"),
    (b"{\\rtf", "an RTF document", "save the lines as text"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"MSCF\0\0\0\0", "a Cabinet archive", _UNPACK),
    (b"xar!", "an xar archive", _UNPACK),
    (b"!<arch>\n", "an ar archive", _UNPACK),
    ((b"070701", b"070702", b"070707", b"\xc7\x71"), "a cpio archive", _UNPACK),
    (b"\xed\xab\xee\xdb", "an RPM package", _UNPACK),
    (b"hsqs", "a SquashFS image", _UNPACK),
    ((b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"), "compressed with LZ4", _DECOMPRESS + ": lz4 -d"),
    ((b"\xff\x06\0\0sNaPpY", b"\x82SNAPPY\0"), "compressed with Snappy", _DECOMPRESS),
    (b"LZIP", "compressed with lzip", _DECOMPRESS + ": lzip -d"),
    (b"\x89LZO\0", "compressed with LZO", _DECOMPRESS + ": lzop -d"),
    (b"]\0\0", "compressed with LZMA", _DECOMPRESS + ": xz -d --format=lzma"),
    ((b"\x1f\x9d", b"\x1f\xa0"), "compressed with compress (.Z)", _DECOMPRESS + ": uncompress"),
    (b"\x1f\x1e", "compressed with pack (.z)", _DECOMPRESS + ": gzip -d"),
    (b"\xce\xb2\xcf\x81", "compressed with Brotli", _DECOMPRESS),
    (_PCAP, "a packet capture (pcap)", "it holds packets, not flow logs"),
    (b"\x0a\x0d\x0d\x0a", "a packet capture (pcapng)", "it holds packets, not flow logs"),
    (b"%PDF-", "a PDF", "save the lines as text"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    (b"GIF8", "a GIF picture", ""),
    (b"\x7fELF", "a program (ELF)", ""),
    (b"\xcf\xfa\xed\xfe", "a program (Mach-O)", ""),
    (b"\xca\xfe\xba\xbe", "a program (Mach-O or Java)", ""),
    (b"MZ\x90\0", "a program (Windows)", ""),
    (b"-----BEGIN PGP", "encrypted or signed with PGP", "decrypt it first"),
    (b"age-encryption.org/", "encrypted with age", "decrypt it first"),
    (b"Salted__", "encrypted with OpenSSL", "decrypt it first"),
)
_MARKUP = ((b"<?xml", "XML"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))


def name_kind(head: bytes) -> str | None:
    """Describe a file that begins like this, and what to do with it; None if it may be a flow log."""
    for magic, what, advice in _KINDS:
        if head.startswith(magic):
            return f"not a flow log: {what}" + (f"; {advice}" if advice else "")
    if head[4:8] == b"ftyp":
        return "not a flow log: a video"
    if head[2:7] == b"-lh5-":
        return f"not a flow log: an LHA archive; {_UNPACK}"
    start = head[:64].lstrip().lower()
    for beginning, what in _MARKUP:
        if start.startswith(beginning):
            return f"not a flow log: {what}"
    return None
