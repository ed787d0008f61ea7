"""A whole local AWS around a command: it works, and leaves nothing, however the command ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.processes import is_running, wait_for

pytest.importorskip("ministack")

pytestmark = pytest.mark.sandbox

STORE_AND_LOAD = """
    import boto3
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"stored")
    assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"stored"
    assert boto3.client("emr").list_clusters()["Clusters"] == []
    assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"
"""

WITH_A_FUNCTION = """
    import io, zipfile, boto3
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "import os\\ndef handler(event, context): return os.getpid()")
    functions = boto3.client("lambda")
    functions.create_function(
        FunctionName="f", Runtime="python3.14", Handler="index.handler", Code={"ZipFile": packed.getvalue()},
        Role="arn:aws:iam::123456789012:role/r",
    )
    report["function"] = int(functions.invoke(FunctionName="f")["Payload"].read())
"""

WAIT = "import time; time.sleep(120)"


class Run:
    """`toptalkers sandbox run` around a Python script that reports its environment."""

    def __init__(
        self,
        tmp_path: Path,
        script: str,
        *options: str,
        environment: dict[str, str] | None = None,
        logs: bool = True,
    ) -> None:
        self._report = tmp_path / "report.json"
        begin = """
            import json, os, pathlib, sys
            report = {"url": os.environ["AWS_ENDPOINT_URL"], "emr_url": os.environ["AWS_ENDPOINT_URL_EMR"]}
            report |= {"pid": os.getpid(), "environment": dict(os.environ)}
            def tell():
                path = pathlib.Path(sys.argv[1])
                path.with_suffix(".new").write_text(json.dumps(report))
                path.with_suffix(".new").rename(path)
        """
        self._logs = tmp_path / "logs"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "toptalkers", "sandbox", "run"]
            + [*(["--logs", str(self._logs)] if logs else []), *options, "--"]
            + [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(script), str(self._report)],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self) -> dict[str, Any]:
        """Wait for the script's report; return it."""
        wait_for(lambda: self._report.exists() or self.process.poll() is not None)
        return dict(json.loads(self._report.read_text()))

    def end(self) -> tuple[int, str]:
        """Return exit code and standard error."""
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr

    def is_all_gone(self, report: dict[str, Any]) -> bool:
        """Whether its ports are closed, and no process has its state folder in its environment or its arguments."""
        ports = [urlsplit(report[name]).port for name in ("url", "emr_url")]
        return not any(is_open(port) for port in ports if port) and not processes_with(str(self._logs))


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def processes_with(text: str) -> list[int]:
    """Return the processes that have a text in their environment, their arguments or as their directory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            seen = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            seen += os.fsencode((folder / "cwd").readlink())
        except OSError:
            continue
        if text.encode() in seen and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start runs; end those that a failing test leaves."""
    runs = []

    def begin(script: str, *options: str, **more: Any) -> Run:
        runs.append(Run(tmp_path, script, *options, **more))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.kill()
        run.process.communicate()


def test_a_command_finds_a_whole_aws(start: Callable[..., Run]) -> None:
    """S3, EMR, STS and Lambda answer; after the end no port is open and no process is left."""
    run = start(STORE_AND_LOAD + WITH_A_FUNCTION + "    tell()\n")
    code, stderr = run.end()
    assert code == 0, stderr
    report = run.report()
    assert "AWS runs at http://127.0.0.1:" in stderr
    assert run.is_all_gone(report)
    assert not is_running(report["function"])


def test_the_user_s_own_aws_is_out_of_reach(start: Callable[..., Run], tmp_path: Path) -> None:
    """Profile, keys, files and proxies of the caller's environment are not passed on."""
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\nendpoint_url = http://192.0.2.1\n")
    run = start(
        STORE_AND_LOAD + "    tell()\n",
        environment={
            "AWS_PROFILE": "production",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SESSION_TOKEN": "token",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ENDPOINT_URL_S3": "http://192.0.2.1",
            "HTTP_PROXY": "http://192.0.2.1:3128",
        },
    )
    code, stderr = run.end()
    assert code == 0, stderr
    environment = run.report()["environment"]
    assert environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_ACCESS_KEY_ID"] not in ("test", "AKIAIOSFODNN7EXAMPLE")
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} & set(environment)


def test_the_command_s_exit_code_is_the_sandbox_s(start: Callable[..., Run]) -> None:
    """Also that of a failing command, and everything is stopped."""
    run = start("tell(); sys.exit(7)")
    assert run.end()[0] == 7
    assert run.is_all_gone(run.report())


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    """One line says so, and nothing is left."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "toptalkers",
            "sandbox",
            "run",
            "--logs",
            str(tmp_path / "logs"),
            "--",
            "no-such-command",
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Error: cannot run no-such-command: No such file or directory"
    assert processes_with(str(tmp_path / "logs")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(start: Callable[..., Run], number: signal.Signals) -> None:
    """The command gets the signal and ends; then nothing is left, not even the function's process."""
    run = start(WITH_A_FUNCTION + "    tell()\n    " + WAIT)
    report = run.report()
    assert not run.is_all_gone(report)
    run.process.send_signal(number)
    code, _ = run.end()
    assert code == 128 + number or (number == signal.SIGINT and code in (1, 130))
    assert run.is_all_gone(report)
    assert not is_running(report["pid"])
    assert not is_running(report["function"])


def test_a_signal_while_it_starts(start: Callable[..., Run]) -> None:
    """The command never begins: everything that was started is stopped."""
    run = start("tell()")
    wait_for(lambda: len(processes_with(str(run._logs / "tmp"))) > 0)
    run.process.send_signal(signal.SIGTERM)
    code, _ = run.end()
    if not run._report.exists():
        assert code == 128 + signal.SIGTERM
    assert processes_with(str(run._logs)) == []


@pytest.mark.parametrize("logs", [True, False])
def test_even_a_killed_sandbox_leaves_nothing(start: Callable[..., Run], tmp_path: Path, logs: bool) -> None:
    """MiniStack, its functions, the command and the folder are removed with the process that started them."""
    (tmp_path / "tmp").mkdir()
    run = start(WITH_A_FUNCTION + "    tell()\n    " + WAIT, logs=logs, environment={"TMPDIR": str(tmp_path / "tmp")})
    report = run.report()
    assert len(list((tmp_path / "tmp").glob("toptalkers-*"))) == (0 if logs else 1)
    run.process.kill()
    run.process.wait()
    wait_for(lambda: not is_open(urlsplit(report["url"]).port or 0), 10)
    for pid in (report["function"], report["pid"]):
        wait_for(lambda pid=pid: not is_running(pid), 10)  # type: ignore[misc]
    wait_for(lambda: not list((tmp_path / "tmp").iterdir()), 20)
    wait_for(lambda: not processes_with(str(tmp_path / "tmp")), 20)


@pytest.mark.parametrize("options", [[], ["--auth"]])
def test_another_user_gets_nothing(start: Callable[..., Run], tmp_path: Path, options: list[str]) -> None:
    """Without its credentials, as another user if possible, with or without an Origin: 400 or 403."""
    tmp_path.chmod(0o755)
    run = start("tell()\n" + WAIT, *options)
    report = run.report()
    touched = tmp_path / "open" / "touched"
    touched.parent.mkdir()
    touched.parent.chmod(0o777)
    stranger = Path(__file__).with_name("stranger.py")
    done = subprocess.run(
        [sys.executable, stranger, report["url"], report["emr_url"], run._logs, touched],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    statuses = json.loads(done.stdout)
    assert len(statuses) > 20
    assert set(statuses) <= {400, 403}, done.stderr
    assert not touched.exists()
    for log in ("ministack.log", "emr.log"):
        assert "Traceback" not in (run._logs / log).read_text()


def test_iam_is_enforced_when_asked_for(start: Callable[..., Run]) -> None:
    """With --auth a user without a policy may do nothing; without it anybody may do anything."""
    script = """
        import boto3, botocore.exceptions
        iam = boto3.client("iam")
        iam.create_user(UserName="nobody")
        key = iam.create_access_key(UserName="nobody")["AccessKey"]
        s3 = boto3.client("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
        try:
            s3.list_buckets()
        except botocore.exceptions.ClientError as error:
            report["refused"] = error.response["Error"]["Code"]
        tell()
    """
    run = start(script, "--auth")
    assert run.end()[0] == 0
    assert run.report()["refused"] == "AccessDenied"
