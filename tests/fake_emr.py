"""A fake EMR for runs: the emulated EMR of the sandbox on the clock of the fake account, with scripted steps."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from toptalkers.sandbox.emr import Emr, RefusedError
from toptalkers.sandbox.emr_cluster import Clock, Pace, PutLog, StepEnd, StepRun
from toptalkers.sandbox.emr_faults import Fault
from toptalkers.sandbox.offers import instance_types

STEP_SECONDS = 60
PACE = Pace(starting=120, bootstrapping=120, terminating=60, log_delay=30)

TRACEBACK = """Traceback (most recent call last):
  File "count_flows.py", line 1, in <module>
    1 / 0
ZeroDivisionError: division by zero
"""

SYSLOG = """2026-11-23 18:22:00,000 INFO org.apache.hadoop.mapreduce.Job (main): Running job: job_1_0001
2026-11-23 18:22:10,000 INFO org.apache.hadoop.mapreduce.Job (main): Task Id : attempt_1, Status : FAILED
Error: java.lang.RuntimeException: PipeMapRed.waitOutputThreads(): subprocess failed with code 1
\tat org.apache.hadoop.streaming.PipeMapRed.waitOutputThreads(PipeMapRed.java:326)

2026-11-23 18:22:20,000 ERROR org.apache.hadoop.streaming.StreamJob (main): Job not successful!
"""

COUNTERS = """2026-11-23 18:22:20,000 INFO org.apache.hadoop.mapreduce.Job (main): Counters: 3
\tMap-Reduce Framework
\t\tMap input records=10
\ttoptalkers
\t\tcounted=7
\t\trecords_read=10
\t\tports=3
2026-11-23 18:22:21,000 INFO org.apache.hadoop.streaming.StreamJob (main): Output directory: out
"""

OTHER_COUNTERS = COUNTERS[: COUNTERS.index("\ttoptalkers")]
"""Those of a step that reads no flow records."""

EXISTS = """2026-11-23 18:22:00,000 ERROR org.apache.hadoop.streaming.StreamJob (main): Error Launching job : \
Output directory s3://bucket/out already exists
"""


class FakeEmr:
    """EMR's client, with the operations of the sandbox. A request that EMR would refuse as invalid fails the test.

    Attributes:
        failing: the step that fails, and its logs: name to text, below the cluster's folder.
        faults: the faults of clusters made from now on, as in the sandbox.
        log_delay: seconds until the logs of a step are in S3.
        errors: raised by the next calls.
        start_error: raised by RunJobFlow; with `starts_anyway` after it made the cluster; with `starts_late` the
            cluster is made that many seconds later.
        on_start: called by RunJobFlow.
        on_done: called when the last step has succeeded.
        refused: the operations that the user may not call.
        described: what DescribeCluster says instead of the truth, for all clusters.
        requests: the requests of RunJobFlow.
        added: the requests of AddJobFlowSteps.
        calls: the operations called.

    """

    releases = ("emr-7.13.0", "emr-7.14.0", "emr-7.9.0")

    types = instance_types()

    def __init__(self, clock: Clock, put_log: PutLog) -> None:
        self._clock = clock
        self.failing: tuple[str, dict[str, str]] | None = None
        self.faults: frozenset[Fault] = frozenset()
        self.log_delay = PACE.log_delay
        self.errors: list[ClientError] = []
        self.start_error: BaseException | None = None
        self.starts_anyway = False
        self.starts_late: float | None = None
        self.on_start: Callable[[], None] = lambda: None
        self.on_done: Callable[[], None] = lambda: None
        self.requests: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.described: dict[str, Any] = {}
        self.added: list[dict[str, Any]] = []
        self.calls: list[str] = []
        ids = {"j-": (f"j-{number:013}" for number in count(1)), "s-": (f"s-{number}" for number in count(1))}
        self._emr = Emr(
            state_dir=Path(),
            run_step=self._run_step,
            put_log=put_log,
            clock=clock,
            new_id=lambda prefix: next(ids[prefix]),
        )
        self._operations = {xform_name(one): one for one in self._emr.operations}

    @property
    def clusters(self) -> dict[str, dict[str, Any]]:
        """All clusters by their ids, the oldest first, as ListClusters has them."""
        return {one["Id"]: one for one in reversed(self._emr.perform("ListClusters", {})["Clusters"])}

    @property
    def running(self) -> list[str]:
        """The clusters that have not ended and are not ending."""
        return [one for one, cluster in self.clusters.items() if not cluster["Status"]["State"].startswith("TERM")]

    def steps(self, cluster: str) -> list[dict[str, Any]]:
        """The steps of a cluster, in their order."""
        return list(reversed(self._emr.perform("ListSteps", {"ClusterId": cluster})["Steps"]))

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        if name.startswith("_") or name not in self._operations:
            raise AttributeError(name)
        return lambda **request: self._call(self._operations[name], request)

    def get_paginator(self, name: str) -> "_Pages":
        paged = ("list_steps", "list_clusters", "list_instance_groups", "list_instance_fleets")
        return _Pages({one: getattr(self, one) for one in paged}[name])

    def list_release_labels(self, **request: Any) -> dict[str, Any]:
        """List one label per page."""
        self._call("ListReleaseLabels", request)
        found = [one for one in self.releases if one.startswith(request["Filters"]["Prefix"])]
        at = int(request.get("NextToken", "0"))
        more = {"NextToken": str(at + 1)} if at + 1 < len(found) else {}
        return {"ReleaseLabels": found[at : at + 1], **more}

    def describe_cluster(self, **request: Any) -> dict[str, Any]:
        """Describe a cluster, with the changes that a test wants."""
        return {"Cluster": self._call("DescribeCluster", request)["Cluster"] | self.described}

    def list_supported_instance_types(self, **request: Any) -> dict[str, Any]:
        """List 50 types per page."""
        self._begin("ListSupportedInstanceTypes")
        assert request["ReleaseLabel"] in self.releases
        at = int(request.get("Marker", "0"))
        more = {"Marker": str(at + 50)} if at + 50 < len(self.types) else {}
        return {"SupportedInstanceTypes": [{"Type": one} for one in self.types[at : at + 50]], **more}

    def run_job_flow(self, **request: Any) -> dict[str, Any]:
        self._begin("RunJobFlow")
        self.requests.append(request)
        self.on_start()
        if self.start_error and self.starts_late is not None:
            self._clock.after(self.starts_late, lambda: self._make(request))
        if self.start_error and not self.starts_anyway:
            raise self.start_error
        made = self._make(request)
        if self.start_error:
            raise self.start_error
        return made

    def add_job_flow_steps(self, **request: Any) -> dict[str, Any]:
        """Add steps; the errors of RunJobFlow are this one's, too."""
        self._begin("AddJobFlowSteps")
        self.added.append(request)
        self.on_start()
        if self.start_error and not self.starts_anyway:
            raise self.start_error
        added = self._perform("AddJobFlowSteps", request)
        if self.start_error:
            raise self.start_error
        return added

    def _make(self, request: dict[str, Any]) -> dict[str, Any]:
        self._emr.pace = replace(PACE, log_delay=self.log_delay)
        self._emr.faults = self.faults
        return self._perform("RunJobFlow", request)

    def _run_step(self, run: StepRun, done: Callable[[StepEnd], None]) -> None:
        def finish() -> None:
            if self.failing and self.failing[0] == run.name.split()[0]:  # the rest is the name of a run
                done(StepEnd(1, {name: text.encode() for name, text in self.failing[1].items()}))
                return
            if run.step_id == self.steps(run.cluster_id)[-1]["Id"] and not run.stop.is_set():
                self.on_done()
            counters = COUNTERS if any("count_flows.py" in word for word in run.arguments) else OTHER_COUNTERS
            done(StepEnd(0, run.name_logs(client={"syslog": counters.encode()}, scripts=b"")))

        self._clock.after(STEP_SECONDS, finish)

    def _begin(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.refused:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, operation)
        if self.errors:
            raise self.errors.pop(0)

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self._begin(operation)
        return self._perform(operation, request)

    def _perform(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._emr.perform(operation, request)
        except RefusedError as error:
            if error.code == "ValidationException":
                raise AssertionError(error) from error
            raise ClientError({"Error": {"Code": error.code, "Message": str(error)}}, operation) from error


class _Pages:
    def __init__(self, answer: Callable[..., dict[str, Any]]) -> None:
        self._answer = answer

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self._answer(**request)
