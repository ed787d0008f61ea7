"""For a step that fails for an unknown kind of reason, its last line is shown without further waiting."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from tests.fake_account import BUCKET, FakeAccount
from tests.fake_emr import SYSLOG
from toptalkers.runs.logs import LOG_MINUTES, StepLogs, await_failure

WORDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r", exclude_categories=("Cc", "Zl", "Zp")), min_size=1)
    .map(lambda line: f"no shape {line}")
    .map(lambda line: line if line.splitlines() == [line] else "no shape"),
    min_size=1,
    max_size=9,
)
NOISE = "log4j: no appenders\nSLF4J: no binding\n\nStreaming Command Failed!\n"


def diagnosed(**logs: str) -> tuple[str, float]:
    """Return the message about a step with these logs, and after how many seconds it comes."""
    account = FakeAccount()
    for name, text in logs.items():
        account.fake_s3.objects[f"logs/j-1/steps/s-1/{name}.gz"] = gzip.compress(text.encode())
    found = await_failure(account.open(), StepLogs(BUCKET, "logs/j-1/", "s-1"))
    return found.reason if found else "", account.clock.seconds


@given(words=WORDS)
def test_words_in_no_known_shape(words: list[str]) -> None:
    """The last line is shown, within two polls."""
    reason, seconds = diagnosed(stderr="\n".join(words) + "\n" + NOISE, controller="INFO startExec\n")
    assert reason.splitlines()[-1] == words[-1]
    assert seconds <= 10


@given(words=WORDS)
def test_a_known_shape_is_better(words: list[str]) -> None:
    """Other lines do not hide the reason that Hadoop gives; with only noise, the wait ends in vain."""
    error = "2026-11-23 18:22:00,000 ERROR org.apache.hadoop.streaming.StreamJob (main): Output exists\n"
    reason, _ = diagnosed(stderr="\n".join(words), syslog=error)
    assert reason == "Output exists"
    reason, _ = diagnosed(stderr="\n".join(words), syslog=SYSLOG)
    assert "subprocess failed with code 1" in reason
    assert diagnosed(stderr=NOISE) == ("", LOG_MINUTES * 60)
