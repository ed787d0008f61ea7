"""The options of Hadoop Streaming and the mapper's text input: the facts on which the steps rely."""

import gzip

import pytest

from tests.hadoop.conftest import Embedded

pytestmark = pytest.mark.hadoop

COMBINE = ["-inputformat", "org.apache.hadoop.mapred.lib.CombineTextInputFormat"]
NO_KEY = ["-D", "stream.map.input.ignoreKey=true"]
SPLIT = "mapreduce.input.fileinputformat.split.maxsize"
MAP_ONLY = ["-D", "mapreduce.job.reduces=0"]
IN_OUT = ["-input", "in", "-output", "out"]

SHOW_LINES = "import sys\nfor line in sys.stdin.buffer: print(repr(line))\n"
"""A mapper: each line as Python writes bytes, so that a test sees what came."""


def mapped(embedded: Embedded, *options: str) -> list[list[str]]:
    """Return the lines of each mapper, as `SHOW_LINES` prints them."""
    embedded.write({"job/show.py": SHOW_LINES})
    result = embedded.run("-files", "job/show.py", *MAP_ONLY, *options, *IN_OUT, "-mapper", "python3 show.py")
    assert result.exit_code == 0, result.why_failed()
    return [part.decode().split("\t\n")[:-1] for part in embedded.output()]


class TestTextInput:
    """Hadoop's LineRecordReader, by itself and under CombineTextInputFormat."""

    def test_combined_files_keep_their_lines(self, embedded: Embedded) -> None:
        """Small files share a map; CR and CRLF end a line, only a file's first BOM is removed, gzip is joined."""
        embedded.write(
            {
                "in/1.txt": b"\xef\xbb\xbfa\rb\r\nc\n\xef\xbb\xbfd\n",
                "in/2.gz": gzip.compress(b"e\nf") + gzip.compress(b"") + gzip.compress(b"g\n"),
                "in/3.gz": gzip.compress(b""),
                "in/4.txt": b"",
                "in/5.txt": b"no line end",
                "in/6.txt": b"last\n",
            }
        )
        (lines,) = mapped(embedded, "-D", f"{SPLIT}=1000", *NO_KEY, *COMBINE)
        expected = [b"a\n", b"b\n", b"c\n", b"\xef\xbb\xbfd\n", b"e\n", b"fg\n", b"no line end\n", b"last\n"]
        assert sorted(lines) == sorted(map(repr, expected))

    def test_a_large_plain_file_is_split_in_the_middle(self, embedded: Embedded) -> None:
        """A plain file above the split size is split, so that only one mapper gets its header; a .gz never is."""
        lines = [b"line %d\n" % number for number in range(8)]
        embedded.write({"in/plain.txt": b"".join(lines), "in/packed.gz": gzip.compress(b"".join(lines))})
        parts = mapped(embedded, "-D", f"{SPLIT}=20", *NO_KEY, *COMBINE)
        assert list(map(repr, lines)) in parts
        assert max(map(len, parts)) == 8
        assert len(parts) > 2

    def test_the_split_size_is_a_bound_for_gz_too(self, embedded: Embedded) -> None:
        """Without a split size all files are one split; with one, as many files share a map as fit in it."""
        embedded.write({f"in/{number}.gz": gzip.compress(b"%d\n" % number) for number in range(6)})
        assert len(mapped(embedded, *NO_KEY, *COMBINE)) == 1
        (embedded.directory / "out").rename(embedded.directory / "first")
        # Each is 22 bytes. Files are added until the size is reached, so two reach 40, not one.
        assert len(mapped(embedded, "-D", f"{SPLIT}=40", *NO_KEY, *COMBINE)) == 3

    def test_nested_folders_are_read_when_asked(self, embedded: Embedded) -> None:
        """Without `input.dir.recursive` nested folders give nothing, and no error."""
        embedded.write({"in/2026/11/a.gz": gzip.compress(b"a\n")})
        assert mapped(embedded, "-D", f"{SPLIT}=1000", *NO_KEY, *COMBINE) in ([], [[]])
        (embedded.directory / "out").rename(embedded.directory / "first")
        recursive = ["-D", "mapreduce.input.fileinputformat.input.dir.recursive=true"]
        assert mapped(embedded, "-D", f"{SPLIT}=1000", *NO_KEY, *recursive, *COMBINE) == [["b'a\\n'"]]

    def test_the_offset_leaks_without_ignore_key(self, embedded: Embedded) -> None:
        """CombineTextInputFormat's byte offset precedes each line unless the key is ignored."""
        embedded.write({"in/a.txt": b"a\nb\n"})
        assert mapped(embedded, *COMBINE) == [["b'0\\ta\\n'", "b'2\\tb\\n'"]]

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("cut.gz", gzip.compress(bytes(range(256)) * 9)[:-100], "EOFException: Unexpected end of input stream"),
            ("empty.gz", b"", "EOFException: Unexpected end of input stream"),
            ("padded.gz", gzip.compress(b"a\n") + bytes(20), "IOException: not a gzip file"),
            ("a.zst", b"", "native zStandard library not available"),
        ],
        ids=["cut", "empty", "padded", "zst"],
    )
    def test_an_unreadable_file_fails_the_job(self, embedded: Embedded, name: str, content: bytes, reason: str) -> None:
        """One truncated or zero-byte .gz ends the whole job, and Hadoop does not say which file it was."""
        embedded.write({f"in/{name}": content, "job/show.py": SHOW_LINES})
        result = embedded.run("-files", "job/show.py", *MAP_ONLY, *COMBINE, *IN_OUT, "-mapper", "python3 show.py")
        assert result.exit_code == 1
        why = result.why_failed()
        assert why is not None
        assert reason in why
        assert name not in why


def test_generic_options_come_first(embedded: Embedded) -> None:
    """`-D` and `-files` behind an option of streaming's own are refused."""
    result = embedded.run(*COMBINE, "-D", "mapreduce.job.reduces=0", *IN_OUT, "-mapper", "cat")
    assert result.exit_code == 1
    assert "Unrecognized option: -D" in (result.why_failed() or "")


class TestBlocks:
    """Records of bytes (`rawbytes`) between a mapper and a reducer."""

    OPTIONS = (
        *("-D", "mapreduce.job.reduces=3"),
        *("-D", "stream.map.output=rawbytes", "-D", "stream.reduce.input=rawbytes"),
        *("-D", "mapreduce.partition.binarypartitioner.left.offset=0"),
        *("-D", "mapreduce.partition.binarypartitioner.right.offset=0"),
    )

    def test_sorted_by_bytes_and_divided_by_the_first(self, embedded: Embedded) -> None:
        """Keys are sorted as unsigned bytes, whatever is in keys and values; the first byte chooses the reducer."""
        keys = [
            bytes([first]) + rest for first in range(3) for rest in (b"", b"\n", b"\0", b"\xff", b"\x7f\xff", b"a\tb")
        ]
        written = "".join(f"write({key!r}, {bytes(reversed(key)) + bytes(2)!r})\n" for key in reversed(keys))
        script = (
            "import struct, sys\n"
            "def write(*both):\n"
            "    for one in both: sys.stdout.buffer.write(struct.pack('>i', len(one)) + one)\n"
        )
        embedded.write({"in/a": "a\n", "job/blocks.py": script + written})
        embedded.write({"job/show.py": "import sys\nprint(sys.stdin.buffer.read())\n"})
        result = embedded.run(
            *("-files", "job/blocks.py,job/show.py", *self.OPTIONS, *IN_OUT, "-mapper", "python3 blocks.py"),
            *("-partitioner", "org.apache.hadoop.mapred.lib.BinaryPartitioner", "-reducer", "python3 show.py"),
        )
        assert result.exit_code == 0, result.why_failed()
        expected = [b"", b"", b""]
        for key in sorted(keys):
            # Hadoop hashes a byte as 31 + the byte.
            expected[(31 + key[0]) % 3] += b"".join(
                len(one).to_bytes(4, "big") + one for one in (key, bytes(reversed(key)) + bytes(2))
            )
        assert embedded.output() == [repr(one).encode() + b"\t\n" for one in expected]


class TestShuffle:
    """The sort step's options."""

    COUNTS = b"b:1\t2\na:1\t10\na:2\t2\nc:1\t9\n"
    SORT = (
        *("-D", "mapreduce.job.reduces=1"),
        *("-D", "stream.num.map.output.key.fields=2"),
        *("-D", "mapreduce.job.output.key.comparator.class=org.apache.hadoop.mapred.lib.KeyFieldBasedComparator"),
        *("-D", "mapreduce.partition.keycomparator.options=-k2,2nr -k1,1"),
    )

    def test_ties_are_ordered_and_lines_clean(self, embedded: Embedded) -> None:
        """`-k2,2nr -k1,1` with the reducer `cut -f1,2` gives the answer's order and no trailing tab."""
        embedded.write({"in/part-00000": self.COUNTS})
        result = embedded.run(*self.SORT, *IN_OUT, "-mapper", "cat", "-reducer", "cut -f1,2")
        assert result.exit_code == 0, result.why_failed()
        # The empty value's separator is still written, after the line end of cut.
        assert embedded.output() == [b"a:1\t10\nc:1\t9\na:2\t2\nb:1\t2\n"]

    def test_cat_leaves_a_trailing_tab(self, embedded: Embedded) -> None:
        """The same with the reducer `cat` writes the separator before an empty value."""
        embedded.write({"in/part-00000": self.COUNTS})
        embedded.run(*self.SORT, *IN_OUT, "-mapper", "cat", "-reducer", "cat")
        assert embedded.output() == [b"a:1\t10\t\nc:1\t9\t\na:2\t2\t\nb:1\t2\t\n"]

    def test_aggregate_keeps_ipv6(self, embedded: Embedded) -> None:
        """`-reducer aggregate` splits only at the first colon."""
        key = "[2001:db8::1]:[2001:db8::2]:443"
        embedded.write({"in/a": f"LongValueSum:{key}\t2\n" * 5})
        result = embedded.run(*IN_OUT, "-mapper", "cat", "-reducer", "aggregate")
        assert result.exit_code == 0, result.why_failed()
        assert embedded.output() == [f"{key}\t10\n".encode()]

    def test_an_existing_output_fails_before_it_begins(self, embedded: Embedded) -> None:
        """No job is submitted, and the reason names the directory."""
        embedded.write({"in/a": "a\n", "out/part-00000": "kept\n"})
        result = embedded.run(*IN_OUT, "-mapper", "cat", "-reducer", "cat")
        assert (result.exit_code, result.job_id, result.counters) == (5, None, {})
        assert "out already exists" in (result.why_failed() or "")
        assert embedded.output() == [b"kept\n"]
