"""A fake EMR for runs: clusters that change their states with a clock. It raises on anything that it does not know."""

import gzip
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

STARTING, BOOTSTRAPPING, STEP, TERMINATING = 120, 120, 60, 60
"""Seconds that each state takes."""

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

EXISTS = """2026-11-23 18:22:00,000 ERROR org.apache.hadoop.streaming.StreamJob (main): Error Launching job : \
Output directory s3://bucket/out already exists
"""


@cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("emr")


class FakeEmr:
    """EMR's client.

    Attributes:
        failing: the step that fails, and its logs: name to text, below the cluster's folder.
        end_code: the reason code with which the cluster ends before its first step.
        never_starts: whether the cluster stays STARTING.
        log_delay: seconds until the logs of a step are in S3.
        errors: raised by the next calls, except RunJobFlow.
        start_error: raised by RunJobFlow; with `starts_anyway` after it made the cluster; with `starts_late` the
            cluster is made that many seconds later.
        on_start: called by RunJobFlow.
        requests: the requests of RunJobFlow.
        calls: the operations called.

    """

    releases = ("emr-7.13.0", "emr-7.14.0", "emr-7.9.0")

    def __init__(self, now: Callable[[], datetime], after: Callable[[float, Callable[[], object]], None]) -> None:
        self._now = now
        self._after = after
        self.put_log: Callable[[str, bytes], None] = lambda _uri, _content: None
        self.failing: tuple[str, dict[str, str]] | None = None
        self.end_code = ""
        self.never_starts = False
        self.log_delay = 30
        self.errors: list[ClientError] = []
        self.start_error: BaseException | None = None
        self.starts_anyway = False
        self.starts_late: float | None = None
        self.on_start: Callable[[], None] = lambda: None
        self.on_done: Callable[[], None] = lambda: None
        self.requests: list[dict[str, Any]] = []
        self.clusters: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[str] = []

    @property
    def running(self) -> list[str]:
        """The clusters that have not ended and are not ending."""
        return [one for one, cluster in self.clusters.items() if not cluster["Status"]["State"].startswith("TERM")]

    def _begin(self, operation: str, request: dict[str, Any]) -> None:
        self.calls.append(operation)
        shape = _model().operation_model(operation).input_shape
        assert shape is not None
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()
        if self.errors:
            raise self.errors.pop(0)

    def list_release_labels(self, **request: Any) -> dict[str, Any]:
        self._begin("ListReleaseLabels", request)
        found = [one for one in self.releases if one.startswith(request["Filters"]["Prefix"])]
        at = int(request.get("NextToken", "0"))
        more = {"NextToken": str(at + 1)} if at + 1 < len(found) else {}
        return {"ReleaseLabels": found[at : at + 1], **more}

    def run_job_flow(self, **request: Any) -> dict[str, Any]:
        self._begin("RunJobFlow", request)
        self.requests.append(request)
        self.on_start()
        if self.start_error and self.starts_late is not None:
            self._after(self.starts_late, lambda: self._make(request))
        if self.start_error and not self.starts_anyway:
            raise self.start_error
        cluster_id = self._make(request)
        if self.start_error:
            raise self.start_error
        return {"JobFlowId": cluster_id}

    def _make(self, request: dict[str, Any]) -> str:
        cluster_id = f"j-{len(self.clusters) + 1:013}"
        status = {"State": "STARTING", "StateChangeReason": {}, "Timeline": {"CreationDateTime": self._now()}}
        self.clusters[cluster_id] = {"Id": cluster_id, "Name": request["Name"], "Status": status}
        self.steps[cluster_id] = [
            {"Id": f"s-{number}", "Name": one["Name"], "Status": {"State": "PENDING", "Timeline": {}}}
            for number, one in enumerate(request["Steps"], 1)
        ]
        log_uri = f"{request['LogUri']}{cluster_id}/"
        if not self.never_starts:
            self._after(STARTING, lambda: self._bootstrap(cluster_id, log_uri))
        return cluster_id

    def _bootstrap(self, cluster_id: str, log_uri: str) -> None:
        if self._is_ending(cluster_id):
            return
        if self.end_code:
            self._end(cluster_id, "TERMINATED_WITH_ERRORS", self.end_code, "there is no capacity")
            return
        self.clusters[cluster_id]["Status"]["State"] = "BOOTSTRAPPING"
        self._after(BOOTSTRAPPING, lambda: self._run(cluster_id, 0, log_uri))

    def _run(self, cluster_id: str, number: int, log_uri: str) -> None:
        if self._is_ending(cluster_id):
            return
        if number == len(self.steps[cluster_id]):
            self.on_done()
            self._end(cluster_id, "TERMINATED", "ALL_STEPS_COMPLETED", "Steps completed")
            return
        self.clusters[cluster_id]["Status"]["State"] = "RUNNING"
        step = self.steps[cluster_id][number]
        step["Status"]["State"] = "RUNNING"
        step["Status"]["Timeline"]["StartDateTime"] = self._now()
        self._after(STEP, lambda: self._finish(cluster_id, number, log_uri))

    def _finish(self, cluster_id: str, number: int, log_uri: str) -> None:
        if self._is_ending(cluster_id):
            return
        step = self.steps[cluster_id][number]
        step["Status"]["Timeline"]["EndDateTime"] = self._now()
        logs = {f"steps/{step['Id']}/syslog": COUNTERS}
        if self.failing and self.failing[0] == step["Name"]:
            logs = self.failing[1]
            step["Status"] |= {"State": "FAILED", "FailureDetails": {"Reason": "Unknown Error."}}
            self._end(cluster_id, "TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")
        else:
            step["Status"]["State"] = "COMPLETED"
            self._run(cluster_id, number + 1, log_uri)
        for name, text in logs.items():
            packed = gzip.compress(text.encode())
            self._after(self.log_delay, lambda name=name, packed=packed: self.put_log(f"{log_uri}{name}.gz", packed))  # type: ignore[misc]

    def _is_ending(self, cluster_id: str) -> bool:
        return bool(self.clusters[cluster_id]["Status"]["State"].startswith("TERM"))

    def _end(self, cluster_id: str, state: str, code: str, message: str) -> None:
        status = self.clusters[cluster_id]["Status"]
        status |= {"State": "TERMINATING", "StateChangeReason": {"Code": code, "Message": message}}
        for step in self.steps[cluster_id]:
            if step["Status"]["State"] in ("PENDING", "RUNNING"):
                step["Status"]["State"] = "CANCELLED"

        def ended() -> None:
            status["State"] = state
            status["Timeline"]["EndDateTime"] = self._now()

        self._after(TERMINATING, ended)

    def describe_cluster(self, **request: Any) -> dict[str, Any]:
        self._begin("DescribeCluster", request)
        if request["ClusterId"] not in self.clusters:
            raise ClientError(
                {"Error": {"Code": "InvalidRequestException", "Message": "Cluster id is not valid."}}, "DescribeCluster"
            )
        return {"Cluster": self.clusters[request["ClusterId"]]}

    def terminate_job_flows(self, **request: Any) -> dict[str, Any]:
        self._begin("TerminateJobFlows", request)
        for cluster_id in request["JobFlowIds"]:
            if not self._is_ending(cluster_id):
                self._end(cluster_id, "TERMINATED", "USER_REQUEST", "Terminated by user request")
        return {}

    def get_paginator(self, name: str) -> "_Pages":
        return _Pages({"list_steps": self._list_steps, "list_clusters": self._list_clusters}[name])

    def _list_steps(self, **request: Any) -> dict[str, Any]:
        self._begin("ListSteps", request)
        return {"Steps": self.steps[request["ClusterId"]][::-1]}

    def _list_clusters(self, **request: Any) -> dict[str, Any]:
        self._begin("ListClusters", request)
        return {
            "Clusters": [
                one
                for one in self.clusters.values()
                if request["CreatedAfter"] <= one["Status"]["Timeline"]["CreationDateTime"] <= request["CreatedBefore"]
            ]
        }


class _Pages:
    def __init__(self, answer: Callable[..., dict[str, Any]]) -> None:
        self._answer = answer

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self._answer(**request)
