"""Counted once, no conversation of simulated traffic has more than was sent."""

from collections import Counter
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional.test_engines_agree import run_engine
from tests.simulation import GATEWAY, Ends, Network
from toptalkers.engines import local
from toptalkers.question.query import Query

ONCE = Query.parse(count="once", pairs="yes")
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def said(query: Query, content: bytes) -> Counter[tuple[Ends, int]]:
    """The bytes of each conversation, whoever is said to be the client, without those with the gateway itself."""
    lines, _, _ = run_engine(local, query, [content])
    sums: Counter[tuple[Ends, int]] = Counter()
    for line in lines.decode().splitlines():
        client, server, _, protocol, size, *_ = line.split("\t")
        if GATEWAY not in (client, server):
            sums[frozenset((client, server)), int(protocol)] += int(size)
    return sums


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.integers(0, 1 << 32), st.booleans())
def test_all_that_was_sent_counts_once(seed: int, has_flags: bool) -> None:
    """If nothing is lost, every conversation has exactly what was sent, even while an address moves."""
    network = Network(Random(seed), has_flags=has_flags, loses=False)
    content = network.content()
    assert +said(ONCE, content) == +Counter(network.sent)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.integers(0, 1 << 32), st.booleans())
def test_never_more_than_was_sent(seed: int, has_flags: bool) -> None:
    """Whatever is lost, late or delivered twice, no conversation has more bytes than were sent."""
    network = Network(Random(seed), has_flags=has_flags, loses=True)
    content = network.content()
    assert not said(ONCE, content) - Counter(network.sent)
