"""The steps as data: they contain the question, and no user's text leaves its place."""

import re
import shlex
from collections.abc import Callable
from datetime import datetime
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.errors import UsageError
from toptalkers.job import count_files, port_filter, sort_blocks
from toptalkers.job.steps import (
    LONGEST_ARGUMENT,
    MIB,
    SHARED_BYTES,
    SORTER_BYTES,
    Step,
    emr_steps,
    plan_steps,
    render_steps,
)
from toptalkers.question.conversations import RECORD_KEY
from toptalkers.question.digest import DIGEST_KEY, digest_texts
from toptalkers.question.query import Query

PLACES: dict[str, Any] = {
    "inputs": ["s3://bucket/flowlogs/"],
    "is_gzip": True,
    "bundle": "s3://bucket/code/abc/",
    "output": "s3://bucket/runs/1/toptalkers/",
    "between": "toptalkers/1/aggregate/",
}


def plan(query: Query | None = None, **more: Any) -> tuple[Step, Step]:
    first, second = plan_steps(query or Query.parse(), **{**PLACES, **more})
    return first, second


def option(step: Step, name: str) -> list[str]:
    """Return all values of an option of streaming."""
    return [step.arguments[at + 1] for at, word in enumerate(step.arguments) if word == name]


def settings(step: Step) -> dict[str, str]:
    return dict(one.split("=", 1) for one in option(step, "-D"))


MAPPER = ("count_files.py", "count_flows.py", "node_kernel.py", "blocks.py")
SORTER = ["sort_blocks.py", "port_filter.py", "blocks.py"]
MERGE = "python3 sort_blocks.py merge"


def names(step: Step) -> list[str]:
    """Return the names of the files that travel with a step from the bundle."""
    return [uri.removeprefix(PLACES["bundle"]) for uri in option(step, "-files")[0].split(",")]


def test_the_two_steps() -> None:
    """Step 1 counts and writes the sums; step 2 sorts, and only it writes the answer."""
    first, second = plan(Query.parse(metric="bytes", ports="22,443"))
    assert (first.name, second.name) == ("flowlogs-aggregate", "flowlogs-sort")
    assert option(first, "-mapper") == [
        "python3 count_files.py --delimiter KK --parts 256 --metric bytes --ports 22,443 --action ACCEPT"
    ]
    assert option(first, "-reducer") == ["python3 sum_blocks.py --metric bytes"]
    assert names(first) == [*MAPPER, "sum_blocks.py"]
    assert option(first, "-output") == option(second, "-input") == ["toptalkers/1/aggregate/"]
    assert option(second, "-mapper") == ["python3 sort_blocks.py map --reducers 1 --metric bytes --ports all --top 0"]
    assert option(second, "-reducer") == [MERGE]
    assert names(second) == SORTER
    assert option(second, "-output") == ["s3://bucket/runs/1/toptalkers/"]
    assert settings(second)["mapreduce.job.reduces"] == "1"


@pytest.mark.parametrize(
    ("question", "metric", "asked"),
    [
        ({"by": "srcaddr"}, "records", "--by srcaddr"),
        ({"by": "srcaddr,dstport", "metric": "bytes"}, "bytes", "--by srcaddr,dstport --metric bytes"),
        ({"metric": "bytes,packets"}, "bytes,packets", "--metric bytes,packets"),
        (
            {"by": "srcaddr/24,protocol", "metric": "last,bytes"},
            "last,bytes",
            "--by srcaddr/24/64,protocol --metric last,bytes",
        ),
    ],
)
def test_keys_of_several_columns_and_several_sums(question: dict[str, str], metric: str, asked: str) -> None:
    """Whatever the key, blocks have one of their own for Hadoop; the scripts know the columns and the sums."""
    first, second = plan(Query.parse(ports="all", **question))
    assert "stream.num.map.output.key.fields" not in settings(first) | settings(second)
    assert option(first, "-reducer") == [f"python3 sum_blocks.py --metric {metric}"]
    assert option(second, "-mapper") == [f"python3 sort_blocks.py map --reducers 1 {asked} --ports all --top 0"]
    assert option(second, "-reducer") == [MERGE]


def test_both_steps_shuffle_blocks() -> None:
    """Hadoop takes blocks from mappers and gives them to reducers; the first byte of a key tells the sort's reducer."""
    for step in plan(input_bytes=10**12):
        found = settings(step)
        assert found["stream.map.output"] == found["stream.reduce.input"] == "rawbytes"
    assert found["mapreduce.job.reduces"] == option(step, "-mapper")[0].split()[4] == "8"
    assert option(step, "-partitioner") == ["org.apache.hadoop.mapred.lib.BinaryPartitioner"]
    offsets = [found[f"mapreduce.partition.binarypartitioner.{side}.offset"] for side in ("left", "right")]
    assert offsets == ["0", "0"]


CONVERSATIONS = "python3 conversations.py"
SORTING = "python3 sort_blocks.py map --reducers 1"
RECORDS = ",".join(RECORD_KEY)


def test_the_steps_of_conversations() -> None:
    """Each reads what one before it wrote, and the third also the table that the second has learned."""
    query = Query.parse(by="srcaddr,dstaddr", metric="bytes", ports="443", count="once")
    records, learn, flows, sums, sort = plan_steps(query, **PLACES, learned="s3://bucket/runs/1/learned/")
    folder = PLACES["between"]
    asked = "--by srcaddr,dstaddr --metric bytes --ports 443 --count once"
    counting = f"python3 count_files.py --delimiter KK --by {RECORDS} --metric records --ports 443 --action ACCEPT"
    assert [
        (step.name, *(option(step, name)[0] for name in ("-input", "-output", "-mapper", "-reducer")))
        for step in (records, learn, flows, sums, sort)
    ] == [
        ("flowlogs-records", *PLACES["inputs"], f"{folder}records/", counting, f"{CONVERSATIONS} distinct {asked}"),
        (
            *("flowlogs-learn", f"{folder}records/", "s3://bucket/runs/1/learned/"),
            *(f"{CONVERSATIONS} learn-map", f"{CONVERSATIONS} learn-reduce"),
        ),
        (
            *("flowlogs-conversations", f"{folder}records/", f"{folder}flows/"),
            *(f"{CONVERSATIONS} fold --learned learned.tsv {asked}", f"{CONVERSATIONS} once {asked}"),
        ),
        ("flowlogs-aggregate", f"{folder}flows/", f"{folder}sums/", "cat", "aggregate"),
        (
            *("flowlogs-sort", f"{folder}sums/", PLACES["output"]),
            *(f"{SORTING} --by srcaddr,dstaddr --metric bytes --ports all --top 0", MERGE),
        ),
    ]
    assert option(flows, "-files")[0].endswith("/conversations.py,s3://bucket/runs/1/learned/part-00000#learned.tsv")
    assert option(records, "-partitioner") == ["org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"]
    assert settings(records)["mapreduce.partition.keypartitioner.options"] == "-k1,11"
    assert [settings(step).get("stream.num.map.output.key.fields") for step in (records, learn, flows, sums, sort)] == [
        *("14", "16", "7", "2", None)
    ]
    assert settings(learn)["mapreduce.job.reduces"] == "1"


@pytest.mark.parametrize(
    ("query", "keys", "reducer", "sorting"),
    [
        (Query.parse(pairs="yes"), "4", "--metric bytes --pairs yes", "--metric bytes --ports all --pairs yes"),
        (
            Query.parse(pairs="yes", metric="packets"),
            "4",
            "--metric packets --pairs yes",
            "--metric packets --ports all --pairs yes",
        ),
        (
            Query.parse(**digest_texts()),
            str(len(DIGEST_KEY)),
            f"--by {','.join(DIGEST_KEY)} --metric bytes,packets,records,first,last",
            f"--by {','.join(DIGEST_KEY)} --metric bytes,packets,records,first,last --ports all",
        ),
    ],
)
def test_without_count_once_the_third_step_adds_up(query: Query, keys: str, reducer: str, sorting: str) -> None:
    """Pairs and digests have no flows to choose from, so one step less; pairs rank by any of their sums."""
    records, learn, sums, sort = plan_steps(query, **PLACES)
    assert [step.name for step in (records, learn, sums, sort)] == [
        *("flowlogs-records", "flowlogs-learn", "flowlogs-conversations", "flowlogs-sort")
    ]
    assert settings(sums)["stream.num.map.output.key.fields"] == keys
    assert option(sums, "-reducer") == [f"python3 sum_counts.py {reducer}"]
    assert option(sort, "-mapper") == [f"{SORTING} {sorting} --top 0"]
    assert option(sort, "-reducer") == [MERGE]


def test_the_learned_table_is_one_plain_file() -> None:
    """Also when what is between the steps is kept, and compressed: scripts read the table as it is."""
    steps = plan_steps(Query.parse(pairs="yes", count="once"), **PLACES, keep_aggregate=True, input_bytes=10**12)
    compressed = {step.name: settings(step).get("mapreduce.output.fileoutputformat.compress") for step in steps}
    assert compressed == {step.name: "false" if step.name == "flowlogs-learn" else "true" for step in steps}
    assert settings(steps[1])["mapreduce.job.reduces"] == "1"


def test_an_expression_travels_as_its_program() -> None:
    """Whatever an expression says, its program has no sign that Hadoop or a shell would change."""
    query = Query.parse(where="instance-tag = '${user.name} *' and not src net 2001:db8::/32 or bytes > 1k")
    assert query.where is not None
    assert f" --where {query.where.program} " in option(plan(query)[0], "-mapper")[0] + " "


def test_ports_of_another_key_are_not_kept() -> None:
    """Without a port in each line the second step could not look at it."""
    for query in (Query.parse(by="srcaddr"), Query.parse(count="once"), Query.parse(pairs="yes")):
        with pytest.raises(UsageError, match="--keep-all-ports"):
            plan_steps(query, **PLACES, keep_all_ports=True)


def test_generic_options_stand_first() -> None:
    """Hadoop refuses `-D` and `-files` behind an option of streaming's own."""
    for step in plan(top=5, keep_aggregate=True):
        last = max(at for at, word in enumerate(step.arguments) if word in ("-D", "-files"))
        assert set(step.arguments[: last + 1 : 2]) == {"-D", "-files"}


@pytest.mark.parametrize(
    ("top", "keep_all_ports", "ports", "asked"),
    [
        (0, False, "0-1024", "--ports all --top 0"),
        (0, True, "all", "--ports all --top 0"),
        (7, False, "0-1024", "--ports all --top 7"),
        (0, True, "22,443", "--ports 22,443 --top 0"),
        (7, True, "22,443", "--ports 22,443 --top 7"),
    ],
)
def test_the_second_mapper_does_what_is_left_to_do(top: int, keep_all_ports: bool, ports: str, asked: str) -> None:
    """It filters the ports that the first step kept, and keeps the first N."""
    first, second = plan(Query.parse(ports=ports), top=top, keep_all_ports=keep_all_ports)
    assert option(second, "-mapper") == [f"{SORTING} {asked}"]
    wanted = "all" if keep_all_ports else ports
    assert f"--ports {wanted} " in option(first, "-mapper")[0]


@pytest.mark.parametrize("query", [Query.parse(), Query.parse(count="once", pairs="yes")])
@pytest.mark.parametrize(
    ("is_gzip", "largest_bytes", "delimiter", "option_word", "shares"),
    [
        (True, 0, "KK", "KK", True),
        (False, 0, "${line.separator}", "LF", True),
        (False, SHARED_BYTES, "${line.separator}", "LF", True),
        (False, SHARED_BYTES + 1, "${line.separator}", "LF", False),
    ],
)
def test_flow_logs_come_in_whole_files(
    query: Query, is_gzip: bool, largest_bytes: int, delimiter: str, option_word: str, shares: bool
) -> None:
    """The mapper knows Hadoop's delimiter; no file is split, and none has a map of its own unless one is too large."""
    first, *others = plan_steps(query, **{**PLACES, "is_gzip": is_gzip, "largest_bytes": largest_bytes})
    found = settings(first)
    assert found["textinputformat.record.delimiter"] == delimiter
    assert option(first, "-mapper")[0].split()[1:4] == ["count_files.py", "--delimiter", option_word]
    assert bool(option(first, "-inputformat")) == shares
    assert ("mapreduce.input.fileinputformat.split.minsize" in found) != shares
    assert not shares or int(found["mapreduce.input.fileinputformat.split.maxsize"]) >= largest_bytes
    assert found["stream.map.input"] == "rawbytes"
    assert not any("stream.map.input" in settings(step) for step in others)


def test_the_kernels_of_nodes_travel_with_the_mapper() -> None:
    """Those that the bundle has, with the step that reads flow logs and with no other."""
    kernels = ("kernel-aarch64.so", "kernel-x86_64.so")
    for query in (Query.parse(), Query.parse(pairs="yes")):
        first, *others = plan_steps(query, **PLACES, kernels=kernels)
        assert names(first)[:6] == [*MAPPER, *kernels]
        assert not any(".so" in name for step in others for name in names(step))


def test_sizes_follow_the_input() -> None:
    """A small input is divided among the available maps; a large one gets more reducers and parts, within limits."""

    def numbers(input_bytes: int) -> tuple[int, int]:
        step = plan(input_bytes=input_bytes, map_slots=8)[0]
        found, words = settings(step), option(step, "-mapper")[0].split()
        assert int(words[words.index("--parts") + 1]) == 256 * int(found["mapreduce.job.reduces"])
        return (
            int(found["mapreduce.input.fileinputformat.split.maxsize"]) // MIB,
            int(found["mapreduce.job.reduces"]),
        )

    assert numbers(0) == (16, 1)
    assert numbers(1600 * MIB) == (100, 2)
    assert numbers(10 * 1024 * MIB) == (640, 11)
    assert numbers(10**15) == (1024, 99)


@pytest.mark.parametrize(("input_bytes", "top", "parts"), [(SORTER_BYTES - 1, 0, 1), (10**12, 0, 8), (10**12, 9, 1)])
def test_only_the_answer_of_a_large_input_has_several_parts(input_bytes: int, top: int, parts: int) -> None:
    """One reducer sorts what 128 GiB may hold, and whatever `--top` leaves."""
    for query in (Query.parse(), Query.parse(count="once", pairs="yes")):
        sort = plan_steps(query, **PLACES, top=top, input_bytes=input_bytes)[-1]
        assert settings(sort)["mapreduce.job.reduces"] == str(parts)


BREAKING_OUT = [
    "x; rm -rf /",
    "x --ports all",
    "x' 'y",
    'x"y',
    "${user.home}",
    "$(id)",
    "`id`",
    "x|y",
    "x&y",
    "x\ny",
    "s3://bucket/a,s3://other/",
    "s3://bucket/{a,b}",
    "s3://bucket/*",
    "s3://bucket/a\\b",
    "",
]


@pytest.mark.parametrize("text", BREAKING_OUT)
@pytest.mark.parametrize("place", ["inputs", "bundle", "output", "between"])
def test_no_path_breaks_out(place: str, text: str) -> None:
    """Characters with a meaning for Hadoop or a shell are refused at every place."""
    places: dict[str, Any] = {place: [text] if place == "inputs" else text}
    with pytest.raises(UsageError):
        plan(**places)


@pytest.mark.parametrize("text", BREAKING_OUT)
@pytest.mark.parametrize("name", ["ports", "since", "until", "log_format", "metric", "action"])
def test_no_option_breaks_out(name: str, text: str) -> None:
    """Bad options of the question are refused before they reach a step, or are harmless there."""
    try:
        query = Query.parse(**{name: text})
    except UsageError:
        return
    for step in plan(query):
        assert re.fullmatch(r"[A-Za-z0-9_.,:/=@+ -]+", option(step, "-mapper")[0])


def _iso(time: datetime) -> str:
    return time.isoformat("T", "seconds")


@given(st.data())
def test_what_is_asked_is_what_the_scripts_understand(data: st.DataObject) -> None:
    """Any question reaches both scripts unchanged, split at spaces as Hadoop does it."""
    low = data.draw(st.integers(0, 65535))
    query = Query.parse(
        metric=data.draw(st.sampled_from(["records", "packets", "bytes"])),
        ports=f"{low}-{data.draw(st.integers(low, 65535))}",
        action=data.draw(st.sampled_from(["ACCEPT", "REJECT", "ALL"])),
        since=data.draw(st.none() | st.datetimes(min_value=datetime(1970, 1, 1)).map(_iso)),  # noqa: DTZ001
        log_format="${start} ${action} ${srcaddr} ${dstaddr} ${dstport} ${packets} ${bytes}",
    )
    top = data.draw(st.integers(0, 10**6))
    first, second = plan(query, top=top, keep_all_ports=data.draw(st.booleans()))
    words = option(first, "-mapper")[0].split(" ")
    assert shlex.split(" ".join(words)) == words
    form, counting = count_files.parse_arguments(words[2:])
    assert form == (b"KK", 256)
    assert (counting.metric, counting.action, counting.since) == (
        ",".join(query.metric),
        query.action,
        query.mapper_arguments()[7] if query.since else None,
    )
    words = option(second, "-mapper")[0].split(" ")
    is_merge, reducers, others = sort_blocks.parse_arguments(words[2:])
    assert (is_merge, reducers, port_filter.parse_arguments(others).top) == (False, 1, top)


def test_a_failed_step_ends_the_cluster() -> None:
    """The second never runs on an incomplete result of the first."""
    steps = emr_steps(plan())
    assert [one["ActionOnFailure"] for one in steps] == ["TERMINATE_CLUSTER"] * 2
    assert [one["HadoopJarStep"]["Args"][0] for one in steps] == ["hadoop-streaming"] * 2


@pytest.mark.parametrize("write", [emr_steps, render_steps])
@pytest.mark.parametrize(
    ("option_name", "asked", "places"),
    [
        ("--ports", {"ports": ",".join(map(str, range(1, 6001, 2)))}, {}),
        ("--where", {"where": f"host {','.join(f'10.{n >> 7}.{n & 127}.1' for n in range(600))}"}, {}),
        ("--input", {}, {"inputs": ["s3://bucket/" + "a" * 10_280]}),
    ],
)
def test_f9_an_argument_that_emr_does_not_take(
    write: Callable[[Any], object], option_name: str, asked: dict[str, str], places: dict[str, Any]
) -> None:
    """F9: EMR takes 10,280 characters per argument; the option that is too long is named, with what to do."""
    with pytest.raises(UsageError, match=f"^{option_name}: an argument .* EMR takes 10,280") as raised:
        write(plan(Query.parse(**asked), **places))
    assert raised.value.hint


def test_f9_the_longest_argument_that_emr_takes() -> None:
    """At the limit there is no complaint: botocore's model of EMR has the same number."""
    fits = "s3://bucket/" + "a" * (LONGEST_ARGUMENT - len("s3://bucket/"))
    assert fits in emr_steps(plan(inputs=[fits]))[0]["HadoopJarStep"]["Args"]
    emr = botocore.session.get_session().get_service_model("emr")
    assert emr.shape_for("XmlString").metadata["max"] == LONGEST_ARGUMENT


def test_s11_reducers_start_when_maps_are_nearly_done() -> None:
    """S11: reducers that wait for maps would hold the memory that maps need."""
    assert settings(plan()[0])["mapreduce.job.reduce.slowstart.completedmaps"] == "0.9"
