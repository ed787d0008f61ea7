"""`--log-format auto`: the format comes from the flow log that wrote the files, or the command explains why not."""

import gzip
from pathlib import Path

import pytest
from click.testing import Result

from tests.commands import command
from tests.fake_account import BUCKET, OUTPUTS, FakeAccount
from tests.fake_aws import FakeAws, FakeEc2

FIRST, SECOND, THIRD = "fl-0123456789abcdef0", "fl-0123456789abcdef1", "fl-0123456789abcdef2"
FORMAT = "${dstaddr} ${srcaddr} ${dstport} ${action}"
OTHER = "${srcaddr} ${dstaddr} ${dstport} ${action}"
LINE = b"10.0.1.1 10.0.0.1 443 ACCEPT\n"
ANSWER = "10.0.0.1:10.0.1.1:443\t1\n"


@pytest.fixture
def ec2() -> FakeEc2:
    return FakeAws().compute


def add(ec2: FakeEc2, own: str, log_format: str, **destination: str) -> None:
    ec2.add("vpc-1", LogFormat=log_format, **(destination or {"LogGroupName": "another"}))
    ec2.flow_logs[-1]["FlowLogId"] = own


def ask(ec2: FakeEc2, *arguments: str, account: FakeAccount | None = None) -> Result:
    account = account or FakeAccount()
    account.fake_ec2 = ec2
    return command(account, *arguments, "--log-format", "auto")


def test_by_the_id_in_a_files_name(ec2: FakeEc2, tmp_path: Path) -> None:
    """The id in the names below a folder decides, and one line names the flow log."""
    add(ec2, FIRST, FORMAT)
    add(ec2, SECOND, OTHER)
    (tmp_path / f"123456789012_vpcflowlogs_us-east-1_{FIRST}_20261123T1800Z_1.log").write_bytes(LINE)
    for path in (tmp_path, next(tmp_path.iterdir())):
        ran = ask(ec2, "run-local", str(path))
        assert (ran.exit_code, ran.stdout) == (0, ANSWER), ran.stderr
        assert f"the log format is that of {FIRST}: {FORMAT}" in ran.stderr


@pytest.mark.parametrize("own", [FIRST, SECOND])
def test_several_formats_are_no_format(ec2: FakeEc2, tmp_path: Path, own: str) -> None:
    """Two flow logs of one format have one format; of two formats neither is chosen, and both are named."""
    add(ec2, FIRST, FORMAT)
    add(ec2, SECOND, FORMAT if own == FIRST else OTHER)
    for name in (FIRST, SECOND):
        (tmp_path / f"x_{name}_y.log").write_bytes(LINE)
    ran = ask(ec2, "run-local", str(tmp_path))
    if own == FIRST:
        assert ran.exit_code == 0
        assert f"{FIRST}, {SECOND}" in ran.stderr
    else:
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert ran.stderr.count("\n") == 1
        assert FORMAT in ran.stderr
        assert OTHER in ran.stderr


@pytest.mark.parametrize("name", ["a.log", f"x_{SECOND}.log"])
def test_none_that_is_known(ec2: FakeEc2, tmp_path: Path, name: str) -> None:
    """One line says what was searched and what to do; nothing is guessed."""
    add(ec2, FIRST, FORMAT)
    (tmp_path / name).write_bytes(LINE)
    ran = ask(ec2, "run-local", str(tmp_path))
    assert (ran.exit_code, ran.stdout) == (1, "")
    unknown = f"us-east-1 knows nothing of the flow logs named in the files: {SECOND}"
    said = "no name of a file has the id" if name == "a.log" else unknown
    assert ran.stderr.startswith(f"Error: --log-format auto: {said}")
    assert "--log-format '${field} ${field}'" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "destination",
    [
        {"LogDestinationType": "s3", "LogDestination": f"arn:aws:s3:::{BUCKET}/runs/mine/"},
        {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::elsewhere"},
        {"LogGroupName": BUCKET},
    ],
)
def test_by_the_bucket_that_it_delivers_to(ec2: FakeEc2, destination: dict[str, str]) -> None:
    """If no name has an id, a flow log that delivers to this bucket decides, and the run records its format."""
    add(ec2, FIRST, FORMAT, **destination)
    account = FakeAccount()
    account.fake_s3.objects["runs/mine/a.gz"] = gzip.compress(LINE)
    ran = ask(ec2, "run-emr", "--dry-run", "--input", f"s3://{BUCKET}/runs/mine/", account=account)
    if BUCKET in destination.get("LogDestination", ""):
        assert ran.exit_code == 0, ran.stderr
        assert "--log-format dstaddr,srcaddr,dstport,action" in ran.stdout
    else:
        assert ran.exit_code == 1
        assert f"flow logs that deliver to s3://{BUCKET}" in ran.stderr


def test_only_names_of_what_is_asked_for_decide(ec2: FakeEc2) -> None:
    """A flow log that was made anew with another format does not make a question of one account and time unclear."""
    account = FakeAccount()
    for number, (of, region, flow_log, day) in enumerate(
        (
            ("123456789012", "us-east-1", FIRST, 22),
            ("123456789012", "us-east-1", SECOND, 23),
            ("111122223333", "us-east-1", THIRD, 23),
            ("123456789012", "us-west-2", THIRD, 23),
        )
    ):
        name = f"{of}_vpcflowlogs_{region}_{flow_log}_202611{day}T1800Z_{number}.log.gz"
        key = f"AWSLogs/{of}/vpcflowlogs/{region}/2026/11/{day}/{name}"
        account.fake_s3.objects[key] = gzip.compress(LINE)
    add(ec2, FIRST, FORMAT)
    add(ec2, SECOND, OTHER)
    add(ec2, THIRD, FORMAT)
    given = ["--dry-run", "--input", f"s3://{BUCKET}/AWSLogs/"]
    assert "2 formats match" in ask(ec2, "run-emr", *given, account=account).stderr
    options = ["--since", "2026-11-23T17:00Z", "--from-account", "123456789012", "--from-region", "us-east-1"]
    ran = ask(ec2, "run-emr", *given, *options, account=account)
    assert f"the log format is that of {SECOND}: {OTHER}" in ran.stderr


@pytest.mark.parametrize("has_stack", [True, False])
def test_without_a_stream_or_a_stack(ec2: FakeEc2, monkeypatch: pytest.MonkeyPatch, has_stack: bool) -> None:
    """The flow log that delivers to the bucket decides; a stack without a log group is enough, or none at all."""
    add(ec2, FIRST, FORMAT, LogDestinationType="s3", LogDestination=f"arn:aws:s3:::{BUCKET}")
    for output in ("StreamName", "LogGroupName"):
        monkeypatch.delitem(OUTPUTS, output)
    account = FakeAccount()
    account.has_stack = has_stack
    folder = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23/"
    key = f"{folder}123456789012_vpcflowlogs_us-east-1_x_20261123T1800Z_1.log.gz"
    account.fake_s3.objects[key] = gzip.compress(LINE)
    site = () if has_stack else ("--bucket", BUCKET, "--service-role", "x", "--instance-profile", "y")
    ran = ask(ec2, "run-emr", "--dry-run", *site, account=account)
    assert ran.exit_code == 0, ran.stderr
    assert "--log-format dstaddr,srcaddr,dstport,action" in ran.stdout


def test_a_command_without_aws(ec2: FakeEc2) -> None:
    """Rendering makes no request, and says so."""
    ran = ask(ec2, "render", "steps")
    assert ran.exit_code == 2
    assert "--log-format auto asks AWS" in ran.stderr
