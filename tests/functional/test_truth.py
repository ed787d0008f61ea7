"""Counted once, the largest conversations of a sample are those that were really sent."""

from pathlib import Path

import pytest

from bench import truth
from bench.truth import Truth, score
from toptalkers.sample.writer import write_sample

RECORDS = 200_000


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda seed: f"seed {seed}")
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample with flags and packet addresses, and its truth."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(out=folder, records=RECORDS, seed=request.param, layout="rich")
    return folder


def test_counted_once_the_top_100_is_the_truth(sample: Path) -> None:
    """All 100 are named in the true order, within 1 %, and none has more than was sent."""
    known = Truth.read(sample)
    found = score(known, truth.once(sample, known))
    assert found.is_in_order
    assert all(-0.01 <= error <= 0 for error in found.errors)


def test_no_conversation_ever_has_more_than_was_sent(sample: Path) -> None:
    """Of all conversations, also those of which records were lost, none has more bytes than was sent."""
    known = Truth.read(sample)
    claims = truth.once(sample, known, top=0)
    assert len(claims) > 5000
    assert {claim.talk for claim in claims} >= {talk for talk in known.sent if talk.protocol != 1}
    for claim in claims:
        if claim.talk in known.sent:
            assert claim.bytes_sent is not None
            assert claim.bytes_sent <= sum(known.sent[claim.talk].values())


def test_a_plain_sum_is_far_off(sample: Path) -> None:
    """It names less than half of the 100, and says of some that they sent twice as much as they did."""
    known = Truth.read(sample)
    found = score(known, truth.plain(sample, known))
    assert 0 < found.named < 50
    assert max(found.errors) > 0.99
