"""The emulated EMR as a process of the sandbox: `python -m toptalkers.sandbox.emr_process`.

A process of its own has the sandbox's environment, without the user's AWS settings. It reads an order as one line of
JSON from standard input, writes its URL as one line to standard output, and ends its clusters, their steps and itself
when standard input ends.
"""

import json
import logging
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from toptalkers.hadoop.runtime import S3Endpoint
from toptalkers.sandbox.emr import Emr
from toptalkers.sandbox.emr_access import NODE, NodeAccess
from toptalkers.sandbox.emr_cluster import Pace, StepEnd, StepRun, in_thread
from toptalkers.sandbox.emr_endpoint import serve_emr
from toptalkers.sandbox.emr_faults import parse_faults
from toptalkers.sandbox.emr_roles import Roles
from toptalkers.sandbox.emr_start import StartCheck
from toptalkers.sandbox.guarded import die_with_parent
from toptalkers.sandbox.hadoop_step import run_step

LOGGER = logging.getLogger(__name__)


def main() -> None:
    """Serve until standard input ends.

    The order has the URL of the other services, the folder that holds a folder per cluster, the account in ARNs, the
    faults of every cluster as `parse_faults` reads them, the account's quota of vCPUs, and the fields of `Pace`.
    Credentials and Region come from the environment.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    order = json.loads(sys.stdin.readline())
    is_over = threading.Event()
    die_with_parent(is_over.set)
    session = boto3.Session()
    credentials = session.get_credentials()
    assert credentials is not None  # noqa: S101 - the environment has them
    region = str(session.region_name)
    s3 = S3Endpoint(order["url"], region, credentials.access_key, credentials.secret_key)
    roles = Roles(session.client("iam"))
    access = NodeAccess(roles, session.client("s3"), order["account"])
    emr = Emr(
        state_dir=Path(order["state_dir"]),
        run_step=in_thread(partial(access.run, run=partial(_run_as_nodes, s3, roles, session.client("sts")))),
        put_log=partial(_put_log, session.client("s3")),
        quota=order["quota"],
        has_instance_profile=partial(_has_profile, session.client("iam")),
        check_start=StartCheck(roles, session.client("ec2"), order["account"], region),
        may_log=access.may_put,
        pace=Pace(**order["pace"]),
        faults=parse_faults(order["faults"]),
        account=order["account"],
        region=region,
    )
    with serve_emr(emr, {credentials.access_key: credentials.secret_key}.get) as url:
        print(url, flush=True)
        is_over.wait()


def _run_as_nodes(s3: S3Endpoint, roles: Roles, sts: Any, step: StepRun) -> StepEnd:
    """Run a step with a session of the nodes' role, which the policies of other accounts' buckets may name."""
    role = roles.of_profile(step.instance_profile)
    if role is not None:
        try:
            made = sts.assume_role(RoleArn=role.arn, RoleSessionName=NODE)["Credentials"]
        except ClientError as error:
            # Under enforced IAM, only EC2 can take the role; the policies of the role are checked in any case.
            LOGGER.info("%s runs as the root user: %s", step.step_id, error)
        else:
            keys = (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
            s3 = replace(s3, access_key=keys[0], secret_key=keys[1], session_token=keys[2])
    return run_step(s3, step)


def _put_log(s3: Any, address: str, body: bytes) -> None:
    parts = urlsplit(address)
    try:
        s3.put_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"), Body=body)
    except (BotoCoreError, ClientError) as error:
        # As on EMR, a cluster that may not write its logs still runs.
        LOGGER.warning("cannot put %s: %s", address, error)


def _has_profile(iam: Any, name: str) -> bool:
    try:
        iam.get_instance_profile(InstanceProfileName=name.rpartition("/")[2])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return False
        raise
    return True


if __name__ == "__main__":
    main()
