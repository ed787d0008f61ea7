"""Which Region and whose credentials: empty variables, and a role to assume, against a small STS and S3."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result

from toptalkers.aws.account import RoleToAssume, open_account
from toptalkers.aws.failures import AwsError
from toptalkers.cli.main import cli

ROLE = "arn:aws:iam::111122223333:role/team/Analyst"


class FakeSts(ThreadingHTTPServer):
    """STS, S3 and EMR at one address; each role that is assumed has another key.

    Attributes:
        minutes: how long credentials last.
        is_refused: whether STS refuses.
        assumed: the requests of AssumeRole.
        keys: the access keys that the requests to S3 and EMR were signed with.

    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.minutes = 60
        self.is_refused = False
        self.assumed: list[dict[str, list[str]]] = []
        self.keys: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: FakeSts

    def do_POST(self) -> None:
        """AssumeRole, and EMR's ListClusters: there are none."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "ElasticMapReduce" in self.headers.get("X-Amz-Target", ""):
            self._keep_key()
            self._answer(200, '{"Clusters": []}')
            return
        request = parse_qs(body.decode())
        self.server.assumed.append(request)
        if self.server.is_refused:
            what = "User: x is not authorized to perform: sts:AssumeRole on resource: " + ROLE
            refusal = (
                f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{what}</Message></Error></ErrorResponse>"
            )
            self._answer(403, refusal)
            return
        ends = datetime.now(UTC) + timedelta(minutes=self.server.minutes)
        credentials = (
            f"<AccessKeyId>ASSUMED{len(self.server.assumed)}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        )
        result = f"<AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult>"
        name = 'AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        self._answer(200, f"<{name}>{result}</AssumeRoleResponse>")

    def do_GET(self) -> None:
        """List no objects."""
        self._keep_key()
        listing = "<Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"
        self._answer(200, f"<ListBucketResult>{listing}</ListBucketResult>")

    def _keep_key(self) -> None:
        self.server.keys.append(self.headers["Authorization"].partition("Credential=")[2].partition("/")[0])

    def _answer(self, code: int, body: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSts]:
    server = FakeSts()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "OWN",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["runs", "--bucket", "some-bucket", *arguments])


def test_a_role_is_assumed(sts: FakeSts) -> None:
    """STS is asked once, with our name and the external id, and everything else is signed by the role."""
    done = run("--assume-role", ROLE, "--external-id", "42")
    assert done.exit_code == 0, done.stderr
    (request,) = sts.assumed
    assert (request["RoleArn"], request["RoleSessionName"], request["ExternalId"]) == ([ROLE], ["toptalkers"], ["42"])
    assert set(sts.keys) == {"ASSUMED1"}
    sts.keys.clear()
    run()
    assert set(sts.keys) == {"OWN"}


def test_credentials_that_expire(sts: FakeSts) -> None:
    """A long watch outlives them: new ones are fetched before."""
    sts.minutes = 1
    account = open_account(region=None, profile=None, role=RoleToAssume(ROLE), tell=lambda _: None)
    for _ in range(2):
        assert list(account.storage.list("some-bucket", "")) == []
    assert len(sts.assumed) > 1
    assert sts.keys[0] != sts.keys[1]
    assert "ExternalId" not in sts.assumed[0]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--assume-role", ROLE), 1, "you are not allowed to call sts:AssumeRole"),
        (("--assume-role", "Analyst"), 2, "--assume-role: 'Analyst' is not the ARN of a role"),
        (("--external-id", "42"), 2, "--external-id is for a role to assume"),
    ],
)
def test_a_role_that_cannot_be_assumed(sts: FakeSts, given: tuple[str, ...], code: int, said: str) -> None:
    """One line says what is wrong, before anything else is asked."""
    sts.is_refused = True
    done = run(*given)
    assert done.exit_code == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not sts.keys


@pytest.mark.parametrize("name", ["AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_an_empty_variable_is_like_an_unset_one(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The Region then comes from the file, or the error says that there is none (P4)."""
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "config"))
    monkeypatch.setenv(name, "")
    with pytest.raises(AwsError, match="no AWS Region"):
        open_account(region=None, profile=None, tell=lambda _: None)
    config = tmp_path_factory.mktemp("aws") / "config"
    config.write_text("[default]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv(name, "")
    assert open_account(region=None, profile=None, tell=lambda _: None).region == "eu-north-1"
