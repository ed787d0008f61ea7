"""The recipe in emr/README.md, with the AWS CLI's own package and nothing of ours, in the sandbox."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.render import ROOT
from toptalkers.engines import local
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs
from toptalkers.sample.writer import write_sample

pytestmark = pytest.mark.sandbox

README = (ROOT / "emr/README.md").read_text()

AWS = shutil.which("aws", path=f"{os.environ['PATH']}:{ROOT}/.venv-aws-cli/bin")

FILES = ("cloudformation", "emr", "src/toptalkers/job")
"""What the commands use of a checkout."""


def commands(text: str) -> str:
    """Return the commands of the console blocks of a document, as one script."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return "\n".join(re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks)


def test_the_document_has_no_command_of_ours() -> None:
    """Each of its commands is a program of the system or the AWS CLI."""
    script = commands(README).replace("\\\n", "")
    words = {line.split()[0] for line in script.splitlines() if line.strip()}
    assert "aws" in words
    assert not any(word.startswith(("toptalkers", "python")) for word in words)


@pytest.mark.skipif(AWS is None and "CI" not in os.environ, reason="scripts/test installs the AWS CLI, CI must have it")
def test_by_hand_gives_the_same_bytes(tmp_path: Path) -> None:
    """Stack, flow log as the stack prints its command, scripts, cluster, download: the answer of run-local."""
    source, here = tmp_path / "source", tmp_path / "checkout"
    write_sample(source, records=20_000)
    for name in FILES:
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    before, _, after = README.partition("## A run")
    assert after
    script = here / "by-hand.sh"
    script.write_text(
        f"""set -euo pipefail
{commands(before)}
eval "$(output AddFlowLogToVpcCmd)"
# The records come, as CloudWatch Logs would send them.
"{sys.executable}" -m toptalkers sandbox replay "{source}" --wait
{commands(after)}
aws emr list-steps --cluster-id $CLUSTER --query 'Steps[].Status.State' --output text
aws ec2 describe-flow-logs --output json > flow-logs.json
aws s3 ls s3://$BUCKET/logs/$RUN/$CLUSTER/ > logs.txt
"""
    )
    command = [sys.executable, "-m", "toptalkers", "sandbox", "run", "--logs", str(tmp_path / "logs"), "--"]
    environment = {**os.environ, "PATH": f"{Path(AWS or '').parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "bash", str(script)],
        cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    expected = b"".join(local.count_files(Query(), find_inputs([str(source)]).files).chunks)
    assert (here / "talkers.tsv").read_bytes() == expected
    assert "COMPLETED\tCOMPLETED" in done.stdout
    assert "steps/" in (here / "logs.txt").read_text()
    (flow_log,) = json.loads((here / "flow-logs.json").read_text())["FlowLogs"]
    assert {"Key": "toptalkers:stack", "Value": "toptalkers"} in flow_log["Tags"]
