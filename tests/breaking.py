"""Calls that fail: any call to a fake AWS, selected by its number, before or after it took effect."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fake_account import FakeAccount
from tests.fake_aws import FakeAws


@dataclass
class Fault:
    """A failing call: `error` is raised at call `number` (from 0), and at all later calls if `lasting`.

    With `after` it is raised after the call took effect, as when the answer is lost.
    """

    number: int
    error: BaseException
    after: bool = False
    lasting: bool = False
    is_armed: bool = True
    calls: int = 0

    def is_due(self) -> bool:
        """Count a call; return whether it fails."""
        if not self.is_armed:
            return False
        self.calls += 1
        return self.calls - 1 == self.number or (self.lasting and self.calls > self.number)


class FaultyClient:
    """A client whose calls and pages fail according to the fault."""

    def __init__(self, client: Any, fault: Fault) -> None:
        self._client = client
        self._fault = fault

    def get_paginator(self, name: str) -> "_FaultyPages":
        return _FaultyPages(self._client.get_paginator(name), self._fault)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**request: Any) -> Any:
            is_due = self._fault.is_due()
            if is_due and not self._fault.after:
                raise self._fault.error
            try:
                return method(**request)
            finally:
                if is_due:  # also instead of a refusal
                    raise self._fault.error

        return call


class _FaultyPages:
    def __init__(self, paginator: Any, fault: Fault) -> None:
        self._paginator = paginator
        self._fault = fault

    def paginate(self, **request: Any) -> Iterator[Any]:
        if self._fault.is_due():
            raise self._fault.error
        yield from self._paginator.paginate(**request)


class FaultyAccount(FakeAccount):
    """The fake account for runs, with a fault. Every sleep is long, so that a run takes few calls."""

    shortest_sleep = 30

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def client(self, service: str, *, once: bool = False, slow: bool = False) -> Any:
        return FaultyClient(super().client(service, once=once, slow=slow), self.fault)


class FaultyAws(FakeAws):
    """The fake account for deployments, with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def client(self, service: str, *, once: bool = False, slow: bool = False) -> Any:
        return FaultyClient(super().client(service, once=once, slow=slow), self.fault)
