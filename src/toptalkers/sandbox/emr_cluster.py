"""The life of one emulated cluster and its steps, as Amazon EMR reports it through its API.

States, reason codes and the rules of ActionOnFailure are EMR's (management guide, "Understanding the cluster
lifecycle", "Submit work to a cluster"; API reference, ClusterStatus, StepConfig). A cluster continues when its clock
calls it or when one of its steps ends. The clock and the runner of steps are passed in: unit tests pass fake ones.
"""

import gzip
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from toptalkers.sandbox.emr_faults import CALLS_BEFORE_EXPIRY, LATE_LOGS_SECONDS, THROTTLED_CALLS, Fault

LOGGER = logging.getLogger(__name__)

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")


@dataclass(frozen=True)
class Pace:
    """How many seconds each state change takes, instead of minutes on EMR."""

    starting: float = 0.5
    bootstrapping: float = 0.5
    terminating: float = 0.5
    log_delay: float = 0.2
    idle_scale: float = 1.0
    """How many seconds one second of an AutoTerminationPolicy takes."""


class Clock(Protocol):
    """Tells the time, and calls functions later."""

    def now(self) -> datetime:
        """Return the time, in UTC."""

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Call `do` after that many seconds, in any thread, but not within this call."""


class WallClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Call `do` in a new thread."""
        timer = threading.Timer(seconds, do)
        timer.daemon = True
        timer.start()


@dataclass(frozen=True)
class StepRun:
    """One step for its runner.

    Attributes:
        cluster_id: the id of the cluster.
        step_id: the id of the step.
        name: the step's name.
        application: YARN's number of the job, which is in the names of its containers.
        arguments: those of `command-runner.jar`, `hadoop-streaming` first.
        work_dir: a folder of the cluster; paths without a scheme are relative to it, as to the user's home in HDFS.
        log_dir: a folder of the step, for the runner's files. The runner makes both folders.
        instance_profile: the name or ARN of the instance profile, whose role the nodes have.
        stop: set when the step is cancelled or its cluster is terminated; the run must then end.

    """

    cluster_id: str
    step_id: str
    name: str
    application: str
    arguments: tuple[str, ...]
    work_dir: Path
    log_dir: Path
    instance_profile: str
    stop: threading.Event

    def name_logs(self, *, client: Mapping[str, bytes], scripts: bytes) -> dict[str, bytes]:
        """Name logs as EMR does, below the cluster's folder; empty ones are left out.

        Args:
            client: those of Hadoop's client: `syslog`, `stderr`, `stdout`.
            scripts: the standard error of the scripts, which EMR has in their containers' logs, never in the step's.

        """
        container = f"containers/application_{self.application}/container_{self.application}_01_000002/stderr"
        named = {f"steps/{self.step_id}/{name}": text for name, text in client.items()} | {container: scripts}
        return {name: text for name, text in named.items() if text}


@dataclass(frozen=True)
class StepEnd:
    """How a step ended: its exit code, 0 for success, and its logs by their names below the cluster's folder."""

    exit_code: int
    logs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class StartFailure:
    """Why a cluster ends while it is STARTING.

    Attributes:
        code: EMR's code in the StateChangeReason.
        message: the reason in words.
        error_code: EMR's code in the ErrorDetails; empty if EMR has none.
        data: what the ErrorDetails tell besides.

    """

    code: str
    message: str
    error_code: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


CheckStart = Callable[[Mapping[str, Any], int], StartFailure | None]
"""Returns why EMR ends a new cluster, by the request and the account's quota of vCPUs; None if it starts."""

RunStep = Callable[[StepRun, Callable[[StepEnd], None]], None]
"""Begins to run a step and returns; calls back once, later, when the step has ended."""

PutLog = Callable[[str, bytes], None]
"""Puts an object at an `s3://` address."""


def in_thread(run: Callable[[StepRun], StepEnd]) -> RunStep:
    """Make a runner from a function that returns when the step has ended; each step gets a thread."""

    def work(step: StepRun, done: Callable[[StepEnd], None]) -> None:
        try:
            end = run(step)
        except Exception:
            LOGGER.exception("step %s broke down", step.step_id)
            end = StepEnd(1)
        done(end)

    def begin(step: StepRun, done: Callable[[StepEnd], None]) -> None:
        threading.Thread(target=work, args=(step, done), name=step.step_id, daemon=True).start()

    return begin


START_FAULTS = {
    Fault.NO_CAPACITY: StartFailure(
        "INTERNAL_ERROR",
        "EC2 has insufficient capacity for the requested instance type in the requested Availability Zone",
        "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ",
    ),
    Fault.NO_PERMISSION: StartFailure(
        "VALIDATION_ERROR",
        "Service role arn:aws:iam::123456789012:role/service has insufficient EC2 permissions."
        " EC2 Message: You are not authorized to perform: ec2:CreateSecurityGroup",
    ),
    Fault.INVALID_SUBNET: StartFailure(
        "VALIDATION_ERROR",
        "The VPC/subnet configuration was invalid: The subnet configuration was invalid:"
        " The subnet subnet-0123456789abcdef0 does not exist.",
    ),
    Fault.NO_SPOT_ROLE: StartFailure(
        "VALIDATION_ERROR",
        "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
    ),
}
"""The faults that end a cluster while it is STARTING, in EMR's and EC2's words."""


@dataclass
class Step:
    """A step and its state."""

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
        """The effect of its failure. EMR does not document a default; here it is the strictest."""
        given = str(self.config.get("ActionOnFailure", "TERMINATE_CLUSTER"))
        return "TERMINATE_CLUSTER" if given == "TERMINATE_JOB_FLOW" else given

    @property
    def is_running(self) -> bool:
        """Whether its runner has not called back."""
        return self.state in ("RUNNING", "CANCEL_PENDING")


@dataclass(frozen=True)
class Machinery:
    """The parts that all clusters of an emulated EMR share; see `Emr`."""

    clock: Clock
    run_step: RunStep
    put_log: PutLog
    new_id: Callable[[str], str]
    state_dir: Path
    check_start: CheckStart = lambda _request, _quota: None
    may_log: Callable[[str, str], bool] = lambda _profile, _address: True
    """Whether the nodes of an instance profile may put an object at an address."""
    lock: threading.Condition = field(default_factory=threading.Condition)
    """Held to read or change a cluster; notified when a step ends."""


class Cluster:
    """One cluster. Callers hold the lock of its machinery."""

    def __init__(
        self,
        request: Mapping[str, Any],
        machinery: Machinery,
        *,
        pace: Pace,
        faults: frozenset[Fault],
        quota: int = sys.maxsize,
    ) -> None:
        """Begin to start, for a RunJobFlow request that was checked; `quota` is the account's, in vCPUs."""
        self.id = machinery.new_id("j-")
        self.request = request
        self.created = machinery.clock.now()
        self.ready: datetime | None = None
        self.ended: datetime | None = None
        self.state = "STARTING"
        self.reason: dict[str, str] = {}
        self.error_details: list[dict[str, Any]] = []
        self.steps: list[Step] = []
        self.is_kept_alive = bool(request["Instances"].get("KeepJobFlowAliveWhenNoSteps", False))
        self.calls_to_refuse = THROTTLED_CALLS if Fault.THROTTLING in faults else 0
        self.calls_to_answer = CALLS_BEFORE_EXPIRY if Fault.EXPIRED_CREDENTIALS in faults else None
        self._machinery = machinery
        self._pace = pace
        self._faults = faults
        self._quota = quota
        self._final_state = "TERMINATED"
        self.add_steps(request.get("Steps", []))
        if Fault.NEVER_STARTS in faults:
            self.reason = {"Message": "Provisioning Amazon EC2 capacity"}
        else:
            self._later(pace.starting, self._bootstrap)

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is ending: then EMR allows no change."""
        return self.state in ("TERMINATING", *ENDED)

    def add_steps(self, configs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Append steps; return their ids."""
        now = self._machinery.clock.now()
        new = [Step(self._machinery.new_id("s-"), config, now) for config in configs]
        self.steps += new
        if self.state == "WAITING":
            self._go_on()
        return [step.id for step in new]

    def cancel_step(self, step_id: str) -> str | None:
        """Cancel a step that has not ended; return the reason if that is not possible."""
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

    def end(
        self,
        final_state: str = "TERMINATED",
        code: str = "USER_REQUEST",
        message: str = "Terminated by user request",
        error_code: str = "",
        data: Mapping[str, str] | None = None,
    ) -> None:
        """End it in one of the states `ENDED`, in any state that it is in; does nothing if it is ending already.

        Args:
            final_state: the state at the end.
            code: EMR's code for the reason.
            message: the reason in words.
            error_code: EMR's code for the error, if EMR has one.
            data: what EMR tells about the error besides.

        """
        if self.is_over:
            return
        self._final_state = final_state
        self._set_state("TERMINATING", message, code)
        if error_code:
            self.error_details = [{"ErrorCode": error_code, "ErrorMessage": message, "ErrorData": [dict(data or {})]}]
        for step in self.steps:
            if step.state == "PENDING":
                self._end_step(step, "CANCELLED")
            step.stop.set()
        self._terminate()

    def _bootstrap(self) -> None:
        failure = self._start_failure()
        if failure:
            self.end("TERMINATED_WITH_ERRORS", failure.code, failure.message, failure.error_code, failure.data)
            return
        self._set_state("BOOTSTRAPPING", "Running bootstrap actions")
        self._later(self._pace.bootstrapping, self._become_ready)

    def _start_failure(self) -> StartFailure | None:
        for fault, failure in START_FAULTS.items():
            if fault in self._faults:
                return failure
        try:
            return self._machinery.check_start(self.request, self._quota)
        except Exception:
            LOGGER.exception("the start of %s cannot be checked", self.id)
            return StartFailure("INTERNAL_ERROR", "An internal error occurred.")

    def _become_ready(self) -> None:
        if Fault.BOOTSTRAP_FAILURE in self._faults:
            self.end(
                "TERMINATED_WITH_ERRORS",
                "BOOTSTRAP_FAILURE",
                "On the master instance (i-0123456789abcdef0), bootstrap action 1 returned a non-zero return code",
                "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE",
            )
            return
        self.ready = self._machinery.clock.now()
        self._go_on()

    def _go_on(self) -> None:
        """Run the next step; if there is none, wait or end."""
        step = next((step for step in self.steps if step.state == "PENDING"), None)
        if step:
            step.state, step.started = "RUNNING", self._machinery.clock.now()
            self._set_state("RUNNING", "Running step")
            self._run(step)
        elif not self.is_kept_alive:
            failed = any(step.state == "FAILED" for step in self.steps)
            message = "Steps completed with errors" if failed else "Steps completed"
            self.end("TERMINATED", "ALL_STEPS_COMPLETED", message)
        else:
            self._set_state("WAITING", "Cluster ready to run steps.")
            idle_s = self.request.get("AutoTerminationPolicy", {}).get("IdleTimeout")
            if idle_s is not None:
                self._later(idle_s * self._pace.idle_scale, partial(self._end_idle, len(self.steps)))

    def _end_idle(self, steps: int) -> None:
        """End it for its idle time-out, unless it got more steps in the meantime."""
        if len(self.steps) == steps:
            self.end("TERMINATED", "ALL_STEPS_COMPLETED", "Terminated by its auto-termination policy")

    def _run(self, step: Step) -> None:
        number = self.steps.index(step)
        arguments = tuple(step.config["HadoopJarStep"].get("Args", []))
        if Fault.STEP_FAILURE in self._faults and number == 0:
            arguments = with_dying_mapper(arguments)
        folder = self._machinery.state_dir / self.id
        run = StepRun(
            cluster_id=self.id,
            step_id=step.id,
            name=step.config["Name"],
            application=f"{int(self.created.timestamp() * 1000)}_{number + 1:04d}",
            arguments=arguments,
            work_dir=folder / "home",
            log_dir=folder / "logs" / step.id,
            instance_profile=self.request["JobFlowRole"],
            stop=step.stop,
        )
        self._machinery.run_step(run, partial(self._finish, step, arguments))

    def _finish(self, step: Step, arguments: Sequence[str], end: StepEnd) -> None:
        """Record the end of a step, in the thread of its runner."""
        with self._machinery.lock:
            began, now = step.started or self.created, self._machinery.clock.now()
            outcome = f"WARN Step failed with exitCode {end.exit_code}" if end.exit_code else "INFO Step succeeded"
            controller = [
                (began, f"INFO startExec 'hadoop jar command-runner.jar {' '.join(arguments)}'"),
                (now, f"INFO waitProcessCompletion ended with exit code {end.exit_code}"),
                (now, f"{outcome} and took {(now - began).total_seconds():.0f} seconds"),
            ]
            text = "".join(f"{time:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {line}\n" for time, line in controller)
            delay_s = LATE_LOGS_SECONDS if Fault.LATE_LOGS in self._faults else self._pace.log_delay
            logs = {f"steps/{step.id}/controller": text.encode(), **end.logs}
            self._machinery.clock.after(delay_s, partial(self._push_logs, logs))
            was_over = self.is_over
            self._settle(step, end.exit_code)
            if was_over:
                self._terminate()
            elif not self.is_over:
                self._go_on()
            self._machinery.lock.notify_all()

    def _settle(self, step: Step, exit_code: int) -> None:
        """Record how a step ended, and follow its ActionOnFailure."""
        if step.stop.is_set() or exit_code == 0:
            self._end_step(step, "CANCELLED" if step.stop.is_set() else "COMPLETED")
            return
        step.failure = {"Reason": "Unknown Error."}
        if log_uri := self._log_uri():
            step.failure["LogFile"] = f"{log_uri}{self.id}/steps/{step.id}/stderr.gz"
        self._end_step(step, "FAILED")
        if step.on_failure == "CONTINUE":
            return
        for other in self.steps:
            if other.state == "PENDING":
                self._end_step(other, "CANCELLED")
        if step.on_failure == "TERMINATE_CLUSTER":
            self.end("TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")

    def _terminate(self) -> None:
        """Change from TERMINATING to the final state, some time after the last step has stopped."""
        if not any(step.is_running for step in self.steps):
            self._machinery.clock.after(self._pace.terminating, self._become_ended)

    def _become_ended(self) -> None:
        with self._machinery.lock:
            self.state, self.ended = self._final_state, self._machinery.clock.now()

    def _end_step(self, step: Step, state: str) -> None:
        step.state, step.ended = state, self._machinery.clock.now()

    def _set_state(self, state: str, message: str, code: str = "") -> None:
        self.state = state
        self.reason = {"Message": message} | ({"Code": code} if code else {})

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        """Call `do` later, unless the cluster is ending by then."""

        def due() -> None:
            with self._machinery.lock:
                if not self.is_over:
                    do()

        self._machinery.clock.after(seconds, due)

    def _push_logs(self, logs: Mapping[str, bytes]) -> None:
        """Put gzipped logs where EMR puts them. Does not need the lock."""
        if log_uri := self._log_uri():
            for name, text in logs.items():
                address = f"{log_uri}{self.id}/{name}.gz"
                if self._machinery.may_log(self.request["JobFlowRole"], address):
                    self._machinery.put_log(address, gzip.compress(text, mtime=0))
                else:
                    # As on EMR, a cluster that may not write its logs still runs.
                    LOGGER.warning("the nodes of %s may not put %s", self.id, address)

    def _log_uri(self) -> str:
        """Return the address of the logs, with a `/` at the end; empty if the request has none."""
        given = str(self.request.get("LogUri", ""))
        return given.rstrip("/").replace("s3n://", "s3://") + "/" if given else ""


def with_dying_mapper(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments with a mapper that raises at once, so that the logs are those of a real Hadoop."""
    broken = list(arguments)
    if "-mapper" in broken[:-1]:
        broken[broken.index("-mapper") + 1] = "python3 -c 1/0"
    return tuple(broken)
