"""Answers by names are the same from every engine, from fetch-results, and from an oracle that counts by names."""

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands import command
from tests.fake_account import FakeAccount
from tests.functional.test_runs_of_others import start
from toptalkers.answer import named
from toptalkers.answer.answer import Answer
from toptalkers.answer.named import name_answer, question_to_count
from toptalkers.cli.main import cli
from toptalkers.engines import Engine, local
from toptalkers.engines import mrjob as mrjob_engine
from toptalkers.names.owners import Names
from toptalkers.names.services import read_services
from toptalkers.names.snapshot import Instance, Interface, Scope, SecurityGroup, Snapshot, Subnet, Vpc, format_snapshot
from toptalkers.question.named import parse_named
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs

HOUR = 1793491200
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.9", "10.1.0.7", "192.0.2.7", "2001:db8::9")
LAYOUT = "interface-id srcaddr dstaddr dstport protocol bytes start action"
LOGGERS = ("eni-1", "eni-2", "eni-9", "eni-x")
WORDS = ("src.name", "dst.name", "src.sg", "dst.asg", "src.vpc", "dst.subnet", "dst.tag:app", "src.kind")
TIMES = [HOUR + step * 1800 for step in range(-6, 20)]


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """What the account had at some time: some of its interfaces, each with some of the addresses."""
    interfaces = tuple(
        Interface(
            f"eni-{number}",
            vpc_id=draw(st.sampled_from(("vpc-a", "vpc-b"))) if number == 9 else "vpc-a",
            subnet_id=draw(st.sampled_from(("", "subnet-a"))),
            addresses=tuple(draw(st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True))),
            group_ids=tuple(draw(st.lists(st.sampled_from(("sg-1", "sg-2")), max_size=2, unique=True))),
            instance_id=draw(st.sampled_from(("", "i-1", "i-2"))),
            tags=draw(st.sampled_from(({}, {"app": "shop"}))),
            since_s=draw(st.sampled_from((0, *TIMES))),
        )
        for number in draw(st.lists(st.sampled_from((1, 2, 9)), unique=True))
    )
    return Scope(
        "123456789012",
        "us-east-1",
        draw(st.sampled_from(TIMES)),
        interfaces,
        (
            Instance("i-1", {"Name": "web-1", "aws:autoscaling:groupName": "web"}),
            Instance("i-2", {"Name": "web-2", "app": "web"}),
        ),
        (SecurityGroup("sg-1", "web tier"),),
        (Subnet("subnet-a", "vpc-a", "use1-az1", ("10.0.0.0/24",), {"Name": "private a"}),),
        (Vpc("vpc-a", ("10.0.0.0/16",), {"Name": "shop"}), Vpc("vpc-b", ("10.0.0.0/16", "10.1.0.0/16"))),
    )


RECORDS = st.lists(
    st.tuples(
        st.sampled_from([HOUR + step * 600 for step in range(24)]),
        st.sampled_from(LOGGERS),
        st.sampled_from(ADDRESSES),
        st.sampled_from(ADDRESSES),
        st.integers(1, 5),
    ),
    max_size=30,
)


def count(engine: Engine, query: Query, content: bytes, names: Names, top: int = 0) -> Answer:
    """The answer by names of an engine."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "1.log").write_bytes(content)
        answer = engine.count_files(question_to_count(query, names), find_inputs([folder]).files)
        return name_answer(answer, query, names, read_services(), top=top)


def log_of(records: list[tuple[int, str, str, str, int]]) -> bytes:
    lines = [f"{by} {src} {dst} 443 6 {octets} {at} ACCEPT" for at, by, src, dst, octets in records]
    return "".join(f"{line}\n" for line in (LAYOUT, *lines)).encode()


@pytest.fixture(scope="module", autouse=True)
def _short_pieces() -> Iterator[None]:
    """An answer has several pieces, and the first one has not its first hours."""
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(named, "PIECE_BYTES", 100)
        yield


def named_plainly(
    records: list[tuple[int, str, str, str, int]], words: list[str], snapshots: list[Snapshot]
) -> dict[tuple[str, ...], list[int]]:
    """The sums of bytes and records by names: each record is named by itself, for its hour and its interface."""
    sums: dict[tuple[str, ...], list[int]] = {}
    shares = Names(snapshots).shares_addresses
    for time, interface, src, dst, octets in records:
        names = Names(snapshots)  # which has not seen another record
        window = time // 3600 * 3600, time // 3600 * 3600 + 3600
        parts = [part for part in map(parse_named, words) if part]
        ends = {"src": src, "dst": dst}
        key = tuple(names.label(part, ends[part.side], window, interface if shares else "") for part in parts)
        row = sums.setdefault(key, [0, 0])
        row[0] += octets
        row[1] += 1
    return sums


QUESTIONS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)


def check(
    engine: Engine, taken: list[Scope], records: list[tuple[int, str, str, str, int]], words: list[str], top: int
) -> None:
    """Check an engine's answer by names."""
    snapshots = [Snapshot((scope,)) for scope in taken]
    query = Query.parse(by=",".join(words), metric="bytes,records", log_format=LAYOUT)
    answer = count(engine, query, log_of(records), Names(snapshots), top)
    rows = named_plainly(records, words, snapshots)
    ordered = sorted((-octets, "\t".join(key).encode(), number) for key, (octets, number) in rows.items())
    expected = [b"%b\t%d\t%d\n" % (key, -octets, number) for octets, key, number in ordered]
    assert b"".join(answer.chunks).splitlines(keepends=True) == expected[: top or None]
    assert answer.talkers == len(rows)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(scopes(), max_size=3), RECORDS, QUESTIONS, st.sampled_from((0, 2)))
def test_lines_are_named_as_records_would_be(
    taken: list[Scope], records: list[tuple[int, str, str, str, int]], words: list[str], top: int
) -> None:
    """Counting by addresses and naming the lines gives what naming each record and counting gives."""
    check(local, taken, records, words, top)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(scopes(), min_size=1, max_size=2), RECORDS, QUESTIONS)
def test_another_engine_gives_the_same_names(
    taken: list[Scope], records: list[tuple[int, str, str, str, int]], words: list[str]
) -> None:
    """The mrjob engine gives the same bytes by names."""
    check(mrjob_engine, taken, records, words, 0)


WEB = Interface("eni-1", "vpc-a", addresses=("10.0.0.1", "10.0.0.2"), group_ids=("sg-1",), instance_id="i-1")
SNAPSHOT = Snapshot(
    (
        Scope(
            "123456789012",
            "us-east-1",
            HOUR,
            (WEB, Interface("eni-9", "vpc-a", addresses=("10.0.1.9",), group_ids=("sg-9",), tags={"Name": "orders"})),
            (Instance("i-1", {"Name": "web-1", "aws:autoscaling:groupName": "web"}),),
            (SecurityGroup("sg-1", "web tier"), SecurityGroup("sg-9", "orders database")),
        ),
    )
)
FLOW = "2 123456789012 eni-1 {} {} 50000 {} 6 1 {} 1793491210 1793491260 ACCEPT OK\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a flow log, `f.log`, and a snapshot, `n.json`."""
    flows = [("10.0.0.1", "10.0.1.9", 5432, 30), ("10.0.0.2", "10.0.1.9", 5432, 11), ("10.0.0.1", "192.0.2.7", 443, 5)]
    (tmp_path / "f.log").write_text("".join(FLOW.format(*flow) for flow in flows))
    (tmp_path / "n.json").write_bytes(b"".join(format_snapshot(SNAPSHOT)))
    return tmp_path


def ask(folder: Path, *options: str) -> tuple[int, str, str]:
    """Run run-local on the flow log. Returns the exit code, the answer and the talk."""
    run = CliRunner().invoke(cli, ["run-local", str(folder / "f.log"), "--ports", "all", "--metric", "bytes", *options])
    return run.exit_code, run.stdout, run.stderr


def test_run_local_answers_by_names(files: Path) -> None:
    """The tally, the shares and the share of the rows shown are those of all that counted."""
    names = ("--names", str(files / "n.json"), "--by", "src.asg,dst.sg,service", "--format", "csv", "--show", "shares")
    code, answer, talk = ask(files, *names, "--top", "1")
    assert code == 0
    assert answer.splitlines() == [
        "rank,src.asg,dst.sg,service,bytes,bytes_percent",
        "1,web,orders database,postgresql,41,89.130435",
    ]
    assert "3 records read from 1 file: 3 counted" in talk
    assert "the 1 row holds 89.1% of all bytes" in talk


def test_names_are_shown_beside_addresses(files: Path) -> None:
    """Without named parts, the answer is the same, with two columns more."""
    plain, beside = ask(files)[1], ask(files, "--names", str(files / "n.json"))[1]
    assert [line.split("\t")[:2] for line in beside.splitlines()] == [line.split("\t") for line in plain.splitlines()]
    assert [line.split("\t")[2:] for line in beside.splitlines()] == [
        ["web-1", "orders"],
        ["web-1", "orders"],
        ["web-1", "192.0.2.7"],
    ]


def test_pairs_are_answered_by_names(files: Path) -> None:
    """With --pairs, src is the client and dst the server; a name may be any of their labels."""
    names = ("--names", str(files / "n.json"), "--pairs", "--by", "src.name,dst.name,service", "--top", "1")
    code, answer, _ = ask(files, *names)
    assert (code, answer.split("\t")[:4]) == (0, ["web-1", "orders", "postgresql", "41"])


def test_a_service_needs_no_snapshot(files: Path) -> None:
    """`service` alone is answered without --names, and the user's own file comes first."""
    assert ask(files, "--by", "service")[1] == "postgresql\t41\nhttps\t5\n"
    (files / "own").write_text("5432/tcp orders-api\n")
    assert ask(files, "--by", "service", "--services", str(files / "own"))[1] == "orders-api\t41\nhttps\t5\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "src.asg"], "--by src.asg: there are no names, because no --names is given"),
        (["--names", "{}/n.json", "--by", "src.nme"], "did you mean 'src.name'?"),
        (["--names", "{}/n.json", "--names-within", "soon"], "--names-within: 'soon' is not a length of time"),
        (["--names", "{}/none.json"], "none.json"),
        (["--names", "{}/f.log"], "f.log"),
    ],
)
def test_what_cannot_be_named_is_said(files: Path, options: list[str], said: str) -> None:
    """A wrong option ends the command with one clear line."""
    code, answer, talk = ask(files, *(option.format(files) for option in options))
    assert code != 0
    assert answer == ""
    assert said in talk
    assert "Traceback" not in talk


def test_other_commands_say_how_names_are_asked_for() -> None:
    """A command that counts elsewhere refuses named parts, with the key that can be named afterwards."""
    refused = command(FakeAccount(), "run-emr", "--by", "src.sg,service")
    assert refused.exit_code == 2
    assert "names are joined after counting, not by 'run-emr'" in refused.stderr
    assert "--by hour,interface-id,srcaddr,dstaddr,service-port,protocol" in refused.stderr


def fetch(tmp_path: Path, answer: bytes, *options: str, **question: str) -> tuple[int, str, str]:
    """Fetch the answer of a run, with names. Returns the exit code, the answer and the talk."""
    account = FakeAccount()
    cluster = start(account, **question)
    account.clock.sleep(2000)
    key = next(one for one in account.fake_s3.objects if one.endswith("part-00000.gz"))
    account.fake_s3.objects[key] = gzip.compress(answer)
    snapshot = tmp_path / "n.json"
    snapshot.write_bytes(b"".join(format_snapshot(SNAPSHOT)))
    done = command(account, "fetch-results", cluster, "--names", str(snapshot), *options)
    return done.exit_code, done.stdout, done.stderr


def test_a_fetched_answer_is_added_up_by_names(tmp_path: Path) -> None:
    """The recipe's answer is added up by names; the port is the service's, and what the run left out is said."""
    lines = b"10.0.0.1:10.0.1.9:443\t7\n10.0.0.2:10.0.1.9:443\t5\n"
    code, answer, talk = fetch(tmp_path, lines, "--by", "src.asg,dst.sg,service")
    assert (code, answer) == (0, "web\torders database\thttps\t12\n")
    assert "the run kept the first 5 talkers only, and rows by names have nothing of the others" in talk
    assert (
        fetch(tmp_path, lines)[1]
        == lines.replace(b"7", b"7\tweb-1\torders").replace(b"5\n", b"5\tweb-1\torders\n").decode()
    )


def test_a_fetched_answer_lacks_what_was_not_asked_for(tmp_path: Path) -> None:
    """A named part that needs another column is refused, as is a key without a name."""
    lines = b"10.0.1.9\t7\n"
    code, _, talk = fetch(tmp_path, lines, "--by", "src.sg", by="dstaddr")
    assert code == 2
    assert "--by src.sg: the answer lacks srcaddr; it has dstaddr" in talk
    code, _, talk = fetch(tmp_path, lines, "--by", "dstaddr", by="dstaddr")
    assert code == 2
    assert "none of these parts is a name" in talk


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b"10.0.0.1:10.0.1.9:443\t7", "ends in the middle of a line"),
        (b"10.0.0.1:10.0.1.9:443\t7\n10.0.0.1\t7\n", "not a line of the answer: b'10.0.0.1"),
        (b"", None),
    ],
)
def test_a_damaged_part_is_no_answer_by_names(tmp_path: Path, part: bytes, said: str | None) -> None:
    """A part that ends early or has another line is an error; one without lines is an empty answer."""
    code, answer, talk = fetch(tmp_path, part, "--by", "src.asg")
    assert (code, answer) == (1 if said else 0, "")
    assert (said or "The answer is empty") in talk
