"""docs/choosing.md: its table is what `scripts/bench emr` computes from the numbers of run-emr."""

import pytest

from bench.emr import ATHENA_DOLLARS_PER_BYTE, EGRESS_DOLLARS_PER_BYTE, LINE_BYTES_PER_SECOND, format_ways
from tests.render import ROOT
from toptalkers.runs.cluster.one_instance import BY_HAND_MINUTES, BYTES_PER_SECOND, choose_instance
from toptalkers.runs.cluster.prices import EC2_PER_VCPU_HOUR, dollars
from toptalkers.runs.cluster.sizing import BYTES_PER_VCPU_SECOND, WORK_OF_CONVERSATIONS, size_cluster

TEXT = (ROOT / "docs/choosing.md").read_text()


def test_the_table_is_computed() -> None:
    """The page has the table as the bench writes it."""
    assert format_ways() in TEXT


def test_a_row_by_hand() -> None:
    """100 GB: the line takes 800 s; the instance 3 minutes and 200 s; Athena half a dollar; EMR what it plans."""
    (row,) = [line for line in TEXT.splitlines() if line.startswith("| 100 GB")]
    laptop, instance, athena, emr = [cell.strip() for cell in row.strip("|").split("|")][1:]
    assert laptop == "13 min, $9.00"
    assert instance == "7.0 min, $0.07"
    assert round(16 * EC2_PER_VCPU_HOUR["c7g"] * 7 / 60, 2) == 0.07
    assert athena.endswith("$0.50")
    sizing = size_cluster(10**11)
    assert emr == f"{sizing.minutes} min, ${dollars(sizing):.2f}, {sizing.core} + 1 nodes"


def test_the_text_names_the_numbers() -> None:
    """What the arithmetic tells in words are the constants of the program."""
    one = choose_instance(10**9)
    assert one is not None
    assert one.instance_type == "c7g.4xlarge"
    assert EC2_PER_VCPU_HOUR["c7g"] * 16 == pytest.approx(0.58)
    assert f"{BYTES_PER_SECOND / 1e9} GB/s from S3" in TEXT
    assert f"{BY_HAND_MINUTES} minutes to start" in TEXT
    assert f"{BYTES_PER_VCPU_SECOND >> 20} MiB/s per vCPU" in TEXT
    assert f"{LINE_BYTES_PER_SECOND / 1e6:.0f} MB/s" in TEXT
    assert f"${EGRESS_DOLLARS_PER_BYTE * 1e9:.2f} per GB" in TEXT
    assert f"${ATHENA_DOLLARS_PER_BYTE * 1e12:.0f} per TB" in TEXT
    assert WORK_OF_CONVERSATIONS == 40
    assert "forty times the work" in " ".join(TEXT.split())


def test_ten_terabytes_an_hour() -> None:
    """The example of many nodes is the least number of nodes that needs less than an hour."""
    sizing = size_cluster(10**13, core=58)
    assert sizing.minutes <= 60 < size_cluster(10**13, core=57).minutes
    assert dollars(sizing) == pytest.approx(12, abs=0.5)
    assert "take 58 nodes, and about $12" in " ".join(TEXT.split())
