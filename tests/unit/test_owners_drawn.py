"""Names of drawn networks, compared with the oracle, which looks at every interface for every address."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.naming import ALWAYS, Oracle
from toptalkers.names.owners import Names, Window
from toptalkers.names.snapshot import (
    Instance,
    Interface,
    PrefixList,
    Range,
    Scope,
    SecurityGroup,
    Snapshot,
    Subnet,
    Vpc,
)
from toptalkers.question.named import parse_named

HOUR = 3600
VPCS = ("vpc-a", "vpc-b", "vpc-c")
NETWORKS = ("10.0.0.0/29", "10.0.0.0/30", "10.0.0.4/30", "2001:db8::/126", "203.0.113.0/31")
ADDRESSES = (*(f"10.0.0.{number}" for number in range(8)), "2001:db8::1", "2001:db8::2")
PUBLIC = ("203.0.113.1", "203.0.113.2")
WORDS = ("name", "sg", "asg", "instance", "subnet", "vpc", "zone", "kind", "tag:app")

times = st.integers(10, 20).map(lambda number: number * HOUR // 2)
few_networks = st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True).map(tuple)
tags = st.dictionaries(st.sampled_from(["Name", "app"]), st.sampled_from(["", "x", "y", "a|b", "tab\t"]), max_size=2)


@st.composite
def interfaces(draw: st.DrawFn) -> Interface:
    number = draw(st.integers(1, 5))
    return Interface(
        f"eni-{number}",
        vpc_id=VPCS[number % 3],
        subnet_id=f"subnet-{number % 3}",
        zone_id=f"az{number % 2}",
        addresses=draw(st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True).map(tuple)),
        public=draw(st.lists(st.sampled_from(PUBLIC), max_size=1).map(tuple)),
        prefixes=draw(few_networks),
        group_ids=draw(st.lists(st.sampled_from(["sg-1", "sg-2"]), max_size=2, unique=True).map(tuple)),
        instance_id=draw(st.sampled_from(["", "i-1", "i-2"])),
        tags=draw(tags),
        since_s=draw(st.one_of(st.just(0), times)),
    )


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    own = draw(st.lists(st.tuples(tags, st.sampled_from(["", "web", "db"])), min_size=1, max_size=2))
    return Scope(
        draw(st.sampled_from(["1", "2"])),
        "us-east-1",
        draw(times),
        tuple(draw(st.lists(interfaces(), max_size=4, unique_by=lambda one: one.interface_id))),
        tuple(Instance(f"i-{n}", {**some, "aws:autoscaling:groupName": asg}) for n, (some, asg) in enumerate(own, 1)),
        (SecurityGroup("sg-1", "web tier"),),
        tuple(Subnet(f"subnet-{n}", VPCS[n], f"az{n}", draw(few_networks), draw(tags)) for n in range(2)),
        tuple(Vpc(VPCS[n], draw(few_networks), draw(tags)) for n in range(2)),
        tuple(PrefixList(f"pl-{n}", f"list {n}", draw(few_networks)) for n in range(draw(st.integers(0, 2)))),
    )


ranges = st.builds(Range, st.sampled_from(NETWORKS), st.sampled_from(["AMAZON", "EC2", "S3"]), st.just("us-east-1"))
snapshots = st.builds(
    lambda scopes, ranges: Snapshot(tuple(scopes), tuple(ranges)),
    st.lists(scopes(), max_size=3),
    st.lists(ranges, max_size=2, unique_by=lambda one: (one.network, one.service)),
)
windows = st.one_of(st.none(), st.tuples(times, st.sampled_from([HOUR, 3 * HOUR])).map(lambda one: (one[0], sum(one))))
asked = st.tuples(
    st.sampled_from(WORDS),
    st.sampled_from((*ADDRESSES, *PUBLIC, "2001:DB8::0001", "192.0.2.1", "-")),
    windows,
    st.sampled_from(["", "-", "eni-1", "eni-2", "eni-3", "eni-9"]),
)


def label(names: Names, word: str, address: str, window: Window | None, logger: str) -> str:
    part = parse_named(f"src.{word}")
    assert part is not None
    return names.label(part, address, window, logger)


@settings(max_examples=60, deadline=None)
@given(st.lists(snapshots, min_size=1, max_size=3), st.sampled_from([0, HOUR, 2 * HOUR]), st.lists(asked, max_size=12))
def test_names_are_the_oracles(
    drawn: list[Snapshot], within_s: int, questions: list[tuple[str, str, Window | None, str]]
) -> None:
    """Every address is called as the oracle calls it, in whichever order it is asked, and the second time as well."""
    names, oracle = Names(drawn, within_s=within_s), Oracle(drawn, within_s)
    for word, address, window, logger in questions * 2:
        expected = oracle.label(word, address, window or ALWAYS, logger)
        assert label(names, word, address, window, logger) == expected, (word, address, window, logger)


@settings(max_examples=40, deadline=None)
@given(st.lists(snapshots, min_size=1, max_size=3), st.lists(asked, max_size=8))
def test_the_part_that_addresses_need_names_them_alike(
    drawn: list[Snapshot], questions: list[tuple[str, str, Window | None, str]]
) -> None:
    """The part of snapshots that some addresses and loggers need calls them as the whole does, and is a part of it."""
    whole = Names(drawn)
    part = Names(whole.only({one[1] for one in questions}, {one[3] for one in questions}))
    for question in questions:
        assert label(part, *question) == label(whole, *question), question
    assert [len(one.scopes) for one in part.snapshots] == [len(one.scopes) for one in drawn]
