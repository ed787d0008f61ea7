"""docs/choosing.md: its table is what its arithmetic gives, and what run-emr plans."""

import re

import pytest

from tests.render import ROOT
from toptalkers.runs.cluster.prices import EC2_PER_VCPU_HOUR, dollars
from toptalkers.runs.cluster.sizing import size_cluster

TEXT = (ROOT / "docs/choosing.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| [0-9]+ [GT]B", line)
]


def money(cell: str) -> float:
    return float(cell.rpartition("$")[2])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_table_is_the_arithmetic(row: list[str]) -> None:
    """Minutes and dollars of each way, to the precision that the table shows."""
    number, unit = row[0].split()
    size = int(number) * (10**12 if unit == "TB" else 10**9)
    laptop, instance, athena, emr = row[1:]
    assert money(laptop) == pytest.approx(0.09 * size / 1e9, abs=0.006)
    minutes = 3 + size / 0.5e9 / 60
    assert float(instance.split()[0]) == pytest.approx(minutes, abs=0.5)
    assert money(instance) == pytest.approx(16 * EC2_PER_VCPU_HOUR["c7g"] * minutes / 60, abs=0.006)
    assert money(athena) == pytest.approx(5 * size / 1e12)
    sizing = size_cluster(size)
    assert emr == f"{sizing.minutes} min, ${dollars(sizing):.2f}"


def test_the_table_has_its_sizes() -> None:
    """Four sizes, a factor of ten apart."""
    assert [row[0] for row in ROWS] == ["1 GB", "10 GB", "100 GB", "1 TB"]


def test_ten_terabytes_an_hour() -> None:
    """The example of many nodes."""
    sizing = size_cluster(10**13, max_nodes=200)
    assert sizing.core == 200
    assert sizing.minutes < 60
    assert dollars(sizing) == pytest.approx(35, abs=1)
