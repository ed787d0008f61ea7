"""`render schedule`: the state machine runs in a fake account, and does what run-emr does on that day."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import xform_name

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount, FakeClock, gzip_of_size, refusal
from tests.fake_emr import FakeEmr
from tests.state_machine import Execution
from tests.unit.test_template import CFN_LINT, CHECKOV, statements
from toptalkers.aws.stack import TEMPLATE_BODY_BYTES
from toptalkers.capture.our_stack import OurStack
from toptalkers.cli.render import render
from toptalkers.job.bundle import NODE_KERNELS, SCRIPTS
from toptalkers.question.query import Query
from toptalkers.render.schedule import key_of, parse_at, token_of
from toptalkers.render.state_machine import LONGEST
from toptalkers.runs.cluster.request import ClusterOptions
from toptalkers.runs.plan import plan_run
from toptalkers.runs.record import load_record
from toptalkers.runs.watch import MOST_STARTING
from toptalkers.sandbox.emr_cluster import StepEnd, StepRun
from toptalkers.sandbox.emr_faults import Fault

ANSWER = b"10.0.0.1:10.0.0.2:443\t7\n"
DIRECT = "AWSLogs/123456789012/vpcflowlogs/us-east-1"
HIVE = "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1"
NAME = "123456789012_vpcflowlogs_us-east-1_fl-1_{:%Y%m%dT%H%M}Z_0a1b.log.gz"

NIGHT = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
NIGHTS = [
    NIGHT,
    *(datetime(*day, 2, 30, tzinfo=UTC) for day in ((2026, 12, 1), (2027, 1, 1), (2027, 3, 1), (2028, 3, 1))),
]

Layout = Callable[[datetime], str]
LAYOUTS: dict[str, Layout] = {
    "stream": lambda hour: f"flowlogs/{hour:%Y/%m/%d/%H}/shardId-000000000000-1-1.gz",
    "direct": lambda hour: f"{DIRECT}/{hour:%Y/%m/%d}/{NAME.format(hour)}",
    "direct by hour": lambda hour: f"{DIRECT}/{hour:%Y/%m/%d/%H}/{NAME.format(hour)}",
    "Hive": lambda hour: f"{HIVE}/year={hour:%Y}/month={hour:%m}/day={hour:%d}/{NAME.format(hour)}",
    "Hive by hour": lambda hour: (
        f"{HIVE}/year={hour:%Y}/month={hour:%m}/day={hour:%d}/hour={hour:%H}/{NAME.format(hour)}"
    ),
}

TREES = {
    "direct": [f"s3://{BUCKET}/{DIRECT}/{{:%Y/%m/%d}}/"],
    "Hive": [f"s3://{BUCKET}/{HIVE}/year={{0:%Y}}/month={{0:%m}}/day={{0:%d}}/"],
}


def hours_around(night: datetime) -> Iterator[datetime]:
    """The hours of the day before, some before and after, without some: it was quiet."""
    begin = night.replace(hour=0, minute=0) - timedelta(days=1)
    yield from (begin + timedelta(hours=hour) for hour in range(-30, 26) if hour % 7)


@pytest.fixture
def account() -> FakeAccount:
    """An account with flow logs of the days around NIGHT, and a job that leaves an answer."""
    return account_at(NIGHT, LAYOUTS["stream"])


def account_at(night: datetime, *layouts: Layout) -> FakeAccount:
    account = FakeAccount()
    account.clock = FakeClock(night)
    account.fake_emr = FakeEmr(account.clock, account._put_log)
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    for layout in layouts:
        account.fake_s3.objects |= {layout(hour): gzip_of_size(100) for hour in hours_around(night)}
    return account


def rendered(account: FakeAccount, *options: str) -> dict[str, Any]:
    done = command(account, "render", "schedule", *options)
    assert done.exit_code == 0, done.stderr
    template: dict[str, Any] = json.loads(done.stdout)
    return template


class Night(Execution):
    """An execution of the rendered state machine, in an account; `told` are the messages to the topic."""

    def __init__(self, account: FakeAccount, *options: str) -> None:
        machine = rendered(account, *options)["Resources"]["StateMachine"]["Properties"]["Definition"]
        self.told: list[dict[str, str]] = []
        self.account = account
        super().__init__(machine, self._call, account.clock.now, account.clock.sleep)

    def _call(self, service: str, operation: str, arguments: dict[str, Any]) -> Any:
        if service == "sns":
            self.told.append(arguments)
            return {"MessageId": "1"}
        if isinstance(arguments.get("Body"), dict):
            arguments["Body"] = json.dumps(arguments["Body"]).encode()  # as Step Functions does
        answer = getattr(self.account.client(service), xform_name(operation))(**arguments)
        return json.loads(json.dumps(answer, default=str))

    def at(self, time: datetime) -> str:
        return self.run({"time": f"{time:%Y-%m-%dT%H:%M:%SZ}"})


@pytest.mark.parametrize("night", NIGHTS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_request_is_that_of_run_emr(layout: str, night: datetime) -> None:
    """Rendered weeks before, the state machine sends what run-emr sends for the day, at the end of any month."""
    check_request(layout, night, metric="bytes")


def test_any_question_is_asked_every_night() -> None:
    """The key, all metrics and the expression reach the steps and the record unchanged."""
    where = "src net 10.0.0.0/8 and vpc-id = 'a {% $b %} \"c\"'"
    check_request("stream", NIGHT, by="hour,srcaddr/24", metric="bytes,first,last", where=where)


def check_request(layout: str, night: datetime, **asked: str) -> None:
    before = account_at(night - timedelta(days=40), LAYOUTS[layout])
    options = [word for name, text in asked.items() for word in (f"--{name}", text)]
    machine = Night(before, *options, "--top", "50", "--tag", "team=net", "--core", "2")
    account = account_at(night, LAYOUTS[layout])
    machine.account = account
    machine.now, machine.sleep = account.clock.now, account.clock.sleep
    assert machine.at(night) == "SUCCEEDED"
    (sent,) = account.fake_emr.requests
    day = night.replace(hour=0, minute=0)
    question = Query.parse(**asked)
    plan = plan_run(
        account_at(night, LAYOUTS[layout]).open(),
        account.site,
        Query.parse(**asked, since=str(day - timedelta(days=1)), until=str(day)),
        top=50,
        options=ClusterOptions(tags=(("team", "net"),), core=2),
        token=token_of(account.site, question, 50, ("",)),
    )
    read = list(plan.input.uris)
    if "hour" not in layout and layout != "stream":
        # Of a day without folders of hours, run-emr names the files of the hours, and the schedule reads all.
        read = [tree.format(day + timedelta(days=number)) for tree in TREES[layout] for number in (-2, -1, 0)]
    expected = {**plan.request, "Steps": json.loads(json.dumps(plan.request["Steps"]))}
    arguments = expected["Steps"][0]["HadoopJarStep"]["Args"]
    at = arguments.index("-input")
    arguments[at : at + 2 * len(plan.input.uris)] = [word for uri in read for word in ("-input", uri)]
    assert sent == expected
    record = load_record(account.open().storage, BUCKET, plan.record.run_id)
    assert record is not None
    assert (record.question, record.inputs) == (plan.record.question, read)
    if read == list(plan.input.uris):
        assert (record.input_objects, record.input_bytes) == (plan.record.input_objects, plan.record.input_bytes)
    assert (record.answer, record.versions) == (plan.record.answer, plan.record.versions)


def test_the_answer_is_fetched_as_any_other(account: FakeAccount) -> None:
    """The run is listed as completed, and its answer and its tally are there."""
    night = Night(account)
    assert night.at(NIGHT) == "SUCCEEDED"
    assert not night.told
    assert not account.fake_emr.running
    listed = command(account, "runs").stdout.splitlines()
    run_id, state, *_ = listed[1].split()
    assert (run_id, state) == (night.output["run"], "COMPLETED")
    fetched = command(account, "fetch-results", run_id)
    assert fetched.stdout.encode() == ANSWER
    assert "10 records read from" in fetched.stderr


def test_without_a_time_it_asks_about_yesterday(account: FakeAccount) -> None:
    """`aws stepfunctions start-execution` needs no input."""
    assert Night(account).run({}) == "SUCCEEDED"
    steps = json.dumps(account.fake_emr.requests[0]["Steps"])
    assert "--since 2026-11-23T00:00:00Z --until 2026-11-24T00:00:00Z" in steps


def test_it_is_asked_once(account: FakeAccount) -> None:
    """The scheduler may start it twice: the second execution finds the run."""
    assert Night(account).at(NIGHT) == "SUCCEEDED"
    again = Night(account)
    assert again.at(NIGHT) == "SUCCEEDED"
    assert again.path[-1] == "Asked already"
    assert len(account.fake_emr.requests) == 1


def test_two_schedules_have_runs_of_two_names(account: FakeAccount) -> None:
    """Another question, started at the same time, is another run."""
    assert Night(account).at(NIGHT) == Night(account, "--metric", "bytes").at(NIGHT) == "SUCCEEDED"
    assert len(account.fake_emr.requests) == 2


def test_many_objects_are_counted(account: FakeAccount) -> None:
    """A folder is listed by pages, each below the limit of a state's result."""
    account.fake_s3.objects |= {
        f"flowlogs/2026/11/23/13/shardId-000000000000-{n}-{n}.gz": gzip_of_size(50) for n in range(1234)
    }
    night = Night(account, "--ports", "443")
    assert night.at(NIGHT) == "SUCCEEDED"
    record = load_record(account.open().storage, BUCKET, night.output["run"])
    assert record is not None
    assert record.input_objects > 1234


def told(night: Night, reason: str) -> None:
    """It failed, and the topic was told why, once."""
    assert night.error == "NoAnswer"
    (message,) = night.told
    assert message["TopicArn"] == "${Topic}"
    assert message["Subject"] == "toptalkers: no answer for 2026-11-23"
    assert len(message["Subject"]) < 100
    assert reason in message["Message"], message["Message"]
    assert reason in night.cause


def test_a_step_that_fails_is_told(account: FakeAccount) -> None:
    """The topic gets EMR's reason, and the record has it."""
    night = Night(account)
    account.fake_emr.failing = ("flowlogs-sort", {})
    assert night.at(NIGHT) == "FAILED"
    told(night, "STEP_FAILURE")
    assert "FAILED" in command(account, "runs").stdout
    assert not account.fake_emr.running


def test_a_night_without_flow_logs_is_told(account: FakeAccount) -> None:
    """No cluster is started for nothing."""
    night = Night(account)
    account.fake_s3.objects = {key: one for key, one in account.fake_s3.objects.items() if "/2026/11/2" not in key}
    assert night.at(NIGHT) == "FAILED"
    told(night, "there are no flow logs of 2026-11-23")
    assert not account.fake_emr.requests


@pytest.mark.parametrize("what", ["S3", "EMR"])
def test_a_refusal_is_told(account: FakeAccount, what: str) -> None:
    """A lost permission ends in a message, before or after the run's record is written."""
    night = Night(account)
    denied = refusal("AccessDeniedException", "not authorized to perform it", "RunJobFlow")
    if what == "S3":
        account.fake_s3.error = denied
    else:
        account.fake_emr.start_error = denied
    assert night.at(NIGHT) == "FAILED"
    told(night, "AccessDeniedException: not authorized to perform it")


class EndlessEmr(FakeEmr):
    """An EMR whose steps end only when they are stopped."""

    def _run_step(self, run: StepRun, done: Callable[[StepEnd], None]) -> None:
        def look() -> None:
            if run.stop.is_set():
                done(StepEnd(1, {}))
            else:
                self._clock.after(60, look)

        look()


def test_a_cluster_that_does_not_start_is_ended(account: FakeAccount) -> None:
    """As run-emr does, it gives up, ends the cluster and tells."""
    night = Night(account)
    account.fake_emr.faults = frozenset({Fault.NEVER_STARTS})
    assert night.at(NIGHT) == "FAILED"
    told(night, "USER_REQUEST")
    assert MOST_STARTING <= account.clock.now() - NIGHT < MOST_STARTING + timedelta(minutes=10)


def test_a_cluster_that_does_not_end_is_ended(account: FakeAccount) -> None:
    """One that is not done before the next night is ended and told; till then, no limit of an execution is reached."""
    account.fake_emr = EndlessEmr(account.clock, account._put_log)
    night = Night(account)
    assert night.at(NIGHT) == "FAILED"
    told(night, "USER_REQUEST")
    assert LONGEST <= account.clock.now() - NIGHT < LONGEST + timedelta(minutes=10)
    # Five events of a task, two of any other state.
    events = sum(5 if name in ("Ask EMR", "Give up") else 2 for name in night.path)
    assert events < 25_000


def test_what_cannot_work_is_refused(account: FakeAccount) -> None:
    """A time in the question, an hour that is too early, and input without dates are refused, with the way out."""
    for options, message in (
        (["--since", "2026-11-23"], "--since and --until: the schedule asks about the day before it runs"),
        (["--at", "01:59"], "--at: at 01:59 UTC the last records of the day before may not have arrived"),
        (["--at", "noon"], "--at: 'noon' is not a time of day"),
        (["--email", "ops"], "--email: 'ops' is not an address"),
        (["--topic", "arn", "--email", "a@example.com"], "--topic and --email both say who is told"),
    ):
        done = command(account, "render", "schedule", *options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr
    account.fake_s3.objects["elsewhere/1.gz"] = gzip_of_size(100)
    done = command(account, "render", "schedule", "--input", f"s3://{BUCKET}/elsewhere/")
    assert done.exit_code == 1
    assert "is not in a folder of a date" in done.stderr
    assert parse_at("02:00").hour == 2


def test_scripts_are_uploaded_when_asked(account: FakeAccount) -> None:
    """Rendering changes nothing; --upload puts the scripts where the steps look for them."""
    done = command(account, "render", "schedule")
    assert "the scripts are not yet in" in done.stderr
    assert "PutObject" not in account.fake_s3.calls
    command(account, "render", "schedule", "--upload")
    uploaded = [key for key in account.fake_s3.objects if key.startswith("code/")]
    assert sorted(key.rpartition("/")[2] for key in uploaded) == sorted((*SCRIPTS, *NODE_KERNELS))
    assert "not yet" not in command(account, "render", "schedule").stderr


def test_it_has_the_options_of_run_emr() -> None:
    """Whatever can be said of run-emr's cluster can be said of the schedule's, which ends with its run."""
    schedule = render.commands["schedule"]
    assert {field.name for field in fields(ClusterOptions)} - {"keep_alive"} <= {one.name for one in schedule.params}


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({}, ""),
        ({"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/given"}, "arn:aws:kms:us-east-1:123456789012:key/given"),
        ({"KmsKeyArn": "", "MakeKey": "yes"}, "arn:aws:kms:us-east-1:123456789012:key/made"),
        ({"KmsKeyArn": "", "MakeKey": "no"}, ""),
    ],
)
def test_the_key_of_the_bucket_is_the_stacks(parameters: dict[str, str], key: str) -> None:
    """run.json is written to a bucket with a key: given by the user, or made by the stack."""
    account: Any = SimpleNamespace(region="us-east-1", stacks=SimpleNamespace(physical_id=lambda *_: "made"))
    arn = "arn:aws:cloudformation:us-east-1:123456789012:stack/toptalkers/1"
    assert key_of(account, OurStack("toptalkers", arn, "CREATE_COMPLETE", parameters=parameters)) == key


def test_it_works_in_every_partition(account: FakeAccount) -> None:
    """An integration's ARN has the partition, too: in GovCloud and China, Step Functions refuses arn:aws (F7)."""
    text = json.dumps(rendered(account))
    assert ":states:::aws-sdk:emr:runJobFlow" in text
    assert "arn:aws:" not in text


def test_without_a_stack_roles_are_passed_by_name(account: FakeAccount) -> None:
    """A bucket and roles of a security team are enough; the state machine may pass these two, and list that bucket."""
    options = ["--bucket", BUCKET, "--service-role", "Emr", "--instance-profile"]
    options += ["arn:aws:iam::123456789012:instance-profile/team/Nodes"]
    text = json.dumps(rendered(account, *options)["Resources"]["StateMachineRole"])
    assert ":role/Emr" in text
    assert "arn:aws:iam::123456789012:role/team/Nodes" in text
    assert Night(account, *options).at(NIGHT) == "SUCCEEDED"
    assert account.fake_emr.requests[0]["ServiceRole"] == "Emr"


def test_permissions_are_few(account: FakeAccount) -> None:
    """No action has a wildcard; only RunJobFlow, which has no resources, is allowed on all, for our tag alone."""
    for where, statement in statements(rendered(account)):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], where
        if statement.get("Resource") == "*":
            assert actions == ["elasticmapreduce:RunJobFlow"]
            assert statement["Condition"] == {"StringEquals": {"aws:RequestTag/toptalkers:stack": "toptalkers"}}
        if "Principal" in statement:
            assert "aws:SourceArn" in statement["Condition"]["ArnLike"]


CALLS = {
    "s3:listObjectsV2": "s3:ListBucket",
    "s3:putObject": "s3:PutObject",
    "emr:runJobFlow": "elasticmapreduce:RunJobFlow",
    "emr:describeCluster": "elasticmapreduce:DescribeCluster",
    "emr:terminateJobFlows": "elasticmapreduce:TerminateJobFlows",
    "sns:publish": "sns:Publish",
}


def test_every_call_is_allowed(account: FakeAccount) -> None:
    """The role allows each operation of the state machine."""
    template = rendered(account)
    calls = set(re.findall(r"aws-sdk:([a-z0-9]+:[a-zA-Z0-9]+)", json.dumps(template)))
    allowed = [action for _, one in statements(template["Resources"]["StateMachineRole"]) for action in one["Action"]]
    assert calls == set(CALLS)
    assert set(CALLS.values()) <= set(allowed)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--topic", "arn:aws:sns:us-east-1:123456789012:ops"],
        ["--email", "ops@example.com", "--spot", "--task", "2"],
    ],
)
def test_linters_are_content(account: FakeAccount, options: list[str], tmp_path: Path) -> None:
    """cfn-lint, which knows the states language, and checkov find nothing."""
    path = tmp_path / "nightly.json"
    path.write_text(json.dumps(rendered(account, *options), indent=1))
    assert path.stat().st_size < TEMPLATE_BODY_BYTES, "aws cloudformation deploy takes no larger file"
    assert CFN_LINT
    done = subprocess.run(
        [CFN_LINT, "--include-checks", "I", "--", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    if CHECKOV:
        command = [
            CHECKOV,
            "--file",
            path.name,
            "--framework",
            "cloudformation",
            "--skip-download",
            "--compact",
            "--quiet",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
