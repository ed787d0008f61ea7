"""Runs without a stack: a bucket and roles from options or a file, from the first command to the answer."""

import json
from pathlib import Path

import pytest

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount
from toptalkers.runs.record import load_record
from toptalkers.runs.site import Site, SiteOptions

ANSWER = b"10.0.0.1:10.0.0.2:443\t7\n"
ROLES = ("--service-role", "team/EmrRole", "--instance-profile", "EmrNodes")


@pytest.fixture
def account() -> FakeAccount:
    """An account without a stack, whose bucket has flow logs that AWS delivered."""
    account = FakeAccount()
    account.has_stack = False
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    return account


@pytest.mark.parametrize("by", ["options", "file"])
def test_a_bucket_and_roles(account: FakeAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """run-emr, runs and fetch-results work with them alone, typed or kept in toptalkers.toml (C1)."""
    monkeypatch.chdir(tmp_path)
    bucket, rest = ["--bucket", BUCKET], [*ROLES, "--yes"]
    if by == "file":
        bucket, rest = [], []
        table = f'[run-emr]\nservice-role = "{ROLES[1]}"\ninstance-profile = "{ROLES[3]}"\nyes = true\n'
        (tmp_path / "toptalkers.toml").write_text(f'bucket = "{BUCKET}"\n{table}')
    ran = command(account, "run-emr", *bucket, *rest)
    assert ran.exit_code == 0
    assert f"in s3://{BUCKET}, without a stack" in ran.stderr
    run_id = ran.stdout.strip()
    (request,) = account.fake_emr.requests
    assert (request["ServiceRole"], request["JobFlowRole"]) == (ROLES[1], ROLES[3])
    assert "SecurityConfiguration" not in request
    assert {"Key": "toptalkers:stack", "Value": BUCKET} in request["Tags"]
    assert run_id in command(account, "runs", *bucket).stdout
    assert command(account, "fetch-results", *bucket).stdout.encode() == ANSWER
    record = load_record(account.open().storage, BUCKET, run_id)
    assert record
    assert record.stack == BUCKET


def test_everything_that_can_be_given(account: FakeAccount) -> None:
    """Security configuration, subnet and security groups reach the request."""
    groups = ("--primary-security-group", "sg-1", "--node-security-group", "sg-2", "--service-security-group", "sg-3")
    given = ("--bucket", BUCKET, *ROLES, "--security-configuration", "Sec", "--subnet", "subnet-1", *groups)
    request = json.loads(command(account, "run-emr", *given, "--dry-run").stdout)
    assert request["SecurityConfiguration"] == "Sec"
    instances = request["Instances"]
    assert instances["Ec2SubnetId"] == "subnet-1"
    assert [value for key, value in instances.items() if "SecurityGroup" in key] == ["sg-1", "sg-2", "sg-3"]


def test_what_the_stacks_role_does_not_let_be_given() -> None:
    """F1: it passes the stack's own nodes' role, and uses the security groups that the stack names."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    refused = command(account, "run-emr", "--dry-run", "--instance-profile", "Nodes")
    assert refused.exit_code == 2
    assert "the service role of the stack toptalkers passes toptalkers-EmrInstanceRole to EC2" in refused.stderr
    for allowed in (ROLES, ["--instance-profile", "toptalkers-EmrInstanceRole"]):
        assert command(account, "run-emr", "--dry-run", *allowed).exit_code == 0
    groups = ["--primary-security-group", "sg-1", "--node-security-group", "sg-2"]
    assert "and no others" not in command(account, "run-emr", "--dry-run", *groups).stderr
    account.parameters |= {"ClusterPrimarySecurityGroup": "sg-3", "ClusterNodeSecurityGroup": "sg-4"}
    assert (
        "uses the security groups sg-3, sg-4 and no others" in command(account, "run-emr", "--dry-run", *groups).stderr
    )
    assert "and no others" not in command(account, "run-emr", "--dry-run").stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ROLES[:2], "--bucket is for runs without a stack; --instance-profile must be given, too"),
        (ROLES[2:], "--service-role must be given, too"),
        ((), "--service-role and --instance-profile must be given, too"),
        ((*ROLES, "--stack-name", "x"), "--bucket is for runs without a stack, and --stack-name names one"),
        ((*ROLES, "--bucket", "s3://x/y"), "'s3://x/y' is not the name of a bucket"),
        (
            (*ROLES, "--primary-security-group", "sg-1"),
            "--primary-security-group and --node-security-group go together",
        ),
        *(
            ((*ROLES, f"--{one}-security-group", "x"), f"--{one}-security-group: 'x' is not the id of a security group")
            for one in ("primary", "node", "service")
        ),
    ],
)
def test_what_lacks(account: FakeAccount, given: tuple[str, ...], said: str) -> None:
    """One line names what lacks or contradicts, before any request."""
    ran = command(account, "run-emr", "--bucket", BUCKET, *given)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not account.fake_emr.calls
    assert not account.fake_s3.calls


@pytest.mark.parametrize(
    ("file", "typed", "is_stack"),
    [
        (f'bucket = "{BUCKET}"', ("--stack-name", "toptalkers"), True),
        ('stack-name = "other"', ("--bucket", BUCKET, *ROLES), False),
        (f'bucket = "{BUCKET}"\nservice-role = "A"\ninstance-profile = "B"', ("--stack-name", "toptalkers"), True),
    ],
)
def test_the_command_line_wins(
    account: FakeAccount,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    typed: tuple[str, ...],
    is_stack: bool,
) -> None:
    """A stack that is named takes the place of a whole site in the file, and a bucket that of a stack."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toptalkers.toml").write_text(file)
    account.has_stack = is_stack
    ran = command(account, "run-emr", *typed, "--dry-run")
    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["ServiceRole"] == ("toptalkers-EmrServiceRole" if is_stack else ROLES[1])
    assert ("for --stack-name, put aside: bucket" in ran.stderr) == is_stack


def test_a_bucket_without_flow_logs(account: FakeAccount) -> None:
    """What can be done about it is not a command that asks a stack."""
    account.fake_s3.objects.clear()
    ran = command(account, "run-emr", "--bucket", BUCKET, *ROLES)
    assert ran.exit_code == 1
    assert "(--input names others; without it, flowlogs/ and AWSLogs/ there are read)" in ran.stderr


def test_hints_name_the_bucket(account: FakeAccount) -> None:
    """A command in a hint can be typed as it is, whatever goes wrong."""
    for arguments in ([], ["20261123T181500Z-4f2a"]):
        ran = command(account, "fetch-results", "--bucket", BUCKET, *arguments)
        assert f" --bucket {BUCKET}' " in ran.stderr
    ran = command(account, "run-emr", "--bucket", BUCKET, *ROLES, "--no-wait", "--yes")
    assert f"'toptalkers runs --bucket {BUCKET}' shows its state" in ran.stderr
    ran = command(account, "fetch-results", "--bucket", BUCKET, ran.stdout.strip())
    assert f"'toptalkers runs --bucket {BUCKET}' shows its state" in ran.stderr


def test_roles_instead_of_the_stacks(account: FakeAccount) -> None:
    """With a stack, a role that is given takes the place of the stack's, and the others stay."""
    account.has_stack = True
    request = json.loads(command(account, "run-emr", "--dry-run", *ROLES[:2]).stdout)
    assert (request["ServiceRole"], request["JobFlowRole"]) == (ROLES[1], "toptalkers-EmrInstanceRole")


@pytest.mark.parametrize("parameters", [{}, {"RunLogsExpireDays": "30"}])
def test_a_stack_of_an_older_version(account: FakeAccount, parameters: dict[str, str]) -> None:
    """A stack whose nodes may not write logs where they lie now is said to need `deploy`."""
    account.has_stack, account.parameters = True, parameters
    ran = command(account, "run-emr", "--dry-run")
    assert ran.exit_code == 0
    said = "'toptalkers deploy --stack-name toptalkers' brings it up to date"
    assert (said in ran.stderr) is (not parameters)


@pytest.mark.parametrize(("name", "words"), [("toptalkers", ""), ("analysts", " --stack-name analysts")])
def test_hints_name_the_stack(name: str, words: str) -> None:
    """A command in a hint finds the same stack; that of the default name needs no option."""
    assert SiteOptions(stack_name=name).words == words
    assert Site(name=name, bucket=BUCKET, service_role="", instance_profile="").words == words
