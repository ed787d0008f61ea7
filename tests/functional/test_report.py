"""`report`: every figure of the page is found again by the command beside it, and no text of others becomes HTML."""

import json
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from toptalkers.cli.main import cli
from toptalkers.names.snapshot import Instance, Interface, Scope, Snapshot, Subnet, format_snapshot
from toptalkers.sample.snapshot import company_snapshot

SECTIONS = ("talkers", "senders", "receivers", "services", "zones", "over-time", "refusals")
"""The sections with a table."""

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
START = 1_796_047_200  # 2026-11-30T14:00:00Z


class Page(HTMLParser):
    """What stands in a report: by section its text, the rows of its table, and its command."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.rows: dict[str, list[tuple[list[str], list[int]]]] = {}
        self.rest: dict[str, list[int]] = {}
        self.commands: dict[str, str] = {}
        self.tags: set[str] = set()
        self._section = ""
        self._open: list[str] = []
        self._place = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "section" and "aria-labelledby" in given:
            self._section = given["id"] or ""
            self.text[self._section] = ""
            self.rows[self._section] = []
        if tag in ("thead", "tbody", "tfoot"):
            self._place = tag
        if tag == "tr" and self._place == "tbody":
            self.rows[self._section].append(([], []))
        if tag in ("th", "td") and self._place == "tbody":
            self._open.append(tag if "number" not in (given.get("class") or "") and given.get("class") is None else "")
            if self._open[-1]:
                self.rows[self._section][-1][0].append("")
        if tag == "data":
            value = int(given["value"] or "")
            if self._place == "tbody":
                self.rows[self._section][-1][1].append(value)
            else:
                self.rest.setdefault(self._section, []).append(value)
        if tag == "pre" and given.get("class") == "command":
            self._place = "command"
            self.commands[self._section] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td") and self._place == "tbody" and self._open:
            self._open.pop()
        if tag in ("thead", "tbody", "tfoot", "pre", "table"):
            self._place = ""

    def handle_data(self, data: str) -> None:
        if self._section:
            self.text[self._section] += data
        if self._place == "command":
            self.commands[self._section] += data
        if self._open and self._open[-1]:
            self.rows[self._section][-1][0][-1] += data


def run(*arguments: str) -> Result:
    """Run a command; any exception but its exit fails the test."""
    result = CliRunner().invoke(cli, arguments)
    print(result.stderr)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def report_of(folder: Path, *arguments: str) -> Page:
    """Write a report of the logs in a folder, and read it."""
    output = folder / "report.html"
    result = run("report", str(folder / "logs"), *arguments, "--output", str(output))
    assert result.exit_code == 0, result.stderr
    return Page(output)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the flow logs and the snapshot of the made-up company."""
    folder = tmp_path_factory.mktemp("company")
    assert run("sample", "--records", "20000", "--out", str(folder / "logs"), "--layout", "rich").exit_code == 0
    (folder / "net.json").write_bytes(b"".join(format_snapshot(company_snapshot())))
    return folder


def flows(folder: Path, *lines: str) -> Path:
    """Write flow records of eni-1 within one hour, each given as `srcaddr dstaddr dstport bytes action`."""
    (folder / "logs").mkdir()
    rows = [line.split() for line in lines]
    records = [
        f"2 123456789012 eni-1 {src} {dst} 40000 {port} 6 10 {size} {START} {START + 50} {action} OK"
        for src, dst, port, size, action in rows
    ]
    (folder / "logs" / "flows.log").write_text("\n".join([HEADER, *records]) + "\n")
    return folder


def answer(command: str) -> tuple[list[list[str]], list[list[int]]]:
    """Run the command of a section, and return the keys and the sums of its rows."""
    words = shlex.split(command)
    assert words[0] == "toptalkers"
    found = run(*words[1:], "--format", "json")
    assert found.exit_code == 0
    talkers = json.loads(found.stdout)["talkers"]
    sums = ("bytes", "records") if "bytes,records" in words else ("records", "bytes")
    keys = [
        [str(value) for name, value in one.items() if name not in ("rank", *sums, "src_name", "dst_name")]
        for one in talkers
    ]
    return keys, [[one[name] for name in sums] for one in talkers]


@pytest.mark.parametrize(
    "options",
    [(), ("--names",), ("--names", "--count", "once"), ("--names", "--where", "port 443 or port 22", "--top", "3")],
    ids=lambda options: " ".join(options) or "no options",
)
def test_each_command_gives_the_figures_of_its_section(company: Path, options: tuple[str, ...]) -> None:
    """The rows of a table are the first ones that its command prints, with the same sums; of zones, the known ones."""
    arguments = [word for one in options for word in ((one, str(company / "net.json")) if one == "--names" else (one,))]
    page = report_of(company, *arguments)
    has_names = "--names" in options
    assert set(page.commands) == {one for one in SECTIONS if has_names or one != "zones"}
    for section, command in page.commands.items():
        keys, sums = answer(command)
        found = list(zip(keys, sums, strict=True))
        if section == "over-time":
            found.sort()
        if section == "zones":
            found = [row for row in found if all(zone.startswith("use1-az") for zone in row[0])]
        assert found, command
        rows = [(key, values) for key, values in page.rows[section]]
        assert rows == found[: len(rows)], section
        assert len(rows) == len(found) or section == "zones", section


def test_what_a_table_does_not_show_is_added_up(company: Path) -> None:
    """The rows of a table and its last line add up to all hours."""
    page = report_of(company, "--names", str(company / "net.json"), "--top", "2")
    whole = [sum(sums[at] for _, sums in page.rows["over-time"]) for at in (0, 1)]
    for section in ("talkers", "senders", "receivers", "services"):
        shown = [sum(sums[at] for _, sums in page.rows[section]) + page.rest[section][at] for at in (0, 1)]
        assert shown == whole, section


def two_zones(name: str = "web-1") -> Snapshot:
    """A web server in one zone and a database server in another; 192.0.2.1 is nobody's."""
    subnets = (
        Subnet("subnet-a", "vpc-1", "use1-az1", ("10.0.1.0/24",)),
        Subnet("subnet-b", "vpc-1", "use1-az2", ("10.0.2.0/24",)),
    )
    interfaces = (
        Interface("eni-1", "vpc-1", "subnet-a", "use1-az1", ("10.0.1.1",), instance_id="i-1"),
        Interface("eni-2", "vpc-1", "subnet-b", "use1-az2", ("10.0.2.1",), instance_id="i-2"),
    )
    instances = (Instance("i-1", {"Name": name}), Instance("i-2", {"Name": "orders-db"}))
    scope = Scope("123456789012", "us-east-1", START, interfaces=interfaces, instances=instances, subnets=subnets)
    return Snapshot((scope,))


def with_names(folder: Path, snapshot: Snapshot) -> list[str]:
    """Write a snapshot, and return the option that takes it."""
    (folder / "net.json").write_bytes(b"".join(format_snapshot(snapshot)))
    return ["--names", str(folder / "net.json")]


CROSSING = (
    "10.0.1.1 10.0.2.1 5432 300000000000 ACCEPT",
    "10.0.1.1 10.0.1.1 80 1000000000 ACCEPT",
    "10.0.1.1 192.0.2.1 443 2000000000 ACCEPT",
    "10.0.1.1 10.0.2.1 22 40 REJECT",
)


@pytest.mark.parametrize(
    ("options", "cost"),
    [
        ((), "USD 3.00"),  # both ends log it: each logged GB is paid for in one direction
        (("--count", "once"), "USD 6.00"),
        (("--zone-price", "0.02"), "USD 6.00"),
        (("--zone-price", "0"), "USD 0.00"),
    ],
)
def test_what_crosses_zones_is_priced(tmp_path: Path, options: tuple[str, ...], cost: str) -> None:
    """300 GB between zones cost 0.01 USD per GB and direction; what stays, or has no zone, or is refused, is free."""
    folder = flows(tmp_path, *CROSSING)
    page = report_of(folder, *with_names(folder, two_zones()), *options)
    text = page.text["zones"]
    assert f"300 GB (99.0%) went from one zone to another: about {cost}" in text
    assert "1.0 GB stayed within a zone; 2.0 GB came from or went to addresses without a zone" in text


def test_the_summary_says_it_in_words(tmp_path: Path) -> None:
    """The first section names the largest conversations, what crossed zones and what was refused."""
    folder = flows(tmp_path, *CROSSING)
    text = " ".join(report_of(folder, *with_names(folder, two_zones())).text["summary"].split())
    assert "4 records count, in 1 file, from 2026-11-30 14:00 to 2026-11-30 15:00 UTC (1 hour)." in text
    assert "The 3 accepted ones carried 303 GB; 1 more was refused." in text
    assert "web-1 → orders-db, postgresql: 300 GB (99.0%)" in text
    assert "web-1 → orders-db, ssh, 1 record" in text


def test_without_names_there_are_addresses(tmp_path: Path) -> None:
    """Without --names, tables have addresses, and the zones' section says what to do."""
    page = report_of(flows(tmp_path, *CROSSING))
    assert page.rows["talkers"][0][0] == ["10.0.1.1", "10.0.2.1", "postgresql"]
    assert "toptalkers snapshot" in page.text["zones"]
    assert "zones" not in page.commands


def test_an_action_may_be_chosen(tmp_path: Path) -> None:
    """With --action ACCEPT nothing refused is counted; with REJECT all tables are of what was refused."""
    folder = flows(tmp_path, *CROSSING)
    page = report_of(folder, "--action", "ACCEPT")
    assert "not counted" in page.text["refusals"]
    assert len(page.rows["talkers"]) == 3
    page = report_of(folder, "--action", "REJECT")
    assert page.rows["talkers"] == [(["10.0.1.1", "10.0.2.1", "ssh"], [40, 1])]
    assert page.rows["refusals"] == [(["10.0.1.1", "10.0.2.1", "ssh"], [1, 40])]
    assert answer(page.commands["talkers"]) == ([["10.0.1.1", "10.0.2.1", "ssh"]], [[40, 1]])


def test_records_without_an_action_count_if_none_has_one(tmp_path: Path) -> None:
    """If the format has no action, all records are in the tables; if only some lack it, these are told as a doubt."""
    folder = flows(tmp_path, *CROSSING)
    log = folder / "logs" / "flows.log"
    lines = [line.split() for line in log.read_text().splitlines()]
    log.write_text("".join(" ".join((*line[:12], line[13])) + "\n" for line in lines))
    page = report_of(folder)
    assert len(page.rows["talkers"]) == 4
    assert answer(page.commands["talkers"])[1] == [sums for _, sums in page.rows["talkers"]]
    assert "no record says whether" in page.text["refusals"]
    (folder / "logs" / "more.log").write_text("".join(" ".join(line) + "\n" for line in lines[:2]))
    page = report_of(folder)
    assert page.rows["talkers"] == [(["10.0.1.1", "10.0.2.1", "postgresql"], [300_000_000_000, 1])]
    assert "action: 4 records have none" in page.text["data-quality"]


HOSTILE = "<script>alert(1)</script>\"'&amp;</style><img src=x onerror=alert(2)>\u202e"


def test_names_of_others_are_text(tmp_path: Path) -> None:
    """A name with markup, and a title with markup, are shown as they are, and make no element."""
    folder = flows(tmp_path, *CROSSING)
    usual = report_of(folder, *with_names(folder, two_zones()))
    page = report_of(folder, *with_names(folder, two_zones(HOSTILE)), "--title", "</title><b id=x>")
    assert page.tags == usual.tags
    assert page.rows["talkers"][0][0][0] == HOSTILE.replace("\u202e", "?")
    whole = (folder / "report.html").read_text()
    assert "<script>alert" not in whole
    assert "<img" not in whole
    assert "<b id" not in whole


def test_no_record_is_no_failure(tmp_path: Path) -> None:
    """A report of records that do not count says so, and has no rows."""
    page = report_of(flows(tmp_path, *CROSSING), "--where", "port 1")
    assert "nothing to rank" in page.text["summary"]
    assert not any(page.rows.values())


def test_only_refusals_are_told_from_no_record(tmp_path: Path) -> None:
    """If all records that count were refused, the summary says that none was accepted, not that none counts."""
    page = report_of(flows(tmp_path, *CROSSING), "--where", "port 22")
    assert "1 record counts" in page.text["summary"]
    assert "No record was accepted, so there is nothing to rank" in page.text["summary"]
    assert "No record counts" not in page.text["summary"]


def test_the_quality_begins_with_what_counts(tmp_path: Path) -> None:
    """The tally stands below the question's ports, actions and --where; what a table ranks is in its own command."""
    page = report_of(flows(tmp_path, *CROSSING), "--where", "port 22")
    assert "\nwhere port = 22, all ports, all actions\n" in page.text["data-quality"]
    assert "top talkers by" not in page.text["data-quality"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "report.pdf"], "a report is HTML"),
        (["--output", "report.html", "--zone-price", "-1"], "--zone-price"),
        (["--output", "report.html", "--top", "many"], "--top: 'many' is not a number"),
        (["--output", "report.html", "--edges", "all"], "'--edges': 'all' is not a valid integer"),
        (["--output", "report.html", "--zone-price", "nan"], "--zone-price: it must be a number"),
        ([], "Missing option '--output'"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong options end with exit code 2, say what is wrong, and write nothing."""
    folder = flows(tmp_path, *CROSSING)
    monkeypatch.chdir(folder)
    result = run("report", "logs", *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
    assert not list(folder.glob("report.*"))


def test_unreadable_input_leaves_the_page_alone(tmp_path: Path) -> None:
    """If nothing can be read, an older report stays as it is, and the exit code is 1."""
    output = tmp_path / "report.html"
    output.write_text("older")
    result = run("report", str(tmp_path / "absent.log"), "--output", str(output))
    assert result.exit_code == 1
    assert output.read_text() == "older"
