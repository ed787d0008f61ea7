"""`run-emr` on objects from elsewhere: if a cluster would misread one, it never starts without a message."""

import bz2
import gzip
import json
import lzma
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from click.testing import Result

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount, refusal
from tests.fake_emr import COUNTERS
from toptalkers.errors import ToptalkersError
from toptalkers.question.query import Query
from toptalkers.records.stored import find_stored
from toptalkers.runs.input import survey
from toptalkers.runs.input.access import check_access, explain_denied
from toptalkers.runs.input.choice import pick_input
from toptalkers.runs.site import Site, site_of

LINE = b"2 123456789012 eni-0a 10.0.0.1 10.0.1.1 40000 443 6 2 100 1795400000 1795400059 ACCEPT OK\n"
PACKED = gzip.compress(LINE)
MINE = f"s3://{BUCKET}/mine/"
ANSWER = b"10.0.0.1:10.0.1.1:443\t7\n"


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack; a job that succeeds leaves an answer."""
    account = FakeAccount()
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    return account


def ask(account: FakeAccount, *options: str) -> Result:
    return command(account, "run-emr", "--yes", "--input", MINE, *options)


def inputs(account: FakeAccount) -> list[str]:
    """Return the input of the first step."""
    arguments = account.fake_emr.requests[-1]["Steps"][0]["HadoopJarStep"]["Args"]
    return [after for word, after in pairwise(arguments) if word == "-input"]


def put(account: FakeAccount, **objects: bytes) -> None:
    account.fake_s3.objects |= {f"mine/{name}": content for name, content in objects.items()}


@pytest.mark.parametrize("options", [(), ("--skip-unreadable",)])
def test_what_cannot_be_read(account: FakeAccount, options: tuple[str, ...]) -> None:
    """It is refused before a cluster starts, or skipped and named in run.json and by fetch-results; exit code 1."""
    put(account, **{"a.gz": PACKED, "b/c.gz": PACKED, "b/plain.gz": LINE, "b/cold.gz": PACKED})
    put(account, **{"b/denied.gz": PACKED})
    account.fake_s3.archived = {"mine/b/cold.gz"}
    account.fake_s3.refused = {"mine/b/denied.gz": ("AccessDenied", "Access Denied")}
    ran = ask(account, *options)
    assert ran.exit_code == 1
    for name in ("plain", "cold", "denied"):
        assert f"{MINE}b/{name}.gz" in ran.stderr
    if not options:
        assert not account.fake_emr.requests
        assert "3 of 5 objects cannot be read on a cluster" in ran.stderr
        return
    assert inputs(account) == [f"{MINE}a.gz", f"{MINE}b/c.gz"]
    run_id = ran.stdout.strip()
    record = json.loads(account.fake_s3.objects[f"runs/{run_id}/run.json"])
    assert [one.partition(": ")[0] for one in record["left_out"]] == [
        f"{MINE}b/{name}.gz" for name in ("cold", "denied", "plain")
    ]
    fetched = command(account, "fetch-results", run_id)
    assert (fetched.exit_code, fetched.stdout.encode()) == (1, ANSWER)
    assert f"left out: {MINE}b/cold.gz: archived (GLACIER)" in fetched.stderr
    assert "3 left out (see above)" in fetched.stderr


def test_names_that_tell_nothing(account: FakeAccount) -> None:
    """Gzip, bzip2 and xz under any name, and gzip within gzip, are read where they are."""
    packed = {
        "flows-1": PACKED,
        "a.log": bz2.compress(LINE),
        "a.gzip": lzma.compress(LINE),
        "a.xz": lzma.compress(LINE),
    }
    put(account, **packed, **{"plain": LINE, "twice.gz": gzip.compress(PACKED)})
    ran = ask(account)
    assert ran.exit_code == 0
    assert inputs(account) == [MINE]
    assert "CopyObject" not in account.fake_s3.calls


def put_odd_names(account: FakeAccount) -> None:
    """Put objects that a step cannot name, beside one that is not to be read."""
    put(account, **{"b/flows 1.gz": PACKED, "b/flows 2": PACKED, "c.gz": PACKED})
    put(account, **{"b/aws-logs-write-test": b"Permission Check Successful"})


def test_names_that_a_step_cannot_have(account: FakeAccount) -> None:
    """Among objects that are not read, an object with an odd name is copied; copies are deleted after the run."""
    put_odd_names(account)
    seen: list[dict[str, bytes]] = []
    done = account.fake_emr.on_done

    def look() -> None:
        seen.append(dict(account.fake_s3.objects))
        done()

    account.fake_emr.on_done = look
    ran = ask(account)
    assert ran.exit_code == 0
    folder = f"runs/{ran.stdout.strip()}/input/"
    assert inputs(account) == [f"{MINE}c.gz", f"s3://{BUCKET}/{folder}"]
    assert sorted(key for key in seen[0] if key.startswith(folder)) == [
        f"{folder}00000-flows-1.gz",
        f"{folder}00001-flows-2",
    ]
    assert not any(key.startswith(folder) for key in account.fake_s3.objects)
    assert "2 objects are copied to" in ran.stderr


def test_copies_of_a_run_that_is_not_waited_for(account: FakeAccount) -> None:
    """The copies exist as long as the cluster, and are deleted when the answer is fetched."""
    put_odd_names(account)
    run_id = ask(account, "--no-wait").stdout.strip()
    assert any(key.startswith(f"runs/{run_id}/input/") for key in account.fake_s3.objects)
    account.clock.sleep(1000)
    assert command(account, "fetch-results", run_id).exit_code == 0
    assert not any(key.startswith(f"runs/{run_id}/input/") for key in account.fake_s3.objects)


def test_a_run_that_does_not_start_leaves_no_copies(account: FakeAccount) -> None:
    """Whatever ends it."""
    put_odd_names(account)
    account.fake_emr.start_error = KeyboardInterrupt()
    assert ask(account).exit_code == 130
    assert not any("/input/" in key for key in account.fake_s3.objects)


def test_what_aws_leaves_beside_flow_logs_is_passed_over(account: FakeAccount) -> None:
    """It is not given to the cluster, is reported in one line, and is no failure."""
    put(account, **{"aws-logs-write-test": b"Permission Check Successful", "task/000000.gz": PACKED})
    put(account, **{"AWSLogs/123456789012/CloudTrail/r/x.json.gz": gzip.compress(b'{"Records":[]}')})
    ran = ask(account)
    assert ran.exit_code == 0
    assert inputs(account) == [f"{MINE}task/"]
    (line,) = [line for line in ran.stderr.splitlines() if "passed over" in line]
    assert "aws-logs-write-test" in line
    assert "CloudTrail" in line


def test_what_the_maps_leave_out_is_named_and_ends_with_1(
    account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """run-emr and fetch-results both name the files that were damaged or did not fit their layout on the cluster."""
    put(account, **{"a.gz": PACKED, "b/late.gz": gzip.compress(2 * LINE), "b/other.gz": gzip.compress(LINE * 1000)})
    sizes = [len(account.fake_s3.objects[f"mine/b/{name}.gz"]) for name in ("late", "other")]
    assert sizes[0] % 8 != sizes[1] % 8
    counters = {"maps_by_kernel": 2, "files_read": 1, "files_unreadable": 1, "misfit_files": 1}
    counters |= {f"left_out_{size % 8}": (1 << 40) + size for size in sizes}
    more = "".join(f"\n\t\t{name}={number}" for name, number in counters.items())
    monkeypatch.setattr("tests.fake_emr.COUNTERS", COUNTERS.replace("\t\tports=3", f"\t\tports=3{more}"))
    ran = ask(account)
    fetched = command(account, "fetch-results")
    for result in (ran, fetched):
        assert result.exit_code == 1
        for name, size in zip(("late", "other"), sizes, strict=True):
            assert f"left out: {MINE}b/{name}.gz ({size} bytes): could not be read on the cluster or" in result.stderr
        assert "10 records read from 1 file: 7 counted" in result.stderr
        assert "2 left out (see above)" in result.stderr
    assert fetched.stdout.encode() == ANSWER
    told = command(account, "fetch-results", "--profile", "payer").stderr
    assert sum("run-local" in line and "--profile payer " in line for line in told.splitlines()) == 2


def test_nothing_counted_is_said_at_the_end(account: FakeAccount) -> None:
    """Not only when the answer is fetched."""
    put(account, **{"a.gz": PACKED})
    account.fake_emr.on_done = lambda: account.leave(b"")
    ran = ask(account)
    assert ran.exit_code == 0
    assert "The answer is empty" in ran.stderr


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("folder", ["", "x" * 40 + "-"])
def test_one_bad_object_of_many_has_all_looked_into(account: FakeAccount, *, skips: bool, folder: str) -> None:
    """If the sample has a bad object, all objects are checked, and every bad one is named.

    The others are read by one pattern, or, when their names are too long for a step, are copied into one folder.
    """
    assert survey.SAMPLED < 600
    put(account, **{f"{folder}{number:04}.gz": PACKED for number in range(600)})
    put(account, **{f"{folder}{number:04}.gz": LINE for number in range(0, 600, 2)})
    ran = ask(account, *(["--skip-unreadable"] if skips else []))
    assert ran.exit_code == 1
    if skips and folder:
        assert inputs(account) == [f"s3://{BUCKET}/runs/{ran.stdout.strip()}/input/"]
        assert account.fake_s3.calls.count("CopyObject") == 300
    elif skips:
        pattern = f"{MINE}{{{','.join(f'{number:04}.gz' for number in range(1, 600, 2))}}}"
        assert inputs(account) == [pattern]
        assert json.loads(account.fake_s3.objects[f"runs/{ran.stdout.strip()}/run.json"])["inputs"] == [pattern]
        assert "CopyObject" not in account.fake_s3.calls
    else:
        assert "300 of 600 objects" in ran.stderr
        assert "and 297 more" in ran.stderr
        assert not account.fake_emr.requests


def test_an_object_named_twice_is_read_once(account: FakeAccount) -> None:
    """Hadoop would read it once per name."""
    put(account, **{"a.gz": PACKED, "b.gz": PACKED})
    ran = command(account, "run-emr", "--yes", "--input", f"{MINE}a.gz", "--input", MINE, "--input", MINE)
    assert ran.exit_code == 0
    assert inputs(account) == [f"{MINE}a.gz", f"{MINE}b.gz"]


def test_an_object_that_is_named_by_itself(account: FakeAccount) -> None:
    """An archived or denied object is refused like one in a folder; no other object is reported there."""
    put(account, **{"a": LINE, "a.gz": PACKED})
    account.fake_s3.archived = {"mine/a"}
    account.fake_s3.refused = {"mine/a": ("AccessDenied", "Access Denied")}
    for word in ("archived", "access denied"):
        ran = command(account, "run-emr", "--yes", "--input", f"{MINE}a")
        assert ran.exit_code == 1
        assert f"1 of 1 objects cannot be read on a cluster: {word}" in ran.stderr
        account.fake_s3.archived.clear()
    left = command(account, "run-emr", "--yes", "--input", f"{MINE}a", "--skip-unreadable")
    assert left.exit_code == 1
    assert f"there are no flow logs to read in {MINE}a: access denied" in left.stderr
    assert not account.fake_emr.requests


ROLE = "arn:aws:iam::123456789012:role/toptalkers-EmrInstanceRole"
STRANGE = "s3://central-logs/AWSLogs/"


def test_f2_a_bucket_that_the_nodes_may_not_read(account: FakeAccount) -> None:
    """It is refused before a request goes there, with the command that lets the nodes read it: F2."""
    ran = command(account, "run-emr", "--yes", "--input", STRANGE, "--input", MINE, "--stack-name", "flows")
    assert ran.exit_code == 1
    assert "the nodes may not read s3://central-logs: the stack flows does not allow it" in ran.stderr
    assert "'toptalkers deploy --stack-name flows --read-bucket central-logs' does" in ran.stderr
    assert not account.fake_s3.calls


def test_f2_a_bucket_of_another_account(account: FakeAccount) -> None:
    """The nodes may read it by the stack; the plan has the statement for the bucket's policy, ready to paste: F2."""
    site = replace(account.site, read_buckets=frozenset({"central-logs"}), nodes_role=ROLE)
    (note,) = check_access(site, [STRANGE, MINE])
    statement = json.loads(note.partition("its policy needs: ")[2])
    assert statement["Principal"] == {"AWS": ROLE}
    assert statement["Resource"] == ["arn:aws:s3:::central-logs", "arn:aws:s3:::central-logs/*"]
    (note,) = check_access(replace(site, read_buckets=None), [STRANGE, MINE])
    assert note.startswith(f"the nodes' role {ROLE.rpartition('/')[2]} must be allowed to read s3://central-logs; if")
    assert json.loads(note.partition("its policy needs: ")[2]) == statement
    (note,) = check_access(replace(site, read_buckets=None, nodes_role="", instance_profile="odd"), [STRANGE, MINE])
    assert note.startswith("the role of the instance profile odd must be allowed to read s3://central-logs; if")
    assert "(the ARN of the role of the instance profile odd)" in note
    assert "'aws iam get-instance-profile --instance-profile-name odd --query InstanceProfile.Roles[].Arn" in note
    assert not check_access(site, [MINE])


@pytest.mark.parametrize("path", ["/", "/teams/network/"])
def test_f2_the_role_of_the_nodes(path: str) -> None:
    """Its ARN has the account and partition of the stack, and the path that the stack gives its roles."""
    account, name = "aws-us-gov:iam::123456789012", "toptalkers-EmrInstanceRole"
    stack = FakeAccount().stack
    profile = name if path == "/" else f"arn:{account}:instance-profile{path}{name}"
    stack = replace(
        stack,
        arn="arn:aws-us-gov:cloudformation:us-gov-west-1:123456789012:stack/toptalkers/0",
        outputs={**stack.outputs, "EmrInstanceProfile": profile},
    )
    assert site_of(stack).nodes_role == f"arn:{account}:role{path}{name}"


def test_c2_an_hour_of_one_account(account: FakeAccount) -> None:
    """The plan of --since 1h has only that hour's files of that account, though the folders are of days: C2."""
    now = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
    names = {
        (
            of,
            region,
            hour,
        ): f"AWSLogs/{of}/vpcflowlogs/{region}/2026/11/23/{of}_vpcflowlogs_{region}_fl-1_20261123T{hour:02}"
        "05Z_abc.log.gz"
        for of in ("111122223333", "123456789012")
        for region in ("eu-central-1", "us-east-1")
        for hour in range(19)
    }
    put(account, **dict.fromkeys(names.values(), PACKED))
    ran = ask(
        account, "--from-account", "111122223333", "--from-region", "us-east-1", "--since", f"{now:%Y-%m-%dT17:15Z}"
    )
    assert ran.exit_code == 0
    assert inputs(account) == [MINE + names["111122223333", "us-east-1", hour] for hour in (16, 17, 18)]
    lost = ask(account, "--from-account", "444455556666")
    assert lost.exit_code == 1
    assert "none of the account 444455556666; accounts there: 111122223333, 123456789012" in lost.stderr
    wrong = ask(account, "--from-account", "4444-5555")
    assert wrong.exit_code == 2


def test_several_buckets_in_one_question(account: FakeAccount) -> None:
    """Of several accounts and Regions: all are read, and the plan says what AWS charges for."""
    name = "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/23/18/x.log.gz"
    account.fake_s3.others = {"central-logs": {name: PACKED}, "more-logs": {name: PACKED, "other/x.gz": PACKED}}
    account.fake_s3.regions = {"central-logs": "eu-west-1"}
    put(account, **{"x.gz": PACKED})
    site = replace(account.site, read_buckets=frozenset(account.fake_s3.others))
    given = [STRANGE, "s3://more-logs/", MINE]
    read = pick_input(
        account.open().storage, site, Query(), given=given, region=account.region, copy_folder="runs/r/input/"
    )
    assert read.uris == (STRANGE, "s3://more-logs/", MINE)
    assert read.objects == 4
    (note,) = [note for note in read.notes if "charges" in note]
    assert note.startswith("s3://central-logs is in eu-west-1, and the cluster in us-east-1")
    here = find_stored(account.open().storage, given)
    assert [file.name for file in here.files] == [
        f"{STRANGE}{name.removeprefix('AWSLogs/')}",
        f"s3://more-logs/{name}",
        "s3://more-logs/other/x.gz",
        f"{MINE}x.gz",
    ]


def test_a_key_of_another_account(account: FakeAccount) -> None:
    """Objects that only their key refuses are named, and the hint says what allows it."""
    said = (
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:..."
    )
    put(account, **{"x.gz": PACKED})
    account.fake_s3.refused = {"mine/x.gz": ("AccessDenied", said)}
    ran = ask(account)
    assert ran.exit_code == 1
    assert "kms:Decrypt on resource" in ran.stderr
    assert "'toptalkers deploy --read-key ARN' allows it to the role" in ran.stderr


@pytest.mark.parametrize(
    ("code", "said"), [("AccessDenied", "access denied"), ("NoSuchBucket", "The specified bucket does not exist")]
)
def test_the_bucket_that_refuses_is_named(account: FakeAccount, code: str, said: str) -> None:
    """S3's own words do not name it, and a question may read several."""
    account.fake_s3.others = {"central-logs": {}}
    account.fake_s3.error = refusal(code, "Access Denied" if code == "AccessDenied" else said, "ListObjectsV2")
    with pytest.raises(ToptalkersError, match=f"s3://central-logs: .*{said}"):
        find_stored(account.open().storage, [STRANGE])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "s3://strange/a: getFileStatus on s3://strange/a: S3Exception: null (Service: S3, Status Code: 403, X)",
            "strange",
        ),
        ("java.nio.file.AccessDeniedException: runs/1/toptalkers/: Writing Object on runs/1/toptalkers/", "mine"),
        ("s3://strange-too/a: S3Exception: null (Service: S3, Status Code: 403, X)", "mine"),
        ("ZeroDivisionError: division by zero", None),
        ("Output directory s3://strange/out already exists", None),
    ],
)
def test_f2_a_step_that_s3_refuses_is_explained(words: str, expected: str | None) -> None:
    """F2: the role, the bucket, and what a bucket of another account needs; nothing for other reasons."""
    site = Site(name="", bucket="mine", service_role="service", instance_profile="nodes", security_configuration="")
    said = explain_denied(site, ["s3://strange/a/"], f"step flowlogs-aggregate failed: {words}")
    if expected is None:
        assert said is None
        return
    assert said is not None
    assert f"on {expected}" in said
    assert "the role of the instance profile nodes must be allowed" in said
    assert ('"Action":["s3:GetObject","s3:ListBucket"]' in said) == (expected == "strange")


@pytest.mark.parametrize("name", ["a.bz2", "a.gz"])
def test_a_step_that_damaged_bzip2_fails_is_explained(account: FakeAccount, name: str) -> None:
    """Hadoop names no object: run-emr says that run-local does, if one may be bzip2, and nothing of gzip alone."""
    account.fake_s3.objects[f"mine/{name}"] = (bz2 if name.endswith("bz2") else gzip).compress(LINE)
    account.fake_emr.failing = ("flowlogs-aggregate", {"steps/s-1/stderr": "java.io.IOException: bad block header\n"})
    ran = command(account, "run-emr", "--yes", "--input", MINE)
    assert ran.exit_code == 3
    assert "bad block header" in ran.stderr
    assert ("an object named .bz2 is damaged" in ran.stderr) == name.endswith("bz2")
