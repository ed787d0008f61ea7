"""The steps of the job as data: what Hadoop Streaming is given on EMR, in the sandbox, and in one JVM.

    flowlogs-aggregate   count_files.py | sum_blocks.py                <key> TAB <sum> ..., in no order
    flowlogs-sort        sort_blocks.py map | sort_blocks.py merge     the same lines, in the answer's order, gzipped

Between a mapper and its reducer there are blocks of lines (docs/decisions/0027-blocks-of-lines.md).

A question about conversations (`--count once`, `--pairs`), and that of a digest, has other steps before the sort. Its
records are kept whole, and what is learned from all of them is a table that travels with the script:

    flowlogs-records        count_files.py | conversations.py distinct               the records, copies marked
    flowlogs-learn          conversations.py learn-map | ... learn-reduce             the table
    flowlogs-conversations  conversations.py fold | conversations.py once             <key> TAB <sum>, several of a key
    flowlogs-aggregate      cat | aggregate                                           <key> TAB <sum>, in no order

Without `--count once` the third step adds up, and there is no fourth. Hadoop's own reducer adds up one sum; for others,
it is `sum_counts.py`.

The step that reads flow logs gets whole files, as they are stored (docs/decisions/0026-whole-files-on-a-cluster.md).

Nothing is read or run here. There is no shell, but Hadoop itself splits a mapper's command at spaces, takes commas in
`-files` and `-input` for separators, and braces and stars in paths for patterns, and expands `${name}` everywhere. So
words that a user can influence may have only letters, digits and a few signs, and nothing is quoted.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toptalkers.errors import UsageError
from toptalkers.question.clauses import ALL_PORTS
from toptalkers.question.conversations import CORE_COLUMNS, needs_records, record_question
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query

PYTHON = "python3"
"""On EMR 7, Python 3.9 of Amazon Linux 2023."""

MIB = 1 << 20

SHARED_BYTES = 32 * MIB
"""The largest object, of those that Hadoop could split, that shares a map: no file system has smaller blocks (S3A's are
32 MiB, EMRFS's 64), at which `CombineTextInputFormat` would split it."""

LARGEST_SPLIT_BYTES = 1024 * MIB
"""Compressed bytes of files per map, some 75 million records. A map's JVM costs as much CPU time as counting 50 to 80
MiB (2 to 3.3 s; docs/benchmarks.md, yarn), so it is less than a tenth of the work; and the more records a map has, the
fewer sums leave it. A map that fails and starts again loses about a minute."""

LARGEST_SPLIT_BYTES_OF_RECORDS = 128 * MIB
"""The same where every record leaves the map: ten million, about 1 GB on the node's disk."""

SMALLEST_SPLIT_BYTES = 16 * MIB
"""The split of a small input, which all slots share: a slot that gets nothing is idle. Starting a map takes longer
than counting this."""

REDUCER_BYTES = 1024 * MIB
"""Compressed input per reducer. Mappers add up records, so there are far fewer sums than records."""

REDUCER_BYTES_OF_RECORDS = 128 * MIB
"""Compressed input per reducer that gets every record, about ten million."""

SORTER_BYTES = 128 * 1024 * MIB
"""Compressed input per reducer of the sort, so that an answer of less is in one part, as the recipe's.

What has to be sorted is known only when the first step is done. For 100 million keys the whole step takes six minutes
of CPU time (docs/benchmarks.md, emr), and more than so many come only from more input. Each part is in the answer's
order, and holds the keys of one hash; `fetch-results` merges them. Parts in a total order would need a step that
samples."""

SORT_SPLIT_BYTES = 128 * MIB
"""Sums per map of the sort, about three million. Each reducer before it wrote a file, and most are small: a map for
each, and two or three for a single one, would take longer to start than to work."""

MOST_REDUCERS = 99

LISTED_AT_A_TIME = "16"
"""How many folders Hadoop lists at a time, each of which takes S3 about 0.1 s. By default it is one; a day of an
organization has thousands."""

MAP_JVM = "-Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""The JVM of a map that counts or sorts. It hands over its input and sorts blocks of sums, in a buffer of 100 to 200
MiB (`mapreduce.task.io.sort.mb`): a large heap would take memory from the sums, and the second compiler and the
parallel collector cost more time in so short a life than they save (docs/benchmarks.md, yarn)."""

PARTS_PER_REDUCER = 256
"""A reducer holds the sums of one part at a time: of 75 million talkers, about 300,000 in 30 MB."""

IN_BLOCKS = {"stream.map.output": "rawbytes", "stream.reduce.input": "rawbytes"}
"""A shuffle of blocks (`job/blocks.py`), not of lines."""

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

GZIP_DELIMITER = "KK"
"""Where compressed files are cut into records: any two bytes follow each other every 64 KiB on average."""

MAPPER_FILES = ("count_files.py", "count_flows.py", "node_kernel.py", "blocks.py")
"""The mapper that reads flow logs, and what it imports; the kernels of nodes travel with them."""

LINE_FEED = "${line.separator}"
"""A line feed, as Hadoop's settings can say it in printable signs: they know the properties of Java."""

COMBINED = "org.apache.hadoop.mapred.lib.CombineTextInputFormat"

BINARY_PARTITIONER = "org.apache.hadoop.mapred.lib.BinaryPartitioner"

_FIRST_BYTE = {
    "mapreduce.partition.binarypartitioner.left.offset": "0",
    "mapreduce.partition.binarypartitioner.right.offset": "0",
}
"""The part of a key that tells a block's reducer (`job/sort_blocks.py`)."""

SORTER_FILES = ("sort_blocks.py", "port_filter.py", "blocks.py")
"""The mapper and reducer of the sort, and what they import."""

PARTITIONER = "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"

KEY_FIELDS = "stream.num.map.output.key.fields"
"""How many columns of a mapper's line are the key that Hadoop sorts and partitions by; without it, one."""

FACT_COLUMNS = 16
"""More than a line of `conversations.py learn-map` has: all of it is the key."""

FLOW_COLUMNS = 7
"""The columns of a flow, which are the key of `conversations.py fold` for `once`."""

LEARNED = "learned.tsv"
"""The name of the learned table where scripts run."""

_PLAIN = {"mapreduce.output.fileoutputformat.compress": "false"}

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


@dataclass(frozen=True, slots=True)
class Step:
    """One streaming job: the name, and the arguments of `hadoop-streaming`."""

    name: str
    arguments: tuple[str, ...]


def learned_path(folder: str) -> str:
    """The table that the step flowlogs-learn writes into a folder, which ends in `/`."""
    return folder + "part-00000"


def plan_steps(
    query: Query,
    *,
    top: int = 0,
    inputs: Sequence[str],
    patterns: Sequence[str] = (),
    is_gzip: bool,
    largest_bytes: int = 0,
    bundle: str,
    kernels: Sequence[str] = (),
    output: str,
    between: str,
    learned: str = "",
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
        is_gzip: whether the names of all files end in `.gz`. A file that is not gzip then counts as unreadable.
        largest_bytes: the size of the largest file that is not named so, 0 if there is none. Hadoop could split it, so
            if it is larger than `SHARED_BYTES`, no files share a map.
        bundle: the folder of the scripts, ending in `/`.
        kernels: the names of the kernels for nodes there. Without one for its machine, a node counts in Python.
        output: the folder of the answer, ending in `/`. It must not exist yet.
        between: the folder between the steps, ending in `/`; the folders, if there are more steps than two, are below.
            Without a scheme it is on the default file system, HDFS on a cluster.
        learned: the folder of what is learned from all records, ending in `/`, for a question that needs it. Without a
            scheme it is on the disk of the machine that starts the steps, because Hadoop takes `-files` from there; so
            on a cluster it must have one.
        input_bytes: the compressed size of the input. The numbers of maps and reducers depend on it.
        map_slots: how many maps run at a time. A small input is divided among all of them.
        keep_aggregate: whether the sums between the steps are kept, and so compressed.
        keep_all_ports: sum all ports in the first step, and filter them only in the second.
        python: the program that runs the scripts.

    Raises:
        UsageError: a path or a word has a sign that Hadoop would not take as it is; or there is no input; or all ports
            are to be kept with a key that has no port.

    """
    for path in (*inputs, bundle, output, between, *([learned] if learned else [])):
        if not _PATH.fullmatch(path):
            raise UsageError(f"{path!r} cannot be a path in a step", hint="use letters, digits and _ . - + @ = : /")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise UsageError(f"{pattern!r} cannot be a pattern in a step")
    if not inputs:
        raise UsageError("nothing to read")
    if keep_all_ports and (not query.is_recipe or query.joins_records):
        raise UsageError("--keep-all-ports: only with the default key can ports be looked at in the second step")
    of_all_ports = replace(query, ports=ALL_PORTS)
    job = _Job(bundle, python, input_bytes, is_kept=keep_aggregate)
    largest = LARGEST_SPLIT_BYTES_OF_RECORDS if needs_records(query) else LARGEST_SPLIT_BYTES
    split_bytes = max(SMALLEST_SPLIT_BYTES, min(largest, -(-input_bytes // (2 * map_slots))))
    reading = _Reading(patterns or inputs, is_gzip, largest_bytes, split_bytes, kernels)
    if needs_records(query):
        before = _conversations(query, job, reading, between, learned or f"{between}learned/")
    else:
        before = [_aggregate(of_all_ports if keep_all_ports else query, job, reading, between)]
    return (
        *before,
        _sort(
            query if keep_all_ports else of_all_ports,
            top,
            source=before[-1].arguments[before[-1].arguments.index("-output") + 1],
            bundle=bundle,
            output=output,
            python=python,
            reducers=1 if top else job.reducers(SORTER_BYTES),
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """How flow logs are read: the paths, what is known of the files, and about how many bytes of them share a map.

    Hadoop hands over each file whole and in order, as records that it cuts at a delimiter, with their offsets.
    """

    inputs: Sequence[str]
    is_gzip: bool
    largest_bytes: int
    split_bytes: int
    kernels: Sequence[str]

    @property
    def shares_maps(self) -> bool:
        return self.largest_bytes <= SHARED_BYTES

    @property
    def settings(self) -> dict[str, str]:
        split = (
            # Without a largest size, everything would be one split. Plain files are split at it.
            {"mapreduce.input.fileinputformat.split.maxsize": str(max(self.split_bytes, self.largest_bytes))}
            if self.shares_maps
            else {"mapreduce.input.fileinputformat.split.minsize": str(UNSPLIT_BYTES)}
        )
        return {
            # Without it, CombineTextInputFormat leaves out nested folders without a message.
            "mapreduce.input.fileinputformat.input.dir.recursive": "true",
            "mapreduce.input.fileinputformat.list-status.num-threads": LISTED_AT_A_TIME,
            **split,
            # Hadoop does not unpack gzip.
            "io.compression.codecs": "org.apache.hadoop.io.compress.PassthroughCodec",
            "io.compress.passthrough.extension": ".gz",
            "textinputformat.record.delimiter": GZIP_DELIMITER if self.is_gzip else LINE_FEED,
            "stream.map.input": "rawbytes",
            "stream.map.input.ignoreKey": "false",
            "io.file.buffer.size": str(128 << 10),
        }

    @property
    def options(self) -> list[str]:
        of_format = ["-inputformat", COMBINED] if self.shares_maps else []
        return [*of_format, *(word for path in self.inputs for word in ("-input", path))]

    @property
    def files(self) -> list[str]:
        return [*MAPPER_FILES, *self.kernels]

    @property
    def mapper(self) -> list[str]:
        return ["count_files.py", "--delimiter", GZIP_DELIMITER if self.is_gzip else "LF"]


@dataclass(frozen=True, slots=True)
class _Job:
    """What the steps before the sort have in common."""

    bundle: str
    python: str
    input_bytes: int
    is_kept: bool

    def step(
        self,
        name: str,
        *,
        files: Sequence[str],
        source: Sequence[str],
        output: str,
        mapper: str,
        reducer: str,
        reducers: int,
        settings: Mapping[str, str] | None = None,
        keys: int = 1,
        together: int = 0,
        may_keep: bool = True,
    ) -> Step:
        """A step that adds up or learns.

        `files` are the names of scripts, or the addresses of other files; `source` are the options of the input; `keys`
        is by how many columns the mapper's lines are sorted; lines that are alike in the first `together` columns go
        to one reducer, by default those that are alike in `keys`.
        """
        of_job = {
            "mapreduce.job.name": name,
            "mapreduce.job.reduces": str(reducers),
            # Two attempts of one reducer would write the same object.
            "mapreduce.reduce.speculative": "false",
            "mapreduce.job.reduce.slowstart.completedmaps": SLOW_START,
            **(settings or {}),
            **(_GZIPPED if self.is_kept and may_keep else {}),
            **({KEY_FIELDS: str(keys)} if keys > 1 else {}),
            **({"mapreduce.partition.keypartitioner.options": f"-k1,{together}"} if together else {}),
        }
        scripts = ",".join(one if "/" in one else self.bundle + one for one in files)
        return Step(
            name,
            (
                *_generic_options(of_job, scripts),
                *source,
                *("-output", output),
                *("-mapper", mapper),
                *(("-partitioner", PARTITIONER) if together else ()),
                *("-reducer", reducer),
            ),
        )

    def command(self, script: str, *words: str) -> str:
        return _command(self.python, script, *words)

    def reducers(self, input_bytes: int) -> int:
        """How many reducers there are, each for so much compressed input."""
        return min(MOST_REDUCERS, 1 + self.input_bytes // input_bytes)

    def summing(self, query: Query) -> tuple[list[str], str]:
        """The script that adds up an answer, if there is one, and its command, or Hadoop's own reducer."""
        if not query.pairs and len(query.metric) == 1 and query.metric[0] not in TIME_METRICS:
            return [], "aggregate"
        return ["sum_counts.py"], self.command("sum_counts.py", *query.reducer_arguments())


def _aggregate(query: Query, job: _Job, reading: _Reading, output: str) -> Step:
    reducers = job.reducers(REDUCER_BYTES)
    parts = str(PARTS_PER_REDUCER * reducers)
    return job.step(
        "flowlogs-aggregate",
        files=[*reading.files, "sum_blocks.py"],
        source=reading.options,
        output=output,
        mapper=job.command(*reading.mapper, "--parts", parts, *query.mapper_arguments()),
        reducer=job.command("sum_blocks.py", "--metric", ",".join(query.metric)),
        reducers=reducers,
        settings={**reading.settings, **IN_BLOCKS, "mapreduce.map.java.opts": MAP_JVM},
    )


def _conversations(query: Query, job: _Job, reading: _Reading, between: str, learned: str) -> list[Step]:
    """The steps of a question about conversations, or of a digest; `job/conversations.py` has their lines."""
    records, folded, sums = (f"{between}{name}/" for name in ("records", "flows", "sums"))
    scripts, adding = job.summing(query)
    is_once = query.count == "once"
    asked = query.conversation_arguments()

    def role(name: str, *words: str) -> str:
        return job.command("conversations.py", name, *words)

    of_records = record_question(query)
    steps = [
        job.step(
            "flowlogs-records",
            files=[*reading.files, "conversations.py"],
            source=reading.options,
            output=records,
            mapper=job.command(*reading.mapper, *of_records.mapper_arguments()),
            reducer=role("distinct", *asked),
            reducers=job.reducers(REDUCER_BYTES_OF_RECORDS),
            settings=reading.settings,
            keys=of_records.key_columns,
            together=CORE_COLUMNS,
        ),
        job.step(
            "flowlogs-learn",
            files=["conversations.py"],
            source=["-input", records],
            output=learned,
            mapper=role("learn-map"),
            reducer=role("learn-reduce"),
            reducers=1,
            settings=_PLAIN,
            keys=FACT_COLUMNS,
            may_keep=False,
        ),
        job.step(
            "flowlogs-conversations",
            files=["conversations.py", *([] if is_once else scripts), f"{learned_path(learned)}#{LEARNED}"],
            source=["-input", records],
            output=folded if is_once else sums,
            mapper=role("fold", "--learned", LEARNED, *asked),
            reducer=role("once", *asked) if is_once else adding,
            reducers=job.reducers(REDUCER_BYTES_OF_RECORDS),
            keys=FLOW_COLUMNS if is_once else query.key_columns,
        ),
    ]
    if is_once:
        steps.append(
            job.step(
                "flowlogs-aggregate",
                files=["sum_counts.py"],
                source=["-input", folded],
                output=sums,
                mapper="cat",
                reducer=adding,
                reducers=job.reducers(REDUCER_BYTES),
                keys=query.key_columns,
            )
        )
    return steps


def _sort(query: Query, top: int, *, source: str, bundle: str, output: str, python: str, reducers: int) -> Step:
    settings = {
        "mapreduce.job.name": "flowlogs-sort",
        "mapreduce.job.reduces": str(reducers),
        "mapreduce.reduce.speculative": "false",
        "mapreduce.input.fileinputformat.split.maxsize": str(SORT_SPLIT_BYTES),
        "stream.map.input.ignoreKey": "true",
        "mapreduce.map.java.opts": MAP_JVM,
        **IN_BLOCKS,
        **_FIRST_BYTE,
        **_GZIPPED,
        "zlib.compress.level": "BEST_SPEED",  # by default, compressing is a third of the step's CPU time
    }
    words = ["--reducers", str(reducers), *query.filter_arguments(), "--top", str(top)]
    return Step(
        "flowlogs-sort",
        (
            *_generic_options(settings, ",".join(bundle + name for name in SORTER_FILES)),
            *("-inputformat", COMBINED),
            *("-input", source),
            *("-output", output),
            *("-mapper", _command(python, "sort_blocks.py", "map", *words)),
            *("-partitioner", BINARY_PARTITIONER),
            *("-reducer", _command(python, "sort_blocks.py", "merge")),
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
