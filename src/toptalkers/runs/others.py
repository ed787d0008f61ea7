"""Runs that others started with the bundle in a bucket: by hand with the AWS CLI, by a schedule, by another program.

They have no `run.json`. Their clusters' steps tell what they ask and where their answer goes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from toptalkers import locations
from toptalkers.aws.account import Account
from toptalkers.aws.emr import Cluster, ClusterStep
from toptalkers.errors import UsageError
from toptalkers.question.clauses import CLAUSES
from toptalkers.question.query import Query
from toptalkers.runs.record import RunRecord, RunState, cluster_name, load_record, question_of

AGE = timedelta(days=14)
"""How old clusters may be that are looked into."""

MOST_CLUSTERS = 20
"""How many clusters are looked into, the newest first: each is a request."""

_RUN_FOLDER = re.compile(re.escape(locations.RUNS) + r"([^/]+)/")


def recent_clusters(account: Account) -> list[Cluster]:
    """List the clusters of the last `AGE`, of anybody, the newest first.

    Raises:
        AwsError: EMR refuses to list them.

    """
    return account.clusters.recent(account.now() - AGE)


def kept_clusters(clusters: Iterable[Cluster], known: Iterable[RunRecord]) -> list[Cluster]:
    """Choose the clusters that runs started and that go on without a question, so that they are paid for."""
    names = {cluster_name(one.run_id) for one in known if one.is_shared and one.is_over}
    return [one for one in clusters if one.name in names and not one.is_ending]


def find_others(
    account: Account, bucket: str, known: Sequence[RunRecord], clusters: Iterable[Cluster]
) -> list[RunRecord]:
    """Find runs of others on clusters, in their order; `known` are runs with a record.

    Raises:
        AwsError: EMR refuses to list steps.

    """
    own = {one.cluster for one in known if not one.is_shared}
    return [
        record
        for cluster in [one for one in clusters if one.id not in own][:MOST_CLUSTERS]
        for record in reversed(runs_of(account, bucket, cluster))
        if record.run_id == cluster.id
    ]


def runs_of(account: Account, bucket: str, cluster: Cluster) -> list[RunRecord]:
    """List the runs whose steps are on a cluster, the oldest first.

    One without `run.json` has the id of the cluster as its name; of its input, only the addresses are known.

    Raises:
        AwsError: EMR refuses to list the steps.

    """
    found = []
    for steps in _pairs(account.clusters.steps(cluster.id), bucket):
        folder = _RUN_FOLDER.match(_in_bucket(bucket, _argument(steps[-1], "-output")))
        own = load_record(account.storage, bucket, folder[1]) if folder and locations.is_run_id(folder[1]) else None
        found.append(own or _record_of(bucket, cluster, steps, account.now()))
    return found


def _pairs(steps: Sequence[ClusterStep], bucket: str) -> Iterator[list[ClusterStep]]:
    """Yield the steps of each run that use the bundle in a bucket: the last one writes to S3, others write for it."""
    by_output: dict[str, list[ClusterStep]] = {}
    for step in steps:
        if not _argument(step, "-files").startswith(f"s3://{bucket}/{locations.CODE}"):
            continue
        # The steps about conversations read two folders; the second one also shows up in `-files`.
        table = _argument(step, "-files").rpartition(",")[2].rpartition("/")[0] + "/"
        before = by_output.pop(table, []) or by_output.pop(_argument(step, "-input"), [])
        by_output[_argument(step, "-output")] = [*before, step]
    yield from (run for output, run in by_output.items() if output.startswith("s3://"))


def _record_of(bucket: str, cluster: Cluster, steps: Sequence[ClusterStep], now: datetime) -> RunRecord:
    state, reason = _state_of(cluster, steps)
    ended = max((step.ended for step in steps if step.ended), default=cluster.ended)
    return RunRecord(
        run_id=cluster.id,
        stack=bucket,
        state=state,
        question=_question_of(steps),
        inputs=[value for step in steps[:1] for name, value in pairwise(step.arguments) if name == "-input"],
        input_objects=0,
        input_bytes=0,
        answer=_argument(steps[-1], "-output").rstrip("/") + "/",
        aggregate="",
        versions={"release": cluster.release},
        instance_type="",
        instances=0,
        created=steps[0].started or cluster.created or now,
        cluster=cluster.id,
        ended=ended if state != "RUNNING" else None,
        reason=reason,
    )


def _state_of(cluster: Cluster, steps: Sequence[ClusterStep]) -> tuple[RunState, str]:
    states = {step.state for step in steps}
    if states == {"COMPLETED"}:
        return "COMPLETED", ""
    if "FAILED" in states:
        failed = next(step for step in steps if step.state == "FAILED")
        return "FAILED", f"step {failed.name} failed" + (f": {failed.reason}" if failed.reason else "")
    if "CANCELLED" in states:
        return "CANCELLED", cluster.reason or "its steps were cancelled"
    return ("FAILED", cluster.reason or cluster.state) if cluster.is_ending else ("RUNNING", "")


def _question_of(steps: Sequence[ClusterStep]) -> Mapping[str, str | int]:
    """Read the question from the scripts' options; the default question if another version wrote them."""
    words: dict[str, str] = {}
    for step in steps:
        for name, value in pairwise(_argument(step, "-mapper").split()):
            if name.startswith("--") and (name != "--ports" or value != "all"):  # only one of the steps filters ports
                words[name] = value
            elif name == "--ports":
                words.setdefault(name, value)
    top = words.get("--top", "0")
    try:
        query = Query.parse(**{one.name: one.text_of(words[one.option]) for one in CLAUSES if one.option in words})
    except UsageError:
        query = Query()
    return question_of(query, int(top) if top.isascii() and top.isdigit() else 0)


def _argument(step: ClusterStep, name: str) -> str:
    """Return the first value of an option of Hadoop Streaming; empty if the step does not have it."""
    return next((value for option, value in pairwise(step.arguments) if option == name), "")


def _in_bucket(bucket: str, uri: str) -> str:
    own = f"s3://{bucket}/"
    return uri.removeprefix(own) if uri.startswith(own) else ""
