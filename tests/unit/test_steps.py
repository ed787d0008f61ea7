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
from toptalkers.job import count_flows, port_filter
from toptalkers.job.steps import (
    ADDING,
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


MAPPER = ("count_files.py", "count_flows.py", "node_kernel.py")


def names(step: Step) -> list[str]:
    """Return the names of the files that travel with a step from the bundle."""
    return [uri.removeprefix(PLACES["bundle"]) for uri in option(step, "-files")[0].split(",")]


def test_the_two_steps() -> None:
    """Step 1 counts and writes the sums; step 2 sorts, and only it writes the answer."""
    first, second = plan(Query.parse(metric="bytes", ports="22,443"))
    assert (first.name, second.name) == ("flowlogs-aggregate", "flowlogs-sort")
    assert option(first, "-mapper") == [
        "python3 count_files.py --delimiter KK --metric bytes --ports 22,443 --action ACCEPT"
    ]
    assert option(first, "-reducer") == [ADDING]
    assert names(first) == [*MAPPER]
    assert option(first, "-output") == option(second, "-input") == ["toptalkers/1/aggregate/"]
    assert option(second, "-mapper") == ["cat"]
    assert option(second, "-output") == ["s3://bucket/runs/1/toptalkers/"]
    assert settings(second)["mapreduce.job.reduces"] == "1"


@pytest.mark.parametrize(
    ("question", "key_fields", "reducer", "sorting", "mapper", "cut"),
    [
        ({"by": "srcaddr"}, None, ADDING, "-k2,2nr -k1,1", "cat", "cut -f1,2"),
        ({"by": "srcaddr,dstport", "metric": "bytes"}, "2", ADDING, "-k3,3nr -k1,2", "cat", "cut -f1-3"),
        ({"by": "hour,pair,srcport"}, "4", ADDING, "-k5,5nr -k1,4", "cat", "cut -f1-5"),
        (
            {"metric": "bytes,packets"},
            None,
            "python3 sum_counts.py --metric bytes,packets",
            "-k2,2nr -k1,1",
            "cat",
            "cut -f1-3",
        ),
        (
            {"by": "srcaddr/24,protocol", "metric": "last,bytes"},
            "2",
            "python3 sum_counts.py --by srcaddr/24/64,protocol --metric last,bytes",
            "-k3,3r -k1,2",
            "cat",
            "cut -f1-4",
        ),
    ],
)
def test_keys_of_several_columns_and_several_sums(
    question: dict[str, str], key_fields: str | None, reducer: str, sorting: str, mapper: str, cut: str
) -> None:
    """Hadoop groups by all columns of the key, and sorts by the first sum behind them; times sort as texts."""
    first, second = plan(Query.parse(ports="all", **question))
    assert settings(first).get("stream.num.map.output.key.fields") == key_fields
    assert option(first, "-reducer") == [reducer]
    assert names(first) == [*MAPPER, "sum_counts.py"][: 3 + (" " in reducer)]
    assert settings(second)["mapreduce.partition.keycomparator.options"] == sorting
    assert option(second, "-mapper") == [mapper]
    assert option(second, "-reducer") == [cut]


CONVERSATIONS = "python3 conversations.py"
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
        ("flowlogs-sort", f"{folder}sums/", PLACES["output"], "cat", "cut -f1-3"),
    ]
    assert option(flows, "-files")[0].endswith("/conversations.py,s3://bucket/runs/1/learned/part-00000#learned.tsv")
    assert option(records, "-partitioner") == ["org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"]
    assert settings(records)["mapreduce.partition.keypartitioner.options"] == "-k1,11"
    assert [settings(step).get("stream.num.map.output.key.fields") for step in (records, learn, flows, sums, sort)] == [
        *("14", "16", "7", "2", "3")
    ]
    assert settings(learn)["mapreduce.job.reduces"] == "1"


@pytest.mark.parametrize(
    ("query", "keys", "reducer", "sorting", "cut"),
    [
        (Query.parse(pairs="yes"), "4", "--metric bytes --pairs yes", "-k5,5nr -k1,4", "cut -f1-14"),
        (
            Query.parse(pairs="yes", metric="packets"),
            "4",
            "--metric packets --pairs yes",
            "-k6,6nr -k1,4",
            "cut -f1-14",
        ),
        (
            Query.parse(**digest_texts()),
            str(len(DIGEST_KEY)),
            f"--by {','.join(DIGEST_KEY)} --metric bytes,packets,records,first,last",
            f"-k{len(DIGEST_KEY) + 1},{len(DIGEST_KEY) + 1}nr -k1,{len(DIGEST_KEY)}",
            f"cut -f1-{len(DIGEST_KEY) + 5}",
        ),
    ],
)
def test_without_count_once_the_third_step_adds_up(
    query: Query, keys: str, reducer: str, sorting: str, cut: str
) -> None:
    """Pairs and digests have no flows to choose from, so one step less; pairs rank by any of their sums."""
    records, learn, sums, sort = plan_steps(query, **PLACES)
    assert [step.name for step in (records, learn, sums, sort)] == [
        *("flowlogs-records", "flowlogs-learn", "flowlogs-conversations", "flowlogs-sort")
    ]
    assert settings(sums)["stream.num.map.output.key.fields"] == keys
    assert option(sums, "-reducer") == [f"python3 sum_counts.py {reducer}"]
    assert settings(sort)["mapreduce.partition.keycomparator.options"] == sorting
    assert option(sort, "-reducer") == [cut]


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
    ("top", "keep_all_ports", "ports", "mapper"),
    [
        (0, False, "0-1024", "cat"),
        (0, True, "all", "cat"),
        (7, False, "0-1024", "python3 port_filter.py --ports all --top 7"),
        (0, True, "22,443", "python3 port_filter.py --ports 22,443 --top 0"),
        (7, True, "22,443", "python3 port_filter.py --ports 22,443 --top 7"),
    ],
)
def test_the_second_mapper_does_what_is_left_to_do(top: int, keep_all_ports: bool, ports: str, mapper: str) -> None:
    """It filters the ports that the first step kept, and keeps the first N; otherwise it is `cat`."""
    first, second = plan(Query.parse(ports=ports), top=top, keep_all_ports=keep_all_ports)
    assert option(second, "-mapper") == [mapper]
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
        assert names(first)[:5] == [*MAPPER, *kernels]
        assert not any(".so" in name for step in others for name in names(step))


def test_sizes_follow_the_input() -> None:
    """A small input is divided among the available maps; a large one gets more reducers, within limits."""

    def numbers(input_bytes: int) -> tuple[int, int]:
        found = settings(plan(input_bytes=input_bytes, map_slots=8)[0])
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
    counting = count_flows.parse_arguments(words[4:])
    assert (counting.metric, counting.action, counting.since) == (
        ",".join(query.metric),
        query.action,
        query.mapper_arguments()[7] if query.since else None,
    )
    words = option(second, "-mapper")[0].split(" ")
    if words != ["cat"]:
        assert port_filter.parse_arguments(words[2:]).top == top


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
