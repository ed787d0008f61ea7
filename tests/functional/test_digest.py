"""Digests from end to end: made here and on a cluster, and asked later."""

from pathlib import Path

import pytest
from pyarrow import parquet

from tests.commands import command
from tests.fake_account import FakeAccount
from toptalkers.answer.digest import METADATA_KEY, DigestOrigin
from toptalkers.question.digest import is_digest
from toptalkers.question.query import Query
from toptalkers.runs.record import load_record

OF_CLUSTER = (
    b"2026-11-23T18:00:00Z\teni-a\t10.0.0.1\t10.0.0.2\t443\tdst\t-\t6\tACCEPT\t3\t9000\t11\t6"
    b"\t2026-11-23T18:00:01Z\t2026-11-23T18:59:59Z\n"
    b"2026-11-23T18:00:00Z\teni-a\t10.0.0.2\t10.0.0.1\t443\tsrc\t-\t6\tREJECT\t18\t40\t1\t1"
    b"\t2026-11-23T18:00:02Z\t2026-11-23T18:00:12Z\n"
)


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack and one captured object; a job that succeeds leaves a digest."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(OF_CLUSTER)
    return account


def test_a_digest_of_a_cluster(account: FakeAccount, tmp_path: Path) -> None:
    """run-emr --digest asks the digest's question, of all ports and actions; fetch-results writes it as Parquet."""
    ran = command(account, "run-emr", "--digest", "--yes")
    assert ran.exit_code == 0
    assert "question  digest, all ports, all actions" in ran.stderr
    run_id = ran.stdout.strip()
    assert f"fetch-results {run_id} --output digest.parquet' fetches the answer" in ran.stderr
    bucket = account.open().storage
    record = load_record(bucket, account.bucket, run_id)
    assert record
    assert is_digest(record.query)
    output = tmp_path / "d.parquet"
    fetched = command(account, "fetch-results", "--output", str(output))
    assert fetched.exit_code == 0
    table = parquet.read_table(output)
    assert table["records"].to_pylist() == [6, 1]
    assert table["side"].to_pylist() == ["dst", "src"]
    origin = DigestOrigin.parse(table.schema.metadata[METADATA_KEY])
    assert Query.parse(**origin.question) == record.query
    assert origin.tally
    assert origin.tally.counted == 7
    assert command(account, "fetch-results").stdout.encode() == OF_CLUSTER


def test_a_digest_of_one_action_on_a_cluster(account: FakeAccount) -> None:
    """Other clauses narrow a cluster's digest; its key, sums and number of rows are fixed."""
    ran = command(account, "run-emr", "--digest", "--yes", "--action", "ACCEPT", "--ports", "22")
    assert "question  digest, ports 22, ACCEPT" in ran.stderr
    for given in (["--by", "srcaddr"], ["--metric", "bytes"], ["--top", "5"]):
        refused = command(account, "run-emr", "--digest", "--yes", *given)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"Error: {given[0]}: a digest has a key and sums of its own, and all rows")


def test_another_answer_of_a_cluster_is_not_written_as_parquet(account: FakeAccount, tmp_path: Path) -> None:
    """fetch-results refuses a name of Parquet for the answer to another question, and writes nothing."""
    account.fake_emr.on_done = lambda: account.leave(b"10.0.0.1:10.0.0.2:443\t7\n")
    command(account, "run-emr", "--yes")
    refused = command(account, "fetch-results", "--output", str(tmp_path / "d.parquet"))
    assert refused.exit_code == 2
    assert "only a digest is written as Parquet" in refused.stderr
    assert not list(tmp_path.iterdir())
