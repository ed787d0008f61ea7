"""The life of one cluster and its steps, as Amazon EMR tells it through its API.

States, reason codes and the rules of ActionOnFailure are EMR's (management guide, "Understanding the cluster
lifecycle", "Submit work to a cluster"; API reference, ClusterStatus, StepConfig). A cluster lives in a thread of
its own; steps run one after the other through a function that is handed in.
"""

import gzip
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toptalkers.sandbox.emr_faults import LATE_LOGS_SECONDS, Fault

ID_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")

NORMALIZED_HOURS = {"xlarge": 8, "2xlarge": 16, "4xlarge": 32, "8xlarge": 64, "12xlarge": 96, "16xlarge": 128}
"""Normalized instance hours that EMR counts for an hour of an instance, by its size."""


@dataclass(frozen=True)
class Pace:
    """How long a cluster takes for what takes minutes on EMR, in seconds."""

    starting: float = 0.5
    bootstrapping: float = 0.5
    terminating: float = 0.5
    log_delay: float = 0.2
    idle_scale: float = 1.0
    """What a second of an AutoTerminationPolicy lasts."""


@dataclass(frozen=True)
class StepRun:
    """One step on its way to whatever runs it.

    Attributes:
        arguments: those of `command-runner.jar`, `hadoop-streaming` first.
        work_dir: of the cluster; a path without a scheme is relative to it, as it is to the user's home in HDFS.
        log_dir: where `syslog`, `stderr` and `stdout` are to be left, what there is of them.
        stop: set when the step is cancelled or its cluster terminated; the run must end then.

    """

    arguments: tuple[str, ...]
    work_dir: Path
    log_dir: Path
    stop: threading.Event


RunStep = Callable[[StepRun], int]
"""Runs a step to its end; its exit code comes back, 0 for success."""

PutLog = Callable[[str, bytes], None]
"""Puts an object at an `s3://` address."""


@dataclass
class Step:
    """A step and what has become of it so far."""

    id: str
    config: Mapping[str, Any]
    created: datetime
    state: str = "PENDING"
    started: datetime | None = None
    ended: datetime | None = None
    failure: dict[str, str] | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def on_failure(self) -> str:
        """What its failure does. EMR does not document a default: the strictest, here."""
        given = str(self.config.get("ActionOnFailure", "TERMINATE_CLUSTER"))
        return "TERMINATE_CLUSTER" if given == "TERMINATE_JOB_FLOW" else given


class Cluster:
    """One cluster. Public methods may be called from any thread."""

    def __init__(
        self,
        cluster_id: str,
        request: Mapping[str, Any],
        *,
        work_dir: Path,
        run_step: RunStep,
        put_log: PutLog,
        pace: Pace,
        faults: frozenset[Fault],
    ) -> None:
        """Take a checked RunJobFlow request; nothing happens before `start()`."""
        self.id = cluster_id
        self.request = request
        self.created = _now()
        self.ready: datetime | None = None
        self.ended: datetime | None = None
        self.state = "STARTING"
        self.reason: dict[str, str] = {}
        self.error_details: list[dict[str, Any]] = []
        self.steps = [_new_step(config, self.created) for config in request.get("Steps", [])]
        self.idle_timeout_s: int | None = request.get("AutoTerminationPolicy", {}).get("IdleTimeout")
        instances = request["Instances"]
        self.is_kept_alive = bool(instances.get("KeepJobFlowAliveWhenNoSteps", False))
        self.is_protected = bool(instances.get("TerminationProtected", False))
        self.tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        self.lock = threading.Condition()
        self._faults = faults
        self._work_dir = work_dir
        self._run_step = run_step
        self._put_log = put_log
        self._pace = pace
        self._ending: tuple[str, str, str] | None = None
        self._application_number = 0
        self._thread = threading.Thread(target=self._live, name=cluster_id, daemon=True)

    def start(self) -> None:
        """Begin its life."""
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until its life is over; whether it is."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is ending: EMR lets nobody change it then."""
        return self._ending is not None or self.state in ("TERMINATING", *ENDED)

    def add_steps(self, configs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Append steps; their ids."""
        with self.lock:
            new = [_new_step(config, _now()) for config in configs]
            self.steps += new
            self.lock.notify_all()
            return [step.id for step in new]

    def cancel_step(self, step_id: str) -> str | None:
        """Cancel a step that has not ended; why not, when not."""
        with self.lock:
            step = next((step for step in self.steps if step.id == step_id), None)
            if step is None:
                return "Step does not exist."
            if step.state == "PENDING":
                self._end_step(step, "CANCELLED")
            elif step.state == "RUNNING":
                step.state = "CANCEL_PENDING"
                step.stop.set()
            else:
                return f"Step is already {step.state}."
            return None

    def terminate(self, code: str = "USER_REQUEST", message: str = "Terminated by user request") -> None:
        """End it, in whatever state it is."""
        with self.lock:
            if self.is_over:
                return
            self._ending = ("TERMINATED", code, message)
            for step in self.steps:
                step.stop.set()
            self.lock.notify_all()

    def normalized_instance_hours(self) -> int:
        """What it has cost so far: hours begun, times instances, times the weight of their size."""
        hours = math.ceil(((self.ended or _now()) - (self.ready or self.created)).total_seconds() / 3600)
        weight = sum(
            count * NORMALIZED_HOURS.get(instance_type.partition(".")[2], 8)
            for instance_type, count in instance_counts(self.request["Instances"])
        )
        return weight * max(hours, 1) if self.ready else 0

    def _live(self) -> None:
        if self._start_up():
            self._run_steps()
        with self.lock:
            # Someone may have asked for its end in the meantime; the first reason stays.
            final, code, message = self._ending or ("TERMINATED", "ALL_STEPS_COMPLETED", "Steps completed")
            self._ending = (final, code, message)
            for step in self.steps:
                if step.state == "PENDING":
                    self._end_step(step, "CANCELLED")
            self.reason = {"Code": code, "Message": message}
            self.state = "TERMINATING"
            self.lock.notify_all()
        time.sleep(self._pace.terminating)
        with self.lock:
            self.state = final
            self.ended = _now()
            self.lock.notify_all()

    def _start_up(self) -> bool:
        """Go to RUNNING; False when it ends before."""
        if Fault.NEVER_STARTS in self._faults:
            with self.lock:
                self.reason = {"Message": "Provisioning Amazon EC2 capacity"}
            self._pause(None)
        self._pause(self._pace.starting)
        if Fault.NO_CAPACITY in self._faults:
            self._fail_to_start(
                "INTERNAL_ERROR",
                "EC2 has insufficient capacity for the requested instance type in the requested Availability Zone",
                "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ",
            )
        if not self._set_state("BOOTSTRAPPING", "Running bootstrap actions"):
            return False
        self._pause(self._pace.bootstrapping)
        if Fault.BOOTSTRAP_FAILURE in self._faults:
            self._fail_to_start(
                "BOOTSTRAP_FAILURE",
                "On the master instance (i-0123456789abcdef0), bootstrap action 1 returned a non-zero return code",
                "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE",
            )
        with self.lock:
            if self._ending is None:
                self.ready = _now()
            return self._ending is None

    def _run_steps(self) -> None:
        """Run what is there and what is added, until there is a reason to end."""
        failed = False
        while True:
            with self.lock:
                if self._ending:
                    return
                step = next((step for step in self.steps if step.state == "PENDING"), None)
                if step is None:
                    if not self.is_kept_alive:
                        message = "Steps completed with errors" if failed else "Steps completed"
                        self._ending = ("TERMINATED", "ALL_STEPS_COMPLETED", message)
                        return
                    self._wait_for_work()
                    continue
                step.state, step.started = "RUNNING", _now()
                self.state, self.reason = "RUNNING", {"Message": "Running step"}
                self.lock.notify_all()
            exit_code = self._run(step)
            with self.lock:
                self._settle(step, exit_code)
                failed = failed or step.state == "FAILED"

    def _wait_for_work(self) -> None:
        """Be WAITING until a step comes, someone ends it, or the idle time-out does. Holds the lock."""
        self.state, self.reason = "WAITING", {"Message": "Cluster ready to run steps."}
        self.lock.notify_all()
        since = time.monotonic()
        while self._ending is None and all(step.state != "PENDING" for step in self.steps):
            left = None
            if self.idle_timeout_s is not None:
                left = self.idle_timeout_s * self._pace.idle_scale - (time.monotonic() - since)
                if left <= 0:
                    self._ending = ("TERMINATED", "ALL_STEPS_COMPLETED", "Terminated by its auto-termination policy")
                    return
            self.lock.wait(left)

    def _run(self, step: Step) -> int:
        """Run one step and see to its logs."""
        log_dir = self._work_dir / "logs" / step.id
        log_dir.mkdir(parents=True)
        home = self._work_dir / "home"
        home.mkdir(exist_ok=True)
        arguments = tuple(step.config["HadoopJarStep"].get("Args", []))
        if Fault.STEP_FAILURE in self._faults and step is self.steps[0]:
            arguments = with_dying_mapper(arguments)
        controller = [_log_line(f"INFO startExec 'hadoop jar command-runner.jar {' '.join(arguments)}'")]
        began = time.monotonic()
        exit_code = self._run_step(StepRun(arguments, home, log_dir, step.stop))
        took_s = int(time.monotonic() - began)
        controller.append(_log_line(f"INFO waitProcessCompletion ended with exit code {exit_code}"))
        outcome = "INFO Step succeeded" if exit_code == 0 else f"WARN Step failed with exitCode {exit_code}"
        controller.append(_log_line(f"{outcome} and took {took_s} seconds"))
        (log_dir / "controller").write_text("\n".join(controller) + "\n")
        threading.Thread(target=self._push_logs, args=(step, log_dir), name=f"logs of {step.id}", daemon=True).start()
        return exit_code

    def _settle(self, step: Step, exit_code: int) -> None:
        """Note how a step ended and do what its ActionOnFailure says. Holds the lock."""
        if step.stop.is_set():
            self._end_step(step, "CANCELLED")
            return
        if exit_code == 0:
            self._end_step(step, "COMPLETED")
            return
        step.failure = {"Reason": "Unknown Error."}
        if address := self._step_log_uri(step):
            step.failure["LogFile"] = f"{address}stderr.gz"
        self._end_step(step, "FAILED")
        if step.on_failure == "CONTINUE":
            return
        for other in self.steps:
            if other.state == "PENDING":
                self._end_step(other, "CANCELLED")
        # A protected cluster outlives a step's failure, unless it is to end with its steps anyway.
        stays = self.is_kept_alive and self.is_protected
        if step.on_failure == "TERMINATE_CLUSTER" and not stays and self._ending is None:
            self._ending = ("TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")

    def _end_step(self, step: Step, state: str) -> None:
        step.state, step.ended = state, _now()
        self.lock.notify_all()

    def _push_logs(self, step: Step, log_dir: Path) -> None:
        """Put a step's logs where EMR puts them, gzipped, some time after its end.

        What the step's scripts wrote to standard error is on EMR in the log of their container, never in the
        step's; the sandbox has it in one file, and puts it there.
        """
        log_uri = self._log_uri()
        if log_uri is None:
            return
        time.sleep(LATE_LOGS_SECONDS if Fault.LATE_LOGS in self._faults else self._pace.log_delay)
        texts = {path.name: path.read_bytes() for path in sorted(log_dir.iterdir()) if path.is_file()}
        scripts = texts.pop("container-stderr", b"")
        for name in ("controller", "syslog", "stderr", "stdout"):
            if text := texts.get(name, b""):
                self._put_log(f"{self._step_log_uri(step)}{name}.gz", gzip.compress(text, mtime=0))
        if scripts:
            number = f"{int(self.created.timestamp() * 1000)}_{self.steps.index(step) + 1:04d}"
            self._put_log(
                f"{log_uri}{self.id}/containers/application_{number}/container_{number}_01_000002/stderr.gz",
                gzip.compress(scripts, mtime=0),
            )

    def _log_uri(self) -> str | None:
        given = self.request.get("LogUri")
        return None if not given else str(given).rstrip("/").replace("s3n://", "s3://") + "/"

    def _step_log_uri(self, step: Step) -> str | None:
        log_uri = self._log_uri()
        return f"{log_uri}{self.id}/steps/{step.id}/" if log_uri else None

    def _fail_to_start(self, code: str, message: str, error_code: str) -> None:
        with self.lock:
            if self._ending is None:
                self._ending = ("TERMINATED_WITH_ERRORS", code, message)
                self.error_details = [{"ErrorCode": error_code, "ErrorMessage": message, "ErrorData": []}]

    def _set_state(self, state: str, message: str) -> bool:
        with self.lock:
            if self._ending is None:
                self.state, self.reason = state, {"Message": message}
                self.lock.notify_all()
            return self._ending is None

    def _pause(self, seconds: float | None) -> None:
        with self.lock:
            self.lock.wait_for(lambda: self._ending is not None, seconds)


def with_dying_mapper(arguments: Sequence[str]) -> tuple[str, ...]:
    """The same arguments with a mapper that raises at once, so that real Hadoop fails in its own words."""
    broken = list(arguments)
    if "-mapper" in broken[:-1]:
        broken[broken.index("-mapper") + 1] = "python3 -c 1/0"
    return tuple(broken)


def instance_counts(instances: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Instance types of a request's `Instances`, and how many of each; of a fleet its first type."""
    counts = [
        (str(group["InstanceType"]), int(group["InstanceCount"])) for group in instances.get("InstanceGroups", [])
    ]
    for fleet in instances.get("InstanceFleets", []):
        capacity = int(fleet.get("TargetOnDemandCapacity", 0)) + int(fleet.get("TargetSpotCapacity", 0))
        counts += [(str(config["InstanceType"]), capacity) for config in fleet.get("InstanceTypeConfigs", [])[:1]]
    return counts


def new_id(prefix: str) -> str:
    """An id as EMR makes them: `j-`, `s-`, `ig-`, `if-` and letters."""
    return prefix + "".join(secrets.choice(ID_LETTERS) for _ in range(13))


def _new_step(config: Mapping[str, Any], created: datetime) -> Step:
    return Step(new_id("s-"), config, created)


def _log_line(text: str) -> str:
    return f"{_now():%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {text}"


def _now() -> datetime:
    return datetime.now(UTC)
