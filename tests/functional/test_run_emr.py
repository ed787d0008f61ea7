"""Runs from the command to the answer, in a fake account: every way in which they can end, and what they leave."""

import gzip
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.breaking import Fault, FaultyAccount
from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount, refusal
from tests.fake_emr import EXISTS, SYSLOG, TRACEBACK
from toptalkers.aws.failures import AwsError
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.job import bundle
from toptalkers.job.bundle import NODE_KERNELS, SCRIPTS
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import ClusterOptions, render_request
from toptalkers.runs.plan import RunPlan, plan_run
from toptalkers.runs.record import RunRecord, load_record
from toptalkers.runs.watch import LOOK_SECONDS, LOOKS, MOST_SILENT, MOST_STARTING, execute_run
from toptalkers.sandbox.emr_faults import Fault as EmrFault

ANSWER = b"10.0.0.1:10.0.0.2:443\t7\n10.0.0.3:10.0.0.2:22\t1\n"
AGGREGATE = "flowlogs-aggregate"
CONTAINER = "containers/application_1_0001/container_1_0001_01_000002/stderr"
RUN_ID = "20261123T181500Z-4f2a"


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack and one captured object; a job that succeeds leaves an answer."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    return account


def planned(account: FakeAccount) -> RunPlan:
    return plan_run(account.open(), account.site, Query.parse(), token="4f2a")  # noqa: S106


def execute(account: FakeAccount, *, answer: str = "terminate", said: list[str] | None = None) -> RunRecord:
    """Plan and execute; the question after an interrupt gets the given answer."""
    return execute_run(
        account.open(),
        planned(account),
        say=(said if said is not None else []).append,
        ask=lambda _: "leave" if answer == "leave" else "terminate",
    )


def recorded(account: FakeAccount) -> RunRecord:
    """Return the final state in run.json."""
    record = load_record(account.open().storage, BUCKET, RUN_ID)
    assert record
    return record


def test_from_the_command_to_the_answer(account: FakeAccount) -> None:
    """run-emr prints the run's name last, `runs` lists it, fetch-results gives the bytes and the tally."""
    ran = command(account, "run-emr", "--yes", "--ports", "all")
    assert ran.exit_code == 0
    run_id = ran.stdout.strip()
    assert "step flowlogs-sort  COMPLETED" in ran.stderr
    assert not account.fake_emr.running
    listed = command(account, "runs")
    assert listed.exit_code == 0
    name, state, *_ = listed.stdout.splitlines()[1].split()
    assert (name, state) == (run_id, "COMPLETED")
    fetched = command(account, "fetch-results")
    assert fetched.exit_code == 0
    assert fetched.stdout.encode() == ANSWER
    assert "10 records read from 1 file: 7 counted, 3 skipped" in fetched.stderr
    assert command(account, "fetch-results", run_id, "--top", "1").stdout.encode() == ANSWER.splitlines(True)[0]


def test_answers_of_runs_are_compared(account: FakeAccount, tmp_path: Path) -> None:
    """Diff reads the answers of two runs by their names, or of one run and a file, and refuses another question."""
    early = command(account, "run-emr", "--yes").stdout.strip()
    account.fake_emr.on_done = lambda: account.leave(ANSWER.splitlines(keepends=True)[0])
    late = command(account, "run-emr", "--yes").stdout.strip()
    compared = command(account, "diff", early, late, "--fail-on", "gone")
    assert compared.exit_code == 1
    assert {line.split("\t")[0] for line in compared.stdout.splitlines()} == {"gone"}
    assert f"run {late}: top talkers by records" in compared.stderr
    kept = tmp_path / "kept.csv"
    command(account, "fetch-results", late, "--format", "csv", "--output", str(kept))
    assert command(account, "diff", late, str(kept), "--fail-on", "any").exit_code == 0
    other = command(account, "run-emr", "--yes", "--ports", "all").stdout.strip()
    assert f"--ports is 0-1024 in {late}, all in {other}" in command(account, "diff", late, other).stderr
    assert command(account, "diff", late, "20261122T010000Z-0000").exit_code == 1


def test_any_question_goes_to_a_cluster_and_back(account: FakeAccount) -> None:
    """The plan, the list of runs and the answer say the whole question; a table has its columns, and shares of all."""
    first, second = b"2026-11-23T18:00:00Z\tvpc-0a1b\t5", b"2026-11-23T19:00:00Z\t-\t2"
    lines = first + b"\t2026-11-23T19:00:07Z\n" + second + b"\t2026-11-23T19:59:00Z\n"
    account.fake_emr.on_done = lambda: account.leave(lines)
    asked = ["--by", "hour,vpc-id", "--metric", "records,last", "--where", "src net 10.0.0.0/8 and dst port 443"]
    ran = command(account, "run-emr", "--yes", *asked)
    said = "by hour,vpc-id, top talkers by records, last, where srcaddr = 10.0.0.0/8 and dstport = 443"
    assert f"question  {said}" in ran.stderr
    assert said in command(account, "runs").stdout
    assert f"run {ran.stdout.strip()}: {said}" in command(account, "fetch-results").stderr
    (request,) = account.fake_emr.requests
    words = " ".join(request["Steps"][0]["HadoopJarStep"]["Args"])
    assert "--by hour,vpc-id --metric records,last --where srcaddr:a:0a000000-0affffff,dstport:n:443-443,and" in words
    assert command(account, "fetch-results").stdout.encode() == lines
    assert command(account, "fetch-results", "--format", "csv", "--show", "shares").stdout.splitlines()[:2] == [
        "rank,hour,vpc-id,records,last,records_percent",
        "1,2026-11-23T18:00:00Z,vpc-0a1b,5,2026-11-23T19:00:07Z,71.428571",
    ]
    rates = command(account, "fetch-results", "--format", "csv", "--show", "rates")
    assert (rates.exit_code, rates.stdout) == (2, "")
    assert "ask with --metric records,last,first" in rates.stderr


def test_all_ports_are_kept_for_the_recipes_key_only(account: FakeAccount) -> None:
    """Another key, or conversations, do not tell the last step the port: refused before any request."""
    ran = command(account, "run-emr", "--yes", "--keep-all-ports", "--by", "srcaddr")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "--keep-all-ports is for the key srcaddr,dstaddr,dstport" in ran.stderr
    ran = command(account, "run-emr", "--yes", "--keep-all-ports", "--count", "once")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "--keep-all-ports does not go with --count once and --pairs" in ran.stderr
    assert not account.fake_emr.requests


def test_a_second_run_finds_the_bundle(account: FakeAccount) -> None:
    """The scripts are uploaded once, under the hash of their content."""
    command(account, "run-emr", "--yes")
    code = {key for key in account.fake_s3.objects if key.startswith("code/")}
    assert {key.rsplit("/", 1)[1] for key in code} == {*SCRIPTS, *NODE_KERNELS}
    second = command(account, "run-emr", "--yes")
    assert second.exit_code == 0
    assert "uploaded" not in second.stderr


@pytest.mark.parametrize("kernels", [(), NODE_KERNELS])
def test_without_kernels_for_nodes_a_note_says_so(
    account: FakeAccount, kernels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step brings the kernels that this installation has; if it has none, the plan says what that costs."""
    monkeypatch.setattr(bundle, "NODE_KERNELS", kernels)
    ran = command(account, "run-emr", "--yes")
    assert ran.exit_code == 0
    assert ("this installation has no kernels for nodes: they count in Python" in ran.stderr) == (not kernels)
    arguments = account.fake_emr.requests[0]["Steps"][0]["HadoopJarStep"]["Args"]
    sent = [path.rpartition("/")[2] for path in arguments[arguments.index("-files") + 1].split(",")]
    assert [name for name in sent if name.endswith(".so")] == list(kernels)


def test_dry_run_prints_what_is_sent(account: FakeAccount) -> None:
    """They are equal to the byte; neither makes a changing call, nor reports that anything was done."""
    arguments = ["run-emr", "--spot", "--task", "3", "--subnet", "subnet-1", "--subnet", "subnet-2", "--tag", "a=b"]
    dry = command(account, *arguments, "--dry-run")
    assert dry.exit_code == 0
    assert set(account.fake_emr.calls) <= {"ListReleaseLabels", "ListSupportedInstanceTypes"}
    assert set(account.fake_s3.calls) <= {"ListObjectsV2", "HeadObject", "GetObject"}
    assert "started" not in dry.stderr
    name = json.loads(dry.stdout)["Name"]
    token = name.rsplit("-", 1)[1]
    options = ClusterOptions(spot=True, task=3, subnets=("subnet-1", "subnet-2"), tags=(("a", "b"),))
    plan = plan_run(account.open(), account.site, Query.parse(), options=options, token=token)
    execute_run(account.open(), plan, say=lambda _: None, ask=lambda _: "terminate")
    assert render_request(account.fake_emr.requests[0]) == dry.stdout


def test_a_mapper_that_dies(account: FakeAccount) -> None:
    """The step, the traceback from the container's log, the log's address; exit code 3; the cluster has ended."""
    account.fake_emr.failing = (AGGREGATE, {"steps/s-1/syslog": SYSLOG, CONTAINER: TRACEBACK})
    ran = command(account, "run-emr", "--yes")
    assert ran.exit_code == 3
    assert f"step {AGGREGATE} failed: Traceback" in ran.stderr
    assert "ZeroDivisionError: division by zero" in ran.stderr
    assert f"{CONTAINER}.gz" in ran.stderr
    (cluster,) = account.fake_emr.clusters.values()
    assert cluster["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    run_id = command(account, "runs").stdout.splitlines()[1].split()[0]
    fetched = command(account, "fetch-results", run_id)
    assert fetched.exit_code == 3
    assert "has no answer, it failed" in fetched.stderr
    assert command(account, "fetch-results").exit_code == 1


def test_an_output_that_exists(account: FakeAccount) -> None:
    """Hadoop's own reason, from the step's log, without waiting for scripts that never ran."""
    account.fake_emr.failing = ("flowlogs-sort", {"steps/s-2/syslog": EXISTS})
    with pytest.raises(JobFailedError, match="already exists"):
        execute(account)
    assert recorded(account).state == "FAILED"


def test_a_log_that_comes_late(account: FakeAccount) -> None:
    """Logs are awaited for as long as EMR takes, five minutes; the script's own message has priority over Hadoop's."""
    account.fake_emr.failing = (AGGREGATE, {"steps/s-1/syslog": SYSLOG, CONTAINER: TRACEBACK})
    account.fake_emr.log_delay = 300
    with pytest.raises(JobFailedError, match="ZeroDivisionError"):
        execute(account)


def test_a_log_that_never_comes(account: FakeAccount) -> None:
    """The wait is limited, and the message says where the log would be."""
    account.fake_emr.failing = (AGGREGATE, {})
    with pytest.raises(JobFailedError, match="its logs have not come: s3://"):
        execute(account)
    assert account.clock.seconds < 3600


def test_a_script_that_says_no_more_than_its_exit_code(account: FakeAccount) -> None:
    """Without a traceback, the script's last line follows Hadoop's reason."""
    words = "usage: count_flows.py\ncount_flows.py: error: --ports: 'x' is not understood\n"
    account.fake_emr.failing = (AGGREGATE, {"steps/s-1/syslog": SYSLOG, CONTAINER: words})
    with pytest.raises(JobFailedError, match=r"subprocess failed with code 1: count_flows\.py: error: --ports"):
        execute(account)


def test_a_cluster_that_gets_no_instances(account: FakeAccount) -> None:
    """EMR terminates it; the message has the reason and a remedy."""
    account.fake_emr.faults = frozenset({EmrFault.NO_CAPACITY})
    with pytest.raises(JobFailedError, match="insufficient capacity") as raised:
        execute(account)
    assert "--instance-type" in str(raised.value.hint)
    assert recorded(account).ended


@pytest.mark.parametrize(
    ("fault", "mend"),
    [
        (EmrFault.NO_PERMISSION, "'toptalkers deploy --stack-name toptalkers' brings the role up to date"),
        (EmrFault.NO_CAPACITY, "another --instance-type, --subnet or Availability Zone may have room"),
        (EmrFault.INVALID_SUBNET, "--subnet chooses another; 'aws ec2 describe-subnets --region us-east-1"),
        (EmrFault.NO_SPOT_ROLE, "'aws iam create-service-linked-role --aws-service-name spot.amazonaws.com' makes"),
        (EmrFault.BOOTSTRAP_FAILURE, f"'aws s3 ls --recursive s3://{BUCKET}/logs/"),
    ],
)
def test_a_cluster_that_does_not_start(account: FakeAccount, fault: EmrFault, mend: str) -> None:
    """Whatever stops it, the message has EMR's reason and the command that mends it."""
    account.fake_emr.faults = frozenset({fault})
    ran = command(account, "run-emr", "--yes")
    assert ran.exit_code == 3
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert mend in error


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("ValidationException", "Invalid InstanceProfile: EmrNodes.", "aws iam get-instance-profile"),
        ("AccessDeniedException", "User: x is not authorized to perform: iam:PassRole", "ask your administrator"),
        ("ValidationException", "Something else.", None),
    ],
)
def test_a_request_that_emr_refuses(account: FakeAccount, code: str, message: str, hint: str | None) -> None:
    """The causes that EMR finds at once have the same commands; a right that the user lacks is no cause of a role."""
    account.fake_emr.start_error = refusal(code, message, "RunJobFlow")
    with pytest.raises(AwsError) as raised:
        execute(account)
    assert (hint in str(raised.value.hint)) if hint else raised.value.hint is None
    assert recorded(account).state == "FAILED"


def test_a_cluster_that_never_starts(account: FakeAccount) -> None:
    """The run waits for it, then terminates it and waits for its end."""
    account.fake_emr.faults = frozenset({EmrFault.NEVER_STARTS})
    with pytest.raises(JobFailedError, match="has not started within"):
        execute(account)
    assert not account.fake_emr.running
    assert timedelta(seconds=account.clock.seconds) < MOST_STARTING + timedelta(minutes=5)
    assert recorded(account).state == "FAILED"


def test_throttling_is_ridden_out(account: FakeAccount) -> None:
    """A busy EMR is asked again, at growing intervals."""
    account.clock.after(
        60, lambda: account.fake_emr.errors.extend([refusal("ThrottlingException", "Rate exceeded", "x")] * 8)
    )
    assert execute(account).state == "COMPLETED"


def test_throttling_without_end(account: FakeAccount) -> None:
    """After the announced time the watch ends, not the cluster; its id and the command to terminate it are printed."""
    errors: list[ClientError] = [refusal("ThrottlingException", "Rate exceeded", "x")] * 1000
    account.clock.after(60, lambda: account.fake_emr.errors.extend(errors))
    said: list[str] = []
    with pytest.raises(ToptalkersError, match="goes on, and ends by itself") as raised:
        execute(account, said=said)
    assert "aws emr terminate-clusters --region us-east-1 --cluster-ids j-" in str(raised.value.hint)
    assert "asked again for 10 minutes" in said[-1]
    assert account.clock.seconds < 60 + MOST_SILENT.total_seconds() + 120


def test_credentials_that_expire(account: FakeAccount) -> None:
    """The message says what happened, that the cluster ends by itself, and how to ask again; `runs` shows the end."""
    expired = refusal("ExpiredTokenException", "The security token included in the request is expired", "x")
    account.clock.after(200, lambda: account.fake_emr.errors.append(expired))
    ran = command(account, "run-emr", "--yes")
    assert ran.exit_code == 1
    assert "credentials have expired; the cluster j-" in ran.stderr
    assert "toptalkers runs" in ran.stderr
    running = command(account, "runs")
    assert " RUNNING " in running.stdout
    account.clock.sleep(1000)
    assert " COMPLETED " in command(account, "runs").stdout
    assert command(account, "fetch-results").stdout.encode() == ANSWER


@pytest.mark.parametrize("seconds", [5, 150, 260, 320])
def test_ctrl_c_terminates(account: FakeAccount, seconds: int) -> None:
    """In any phase: the cluster is terminated, its end is awaited, and the run is recorded."""
    account.clock.interrupt_at = [seconds]
    with pytest.raises(KeyboardInterrupt):
        execute(account)
    assert [one["Status"]["State"] for one in account.fake_emr.clusters.values()] == ["TERMINATED"]
    assert recorded(account).state == "CANCELLED"


def test_ctrl_c_leaves_it_running(account: FakeAccount) -> None:
    """If that is the answer, the run continues, and a message says how to ask again."""
    account.clock.interrupt_at = [150]
    said: list[str] = []
    assert execute(account, answer="leave", said=said).state == "RUNNING"
    assert account.fake_emr.running
    assert "toptalkers runs" in said[-1]


def test_ctrl_c_twice(account: FakeAccount) -> None:
    """After the second one nobody waits for the end, which still comes."""
    account.clock.interrupt_at = [150, 160]
    with pytest.raises(KeyboardInterrupt):
        execute(account)
    assert not account.fake_emr.running


def test_ctrl_c_while_logs_are_waited_for(account: FakeAccount) -> None:
    """The cluster has ended; the failure is reported with all that is known."""
    account.fake_emr.failing = (AGGREGATE, {})
    account.clock.interrupt_at = [500]
    with pytest.raises(JobFailedError, match="its logs: s3://"):
        execute(account)


LOST = [EndpointConnectionError(endpoint_url="https://emr"), refusal("InternalServerError", "x", "RunJobFlow")]


@pytest.mark.parametrize("error", LOST)
def test_an_answer_that_is_lost(account: FakeAccount, error: BaseException) -> None:
    """The cluster is found by its name, and the run continues with it: the request is sent once."""
    account.fake_emr.start_error, account.fake_emr.starts_anyway = error, True
    assert execute(account).state == "COMPLETED"
    assert len(account.fake_emr.requests) == 1


@pytest.mark.parametrize("error", LOST)
def test_a_request_of_which_nothing_is_heard(account: FakeAccount, error: BaseException) -> None:
    """If no cluster is listed, the state is unknown: a message and run.json say so; a late cluster is found."""
    account.fake_emr.start_error = error
    said: list[str] = []
    with pytest.raises(AwsError):
        execute(account, said=said)
    assert "Clusters[?Name==`toptalkers-" in said[-1]
    assert "aws emr terminate-clusters" in said[-1]
    assert recorded(account).state == "UNKNOWN"
    account.fake_emr.start_error = None
    account.open().clusters.start(account.fake_emr.requests[0])
    assert " RUNNING " in command(account, "runs").stdout


@pytest.mark.parametrize("delay", [None, 0, 4, 50])
def test_ctrl_c_while_the_request_is_on_its_way(account: FakeAccount, delay: float | None) -> None:
    """A cluster that starts afterwards is awaited and terminated; if none starts, a message says so."""
    account.fake_emr.start_error = KeyboardInterrupt()
    account.fake_emr.starts_late = delay
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        execute(account, said=said)
    assert account.clock.seconds <= LOOKS * LOOK_SECONDS
    assert not account.fake_emr.running
    assert len(account.fake_emr.clusters) == (delay is not None)
    assert ("may come all the same" in said[-1]) == (delay is None)
    assert recorded(account).state == ("UNKNOWN" if delay is None else "RUNNING")
    account.clock.sleep(1000)
    assert (" UNKNOWN " if delay is None else " CANCELLED ") in command(account, "runs").stdout


def test_the_clusters_cannot_be_listed(account: FakeAccount) -> None:
    """If the answer is lost and the listing refused, a cluster may run: the message says how to find and end it."""
    account.fake_emr.start_error, account.fake_emr.starts_anyway = LOST[0], True
    account.fake_emr.on_start = lambda: account.fake_emr.errors.append(
        refusal("AccessDeniedException", "no", "ListClusters")
    )
    said: list[str] = []
    with pytest.raises(AwsError):
        execute(account, said=said)
    assert "aws emr list-clusters --region us-east-1 --active --query" in said[-1]
    assert recorded(account).state == "UNKNOWN"


def test_a_busy_emr_is_asked_for_a_cluster_again(account: FakeAccount) -> None:
    """An EMR that throttles has started nothing, so that the request may be repeated."""
    plan = planned(account)
    account.fake_emr.errors = [refusal("ThrottlingException", "Rate exceeded", "x")] * 3
    run = execute_run(account.open(), plan, say=lambda _: None, ask=lambda _: "terminate")
    assert run.state == "COMPLETED"
    assert len(account.fake_emr.clusters) == 1


FAULTS = [
    KeyboardInterrupt(),
    MemoryError(),
    EndpointConnectionError(endpoint_url="https://x"),
    refusal("AccessDeniedException", "no", "x"),
    refusal("InternalServerError", "x", "x"),
    KeyError("a member"),
]


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize(
    ("fault", "after"),
    # A refused request is never served.
    [(fault, after) for fault in FAULTS for after in (False, True) if not (after and "AccessDenied" in str(fault))],
    ids=str,
)
def test_no_cluster_is_left_unsaid(fault: BaseException, after: bool, lasting: bool) -> None:
    """Whichever call fails, before or after it took effect, once or from then on: any cluster that may run is named."""
    for number in range(1000):
        account = FaultyAccount(Fault(number, fault, after=after, lasting=lasting))
        account.capture("2026/11/23/18")
        said: list[str] = []
        account.fault.is_armed = False
        plan = planned(account)
        account.fault.is_armed = True
        try:
            execute_run(account.open(), plan, say=said.append, ask=lambda _: "terminate")
        except ToptalkersError as error:
            said.append(f"{error.message} ({error.hint})")
        except (KeyboardInterrupt, MemoryError):
            pass
        account.fault.is_armed = False
        for cluster in account.fake_emr.running:
            told = [one for one in said if f"--cluster-ids {cluster}'" in one or f"`toptalkers-{RUN_ID}`" in one]
            assert told, (number, said)
        if account.fake_s3.objects.get(f"runs/{RUN_ID}/run.json"):
            state = recorded(account).state
            assert state not in ("FAILED", "CANCELLED", "COMPLETED") or not account.fake_emr.running, (number, state)
        if account.fault.calls <= number:
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "Input/output error"), ValueError("closed file")])
def test_nobody_hears(account: FakeAccount, error: Exception) -> None:
    """If messages can no longer be written, a run continues; an interrupt still ends it."""

    def say(_: str) -> None:
        raise error

    plan = planned(account)
    account.clock.interrupt_at = [150]
    with pytest.raises(KeyboardInterrupt):
        execute_run(account.open(), plan, say=say, ask=lambda _: "terminate")
    assert [one["Status"]["State"] for one in account.fake_emr.clusters.values()] == ["TERMINATED"]


def test_without_the_right_to_write_nothing_is_started(account: FakeAccount) -> None:
    """The record is written before the cluster starts, so that the error comes before any costs."""
    plan = planned(account)
    account.fake_s3.error = refusal("AccessDenied", "Access Denied", "PutObject")
    with pytest.raises(AwsError, match="access denied"):
        execute_run(account.open(), plan, say=lambda _: None, ask=lambda _: "terminate")
    assert not account.fake_emr.requests


def test_no_wait(account: FakeAccount) -> None:
    """The command returns; `fetch-results` fails first, then gets the answer and its tally from the log."""
    ran = command(account, "run-emr", "--yes", "--no-wait")
    assert ran.exit_code == 0
    early = command(account, "fetch-results", ran.stdout.strip())
    assert early.exit_code == 1
    assert "no answer yet: it is RUNNING" in early.stderr
    account.clock.sleep(1000)
    fetched = command(account, "fetch-results", ran.stdout.strip())
    assert fetched.stdout.encode() == ANSWER
    assert "7 counted" in fetched.stderr


@pytest.mark.parametrize(
    ("run_id", "code", "said"),
    [("20261123T181500Z-ffff", 1, "there is no run"), ("../secrets", 2, "not the name of a run")],
)
def test_a_run_that_is_not_there(account: FakeAccount, run_id: str, code: int, said: str) -> None:
    """A message says so, also for an impossible name."""
    fetched = command(account, "fetch-results", run_id)
    assert fetched.exit_code == code
    assert said in fetched.stderr


def test_an_empty_answer_is_said_to_be(account: FakeAccount) -> None:
    """It is an answer, not an error."""
    run_id = command(account, "run-emr", "--yes").stdout.strip()
    account.fake_s3.objects[f"runs/{run_id}/toptalkers/part-00000.gz"] = gzip.compress(b"")
    fetched = command(account, "fetch-results", "--format", "csv")
    assert fetched.exit_code == 0
    assert fetched.stdout == "rank,src,dst,port,records\n"
    assert "The answer is empty" in fetched.stderr


def test_a_run_with_top_gives_no_more(account: FakeAccount) -> None:
    """Each mapper sent its own first talkers, so that the output may have more; a message says how many were kept."""
    command(account, "run-emr", "--yes", "--top", "1")
    fetched = command(account, "fetch-results", "--top", "5")
    assert fetched.stdout.encode() == ANSWER.splitlines(keepends=True)[0]
    assert "kept the first 1 talkers" in fetched.stderr


def test_an_empty_input_costs_nothing(account: FakeAccount) -> None:
    """The error comes before a cluster is started."""
    account.fake_s3.objects.clear()
    ran = command(account, "run-emr", "--yes")
    assert ran.exit_code == 1
    assert "no flow logs to read" in ran.stderr
    assert not account.fake_emr.requests


def test_a_release_that_is_not_there(account: FakeAccount) -> None:
    """The message names the newest available releases."""
    ran = command(account, "run-emr", "--yes", "--release", "emr-9.0.0")
    assert ran.exit_code == 1
    assert "emr-7.14.0, emr-7.13.0, emr-7.9.0" in ran.stderr


@pytest.mark.parametrize(
    "options",
    [
        ClusterOptions(release="emr-7; id"),
        ClusterOptions(release="emr-6.15.0"),
        ClusterOptions(subnets=("x",)),
        ClusterOptions(instance_type="m7g"),
        ClusterOptions(task=1, vpc_nodes=9),
    ],
)
def test_options_that_cannot_be(account: FakeAccount, options: ClusterOptions) -> None:
    """Wrong usage, before a cluster is started."""
    with pytest.raises(UsageError):
        plan_run(account.open(), account.site, Query.parse(), options=options, token="4f2a")  # noqa: S106


def test_a_cluster_has_the_tags_of_the_stack(account: FakeAccount) -> None:
    """What is billed by a tag is billed for clusters, too; a tag of the command wins."""
    site = replace(account.site, tags=(("team", "network"), ("stage", "live")))
    options = ClusterOptions(tags=(("stage", "test"),))
    plan = plan_run(account.open(), site, Query.parse(), options=options, token="4f2a")  # noqa: S106
    tags = {one["Key"]: one["Value"] for one in plan.request["Tags"]}
    assert (tags["team"], tags["stage"]) == ("network", "test")
