"""`toptalkers names`: who has which address."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.test_owners import DAY, FLEET, HOUR, MORNING, NEW, OLD, eni, scope
from toptalkers.cli.main import cli
from toptalkers.names.snapshot import Hole, Scope, Snapshot, format_snapshot
from toptalkers.question.times import format_seconds


def written(folder: Path, *scopes: Scope) -> list[str]:
    """Write each scope into a file of its own."""
    paths = [folder / f"{number}.json" for number in range(len(scopes))]
    for path, one in zip(paths, scopes, strict=True):
        path.write_bytes(b"".join(format_snapshot(Snapshot((one,)))))
    return list(map(str, paths))


def names(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["names", *arguments])


def test_each_address_has_a_line(tmp_path: Path) -> None:
    """Private, IPv6 and public addresses come in the order of their numbers, each with its groups and its name."""
    assert names(*written(tmp_path, FLEET)).stdout.splitlines() == [
        "10.0.0.5\tinstance\tall hosts+web tier\tweb\tweb-1",
        "10.0.1.9\tinterface\tsg-9\tdb\tdb",
        "198.51.100.5\tinstance\tall hosts+web tier\tweb\tweb-1",
        "2001:db8::5\tinstance\tall hosts+web tier\tweb\tweb-1",
    ]


def test_an_address_has_a_line_for_each_owner(tmp_path: Path) -> None:
    """At any time a reused address has both owners, at one time the one of then; a delegated prefix is said as such."""
    paths = written(tmp_path, OLD, NEW, scope(eni("node", prefixes=("10.0.3.16/28",)), after=5 * HOUR))

    def at(seconds: int) -> list[str]:
        return names(*paths, "--by", "name", "--at", format_seconds(MORNING + seconds)).stdout.splitlines()

    assert names(*paths, "--by", "name").stdout.splitlines() == ["10.0.0.5\tnew", "10.0.0.5\told", "10.0.3.16/28\tnode"]
    assert at(HOUR) == ["10.0.0.5\told", "10.0.3.16/28\tnode"]
    assert at(6 * HOUR) == ["10.0.3.16/28\tnode"]  # the last snapshot before does not have the other one any more
    assert at(2 * DAY) == ["10.0.3.16/28\t~node"]


def test_every_format_has_the_same_rows(tmp_path: Path) -> None:
    """Table, CSV and JSON have titles and the rows of TSV."""
    asked = [*written(tmp_path, FLEET), "--by", "sg,tag:app", "--format"]
    rows = [line.split("\t") for line in names(*asked, "tsv").stdout.splitlines()]
    titles = ["address", "sg", "tag:app"]
    assert json.loads(names(*asked, "json").stdout) == [dict(zip(titles, row, strict=True)) for row in rows]
    assert names(*asked, "csv").stdout.splitlines() == [",".join(row) for row in (titles, *rows)]
    assert names(*asked, "table").stdout == (
        "address       sg                  tag:app\n"
        "------------  ------------------  -------\n"
        "10.0.0.5      all hosts+web tier  shop\n"
        "10.0.1.9      sg-9                db\n"
        "198.51.100.5  all hosts+web tier  shop\n"
        "2001:db8::5   all hosts+web tier  shop\n"
    )


def test_a_snapshot_without_addresses_is_said(tmp_path: Path) -> None:
    """Nothing is an empty list, or said in a table; standard error says so for every format, and what was not asked."""
    [path] = written(tmp_path, Scope("1", "us-east-1", MORNING, holes=(Hole("ec2:DescribeInstances", "denied"),)))
    assert [names(path, "--format", one).stdout for one in ("table", "tsv", "json")] == ["no addresses\n", "", "[]\n"]
    assert "ec2:DescribeInstances" in names(path).stderr
    assert all(
        "there are no addresses" in names(path, "--format", one).stderr for one in ("table", "tsv", "csv", "json")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "nam"), "did you mean 'name'?"),
        (("--by", "name,name"), "'name' is given twice"),
        (("--by", "tag"), "'tag' is not one of"),
        (("--at", "noon"), "--at: 'noon' is not a time"),
        (("--names-within", "1w"), "--names-within: '1w' is not a length of time"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """A wrong value ends with exit code 2, and says what was meant."""
    result = names(*written(tmp_path, FLEET), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
