"""Count a case with the kernel and with the pipe of scripts, and find the smallest case on which they differ."""

import io
import time
from collections import Counter as Counters
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from tests import pipeline
from tests.fuzz.cases import Case, Segments
from toptalkers.answer.answer import LARGEST_TOTAL, Tally, TooLargeError
from toptalkers.engines.spill import Spill
from toptalkers.job import count_flows, port_filter, sum_counts
from toptalkers.kernel.door import Counter
from toptalkers.question.query import Query

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """The result of counting: the answer's lines and the tally of each file; or a refusal."""

    lines: bytes = b""
    tallies: tuple[tuple[tuple[str, int], ...], ...] = ()
    refused: bool = False

    def __str__(self) -> str:
        """Format the outcome in a few lines."""
        if self.refused:
            return "refused"
        return "\n".join([*map(str, map(dict, self.tallies)), repr(self.lines[:2000])])


Count = Callable[[Case], Outcome]


class Pieces(io.BytesIO):
    """A stream that returns only some bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, most: int) -> None:
        """Take the content, and the most bytes to give at a time."""
        super().__init__(content)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def _asked(case: Case) -> tuple[Query, int]:
    """Return the question of a case, and how many talkers it asks for, 0 for all."""
    texts = dict(case.question)
    top = int(texts.pop("top", "0"))
    return Query.parse(**texts), top


def count_by_scripts(case: Case) -> Outcome:
    """Run a mapper for each file, sort, reducer, filter and sort."""
    query, top = _asked(case)
    counted, tallies = [], []
    reported: Counters[str] = Counters()
    for content in case.contents:
        out, err = io.BytesIO(), io.StringIO()
        try:
            count_flows.main(query.mapper_arguments(), Pieces(content, case.read), out, err)
        except SystemExit:
            return Outcome(refused=True)
        counted.append(out.getvalue())
        counters = _reported(err.getvalue())
        reported.update(counters)
        tally = Tally.from_counters(counters, files_read=1)
        tallies.append(_tally(tally, is_misfit=tally.misfits > 0))
    try:
        Tally.from_counters(reported, files_read=len(tallies))
    except TooLargeError:
        return Outcome(refused=True)
    summed, kept = io.BytesIO(), io.BytesIO()
    lines = io.BytesIO(pipeline.sort_bytes(b"".join(counted)))
    if sum_counts.main(query.reducer_arguments(), lines, summed, io.StringIO()):
        return Outcome(refused=True)
    arguments = [*query.filter_arguments(), "--top", str(top)]
    port_filter.main(arguments, io.BytesIO(summed.getvalue()), kept, io.StringIO())
    return Outcome(pipeline.rank(kept.getvalue(), query), tuple(tallies))


def _reported(text: str) -> dict[str, int]:
    prefix = "reporter:counter:toptalkers,"
    pairs = [line.removeprefix(prefix).split(",") for line in text.splitlines() if line.startswith(prefix)]
    return {name: int(number) for name, number in pairs}


def _tally(tally: Tally, *, is_misfit: bool) -> tuple[tuple[str, int], ...]:
    numbers = {"records_read": tally.records_read, "counted": tally.counted, **tally.skipped, "misfit": is_misfit}
    return tuple(sorted((name, number) for name, number in numbers.items() if number))


def count_by_kernel(case: Case) -> Outcome:
    """Count in the case's way; between the files, feed lines that do not count, which must leave nothing."""
    query, top = _asked(case)
    spill = Spill(None)
    tallies = []
    try:
        total = Counter(query)
        for content in case.contents:
            counter = Counter(query) if case.way in ("absorbed", "packed") else total
            spilled = spill if case.way == "spilled" else None
            _feed(counter, content, case, spilled)
            tally = counter.end_lines()
            tallies.append(_tally(tally, is_misfit=counter.misfit() is not None))
            counter.end_file(counts=True)
            _feed(counter, content[: len(content) // 2], case, spilled)
            counter.end_lines()
            counter.end_file(counts=False)
            if case.way == "absorbed":
                total.absorb(counter)
            if case.way == "packed":
                total.add_packed(counter.pack())
        if total.total > LARGEST_TOTAL:
            return Outcome(refused=True)
        if spill.is_used:
            spill.take(total)
            chunks, talkers = spill.ranked(query, top, case.rows)
        else:
            chunks, talkers = total.ranked(top), total.talkers
        lines = b"".join(chunks)
    except TooLargeError:
        return Outcome(refused=True)
    finally:
        spill.close()
    assert lines.count(b"\n") == min(talkers, top or talkers), "so many talkers were said"
    return Outcome(lines, tuple(tallies))


def _feed(counter: Counter, content: bytes, case: Case, spill: Spill | None) -> None:
    for start in range(0, len(content), case.cut):
        counter.feed(content[start : start + case.cut])
        if spill and counter.rows >= case.rows:
            spill.take(counter)


def difference(case: Case, kernel: Count = count_by_kernel, scripts: Count = count_by_scripts) -> str | None:
    """Describe the difference between the two; None if they agree."""
    try:
        by_kernel, by_scripts = kernel(case), scripts(case)
    except Exception as error:  # noqa: BLE001 - any exception is a finding
        return f"{type(error).__name__}: {error}"
    if by_kernel == by_scripts:
        return None
    return f"kernel:\n{by_kernel}\nscripts:\n{by_scripts}"


def shrink(case: Case, differs: Callable[[Case], bool], seconds: float = 60) -> Case:
    """Return the smallest case found in time that still differs: fewer files, lines and words, a plainer question."""
    end = time.monotonic() + seconds
    found = True
    while found and time.monotonic() < end:
        found = False
        for smaller in _smaller(case):
            if time.monotonic() > end:
                break
            if differs(smaller):
                case, found = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    for files in _without_parts(case.files):
        yield replace(case, files=files)
    for number, file in enumerate(case.files):
        for segments in _smaller_files(file):
            yield replace(case, files=[*case.files[:number], segments, *case.files[number + 1 :]])
    for name in case.question:
        if name != "log_format":
            yield replace(case, question={key: value for key, value in case.question.items() if key != name})
    for plain in ({"way": "one"}, {"cut": 1 << 20}, {"read": 1 << 20}, {"rows": 1}):
        if (plainer := replace(case, **plain)) != case:
            yield plainer


def _smaller_files(file: Segments) -> Iterator[Segments]:
    yield from _without_parts(file)
    for number, (text, times) in enumerate(file):
        fewer = [(text, less) for less in sorted({1, times // 2, times - 1}) if 0 < less < times]
        words = text.split(" ")
        texts = [" ".join(rest) for rest in _without_parts(words)] if len(words) > 1 else []
        if len(text) > 200:
            texts += [text[: len(text) // 2], text[len(text) // 2 :]]
        for part in fewer + [(shorter, times) for shorter in texts]:
            yield [*file[:number], part, *file[number + 1 :]]


def _without_parts(parts: list[T]) -> Iterator[list[T]]:
    """Give the list without each of its halves, quarters and so on."""
    size = len(parts)
    while size := size // 2 if size > 1 else 0:
        for start in range(0, len(parts), size):
            yield parts[:start] + parts[start + size :]
