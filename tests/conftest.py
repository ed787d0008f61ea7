"""Fixtures and settings for all tests."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Tests check results, not speed: a busy machine must not make one fail.
settings.register_profile("toptalkers", deadline=None)
settings.load_profile("toptalkers")


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let commands create their users' keys in a temporary folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_ignored_signals() -> None:
    """Restore signals: shells start background jobs with Ctrl-C ignored, `nohup` with SIGHUP; commands inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
