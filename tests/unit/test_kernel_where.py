"""`--where` in the kernel: programs, the values that they see, and the services that they may ask for."""

import dataclasses

import pytest

from toptalkers.kernel.door import Counter
from toptalkers.question.query import Query
from toptalkers.question.where import Where

FIELDS = "srcaddr dstaddr srcport dstport protocol packets bytes start end tcp-flags vpc-id action log-status"
RECORD = {
    "srcaddr": "10.0.0.1",
    "dstaddr": "2001:db8::2",
    "srcport": "40000",
    "dstport": "443",
    "protocol": "6",
    "packets": "5",
    "bytes": "700",
    "start": "1795111200",
    "end": "1795111260000",
    "tcp-flags": "2",
    "vpc-id": "vpc-0a",
    "action": "ACCEPT",
    "log-status": "OK",
}


def ask(program: str, **clauses: str) -> Query:
    return dataclasses.replace(Query.parse(ports="all", **clauses), where=Where(program, program))


def verdict(program: str, fields: str = FIELDS, /, **values: str) -> str:
    """Count one record, and return what became of it."""
    values = {name.replace("_", "-"): value for name, value in values.items()}
    assert set(values) <= set(RECORD)
    columns = [{**RECORD, **values}[name] for name in fields.split()]
    counter = Counter(ask(program))
    counter.feed(f"{fields}\n{' '.join(columns)}\n".encode())
    tally = counter.end_lines()
    assert tally.records_read == 1
    return "counted" if tally.counted else min(tally.skipped)


def count_by_protocol(program: str, values: dict[str, str]) -> int:
    """Count one record by a key that it has whatever else is missing."""
    counter = Counter(dataclasses.replace(ask(program), by=("protocol",)))
    columns = [{**RECORD, **values}[name] for name in FIELDS.split()]
    counter.feed(f"{FIELDS}\n{' '.join(columns)}\n".encode())
    return counter.end_lines().counted


def hexadecimal(*texts: str) -> str:
    return "+".join(text.encode().hex() for text in texts)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("dstport:n:443-443", "counted"),
        ("dstport:n:0-442+444-65535", "where"),
        ("dstport:n:22-22+80-80+443-443+8000-8999", "counted"),
        ("bytes:n:701-999999999999999", "where"),
        ("start:n:1795111200-1795111200", "counted"),
        ("end:n:1795111260-1795111260", "counted"),
        ("srcaddr:a:0a000000-0a00ffff", "counted"),
        ("srcaddr:a:0a000002-0a00ffff", "where"),
        ("srcaddr:a:00000000000000000000000000000000-ffffffffffffffffffffffffffffffff", "where"),
        ("dstaddr:a:00000000-ffffffff", "where"),
        ("dstaddr:a:00000000-ffffffff+20010db8000000000000000000000002-20010db8000000000000000000000002", "counted"),
        ("vpc-id:t:" + hexadecimal("vpc-0a"), "counted"),
        ("vpc-id:t:" + hexadecimal("vpc-0b", "vpc-0", "x", "vpc-0a", "-"), "counted"),
        ("vpc-id:t:" + hexadecimal("vpc-0A", "vpc-0a0"), "where"),
        ("dstport:t:" + hexadecimal("443"), "counted"),
        ("dstport:t:" + hexadecimal("-"), "where"),
    ],
)
def test_a_test_holds_for_a_value_within_it(program: str, expected: str) -> None:
    """A record counts if a number or an address is in one of the ranges, or a text is one of the texts."""
    assert verdict(program) == expected


YES, NO = "dstport:n:443-443", "dstport:n:0-442"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (f"{YES},{YES},and", True),
        (f"{YES},{NO},and", False),
        (f"{NO},{YES},and", False),
        (f"{YES},{NO},or", True),
        (f"{NO},{YES},or", True),
        (f"{NO},{NO},or", False),
        (f"{NO},not", True),
        (f"{YES},not,not", True),
        (f"{YES},{NO},or,{NO},and", False),
        (f"{YES},{NO},{NO},and,or", True),
        (f"{YES},{NO},{YES},or,and,not", False),
        (f"{NO},{YES},and,{YES},{NO},not,and,or", True),
        (f"{NO},{YES},or,not,{NO},{NO},or,not,and", False),
        (",".join([YES] * 500 + ["and"] * 499), True),
        (",".join([*[YES] * 499, NO] + ["and"] * 499), False),
        (",".join([NO] + [f"{NO},or"] * 499 + [f"{YES},or"]), True),
    ],
)
def test_operators_take_the_results_before_them(program: str, expected: bool) -> None:
    """A program is evaluated in postfix order, however deep it is."""
    assert verdict(program) == ("counted" if expected else "where")


def test_operators_agree_with_a_stack() -> None:
    """Random programs of tests that hold and do not have the value that a stack of bits gives."""
    import random

    random.seed(14)
    for _ in range(300):
        words: list[str] = []
        stack: list[bool] = []
        while len(words) < 12 or len(stack) != 1:
            word = random.choice(["test", "not", "and", "or"]) if len(words) < 40 else "and"
            if word == "test":
                stack.append(random.random() < 0.5)
                words.append(YES if stack[-1] else NO)
            elif word == "not" and stack:
                stack.append(not stack.pop())
                words.append(word)
            elif word in ("and", "or") and len(stack) > 1:
                right, left = stack.pop(), stack.pop()
                stack.append((left and right) if word == "and" else (left or right))
                words.append(word)
        assert verdict(",".join(words)) == ("counted" if stack[0] else "where"), words


@pytest.mark.parametrize("program", ["bytes:n:0-999", "bytes:n:0-999,not", "srcaddr:a:00000000-ffffffff"])
def test_a_missing_value_is_in_no_range(program: str) -> None:
    """A test of `-` is false, and `not` makes it true."""
    assert verdict(program) == ("where" if "not" in program else "counted")
    assert count_by_protocol(program, {"bytes": "-", "srcaddr": "-"}) == ("not" in program)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("srcaddr", "10.0.0.256", "malformed_address"),
        ("dstaddr", "2001:db8::2::", "malformed_address"),
        ("srcport", "65536", "malformed_port"),
        ("dstport", "x", "malformed_port"),
        ("protocol", "256", "malformed_number"),
        ("packets", "1234567890123456", "malformed_number"),
        ("bytes", "-1", "malformed_number"),
        ("start", "999999999999999", "malformed_number"),
        ("end", "99999999999999", "counted"),
        ("tcp-flags", "S", "malformed_number"),
        ("vpc-id", "\x01", "counted"),
    ],
)
def test_a_value_that_its_field_cannot_have_is_malformed(field: str, value: str, expected: str) -> None:
    """It is malformed even where the expression holds, or fails, without it; a text never is."""
    program = f"{field}:t:{hexadecimal(value)}"
    values = {field.replace("-", "_"): value}
    assert verdict(f"{program},{YES},or", **values) == expected
    assert verdict(f"{program},{NO},and", **values) == (expected if expected != "counted" else "where")


def test_fields_are_judged_in_the_order_of_the_program() -> None:
    """The first malformed field of the program gives the reason, not the first column."""
    wrong = {"srcaddr": "x", "bytes": "x", "srcport": "x"}
    assert verdict("bytes:n:0-1,srcaddr:a:00000000-00000001,and", **wrong) == "malformed_number"
    assert verdict("srcaddr:a:00000000-00000001,bytes:n:0-1,or", **wrong) == "malformed_address"
    assert verdict("service-port:n:0-1,bytes:n:0-1,or", **wrong) == "malformed_port"


def test_a_field_of_the_expression_that_the_layout_lacks_makes_records_malformed() -> None:
    """They are malformed in their columns, as for any other field that a question needs."""
    fields = FIELDS.replace(" bytes", "")
    assert verdict("bytes:n:0-999", fields) == "malformed_columns"
    assert verdict("side:t:647374", FIELDS.replace(" srcport", "")) == "malformed_columns"
    assert verdict("side:t:647374", FIELDS.replace(" tcp-flags", "")) == "counted"


def test_a_record_that_is_not_wanted_for_more_reasons_counts_under_the_first() -> None:
    """The action comes before the expression; a malformed field comes before both."""
    assert verdict("bytes:n:0-1", action="REJECT") == "action"
    assert verdict("bytes:n:0-1", action="REJECT", bytes="x") == "malformed_number"


SERVICES = [
    # srcport, dstport, flags: service, side, client
    ("-", "443", "2", "443", "dst", "-"),
    ("443", "-", "-", "443", "src", "-"),
    ("-", "-", "2", "-", "-", "-"),
    ("40000", "8443", "2", "8443", "dst", "-"),
    ("8443", "40000", "18", "8443", "src", "-"),
    ("40000", "50000", "18", "40000", "src", "-"),
    ("22", "50000", "2", "50000", "dst", "22"),
    ("123", "123", "-", "123", "both", "123"),
    ("5000", "5000", "x", "5000", "both", "5000"),
    ("5000", "5000", "2", "5000", "dst", "-"),
    ("443", "40000", "0", "443", "src", "-"),
    ("1025", "1024", "16", "1024", "dst", "-"),
    ("1024", "80", "16", "80", "dst", "1024"),
    ("40000", "80", "1234567890123456", "80", "dst", "-"),
]


@pytest.mark.parametrize(("srcport", "dstport", "flags", "port", "side", "client"), SERVICES)
def test_the_service_follows_from_flags_or_ports(
    srcport: str, dstport: str, flags: str, port: str, side: str, client: str
) -> None:
    """The server answers a SYN, or has the lower port; the client's port is kept up to 1024."""
    values = {"srcport": srcport, "dstport": dstport, "tcp-flags": flags}
    program = (
        f"service-port:t:{hexadecimal(port)},side:t:{hexadecimal(side)},and,client-port:t:{hexadecimal(client)},and"
    )
    for word, value in (("service-port", port), ("client-port", client)):
        program += f",{word}:t:{hexadecimal(value)},and"
        if value != "-":
            program += f",{word}:n:{value}-{value},and"
        else:
            program += f",{word}:n:0-65535,not,and"
    assert count_by_protocol(program, values) == 1


@pytest.mark.parametrize(
    "program",
    [
        "",
        "and",
        "not",
        f"{YES},and",
        f"{YES},{YES}",
        f"{YES},{YES},and,and",
        f"{YES},xor",
        f"{YES},",
        f",{YES}",
        "dstport",
        "dstport:n",
        "dstport:n:",
        "dstport:n:443",
        "dstport:n:443-",
        "dstport:n:-443",
        "dstport:n:444-443",
        "dstport:n:1-2+2-3",
        "dstport:n:3-4+1-2",
        "dstport:n:1-2+",
        "dstport:n:1-9999999999999999999",
        "dstport:x:443-443",
        "dstport:a:0a000000-0a000001",
        "srcaddr:n:1-2",
        "srcaddr:a:0a000000-0a00000",
        "srcaddr:a:0a000000-0a00000g",
        "srcaddr:a:0a000001-0a000000",
        "srcaddr:a:0a000000-20010db8000000000000000000000002",
        "srcaddr:a:20010db8000000000000000000000002-20010db8000000000000000000000002+0a000000-0a000001",
        "srcaddr:a:20010db8000000000000000000000002-20010db8000000000000000000000001",
        "vpc-id:t:7",
        "vpc-id:t:7x",
        "vpc-id:n:1-2",
        "side:n:1-2",
        "no-field:n:1-2",
        "records:n:1-2",
        ":n:1-2",
    ],
)
def test_what_is_no_program_is_refused(program: str) -> None:
    """The kernel takes no program with an unknown field, a malformed test or operators without operands."""
    with pytest.raises(ValueError, match="kernel"):
        Counter(ask(program))
