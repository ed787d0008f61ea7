"""Answers by addresses become answers by names."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from toptalkers.answer.answer import LARGEST_TOTAL, Answer, Tally, TooLargeError
from toptalkers.answer.formats import format_answer
from toptalkers.answer.named import name_answer, question_to_count, with_names
from toptalkers.answer.quality import Quality
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.names.owners import Called, Names, Window
from toptalkers.names.services import Services
from toptalkers.question.named import NamedPart, address_question
from toptalkers.question.query import Query

HOUR = 1793491200
FLEET = {"10.0.0.1": "web", "10.0.0.2": "web", "10.0.1.9": "orders"}


class Fleets(Names):
    """Names by `FLEET`, that tell what they were asked for: the window's hour and the interface."""

    def __init__(self, *, shares: bool = False, tells: bool = False) -> None:
        """Tell the window and the interface in each label, if asked for."""
        self.shares_addresses = shares
        self._tells = tells

    def label(self, part: NamedPart, address: str, window: Window | None = None, interface_id: str = "") -> str:
        """The fleet, or the address; with the window and interface if they are to be told."""
        label = f"{part.by}-{FLEET[address]}" if address in FLEET else address
        return f"{label} {window and window[0]} {interface_id}" if self._tells else label

    def labels(
        self, parts: Sequence[NamedPart], address: str, window: Window | None = None, interface_id: str = ""
    ) -> Called:
        """The labels by some parts."""
        labels = [self.label(part, address, window, interface_id) for part in parts]
        return Called(labels, self.attached_s(address), depends_on_logger=self._tells)

    def epoch(self, window: Window | None) -> int:
        """Each hour is its own if it is told, else all are alike."""
        return window[0] if window and self._tells else 0

    def vpc_of(self, interface_id: str) -> str:
        """Each interface is in its own VPC."""
        return interface_id

    def attached_s(self, address: str) -> int:  # noqa: ARG002 - as in `Names`
        """All were always attached."""
        return -1


class Ports(Services):
    """Only 5432 has a name."""

    def __init__(self) -> None:
        """Take no file."""

    def label(self, port: int | str, protocol: int | str | None) -> str:
        """The name, or the port and the protocol."""
        return "postgresql" if str(port) == "5432" else f"{port}/{protocol}"


def answer_of(query: Query, *lines: str, top: int = 0) -> Answer:
    """An answer by addresses."""
    return Answer(query, ["".join(f"{line}\n" for line in lines).encode()], Tally(counted=len(lines)), len(lines), top)


def named(query: Query, *lines: str, top: int = 0, names: Names | None = None) -> list[str]:
    """The lines by names of an answer by addresses."""
    names = names or Fleets()
    given = answer_of(question_to_count(query, names), *lines)
    return b"".join(name_answer(given, query, names, Ports(), top=top).chunks).decode().splitlines()


def test_a_fleet_is_one_row() -> None:
    """Rows with the same names are added up; the earliest `first` and the latest `last` stay."""
    query = Query.parse(by="src.asg,dst.sg,service", metric="bytes,first,last")
    rows = named(
        query,
        "2026-11-01T00:00:00Z\t10.0.0.1\t10.0.1.9\t5432\t6\t30\t2026-11-01T00:00:05Z\t2026-11-01T00:10:00Z",
        "2026-11-01T01:00:00Z\t10.0.0.2\t10.0.1.9\t5432\t6\t12\t2026-11-01T00:00:09Z\t2026-11-01T01:10:00Z",
        "2026-11-01T00:00:00Z\t192.0.2.1\t10.0.1.9\t53\t17\t42\t2026-11-01T00:00:05Z\t2026-11-01T00:10:00Z",
    )
    assert rows == [
        "192.0.2.1\tsg-orders\t53/17\t42\t2026-11-01T00:00:05Z\t2026-11-01T00:10:00Z",
        "asg-web\tsg-orders\tpostgresql\t42\t2026-11-01T00:00:05Z\t2026-11-01T01:10:00Z",
    ]


def test_parts_in_any_order_and_plain_ones() -> None:
    """Each part has its own column, in the order that was asked for, also when sides alternate."""
    query = Query.parse(by="src.name,dst.name,hour,src.sg,dst.tag:app,action", metric="records")
    assert question_to_count(query, Fleets()).by == ("hour", "srcaddr", "dstaddr", "action")
    rows = named(query, "2026-11-01T00:00:00Z\t10.0.0.1\t10.0.1.9\tACCEPT\t7")
    assert rows == ["name-web\tname-orders\t2026-11-01T00:00:00Z\tsg-web\ttag-orders\tACCEPT\t7"]


def test_the_hour_and_the_interface_tell_the_owner() -> None:
    """An address is named for its row's hour, and for the interface if addresses are shared."""
    query = Query.parse(by="src.name")
    rows = named(
        query,
        "2026-11-01T00:00:00Z\teni-a\t10.0.0.1\t2",
        "2026-11-01T00:00:00Z\teni-b\t10.0.0.1\t1",
        names=Fleets(shares=True, tells=True),
    )
    assert rows == [f"name-web {HOUR} eni-a\t2", f"name-web {HOUR} eni-b\t1"]


def test_rows_without_an_hour_are_of_the_window() -> None:
    """A row without an hour is named for the hours of the answer, or for all times if they are not known."""
    given = answer_of(Query(), "10.0.0.1:10.0.1.9:443\t5")
    query = Query.parse(by="src.name")
    names = Fleets(tells=True)
    assert b"".join(name_answer(given, query, names, Ports()).chunks) == b"name-web None \t5\n"
    given = replace(given, quality=Quality(hours=(HOUR, HOUR + 7200)))
    assert b"".join(name_answer(given, query, names, Ports()).chunks) == f"name-web {HOUR} \t5\n".encode()


def test_the_recipe_with_ipv6() -> None:
    """An answer with the recipe's key is split at its colons, and brackets do not belong to the address."""
    given = answer_of(Query(), "[2001:db8::1]:10.0.1.9:443\t5", "10.0.0.1:[2001:db8::2]:5432\t4")
    query = Query.parse(by="src.name,dst.name,service")
    lines = b"".join(name_answer(given, query, Fleets(), Ports()).chunks).decode().splitlines()
    assert lines == ["2001:db8::1\tname-orders\t443/None\t5", "name-web\t2001:db8::2\tpostgresql\t4"]


def test_pairs_keep_the_weakest_rule() -> None:
    """Rows of pairs by names have the sums of both directions, and the weakest rule that found a server."""
    query = Query.parse(pairs="yes", by="src.asg,dst.asg,service")
    rows = named(
        query,
        "10.0.0.1\t10.0.1.9\t5432\t6\t10\t2\t2\t4\t6\t1\t1\t1\t1\tsyn",
        "10.0.0.2\t10.0.1.9\t5432\t6\t20\t2\t2\t4\t16\t1\t1\t1\t1\tports",
    )
    assert rows == ["asg-web\tasg-orders\tpostgresql\t30\t4\t4\t8\t22\t2\t2\t2\t2\tports"]


def test_top_and_ties() -> None:
    """Ties are in the order of the key as bytes; `top` cuts the rows by names, and all of them are known."""
    query = Query.parse(by="src.name")
    rows = [f"2026-11-01T00:00:00Z\t192.0.2.{number}\t5" for number in range(1, 30)]
    in_order = sorted(f"192.0.2.{number}\t5" for number in range(1, 30))
    assert named(query, *rows) == in_order
    assert named(query, *rows, top=3) == in_order[:3]
    answer = name_answer(answer_of(address_question(query), *rows), query, Fleets(), Ports(), top=3)
    assert (answer.talkers, answer.top) == (29, 3)


def test_an_answer_that_is_cut_does_not_know_all_rows() -> None:
    """Of an answer with some talkers only it is not known how many rows by names there are."""
    given = replace(answer_of(Query(), "10.0.0.1:10.0.1.9:443\t5", top=1), talkers=None)
    assert name_answer(given, Query.parse(by="src.name"), Fleets(), Ports()).talkers is None


def test_what_the_answer_lacks_is_named() -> None:
    """A part that needs a column that the answer lacks is refused, with what can be asked instead."""
    given = answer_of(Query.parse(by="hour,srcaddr"), "2026-11-01T00:00:00Z\t10.0.0.1\t5")
    with pytest.raises(UsageError, match=r"--by dst\.sg: the answer lacks dstaddr; it has hour, srcaddr"):
        name_answer(given, Query.parse(by="src.sg,dst.sg"), Fleets(), Ports())
    with pytest.raises(UsageError, match=r"--by service: the answer lacks service-port"):
        name_answer(given, Query.parse(by="service"), Fleets(), Ports())


def test_wrong_lines_and_large_sums_are_errors() -> None:
    """A line with a column too few, or no number, is an error, and so is a sum that no engine can hold."""
    query = Query.parse(by="src.name")
    for line in ("10.0.0.1:10.0.1.9\t5", "10.0.0.1:10.0.1.9:443\tx", "[2001:db8::1]:10.0.1.9\t5"):
        with pytest.raises(ToptalkersError, match="wrong line"):
            name_answer(answer_of(Query(), line), query, Fleets(), Ports())
    given = answer_of(Query(), f"10.0.0.1:10.0.1.9:443\t{LARGEST_TOTAL}", "10.0.0.2:10.0.1.9:443\t1")
    with pytest.raises(TooLargeError):
        name_answer(given, query, Fleets(), Ports())


def test_names_stand_beside_addresses() -> None:
    """Without named parts, every format has the names of addresses; a table only of those that have one."""
    given = with_names(answer_of(Query(), "10.0.0.1:[2001:db8::1]:443\t5"), Fleets())
    assert b"".join(format_answer(given)) == b"10.0.0.1:[2001:db8::1]:443\t5\tname-web\t2001:db8::1\n"
    rows = b"".join(format_answer(given, "csv")).decode().splitlines()
    assert rows == ["rank,src,dst,port,records,src_name,dst_name", "1,10.0.0.1,2001:db8::1,443,5,name-web,2001:db8::1"]
    table = b"".join(format_answer(given, "table")).decode().splitlines()
    assert [line.split() for line in table] == [
        ["#", "source", "name", "destination", "name", "port", "records"],
        [*"-", "-" * 8, "-" * 8, "-" * 11, "-" * 4, "-" * 4, "-" * 7],
        ["1", "10.0.0.1", "name-web", "2001:db8::1", "443", "5"],
    ]


@pytest.mark.parametrize(
    ("texts", "line", "names"),
    [
        ({"by": "dstaddr,hour,pkt-srcaddr"}, "10.0.0.1\t2026-11-01T00:00:00Z\t-\t1", ("dst_name", "pkt-srcaddr_name")),
        ({"by": "pair"}, "10.0.0.1\t10.0.1.9\t1", ("a_name", "b_name")),
        ({"pairs": "yes"}, "10.0.0.1\t10.0.1.9\t5432\t6" + "\t1" * 9 + "\tsyn", ("client_name", "server_name")),
    ],
)
def test_the_columns_beside_are_named_after_their_side(
    texts: dict[str, str], line: str, names: tuple[str, ...]
) -> None:
    """Each column of addresses has one of names, called after its side, or after the column."""
    given = with_names(answer_of(Query.parse(**texts), line), Fleets())
    assert given.beside
    assert given.beside.names == names
    assert b"".join(format_answer(given)).decode().startswith(f"{line}\t")
    assert with_names(answer_of(Query.parse(by="dstport"), "443\t1"), Fleets()).beside is None
