"""The files that maps left out are named from eight counters and a listing."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.answer.answer import Tally
from toptalkers.answer.outcome import describe_outcome, exit_code
from toptalkers.job.count_files import LEFT_OUT, SLOTS
from toptalkers.runs.input.patterns import group_addresses, matcher
from toptalkers.runs.left_out import name_left_out

MINE = f"s3://{BUCKET}/mine/"


@pytest.fixture
def account() -> FakeAccount:
    """An account with objects of several sizes, of which two are alike."""
    account = FakeAccount()
    for name, size in {"a.gz": 60, "b/c.gz": 90, "b/d.gz": 102, "b/e.gz": 102, "_hidden": 103, "f.log": 208}.items():
        account.fake_s3.objects[f"mine/{name}"] = bytes(size)
    return account


def left_out(*sizes: int, misfits: int = 0) -> dict[str, int]:
    """The counters of maps that left out files of these sizes."""
    counters = Counter({"maps_by_kernel": 2, "files_read": 5, "records_read": 9, "counted": 9})
    counters["misfit_files"] = misfits
    counters["files_unreadable"] = len(sizes) - misfits
    for size in sizes:
        counters[f"left_out_{size % SLOTS}"] += LEFT_OUT + size
    return dict(counters)


def names(account: FakeAccount, *inputs: str, counters: dict[str, int]) -> list[str]:
    return name_left_out(account.open().storage, inputs, counters, lambda uris: f"count {' '.join(uris)}")


def test_a_file_is_named_by_its_size(account: FakeAccount) -> None:
    """One object of the size is the file; of several it is one, and the line says so."""
    counters = left_out(60, 102, misfits=1)
    why = "could not be read on the cluster or does not fit its layout; to see why: count"
    assert names(account, MINE, counters=counters) == [
        f"{MINE}a.gz (60 bytes): {why} {MINE}a.gz",
        f"one of {MINE}b/d.gz, {MINE}b/e.gz (102 bytes): {why} {MINE}b/d.gz {MINE}b/e.gz",
    ]


def test_the_delimiter_at_the_end_is_missing(account: FakeAccount) -> None:
    """A file without an object of its size is probably one that is up to three bytes larger, or a byte smaller."""
    for size, found in ((57, "a.gz (60"), (59, "a.gz (60"), (58, "a.gz (60"), (206, "f.log (208"), (209, "f.log (208")):
        (line,) = names(account, MINE, counters=left_out(size))
        assert line.startswith(f"probably {MINE}{found} bytes): could not be read on the cluster; to see why: ")


def test_files_without_a_name_are_counted(account: FakeAccount) -> None:
    """Files that share a counter, have no object, or lie where nothing may be listed: run-local names them."""
    how = f"without a known name; to see which: count {MINE}"
    shared = left_out(100, 108, 102)  # in all 208 bytes, which is the size of another object
    assert names(account, MINE, counters=shared)[1:] == [f"2 more files {how}"]
    assert names(account, MINE, counters=left_out(999)) == [f"1 file {how}"]
    assert names(account, MINE, counters=left_out(103)) != []
    assert names(account, MINE, counters=left_out()) == []
    assert names(account, MINE, counters={"records_read": 1, "misfit_files": 1}) == []  # of lines, not of whole files


def test_only_the_input_is_searched(account: FakeAccount) -> None:
    """An object of the size that the run did not read is not named, whether addresses or patterns tell what it read."""
    (line,) = names(account, f"{MINE}b/{{c,d}}.gz", counters=left_out(102))
    assert line.startswith(f"{MINE}b/d.gz (102 bytes)")
    (line,) = names(account, f"{MINE}a.gz", f"{MINE}b/c.gz", counters=left_out(102))
    assert line.startswith("1 file without")


def test_the_tally_of_whole_files() -> None:
    """Misfits are left out like what cannot be read; a run with either ends with exit code 1."""
    for counters in (left_out(100), left_out(100, misfits=1)):
        tally = Tally.from_counters(counters, files_read=99, files_unreadable=2)
        assert (tally.files_read, tally.files_unreadable, tally.misfits) == (5, 3, 0)
        assert exit_code(tally) == 1
    of_lines = {"records_read": 9, "misfit_files": 1}
    assert Tally.from_counters(of_lines, files_read=99).misfits == 1
    assert Tally.from_counters(of_lines, files_read=99).files_read == 99


def test_maps_that_count_in_python_are_told() -> None:
    """A line says how many maps had no kernel, and what to do; without such maps it is not there."""
    counters = left_out() | {"maps_by_python": 1}
    tally = Tally.from_counters(counters, files_read=0)
    assert "1 of 3 maps counted in Python" in describe_outcome(counters, tally, is_empty=False)
    del counters["maps_by_python"]
    assert "Python" not in describe_outcome(counters, tally, is_empty=False)


@given(
    taken=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), unique=True, min_size=1),
    others=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), unique=True),
)
def test_a_pattern_means_what_it_was_made_of(
    taken: list[tuple[str, str, bool]], others: list[tuple[str, str, bool]]
) -> None:
    """Of addresses written as patterns, the matchers of these find each, below the address to list, and no other."""

    def address(folder: str, name: str, is_folder: bool) -> str:
        return f"s3://{BUCKET}/{folder}/{name}" + ("/" if is_folder else ".gz")

    uris = [address(*one) for one in taken]
    refused = [address(*one) for one in others if one not in taken]
    matchers = [matcher(one) for one in group_addresses(uris, refused)]

    def means(uri: str) -> bool:
        uri = f"{uri}k.gz" if uri.endswith("/") else uri
        return any(uri.startswith(folder) and matches(uri) for folder, matches in matchers)

    assert all(map(means, uris))
    assert not any(map(means, refused))
