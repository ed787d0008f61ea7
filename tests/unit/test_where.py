"""`--where`: what expressions mean, how they are kept, and errors that point at the place."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wheres import SERVICE, Drawn, Is, holds, records, service_of, wheres
from toptalkers.answer.formats import describe_query
from toptalkers.cli.main import cli
from toptalkers.errors import UsageError
from toptalkers.flowlog.protocols import PROTOCOL_NAMES, PROTOCOL_NUMBERS
from toptalkers.question.key import ALIASES
from toptalkers.question.query import Query
from toptalkers.question.where import Where, parse_program, parse_where
from toptalkers.question.where_parser import (
    _COMPARISONS,
    _EQUALITIES,
    _FAMILIES,
    _INEQUALITIES,
    _SIDES,
    LARGEST_LIST_BYTES,
    MOST_NESTED,
)


def run(program: str, record: Mapping[str, str]) -> bool:
    """Evaluate a program as the docstring of `question/where.py` explains it; at most 64 results wait."""
    stack: list[bool] = []
    for word in program.split(","):
        if word == "not":
            stack.append(not stack.pop())
        elif word in ("and", "or"):
            second, first = stack.pop(), stack.pop()
            stack.append((first and second) if word == "and" else (first or second))
        else:
            field, letter, options = word.split(":")
            value = service_of(record)[field] if field in SERVICE else record.get(field, "-")
            stack.append(any(is_in(field, letter, value, option) for option in options.split("+")))
            assert len(stack) <= 64
    (result,) = stack
    return result


def is_in(field: str, letter: str, value: str, option: str) -> bool:
    """Whether a value is in one range or is one text of a program."""
    if letter == "t":
        return value.encode().hex() == option
    low, high = option.split("-")
    if value == "-":
        return False
    if letter == "n":
        number = int(value) // (1000 if field in ("start", "end") and int(value) >= 10**11 else 1)
        return int(low) <= number <= int(high)
    digits = ipaddress.ip_address(value).packed.hex()
    return len(low) == len(digits) and low <= digits <= high


@given(wheres(), records())
def test_a_program_holds_where_the_expression_does(drawn: Drawn, record: dict[str, str]) -> None:
    """For any expression and any record."""
    assert run(parse_where(drawn.text).program, record) == holds(drawn.tree, record)


@given(wheres())
@example(Drawn("vpc-id 'IN'", Is("vpc-id", ("IN",))))
def test_a_kept_expression_is_one_line_and_the_same(drawn: Drawn) -> None:
    """Its text prints in one line, and is read back as the same text and program."""
    where = parse_where(drawn.text)
    assert where.text.isprintable()
    assert parse_where(where.text) == where


MEANINGS = [
    ("dst port 443", "dstport = 443", "dstport:n:443-443"),
    ("port 443", "port = 443", "srcport:n:443-443,dstport:n:443-443,or"),
    ("src and dst port 443", "src and dst port = 443", "srcport:n:443-443,dstport:n:443-443,and"),
    ("DST PORT == 443", "dstport = 443", "dstport:n:443-443"),
    ("dstport=443,22,8000-8999,23", "dstport in [22-23, 443, 8000-8999]", "dstport:n:22-23+443-443+8000-8999"),
    ("dst port in [22 443]", "dstport in [22, 443]", "dstport:n:22-22+443-443"),
    ("dst port not in (22, 443)", "dstport not in [22, 443]", "dstport:n:22-22+443-443,not"),
    ("dst port > 1023", "dstport >= 1024", "dstport:n:1024-65535"),
    ("dst port <= 1023", "dstport <= 1023", "dstport:n:0-1023"),
    ("dst port >= 0", "dstport >= 0", "dstport:n:0-65535"),
    ("src 10.0.0.77/24", "srcaddr = 10.0.0.0/24", "srcaddr:a:0a000000-0a0000ff"),
    ("src host 10.0.0.0-10.0.0.127", "srcaddr = 10.0.0.0/25", "srcaddr:a:0a000000-0a00007f"),
    ("src host 10.0.0.1,10.0.0.2", "srcaddr = 10.0.0.1-10.0.0.2", "srcaddr:a:0a000001-0a000002"),
    (
        "dst net in [2001:db8::/32 10.0.0.0/8]",
        "dstaddr in [10.0.0.0/8, 2001:db8::/32]",
        "dstaddr:a:0a000000-0affffff+20010db8000000000000000000000000-20010db8ffffffffffffffffffffffff",
    ),
    (
        "pkt-srcaddr ::ffff:192.0.2.1",
        "pkt-srcaddr = ::ffff:c000:201",
        "pkt-srcaddr:a:00000000000000000000ffffc0000201-00000000000000000000ffffc0000201",
    ),
    (
        "ipv4",
        "src and dst host = 0.0.0.0/0",
        "srcaddr:a:00000000-ffffffff,dstaddr:a:00000000-ffffffff,and",
    ),
    ("proto tcp", "protocol = tcp", "protocol:n:6-6"),
    ("proto in [58, UDP]", "protocol in [udp, icmp6]", "protocol:n:17-17+58-58"),
    (
        "bytes >= 1m and packets < 0x10",
        "bytes >= 1000000 and packets <= 15",
        "bytes:n:1000000-999999999999999,packets:n:0-15,and",
    ),
    ("start > 2026-11-23T19:00+01:00", "start > 2026-11-23T18:00:00Z", "start:n:1795456801-253402300799"),
    ("end = 2026-11-23-2026-11-24", "end = 2026-11-23T00:00:00Z-2026-11-24T00:00:00Z", "end:n:1795392000-1795478400"),
    ("start <= 1795392000999", "start <= 2026-11-23T00:00:00Z", "start:n:0-1795392000"),
    ("vpc_id = vpc-0a", "vpc-id = vpc-0a", "vpc-id:t:7670632d3061"),
    ("instance-tag in ['a b', \"it's\"]", r"instance-tag in ['a b', 'it\'s']", "instance-tag:t:612062+69742773"),
    ("instance-tag = 'a\\u000ab'", r"instance-tag = 'a\u000ab'", "instance-tag:t:610a62"),
    ("action reject", "action = REJECT", "action:t:52454a454354"),
    ("type = ipv4", "type = IPv4", "type:t:49507634"),
    ("type = 'ipv4'", "type = 'ipv4'", "type:t:69707634"),
    ("vpc-id != -", "vpc-id != -", "vpc-id:t:2d,not"),
    ("dstport in [443, -]", "dstport in [443, -]", "dstport:n:443-443,dstport:t:2d,or"),
    ("not not side src", "side = src", "side:t:737263"),
    (
        "bytes 1 or bytes 2 and bytes 3",
        "bytes = 1 or bytes = 2 and bytes = 3",
        "bytes:n:1-1,bytes:n:2-2,bytes:n:3-3,and,or",
    ),
    (
        "(bytes 1 or bytes 2) && !bytes 3",
        "(bytes = 1 or bytes = 2) and bytes != 3",
        "bytes:n:1-1,bytes:n:2-2,or,bytes:n:3-3,not,and",
    ),
    (
        "bytes 1 and (bytes 2 and bytes 3)",
        "bytes = 1 and bytes = 2 and bytes = 3",
        "bytes:n:1-1,bytes:n:2-2,and,bytes:n:3-3,and",
    ),
    ("bytes 1 # one\n or bytes 2", "bytes = 1 or bytes = 2", "bytes:n:1-1,bytes:n:2-2,or"),
]


@pytest.mark.parametrize(("text", "kept", "program"), MEANINGS)
def test_what_an_expression_means(text: str, kept: str, program: str) -> None:
    """Each expression is kept in one way, and has one program."""
    assert parse_where(text) == Where(kept, program)


# The mark stands before the place at which the caret points.
MALFORMED = [
    ("▲", "the expression is empty"),
    ("▲   ", "the expression is empty"),
    ("# only a comment▲", "the expression is empty"),
    ("dst port▲", "expected a value of 'port', not the end"),
    ("dst port ▲and bytes > 5", "expected a value of 'port', not 'and'"),
    ("bytes >▲", "expected a value of 'bytes', not the end"),
    ("bytes = ▲> 5", "expected a value of 'bytes', not '>'"),
    ("dst▲", "expected a value of 'dst', not the end"),
    ("dst port 443 and▲", "expected a test, not the end"),
    ("dst port 443 or ▲or bytes 5", "expected a test, not 'or'"),
    ("▲and dst port 443", "expected a test, not 'and'"),
    ("not▲", "expected a test, not the end"),
    ("▲'dstport' = 443", "expected a test, not 'dstport'"),
    ("dst port 443 ▲dst port 22", "expected 'and' or 'or' before 'dst'"),
    ("dst port 443 ▲8080", "expected 'and' or 'or' before '8080'"),
    ("bytes > ▲5, 7", "expected one value after '>', not a list"),
    ("net 10.0.0.0 ▲255.0.0.0", "expected 'and' or 'or' before '255.0.0.0'"),
    ("dstport = 443 ▲= 5", "expected 'and' or 'or' before '='"),
    ("(dst port 443, ▲bytes 5)", "'bytes' is not a port"),
    ("(dst port in [443]▲, bytes 5)", "expected 'and' or 'or' before ','"),
    ("▲dport 443", "'dport' is not a field of flow logs, nor another word of an expression"),
    ("dst port 443 and ▲byte > 5", "'byte' is not a field of flow logs"),
    ("dst port 443 and (▲tcp)", "'tcp' is not a field of flow logs"),
    ("dst port ▲https", "'https' is not a port"),
    ("dst port ▲70000", "'70000' is above the highest port, 65535"),
    ("dst port 22,443,▲70000", "'70000' is above the highest port, 65535"),
    ("dst port 443-▲70000", "'70000' is above the highest port, 65535"),
    ("dst port 8999-▲8000", "the range '8999-8000' ends before it begins"),
    ("dst port in [8000 ▲- 8999]", "a range has no spaces, as in 8000-8999"),
    ("dst port 22,▲", "expected a value of 'port' after the comma, not the end"),
    ("dst port in [22,▲,443]", "expected a value of 'port' of the list, not ','"),
    ("dst port in [22,▲]", "expected a value of 'port' of the list, not ']'"),
    ("dst port in [▲]", "the list is empty"),
    ("dst port in ▲[22 443", "this list is never closed"),
    ("dst port in ▲[", "this list is never closed"),
    ("dst port in [22 ▲and 23]", "expected a value of 'port' of the list, not 'and'"),
    ("dst port ▲(22)", "expected a value of 'port', not '('"),
    ("proto ▲tpc", "'tpc' is not a protocol"),
    ("proto ▲256", "'256' is above the highest protocol, 255"),
    ("bytes > ▲1e6", "'1e6' is not a number"),
    ("bytes > ▲-1", "'-1' is not a number"),
    ("bytes > ▲1-5", "expected one number after >, not '1-5'"),
    ("bytes > ▲-", "expected one number after >, not '-'"),
    ("bytes > ▲@sizes.txt", "expected one value after '>', not a list"),
    ("bytes < ▲0", "no number is below '0'"),
    ("dst port > ▲65535", "no port is above '65535'"),
    ("bytes > ▲1000000000000000", "'1000000000000000' is above the highest number, 999999999999999"),
    ("src host ▲10.0.0.256", "'10.0.0.256' is not an address or a network"),
    ("src host ▲web-1.example.com", "'web-1.example.com' is not an address or a network"),
    ("src net 10.0.0.0/▲33", "'10.0.0.0/33' is not a network: the length after / is 0 to 32"),
    ("src net 2001:db8::/▲129", "'2001:db8::/129' is not a network: the length after / is 0 to 128"),
    ("net 10.0.0.0/▲", "'10.0.0.0/' is not a network: the length after / is 0 to 32"),
    ("net ▲10/8", "'10' is not an address or a network"),
    ("host 10.0.0.9-▲10.0.0.1", "the range '10.0.0.9-10.0.0.1' ends before it begins"),
    ("host 10.0.0.1-▲10.0.0.300", "'10.0.0.300' is not an address or a network"),
    ("host 10.0.0.1-▲2001:db8::1", "the range '10.0.0.1-2001:db8::1' is of IPv4 and IPv6"),
    ("host in [10.0.0.1, ▲10.0.0]", "'10.0.0' is not an address or a network"),
    ("srcaddr ▲> 10.0.0.1", "'srcaddr' cannot be compared with '>'"),
    ("vpc-id ▲< vpc-1", "'vpc-id' cannot be compared with '<'"),
    ("action ▲allow", "'allow' is not one of ACCEPT, REJECT"),
    ("side = ▲client", "'client' is not one of src, dst, both"),
    ("vpc-id = ▲''", "an empty text matches nothing"),
    ("start > ▲yesterday", "'yesterday' is not a time"),
    ("start > ▲2026-13-01", "'2026-13-01' is not a time"),
    ("start > ▲2026-11-23T18:00:00.5Z", "'2026-11-23T18:00:00.5Z' is finer than a second"),
    ("start > ▲1969-12-31", "'1969-12-31' is before 1970"),
    ("start = 2026-11-24-▲2026-11-23", "the range '2026-11-24-2026-11-23' ends before it begins"),
    ("▲(dst port 443", "this bracket is never closed"),
    ("dst port 443 and ▲(bytes > 5 or (bytes < 2)", "this bracket is never closed"),
    ("dst port 443▲)", "')' closes a bracket that is not open"),
    ("(▲)", "expected a test, not ')'"),
    ("dst port 443 ▲& bytes > 5", "'&' alone means nothing"),
    ("dst port 443 ▲| bytes > 5", "'|' alone means nothing"),
    ("vpc-id = a▲\\b", "a backslash is for texts in quotes"),
    ("vpc-id = ▲'vpc-1", "the quote ' is never closed"),
    ("vpc-id = 'a▲\\d'", r"'\d' is not an escape"),
    ("vpc-id = 'a▲\\u12'", "is not an escape"),
    ("vpc-id = 'a▲\\ud800'", "is not an escape"),
    ("vpc-id = 'a▲\\", "is not an escape"),
    ("vpc-id = a▲\x1b[31m", r"\x1b is a control character"),
    ("vpc-id = '▲\udce9'", "this is not UTF-8"),
    ("src host in @▲", "expected the name of a file after @"),
    ("src host in ▲@/nowhere/hosts.txt", "/nowhere/hosts.txt cannot be read: No such file or directory"),
    ("src ▲prot 5", "'prot' is not an address or a network"),
    ("src ▲and bytes > 5", "expected a value of 'src', not 'and'"),
]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("log-status", ["OK", "NODATA", "SKIPDATA"]),
        ("flow-direction", ["ingress", "egress"]),
        ("type", ["IPv4", "IPv6", "EFA"]),
        ("action", ["ACCEPT", "REJECT"]),
        ("side", ["src", "dst", "both"]),
    ],
)
def test_known_words_are_written_as_they_are_logged(field: str, words: list[str]) -> None:
    """A test is for the word as it is in the logs, in whatever case it is typed."""
    for word in words:
        assert parse_where(f"{field} = {word.swapcase()}") == parse_where(f"{field} = {word}")
        assert f"{field}:t:{word.encode().hex()}" == parse_where(f"{field} = {word.swapcase()}").program


@pytest.mark.parametrize(("marked", "message"), MALFORMED)
def test_a_malformed_expression_is_explained_and_shown(marked: str, message: str) -> None:
    """The message names the option and what is wrong, and the caret stands under the place."""
    before, _, after = marked.partition("▲")
    with pytest.raises(UsageError) as raised:
        parse_where(before + after)
    assert raised.value.message.startswith("--where: ")
    assert message in raised.value.message
    shown, caret = raised.value.excerpt
    assert caret.strip() == "^"
    if (before + after).isprintable():
        assert shown == f"  {before}{after}"
        assert caret == " " * (2 + len(before)) + "^"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("dst prot 443", "did you mean 'port'?"),
        ("src 10.0.0", "for example 10.0.0.1 or 10.0.0.0/16"),
        ("byte > 5", "did you mean 'bytes'?"),
        ("dst_port 443", "did you mean 'dstport'?"),
        ("flags 2", "tcp-flags is the sum of FIN 1, SYN 2, RST 4, ACK 16: tcp-flags = 2 is SYN alone"),
        ("duration > 10", "flow logs do not have it"),
        ("hour = 18", "a time is written start >= 2026-11-23T18:00:00Z and start < 2026-11-23T19:00:00Z"),
        ("dport 443", "did you mean 'dst port'?"),
        ("dst", "put the whole expression in quotes: --where 'dst port 443'"),
        ("not", "put the whole expression in quotes: --where 'dst port 443'"),
        ("port 80 or 443", "each test has its own subject; several values are a list: dst port in [80, 443]"),
        ("dstport <> 443", "did you mean '!='?"),
        ("bytes => 443", "did you mean '>='?"),
        ("srcaddr is null", "a record without a value has -, as in dstport = -"),
        ("port between 1 and 9", "a range is written 1-100"),
        ("vpc-id = \u2018vpc-0a\u2019", "quotes are ' and \""),
        ("proto tpc", "did you mean 'tcp'?"),
        ("tcp and port 443", "did you mean 'proto tcp'?"),
        ("10.0.0.0/8", "did you mean 'host 10.0.0.0/8'?"),
        ("dst port 443 8080", "a list is written 22,443 or in [22 443]; a text with spaces is in quotes"),
        ("net 10.0.0.0 255.0.0.0", "a network is written 10.0.0.0/16, and a list 10.0.0.1,10.0.0.2"),
    ],
)
def test_a_mistake_that_is_usual_has_a_hint(text: str, hint: str) -> None:
    """The hint says what may have been meant."""
    with pytest.raises(UsageError) as raised:
        parse_where(text)
    assert raised.value.hint == hint


@given(st.text(st.sampled_from("()[],=<>!&|'\"@#\\ \n-/.:9k\x1b\u00e9"), max_size=12), wheres(), st.data())
def test_any_text_is_an_expression_or_a_usage_error(junk: str, drawn: Drawn, data: st.DataObject) -> None:
    """Whatever is put into an expression, or left out, never ends in another error; the caret is below the line."""
    first, last = (data.draw(st.integers(0, len(drawn.text))) for _ in range(2))
    text = drawn.text[:first] + junk + drawn.text[last:]
    try:
        where = parse_where(text)
    except UsageError as error:
        shown, caret = error.excerpt
        assert len(caret) <= len(shown) + 1
        assert len(shown) <= 80
    else:
        assert parse_where(where.text) == where


@pytest.mark.parametrize(
    ("before", "after", "shown", "column"),
    [
        ("dst port 443 and \t", "prot 5", r"  dst port 443 and \tprot 5", 21),
        ("vpc-id = '\u65e5\u672c' and ", "prot 5", "  vpc-id = '\u65e5\u672c' and prot 5", 22),
        ("vpc-id = 'e\u0301' and ", "prot 5", "  vpc-id = 'e\u0301' and prot 5", 19),
        ("vpc-id = '\u202e' and ", "prot 5", r"  vpc-id = '\u202e' and prot 5", 24),
    ],
)
def test_the_caret_stands_where_a_terminal_shows_the_place(before: str, after: str, shown: str, column: int) -> None:
    """Characters that do not print, are wide, or take no room, move the caret as they move the text."""
    with pytest.raises(UsageError) as raised:
        parse_where(before + after)
    assert raised.value.excerpt == (shown, " " * column + "^")


@pytest.mark.parametrize("number", [0, 1, 4, 50, 99])
def test_of_a_long_expression_the_part_around_the_place_is_shown(number: int) -> None:
    """It fits a terminal of 80 columns, and dots say on which side something is left out."""
    texts = [f"dst port {one}" for one in range(1000, 1100)]
    texts[number] = "dst prot 1"
    with pytest.raises(UsageError) as raised:
        parse_where(" or ".join(texts))
    shown, caret = raised.value.excerpt
    assert 70 < len(shown) <= 80
    assert shown[caret.index("^") :].startswith("prot 1")
    assert (shown.startswith("  ..."), shown.endswith("...")) == (number > 3, number < 96)


@pytest.mark.parametrize("sign", ["(", "not (", "!("])
def test_brackets_are_nested_so_deep_and_no_deeper(sign: str) -> None:
    """Ten thousand brackets are a usage error; the allowed ones work."""
    deep = sign * MOST_NESTED + "dst port 443" + ")" * MOST_NESTED
    assert parse_where(deep).fields == ("dstport",)
    for number in (MOST_NESTED + 1, 10_000):
        with pytest.raises(UsageError, match=f"brackets are nested more than {MOST_NESTED} deep"):
            parse_where(sign * number + "dst port 443" + ")" * number)
    assert parse_where("not " * 10_001 + "bytes 1").program == "bytes:n:1-1,not"


def test_at_most_64_results_wait() -> None:
    """The worst expression that brackets allow stays within what engines keep."""
    text = "src and dst port in [1 -]"
    for _ in range(MOST_NESTED):
        text = f"bytes 1 or bytes 1 and ({text})"
    text = f"bytes 1 or bytes 1 and {text}"
    assert run(parse_where(text).program, {}) is False


def test_a_list_in_a_file_is_read_once(tmp_path: Path) -> None:
    """One or more values per line, with comments; what is kept are the values."""
    file = tmp_path / "my hosts.txt"
    file.write_text("\ufeff# web\n10.0.0.1 10.0.0.2\r\n\n2001:db8::/64, 192.0.2.0/24 # the office\n-\n")
    where = parse_where(f"src host in @'{file}'")
    assert where.text == "srcaddr in [10.0.0.1-10.0.0.2, 192.0.2.0/24, 2001:db8::/64, -]"
    file.unlink()
    assert parse_where(where.text) == where


def test_a_list_may_name_files_beside_values(tmp_path: Path) -> None:
    """Of any kind of field."""
    file = tmp_path / "list"
    file.write_text("443\n8000-8999")
    assert parse_where(f"dstport = 22,@{file}").text == "dstport in [22, 443, 8000-8999]"
    assert parse_where(f"dstport not in [@{file} 22]").text == "dstport not in [22, 443, 8000-8999]"
    assert parse_where(f"vpc-id @{file}").text == "vpc-id in [443, 8000-8999]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no values"),
        (b"# 10.0.0.1\n\n", "has no values"),
        (b"10.0.0.1\n10.0.0.300 # no\n", "line 2: '10.0.0.300' is not an address or a network"),
        (b"\x1f\x8b\x08\x00\xff", "is not text in UTF-8"),
        (b"10.0.0.1\n" * (LARGEST_LIST_BYTES // 9 + 1), "is too large for a list"),
    ],
    ids=["empty", "comments", "wrong", "binary", "large"],
)
def test_a_file_that_is_no_list(tmp_path: Path, content: bytes, message: str) -> None:
    """The error names the file and the line, and the caret stands under the file's name."""
    file = tmp_path / "list"
    file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        parse_where(f"host in @{file}")
    assert raised.value.message.startswith(f"--where: {file}")
    assert message in raised.value.message
    assert raised.value.excerpt[1].index("^") == 2 + len("host in ")


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    """Nor is a file that may not be read."""
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        parse_where(f"host in @{tmp_path}")


def test_the_text_of_a_question_is_read_back() -> None:
    """As run.json keeps it."""
    query = Query.parse(where="dst port 443 and not host 10.0.0.2")
    assert query.texts()["where"] == "dstport = 443 and host != 10.0.0.2"
    assert Query.parse(**query.texts()) == query


def test_a_long_expression_is_cut_where_people_read_it() -> None:
    """In a plan; run.json has all of it."""
    query = Query.parse(where="src host in [" + " ".join(f"10.0.{one}.1" for one in range(100)) + "]")
    assert len(describe_query(query)) < 250
    assert "10.0.99.1]" in query.texts()["where"]


def test_a_program_passes_hadoop_and_shells() -> None:
    """A program has letters, digits and a few signs, whatever the expression has."""
    assert set(parse_where("vpc-id = '${x} *?\u00e9' and start > 0").program) < set(
        "abcdefghijklmnopqrstuvwxyz0123456789:,+-"
    )


@given(
    wheres(fields=("dstport", "action", "bytes", "interface-id")),
    records(("dstport", "action", "bytes", "interface-id")),
)
def test_what_cannot_hold_never_does(drawn: Drawn, record: dict[str, str]) -> None:
    """If a record counts, then its port and its action are ones with which a record can count."""
    where = parse_where(drawn.text)
    if not holds(drawn.tree, record):
        return
    port = record.get("dstport", "-")
    assert where.can_hold("dstport", int(port) if port != "-" else port)
    assert where.can_hold("action", record.get("action", "-"))
    assert port == "-" or all(where.can_hold_above("dstport", less) for less in (0, 1024) if int(port) > less)


PORTS_NOTE = "Note: --ports 0-1024 applies, too (the default); --ports all counts every port"
ACTION_NOTE = "Note: --action ACCEPT applies, too (the default); --action ALL counts every action"


@pytest.mark.parametrize(
    ("arguments", "notes"),
    [
        (["--where", "dst port 443 and not host 10.0.0.1"], []),
        (["--where", "src port > 1024"], [PORTS_NOTE]),
        (["--where", "port 443"], [PORTS_NOTE]),
        (["--where", "service-port 443"], [PORTS_NOTE]),
        (["--where", "dst port 443-8080"], [PORTS_NOTE]),
        (["--where", "not dst port 22"], [PORTS_NOTE]),
        (["--where", "not dst port 22", "--ports", "0-1024"], []),
        (["--where", "bytes > 5"], []),
        (["--where", "action = ACCEPT"], []),
        (["--where", "action = REJECT or port 443"], [PORTS_NOTE, ACTION_NOTE]),
        (["--where", "action = REJECT", "--action", "ALL"], []),
        (["--where", "action = REJECT", "--action", "ACCEPT"], []),
        (["--where", "port 8080", "--ports", "0-1024"], []),
    ],
)
def test_a_default_that_leaves_out_what_is_asked_for_is_named(arguments: list[str], notes: list[str]) -> None:
    """A note says so, unless the option is given, or leaves out nothing that the expression asks for."""
    result = CliRunner().invoke(cli, ["run-local", "tests/flowlogs/default.log", *arguments])
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if line.startswith("Note:")] == notes


def test_a_digest_has_all_ports_and_actions(tmp_path: Path) -> None:
    """So only what the format lacks is noted, whatever an expression names."""
    arguments = ["digest", "tests/flowlogs/default.log", "--output", str(tmp_path / "d.parquet")]
    result = CliRunner().invoke(cli, [*arguments, "--where", "port 443 or action = REJECT"])
    assert result.exit_code == 0
    notes = [line.split(" no ")[1][:11] for line in result.stderr.splitlines() if line.startswith("Note:")]
    assert notes == ["tcp-flags, ", "pkt-srcaddr"]


def test_a_command_shows_the_place() -> None:
    """Below the message, on standard error, with exit code 2."""
    result = CliRunner().invoke(
        cli, ["run-local", "tests/flowlogs/default.log", "--where", "dst port 70000 and \x1b[31m"]
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        r"Error: --where: \x1b is a control character (in quotes it is part of a text)",
        r"  dst port 70000 and \x1b[31m",
        "                     ^",
    ]


@pytest.mark.parametrize("engine", ["mrjob", "hadoop"])
def test_an_expression_of_any_length_is_for_the_kernel(tmp_path: Path, engine: str) -> None:
    """A list that no command can hold is refused in one line by engines that start scripts."""
    (tmp_path / "list").write_text("".join(f"10.{one >> 7}.{one & 127}.1\n" for one in range(10_000)))
    arguments = ["run-local", "tests/flowlogs/default.log", "--where", f"not src host in @{tmp_path / 'list'}"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    result = CliRunner().invoke(cli, [*arguments, "--engine", engine])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert result.stderr.startswith("Error: --where is too long for the command of a mapper")


def test_names_of_protocols_are_words() -> None:
    """Each name is read back as its number, and cannot be taken for a number or a range."""
    for number, name in PROTOCOL_NAMES.items():
        assert PROTOCOL_NUMBERS[name] == number
        assert parse_where(f"proto {name.upper()}").program == f"protocol:n:{number}-{number}"


DOCS = (Path(__file__).parents[2] / "docs/where.md").read_text()


def docs_examples() -> list[str]:
    """The expressions in docs/where.md: the lines of its blocks, and what commands give `--where`."""
    blocks = re.findall(r"^```text\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + [text for text in re.findall(r"--where '(.*?)'", DOCS) if text != "EXPRESSION"]


def test_the_docs_have_expressions_that_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each can be read, apart from the one whose error is shown, which is the error that it has."""
    monkeypatch.chdir(tmp_path)
    Path("servers.txt").write_text("192.0.2.1\n")
    examples = docs_examples()
    assert len(examples) >= 16
    for text in examples:
        if f"  {text}\n" not in DOCS:
            assert parse_where(text).fields
            continue
        with pytest.raises(UsageError) as raised:
            parse_where(text)
        assert "\n".join([f"Error: {raised.value.message}", *raised.value.excerpt]) in DOCS


def test_the_docs_name_every_word() -> None:
    """Subjects and operators that are no fields."""
    for word in (*_SIDES, *_FAMILIES, *ALIASES, *_COMPARISONS, *_EQUALITIES, *_INEQUALITIES, *SERVICE, "not in"):
        assert f"`{word}`" in DOCS, word


@given(wheres(), records())
def test_a_program_is_read_back_as_an_expression(drawn: Drawn, record: dict[str, str]) -> None:
    """From the words of a step comes an expression that holds for the same records."""
    program = parse_where(drawn.text).program
    where = parse_program(program)
    assert parse_where(where.text) == where
    assert run(where.program, record) == run(program, record)


@pytest.mark.parametrize(
    "program",
    ["", "not", "and", "dstport", "dstport:n:", "dstport:n:1", "port:n:1-1", "vpc-id:t:zz", "vpc-id:t:ff", "vpc-id:x:1"]
    + ["dstport:n:1-1,dstport:n:2-2", "dstport:n:1-1,and", "srcaddr:a:x-y", "srcaddr:a:0-1"]
    + ["start:n:0-9999999999999999", "srcaddr:n:1-1", "vpc-id:n:1-1", "dstport:t:61", "vpc-id:t:", "dstport:n:2-1"],
)
def test_what_is_no_program(program: str) -> None:
    """Words of another program are refused in one line."""
    with pytest.raises(UsageError, match="is not the program of an expression"):
        parse_program(program)


@pytest.mark.parametrize(("letter", "zeros"), [("k", 3), ("m", 6), ("g", 9), ("t", 12), ("T", 12)])
def test_a_letter_stands_for_zeros(letter: str, zeros: int) -> None:
    """Letters are powers of ten, not of two."""
    number = "3" + "0" * zeros
    assert parse_where(f"bytes = 3{letter}").program == f"bytes:n:{number}-{number}"


RENDERED = ("steps", "cluster", "schedule", "athena")
"""What `render` makes of a question."""


@pytest.mark.parametrize("command", [["run-local"], ["digest"], ["run-emr"], *(["render", name] for name in RENDERED)])
def test_a_second_expression_is_refused(command: list[str]) -> None:
    """It would take the place of the first one, and nobody would know."""
    result = CliRunner().invoke(cli, [*command, "--where", "proto tcp", "--where", "dst port 443"])
    assert (result.exit_code, "--where is given twice" in result.stderr) == (2, True)
