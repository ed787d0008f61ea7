"""Drawn snapshots and records: `run-local --names`, and digests that keep names, answer as the oracle says."""

import tempfile
from pathlib import Path
from random import Random
from typing import NamedTuple

from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.naming import ALWAYS, DESCRIBED, Oracle, named_rows
from toptalkers.cli.main import cli
from toptalkers.names.owners import Names
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
    format_snapshot,
)
from toptalkers.question.named import parse_named

HOUR = 3600
START = 1793491200
"""2026-11-01T00:00:00Z."""
HOURS = [START + HOUR * number for number in range(6)]
TIMES = [*HOURS, *(hour + add for hour in HOURS for add in (-1, 1, 1800))]
PRIVATE = ["10.0.0.1", "10.0.0.2", "10.0.0.17", "10.0.1.1", "10.1.0.1", "2001:db8::1", "2001:db8:0:0:1::5", "fd00::1"]
PUBLIC = ["198.51.100.1", "198.51.100.2"]
LOGGED = [*PRIVATE, *PUBLIC, "2001:DB8:0:0:0:0:0:1", "203.0.113.9", "100.64.0.1", "192.0.2.200", "2001:db8:f::1", "-"]
PREFIXES = ["10.0.0.16/28", "10.0.0.0/28", "2001:db8:0:0:1::/80"]
NETWORKS = ["10.0.0.0/16", "10.0.0.0/24", "10.0.1.0/24", "10.1.0.0/16", "2001:db8::/56", "fd00::/8"]
RANGES = ["198.51.100.0/24", "198.51.100.0/30", "192.0.2.0/24", "2001:db8:f::/48", "203.0.113.0/24"]
VPCS, SUBNETS, GROUPS = ["vpc-a", "vpc-b", "vpc-c"], ["subnet-1", "subnet-2", "subnet-3"], ["sg-1", "sg-2", "sg-3"]
INTERFACES = [f"eni-{number}" for number in range(6)]
INSTANCES = [f"i-{number}" for number in range(4)]
LABELS = ["web", "db", "web|db", "a\tb", "a\x00b", "caf\u00e9", "", "<script>", "\u202eabc", "~old", "10.0.0.1", "x y"]
VPC_OF = dict(zip(INTERFACES, VPCS * 2, strict=True))
WORDS = ["name", "sg", "asg", "instance", "subnet", "vpc", "zone", "kind", "tag:app", "tag:__proto__"]


def some(random: Random, pool: list[str], most: int = 2) -> tuple[str, ...]:
    """A few of a pool."""
    return tuple(random.sample(pool, random.randint(0, min(most, len(pool)))))


def tags(random: Random, *keys: str) -> dict[str, str]:
    """Some of these tags."""
    return {key: random.choice(LABELS) for key in keys if random.randrange(2)}


def interface(random: Random, interface_id: str) -> Interface:
    """An interface, which is of the same VPC in all snapshots."""
    instance_id = random.choice(["", "", *INSTANCES])
    return Interface(
        interface_id,
        vpc_id=VPC_OF[interface_id],
        subnet_id=random.choice(SUBNETS),
        zone_id="use1-az1",
        addresses=some(random, PRIVATE, 3),
        public=some(random, PUBLIC, 1),
        prefixes=some(random, PREFIXES, 1),
        description="" if instance_id else random.choice(sorted(DESCRIBED)),
        group_ids=some(random, GROUPS),
        instance_id=instance_id,
        tags=tags(random, "Name", "app", "__proto__"),
        since_s=random.choice([0, 0, 0, *TIMES]),
    )


def scope(random: Random) -> Scope:
    """What one of two accounts had at a time."""

    def subnet(subnet_id: str) -> Subnet:
        vpc = random.choice(VPCS)
        return Subnet(subnet_id, vpc, "use1-az2", some(random, NETWORKS), tags(random, "Name", "app"))

    return Scope(
        random.choice(["111122223333", "123456789012"]),
        "us-east-1",
        random.choice(TIMES),
        interfaces=tuple(interface(random, one) for one in some(random, INTERFACES, 6)),
        instances=tuple(
            Instance(one, tags(random, "Name", "app", "aws:autoscaling:groupName"))
            for one in some(random, INSTANCES, 4)
        ),
        groups=tuple(SecurityGroup(one, random.choice(LABELS)) for one in some(random, GROUPS, 3)),
        subnets=tuple(map(subnet, some(random, SUBNETS, 3))),
        vpcs=tuple(Vpc(one, some(random, NETWORKS), tags(random, "Name", "app")) for one in some(random, VPCS, 3)),
        prefix_lists=tuple(
            PrefixList(one, random.choice(LABELS[:4]), some(random, RANGES)) for one in some(random, ["pl-1", "pl-2"])
        ),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> list[Snapshot]:
    """One to three files. No account has two scopes of one time."""
    known: dict[tuple[str, int], Scope] = {}
    for _ in range(draw(st.integers(1, 4))):
        one = scope(Random(draw(st.integers(0, 1 << 20))))  # faster than a draw for each value
        known.setdefault((one.account_id, one.taken_s), one)
    random = Random(draw(st.integers(0, 1 << 20)))
    files: list[list[Scope]] = [[] for _ in range(random.randint(1, 3))]
    for one in known.values():
        random.choice(files).append(one)
    services = ["AMAZON", "EC2", "S3"]
    ranges = [tuple(Range(one, random.choice(services), "us-east-1") for one in some(random, RANGES)) for _ in files]
    return [Snapshot(tuple(scopes), some) for scopes, some in zip(files, ranges, strict=True)]


class Record(NamedTuple):
    """What of a record makes its name."""

    start: int
    interface: str
    src: str
    dst: str
    octets: int


HEAD = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"


def line_of(one: Record) -> str:
    """The record as a line."""
    return f"{one.interface} {one.src} {one.dst} 50000 443 6 1 {one.octets} {one.start} {one.start} ACCEPT OK"


RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from([one for one in TIMES if one >= START]),
        st.sampled_from([*INTERFACES, "eni-other"]),
        st.sampled_from(LOGGED[:-1]),
        st.sampled_from(LOGGED[:-1]),
        st.integers(1, 1000),
    ),
    min_size=1,
    max_size=12,
)
WITHIN = st.sampled_from([0, 1800, HOUR, 2 * HOUR, 86_400])
KEYS = st.lists(
    st.sampled_from([f"{side}.{word}" for side in ("src", "dst") for word in WORDS]),
    min_size=1,
    max_size=3,
    unique=True,
)
WINDOWS = st.none() | st.sampled_from([(hour, hour + HOUR) for hour in HOURS]) | st.just((HOURS[1], HOURS[4]))


ASKED = st.tuples(st.sampled_from(WORDS), st.sampled_from(LOGGED), WINDOWS, st.sampled_from([*INTERFACES, "", "-"]))
SLOW = [HealthCheck.too_slow]


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(snapshots(), WITHIN, st.lists(ASKED, min_size=1, max_size=20))
def test_labels_are_those_of_the_oracle(
    made: list[Snapshot], within: int, asked: list[tuple[str, str, tuple[int, int] | None, str]]
) -> None:
    """However addresses changed hands, each is called what the rules say, whatever was asked before it."""
    names, oracle = Names(made, within_s=within), Oracle(made, within)
    for word, address, window, logger in asked:
        part = parse_named(f"src.{word}")
        assert part
        expected = oracle.label(word, address, window or ALWAYS, logger)
        assert names.label(part, address, window, logger) == expected, (word, address, window, logger)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(snapshots(), RECORDS, KEYS, WITHIN)
def test_answers_by_names_are_those_of_the_oracle(
    made: list[Snapshot], records: list[Record], words: list[str], within: int
) -> None:
    """Records, their digests, and a digest of these digests give the oracle's rows; digests need no --names."""
    rows = named_rows(((*one[:4], one[4:]) for one in records), words, Oracle(made, within))
    ranked = sorted(rows.items(), key=lambda row: (-row[1][0], "\t".join(row[0]).encode()))
    expected = ["\t".join([*key, *map(str, sums)]) for key, sums in ranked]
    plain = ["--by", ",".join(words), "--metric", "bytes", "--ports", "all", "--names-within", f"{within}s"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = []
        for number, snapshot in enumerate(made):
            (folder / f"{number}.json").write_bytes(b"".join(format_snapshot(snapshot)))
            names += ["--names", str(folder / f"{number}.json")]
        logs = []
        for number, part in enumerate([records[::2], records[1::2]]):
            logs.append(folder / f"{number}.log")
            logs[-1].write_text("\n".join([HEAD, *map(line_of, part), ""]))
        assert run("run-local", *map(str, logs), *names, *plain) == expected
        digests = [str(one.with_suffix(".parquet")) for one in logs]
        for log, digest in zip(logs, digests, strict=True):
            run("digest", str(log), *names, "--output", digest)
        assert run("run-local", *digests, *plain) == expected
        run("digest", *digests, "--output", str(folder / "whole.parquet"))
        assert run("run-local", str(folder / "whole.parquet"), *plain) == expected


def run(*arguments: str) -> list[str]:
    """The lines that a command prints."""
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout.removesuffix("\n").split("\n")
