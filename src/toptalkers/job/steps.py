"""The steps of the job as data: what Hadoop Streaming is given on EMR, in the sandbox, and in one JVM.

    flowlogs-aggregate   count_flows.py | aggregate    <talker> TAB <sum>, in no order
    flowlogs-sort        port_filter.py | cut          the same lines, in the answer's order, gzipped

Pure: nothing is looked up, nothing is run. Arguments become a program's argument list, without a shell; but Hadoop
itself splits a mapper's command at spaces, takes commas in `-files` and `-input` for separators, braces and stars in
paths for patterns, and expands `${name}` in all of it. So every word that a user can have a say in is held to
letters, digits and a few signs, and nothing is quoted.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from toptalkers.errors import UsageError
from toptalkers.question.clauses import ALL_PORTS
from toptalkers.question.query import Query

PYTHON = "python3"
"""On EMR 7 that is Amazon Linux 2023's own, 3.9."""

MIB = 1 << 20

LARGEST_SPLIT_BYTES = 64 * MIB
"""Compressed bytes of small files that share a map: some five million records, some ten seconds of counting."""

SMALLEST_SPLIT_BYTES = 8 * MIB
"""Below it, starting a map takes longer than what it does."""

REDUCER_BYTES = 1024 * MIB
"""Compressed input per reducer: the mappers combine it, so there are far fewer sums than records."""

MOST_REDUCERS = 99

UNSPLIT_BYTES = (1 << 63) - 1
"""Java's Long.MAX_VALUE: as the least size of a split, it keeps every file whole."""

COMBINED = "org.apache.hadoop.mapred.lib.CombineTextInputFormat"
COMPARATOR = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"
GZIP = "org.apache.hadoop.io.compress.GzipCodec"

_WORD = re.compile(r"[A-Za-z0-9_.,:/=@+-]+")
"""A word of a mapper's command: nothing that Hadoop or a shell gives a meaning to."""

_PATH = re.compile(r"(?:[a-z0-9]+://)?[A-Za-z0-9_.:/=@+-]+")
"""A path: no commas either, which separate paths, and no signs of a pattern."""

Gluing = Literal["headers", "offsets", "never"]
"""How small files share a map (docs/decisions/0004-gluing-files.md):

- `headers`: every file begins with its header, so that one behind another explains itself.
- `offsets`: files of any kind, packed; the mapper is given each line's offset, and so sees where a file begins.
- `never`: a map a file. Plain files would else be cut in the middle, away from their header.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One streaming job: what `hadoop-streaming` is given, word by word."""

    name: str
    arguments: tuple[str, ...]


def plan_steps(
    query: Query,
    *,
    top: int = 0,
    inputs: Sequence[str],
    gluing: Gluing,
    bundle: str,
    output: str,
    between: str,
    input_bytes: int = 0,
    map_slots: int = 8,
    keep_aggregate: bool = False,
    keep_all_ports: bool = False,
    python: str = PYTHON,
) -> tuple[Step, ...]:
    """Make the steps that answer a question.

    Args:
        query: the question.
        top: how many talkers are kept, 0 for all.
        inputs: folders (read with all below them) or files, `s3://bucket/flowlogs/`.
        gluing: what may be done with small files.
        bundle: the folder with the scripts, ending in `/`.
        output: the folder that the answer goes to, ending in `/`; it must not be there yet.
        between: the folder between the steps, ending in `/`. Without a scheme it is on the default file system,
            HDFS on a cluster.
        input_bytes: the compressed size of the input, from which the numbers of maps and reducers follow.
        map_slots: how many maps run at a time: a small input is divided among all of them.
        keep_aggregate: compress the sums between the steps, because they are kept.
        keep_all_ports: sum all ports in the first step, and filter them only in the second.
        python: the program that runs the scripts.

    Raises:
        UsageError: a path that cannot be given to Hadoop as it is.

    """
    for path in (*inputs, bundle, output, between):
        if not _PATH.fullmatch(path):
            raise UsageError(
                f"this cannot be a path in a step: {path!r}",
                hint="letters, digits and _ . - + @ = : / are understood by all that read it on the way",
            )
    if not inputs:
        raise UsageError("there is nothing to read")
    of_all_ports = replace(query, ports=ALL_PORTS)
    return (
        _aggregate(
            of_all_ports if keep_all_ports else query,
            inputs=inputs,
            gluing=gluing,
            script=bundle + "count_flows.py",
            output=between,
            split_bytes=max(SMALLEST_SPLIT_BYTES, min(LARGEST_SPLIT_BYTES, -(-input_bytes // (2 * map_slots)))),
            reducers=min(MOST_REDUCERS, 1 + input_bytes // REDUCER_BYTES),
            is_kept=keep_aggregate,
            python=python,
        ),
        _sort(
            query if keep_all_ports else of_all_ports,
            top,
            source=between,
            script=bundle + "port_filter.py",
            output=output,
            python=python,
        ),
    )


def emr_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The steps as RunJobFlow takes them. A step that fails ends the cluster: the next has nothing to read."""
    return [
        {
            "Name": step.name,
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["hadoop-streaming", *step.arguments]},
        }
        for step in steps
    ]


def render_steps(steps: Iterable[Step]) -> str:
    """The steps as the AWS CLI takes them: `aws emr create-cluster --steps file://steps.json`."""
    shorthand = [
        {
            "Type": "STREAMING",
            "Name": step.name,
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "Args": list(step.arguments),
        }
        for step in steps
    ]
    return json.dumps(shorthand, indent=2) + "\n"


def _aggregate(
    query: Query,
    *,
    inputs: Sequence[str],
    gluing: Gluing,
    script: str,
    output: str,
    split_bytes: int,
    reducers: int,
    is_kept: bool,
    python: str,
) -> Step:
    settings = {
        "mapreduce.job.name": "flowlogs-aggregate",
        "mapreduce.job.reduces": str(reducers),
        # Two attempts of one reducer would write one object.
        "mapreduce.reduce.speculative": "false",
        # Without it, CombineTextInputFormat reads nothing of nested folders, and says nothing.
        "mapreduce.input.fileinputformat.input.dir.recursive": "true",
    }
    arguments = query.mapper_arguments()
    if gluing == "never":
        settings["mapreduce.input.fileinputformat.split.minsize"] = str(UNSPLIT_BYTES)
        input_format = []
    else:
        # Without a largest size everything would be one split.
        settings["mapreduce.input.fileinputformat.split.maxsize"] = str(split_bytes)
        settings["stream.map.input.ignoreKey"] = "true" if gluing == "headers" else "false"
        input_format = ["-inputformat", COMBINED]
        if gluing == "offsets":
            arguments.append("--offsets")
    if is_kept:
        settings |= _GZIPPED
    return Step(
        "flowlogs-aggregate",
        (
            *_generic_options(settings, script),
            *input_format,
            *(word for path in inputs for word in ("-input", path)),
            *("-output", output),
            *("-mapper", _command(python, "count_flows.py", *arguments)),
            *("-reducer", "aggregate"),
        ),
    )


def _sort(query: Query, top: int, *, source: str, script: str, output: str, python: str) -> Step:
    settings = {
        "mapreduce.job.name": "flowlogs-sort",
        "mapreduce.job.reduces": "1",
        "mapreduce.reduce.speculative": "false",
        "stream.num.map.output.key.fields": "2",
        "mapreduce.job.output.key.comparator.class": COMPARATOR,
        "mapreduce.partition.keycomparator.options": "-k2,2nr -k1,1",
        **_GZIPPED,
    }
    mapper = "cat"
    if query.ports != ALL_PORTS or top:
        mapper = _command(python, "port_filter.py", *query.filter_arguments(), "--top", str(top))
    return Step(
        "flowlogs-sort",
        (
            *_generic_options(settings, script),
            *("-input", source),
            *("-output", output),
            *("-mapper", mapper),
            # Not `cat`: with two key fields streaming ends each line with a tab, which `cat` would keep.
            *("-reducer", "cut -f1,2"),
        ),
    )


_GZIPPED = {
    "mapreduce.output.fileoutputformat.compress": "true",
    # Alone, the setting above gives .deflate.
    "mapreduce.output.fileoutputformat.compress.codec": GZIP,
}


def _generic_options(settings: dict[str, str], script: str) -> list[str]:
    """What Hadoop wants before the options of streaming's own."""
    return [word for name, value in settings.items() for word in ("-D", f"{name}={value}")] + ["-files", script]


def _command(*words: str) -> str:
    for word in words:
        if not _WORD.fullmatch(word):
            raise UsageError(f"this cannot travel to a cluster: {word!r}")
    return " ".join(words)
