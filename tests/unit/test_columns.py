"""An answer's lines in columns: the compiled library and Python agree on what is drawn."""

from array import array
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.sanitized import LESS
from toptalkers.answer import compiled_columns, pure_columns
from toptalkers.answer.pure_columns import LARGEST, Column, Facts

BOTH = pytest.mark.parametrize("way", [compiled_columns, pure_columns], ids=["compiled", "pure"])

TEXTS = st.sampled_from([b"", b"-", b"a", b"b", b"10.0.0.1", b"10.0.0.10", b"\0", b"\xff:", b"x" * 300]) | st.binary(
    max_size=3
).filter(lambda text: not {9, 10} & {*text})
SUMS = st.sampled_from(
    [b"0", b"7", b"12", b"%d" % LARGEST, b"%d" % (LARGEST + 1), b"9" * 38, b"9" * 4301, b"0" * 4301 + b"7"]
)
LINES = st.lists(st.tuples(TEXTS, TEXTS, SUMS), max_size=60)


def read(way: ModuleType, pieces: list[bytes], width: int) -> object:
    """Split pieces whose last column is a sum. Two columns share their numbers. Texts, sums; or what is wrong."""
    shared, own = way.Texts(), way.Texts()
    texts = dict(zip(range(width - 1), (shared, own, shared), strict=False))
    found = []
    try:
        for piece in pieces:
            columns = way.split(piece, width, texts, [width - 1])
            assert all(max(columns[at], default=-1) < len(known.texts) for at, known in texts.items())
            found.append([[known.texts[number] for number in columns[at]] for at, known in texts.items()])
            found.append(list(columns[width - 1]))
    except ValueError as error:
        return str(error)
    return found, sorted(shared.texts), own.texts


@given(LINES, LINES)
def test_lines_are_split_alike(first: list[tuple[bytes, ...]], second: list[tuple[bytes, ...]]) -> None:
    """Both find the texts and the sums of whole lines, in a second piece, too."""
    pieces = [b"".join(b"\t".join(line) + b"\n" for line in lines) for lines in (first, second)]
    both = [read(way, pieces, 3) for way in (compiled_columns, pure_columns)]
    assert both[0] == both[1]
    texts = [[[line[at] for line in lines] for at in (0, 1)] for lines in (first, second)]
    sums = [[min(int(line[2].lstrip(b"0")[:40] or b"0"), LARGEST) for line in lines] for lines in (first, second)]
    assert isinstance(both[0], tuple)
    assert both[0][0] == [texts[0], sums[0], texts[1], sums[1]]


@given(st.lists(st.sampled_from([b"\t", b"\n", b"1", b"a", b"", b" "]), max_size=30).map(b"".join), st.integers(1, 4))
@example(b"a\t1", 2)
@example(b"a\t1\n2\n3\ta\t4\n", 2)
def test_wrong_lines_are_refused_alike(piece: bytes, width: int) -> None:
    """Of any text, both say the same, and say it of all that is not made of whole lines with a sum at their end."""
    both = [read(way, [piece], width) for way in (compiled_columns, pure_columns)]
    assert both[0] == both[1]
    lines = piece.split(b"\n")
    is_right = not lines.pop() and all(line.count(b"\t") == width - 1 for line in lines)
    is_right = is_right and all(line.rpartition(b"\t")[2].isdigit() for line in lines)
    assert isinstance(both[0], tuple) == is_right


NUMBERS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=100)


@given(NUMBERS, st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=5, max_size=5))
def test_rows_are_numbered_alike(lines: list[tuple[int, ...]], table: list[int]) -> None:
    """Rows get their numbers in the order of their lines; those that are new are told once."""
    columns = [array("i", [line[at] for line in lines]) for at in range(3)]
    of = [None, array("i", table), None]
    rows = [(first, table[second], third) for first, second, third in lines]
    distinct = list(dict.fromkeys(rows))
    for way in (compiled_columns, pure_columns):
        known = way.Rows(3)
        assert known.number(columns, of).tolist() == [distinct.index(row) for row in rows]
        assert (known.new(), known.new(), len(known)) == (distinct, [], len(distinct))
        assert known.number(columns, of).tolist() == [distinct.index(row) for row in rows]
        assert known.new() == []


TIMES = st.lists(st.sampled_from([-1, 0, 5, 1 << 62]), min_size=5, max_size=5)
FEW = st.lists(st.integers(0, 2), min_size=5, max_size=5)


@given(NUMBERS, TIMES, TIMES, FEW, FEW, FEW, st.booleans(), st.booleans())
def test_cases_are_numbered_alike(
    lines: list[tuple[int, ...]],
    attached_s: list[int],
    until_s: list[int],
    depends: list[int],
    epochs: list[int],
    vpcs: list[int],
    has_hours: bool,
    has_interfaces: bool,
) -> None:
    """A case has the epoch, or the hour before the address was attached; and the VPC only where it tells something."""
    facts = Facts(
        array("q", attached_s), array("i", depends), array("q", until_s), array("i", epochs), array("i", vpcs)
    )
    expected = []
    for address, hour, interface in lines:
        hour, interface = has_hours and hour, has_interfaces and interface
        time = epochs[hour] if until_s[hour] > attached_s[address] else -1 - hour
        expected.append((time, vpcs[interface] if depends[address] else 0, address))
    addresses, hours, interfaces = (array("i", [line[at] for line in lines]) for at in range(3))
    for way in (compiled_columns, pure_columns):
        known = way.Rows(3)
        found = known.cases(addresses, hours if has_hours else None, interfaces if has_interfaces else None, facts)
        new = known.new()
        assert [new[number] for number in found] == expected


@BOTH
def test_sums_grow_to_the_largest_number_only(way: ModuleType) -> None:
    """Values are added to their rows, and a sum that is too large stays so; or the largest value is kept."""
    rows, values = array("i", [1, 0, 1, 2]), array("Q", [5, 1, LARGEST, 3])
    sums: Column = array("Q", [0, 2, 4])
    way.add(sums, rows, values)
    assert sums.tolist() == [1, LARGEST, 7]
    way.keep_largest(sums, rows, array("i", [0, 1, 1, 0]), array("Q", [9, 1]))
    assert sums.tolist() == [1, LARGEST, 9]


@BOTH
def test_many_texts_keep_their_numbers(way: ModuleType) -> None:
    """However large the table has grown, a text is found again, and texts are told in the order of their numbers."""
    many = 40_000 // LESS
    lines = b"".join(b"%d\n" % (number * 7919) for number in range(many))
    known = way.Texts()
    for _ in range(2):
        assert way.split(lines, 1, {0: known}, ())[0].tolist() == list(range(many))
    assert b"\n".join(known.texts) + b"\n" == lines
