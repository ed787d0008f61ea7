"""The steps of the job as data: what Hadoop Streaming is given on EMR, in the sandbox, and in one JVM.

    flowlogs-aggregate   count_flows.py | aggregate    <key> TAB <sum>, in no order
    flowlogs-sort        port_filter.py | cut          the same lines, in the answer's order, gzipped

Hadoop's `aggregate` adds up one sum. For several, or for times, the reducer of the first step is `sum_counts.py`.

Nothing is read or run here. There is no shell, but Hadoop itself splits a mapper's command at spaces, takes commas in
`-files` and `-input` for separators, and braces and stars in paths for patterns, and expands `${name}` everywhere. So
words that a user can influence may have only letters, digits and a few signs, and nothing is quoted.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from toptalkers.errors import UsageError
from toptalkers.question.clauses import ALL_PORTS
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query

PYTHON = "python3"
"""On EMR 7, Python 3.9 of Amazon Linux 2023."""

MIB = 1 << 20

LARGEST_SPLIT_BYTES = 64 * MIB
"""Compressed bytes of small files per map: about five million records, which take about ten seconds to count."""

SMALLEST_SPLIT_BYTES = 8 * MIB
"""Starting a map takes longer than counting less than this."""

REDUCER_BYTES = 1024 * MIB
"""Compressed input per reducer. Mappers add up records, so there are far fewer sums than records."""

MOST_REDUCERS = 99

SLOW_START = "0.9"
"""The share of maps that is done before reducers start. With Hadoop's 0.05, waiting reducers hold memory."""

_SHORTER = {
    "--ports": "write neighbouring ports as ranges, like 8000-8999",
    "--where": "put less into its lists, or use networks instead of addresses; run-local takes any length",
}
"""What to do about an option that makes an argument too long."""

LONGEST_ARGUMENT = 10_280
"""The most characters in one argument of a step (EMR API reference, HadoopJarStepConfig: XmlString)."""

UNSPLIT_BYTES = (1 << 63) - 1
"""Java's Long.MAX_VALUE: as the least size of a split, it keeps every file whole."""

COMBINED = "org.apache.hadoop.mapred.lib.CombineTextInputFormat"

COMPARATOR = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"

KEY_FIELDS = "stream.num.map.output.key.fields"
"""How many columns of a mapper's line are the key that Hadoop sorts and partitions by; without it, one."""

_GZIPPED = {
    "mapreduce.output.fileoutputformat.compress": "true",
    # The setting above by itself gives .deflate.
    "mapreduce.output.fileoutputformat.compress.codec": "org.apache.hadoop.io.compress.GzipCodec",
}

_WORD = re.compile(r"[A-Za-z0-9_.,:/=@+-]+")
"""A word of a mapper's command, without signs that have a meaning for Hadoop or a shell."""

_PATH = re.compile(r"(?:[a-z0-9]+://)?[A-Za-z0-9_.:/=@+-]+")
"""A path, without commas, which separate paths, and without signs of a pattern."""

_PATTERN = re.compile(r"(?:[a-z0-9]+://)?(?:[A-Za-z0-9_.:/=@+*-]|\{[A-Za-z0-9_.:=@+*,-]+\})+")
"""A path with Hadoop's stars and braces, which only our own planning makes."""

Gluing = Literal["headers", "offsets", "never"]
"""How small files share a map (docs/decisions/0004-gluing-files.md):

- `headers`: every file begins with its header, so files can follow one another.
- `offsets`: compressed files of any kind. The mapper gets the offset of each line, which shows where a file begins.
- `never`: one map per file. Otherwise plain files would be split, and only the first part would have the header.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One streaming job: the name, and the arguments of `hadoop-streaming`."""

    name: str
    arguments: tuple[str, ...]


def is_aggregate(query: Query) -> bool:
    """Whether Hadoop's `aggregate` can make the sums of a question."""
    return len(query.metric) == 1 and query.metric[0] not in TIME_METRICS


def sort_settings(query: Query) -> dict[str, str]:
    """Settings with which Hadoop sorts lines by their first sum, descending, then by the key, ascending."""
    keys = query.key_columns
    order = "r" if query.metric[0] in TIME_METRICS else "nr"  # times compare as texts
    return {
        KEY_FIELDS: str(keys + len(query.metric)),
        "mapreduce.job.output.key.comparator.class": COMPARATOR,
        "mapreduce.partition.keycomparator.options": f"-k{keys + 1},{keys + 1}{order} -k1,{keys}",
    }


def sort_reducer(query: Query) -> str:
    """The reducer of the sort.

    Not `cat`: if all of a line is its key, streaming ends it with a tab, which `cat` would keep.
    """
    columns = query.key_columns + len(query.metric)
    return "cut -f1,2" if columns == 2 else f"cut -f1-{columns}"


def plan_steps(
    query: Query,
    *,
    top: int = 0,
    inputs: Sequence[str],
    patterns: Sequence[str] = (),
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
        inputs: files, or folders with everything below them: `s3://bucket/flowlogs/`.
        patterns: what Hadoop is given instead, if there is any: patterns that match the same files and folders.
        gluing: how small files share a map.
        bundle: the folder of the scripts, ending in `/`.
        output: the folder of the answer, ending in `/`. It must not exist yet.
        between: the folder between the steps, ending in `/`. Without a scheme it is on the default file system,
            HDFS on a cluster.
        input_bytes: the compressed size of the input. The numbers of maps and reducers depend on it.
        map_slots: how many maps run at a time. A small input is divided among all of them.
        keep_aggregate: whether the sums between the steps are kept, and so compressed.
        keep_all_ports: sum all ports in the first step, and filter them only in the second.
        python: the program that runs the scripts.

    Raises:
        UsageError: a path or a word has a sign that Hadoop would not take as it is; or there is no input; or all ports
            are to be kept with a key that has no port.

    """
    for path in (*inputs, bundle, output, between):
        if not _PATH.fullmatch(path):
            raise UsageError(f"{path!r} cannot be a path in a step", hint="use letters, digits and _ . - + @ = : /")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise UsageError(f"{pattern!r} cannot be a pattern in a step")
    if not inputs:
        raise UsageError("nothing to read")
    if keep_all_ports and not query.is_recipe:
        raise UsageError("--keep-all-ports: only with the default key can ports be looked at in the second step")
    of_all_ports = replace(query, ports=ALL_PORTS)
    return (
        _aggregate(
            of_all_ports if keep_all_ports else query,
            inputs=patterns or inputs,
            gluing=gluing,
            bundle=bundle,
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
    """The steps as RunJobFlow takes them. A step that fails ends the cluster, because the next has no input.

    Raises:
        UsageError: an argument is longer than EMR takes.

    """
    steps = _checked(steps)
    return [
        {
            "Name": step.name,
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["hadoop-streaming", *step.arguments]},
        }
        for step in steps
    ]


def render_steps(steps: Iterable[Step]) -> str:
    """The steps as the AWS CLI takes them: `aws emr create-cluster --steps file://steps.json`.

    Raises:
        UsageError: an argument is longer than EMR takes.

    """
    steps = _checked(steps)
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
    bundle: str,
    output: str,
    split_bytes: int,
    reducers: int,
    is_kept: bool,
    python: str,
) -> Step:
    settings = {
        "mapreduce.job.name": "flowlogs-aggregate",
        "mapreduce.job.reduces": str(reducers),
        # Two attempts of one reducer would write the same object.
        "mapreduce.reduce.speculative": "false",
        "mapreduce.job.reduce.slowstart.completedmaps": SLOW_START,
        # Without it, CombineTextInputFormat leaves out nested folders without a message.
        "mapreduce.input.fileinputformat.input.dir.recursive": "true",
    }
    arguments = query.mapper_arguments()
    if gluing == "never":
        settings["mapreduce.input.fileinputformat.split.minsize"] = str(UNSPLIT_BYTES)
        input_format = []
    else:
        # Without a largest size, everything would be one split.
        settings["mapreduce.input.fileinputformat.split.maxsize"] = str(split_bytes)
        settings["stream.map.input.ignoreKey"] = "true" if gluing == "headers" else "false"
        input_format = ["-inputformat", COMBINED]
        if gluing == "offsets":
            arguments.append("--offsets")
    if is_kept:
        settings |= _GZIPPED
    if query.key_columns > 1:
        settings[KEY_FIELDS] = str(query.key_columns)
    scripts, reducer = bundle + "count_flows.py", "aggregate"
    if not is_aggregate(query):
        scripts += f",{bundle}sum_counts.py"
        reducer = _command(python, "sum_counts.py", *query.reducer_arguments())
    return Step(
        "flowlogs-aggregate",
        (
            *_generic_options(settings, scripts),
            *input_format,
            *(word for path in inputs for word in ("-input", path)),
            *("-output", output),
            *("-mapper", _command(python, "count_flows.py", *arguments)),
            *("-reducer", reducer),
        ),
    )


def _sort(query: Query, top: int, *, source: str, script: str, output: str, python: str) -> Step:
    settings = {
        "mapreduce.job.name": "flowlogs-sort",
        "mapreduce.job.reduces": "1",
        "mapreduce.reduce.speculative": "false",
        **sort_settings(query),
        **_GZIPPED,
    }
    mapper = "cat"
    if top or (query.is_recipe and query.ports != ALL_PORTS):
        mapper = _command(python, "port_filter.py", *query.filter_arguments(), "--top", str(top))
    return Step(
        "flowlogs-sort",
        (
            *_generic_options(settings, script),
            *("-input", source),
            *("-output", output),
            *("-mapper", mapper),
            *("-reducer", sort_reducer(query)),
        ),
    )


def _generic_options(settings: dict[str, str], scripts: str) -> list[str]:
    """Hadoop's own options, which must come before those of streaming. Scripts are separated by commas."""
    return [word for name, value in settings.items() for word in ("-D", f"{name}={value}")] + ["-files", scripts]


def _checked(steps: Iterable[Step]) -> Sequence[Step]:
    """Raise UsageError for an argument that is too long, and name the option that makes it so."""
    found = tuple(steps)
    for argument in (one for step in found for one in step.arguments):
        if len(argument) > LONGEST_ARGUMENT:
            words = argument.split()
            at = max(range(len(words)), key=lambda number: len(words[number]))
            option = words[at - 1] if at and words[at - 1].startswith("--") else "--input"
            raise UsageError(
                f"{option}: an argument of a step would have {len(argument):,} characters,"
                f" and EMR takes {LONGEST_ARGUMENT:,}",
                hint=_SHORTER.get(option, f"give a shorter {option}"),
            )
    return found


def _command(*words: str) -> str:
    for word in words:
        if not _WORD.fullmatch(word):
            raise UsageError(f"{word!r} cannot be passed to Hadoop", hint="use letters, digits and _ . , : / = @ + -")
    return " ".join(words)
