"""Calls that break off: any call of a made-up AWS, by its number, before or after it was served."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fake_account import FakeAccount


@dataclass
class Fault:
    """What happens at a call: `error` is raised at call `number` (from 0), or from then on when it is `lasting`.

    `after` raises it when the call was served already, as when the answer is lost.
    """

    number: int
    error: BaseException
    after: bool = False
    lasting: bool = False
    is_armed: bool = True
    calls: int = 0

    def is_due(self) -> bool:
        """Count a call; whether it is one that breaks off."""
        if not self.is_armed:
            return False
        self.calls += 1
        return self.calls - 1 == self.number or (self.lasting and self.calls > self.number)


class FaultyClient:
    """A client whose calls, and whose pages, break off as the fault says."""

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
            answer = method(**request)
            if is_due:
                raise self._fault.error
            return answer

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
    """The account of runs, with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def emr(self) -> Any:
        return FaultyClient(self.fake_emr, self.fault)

    def s3(self) -> Any:
        return FaultyClient(self.fake_s3, self.fault)
