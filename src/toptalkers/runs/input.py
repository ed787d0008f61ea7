"""Choose the input of a run: the folders that the question's time needs, or that are given, and copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toptalkers import locations
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.job.steps import Gluing
from toptalkers.question.query import Query
from toptalkers.records.hours import Arrival
from toptalkers.records.stored import begins_with_header, dated_folders, object_at
from toptalkers.runs.renamed import Copy, plan_copies
from toptalkers.runs.survey import GIVEN, Place, Survey, format_reasons

_NO_DATE = "left out, as its name is not part of a date"


@dataclass(frozen=True, slots=True)
class RunInput:
    """The input of a run.

    Attributes:
        uris: the addresses of folders, read with all objects below them, and of files.
        objects: the number of objects.
        size_bytes: their total size as stored, usually compressed.
        gluing: how small objects may share a map.
        notes: lines that a user should read.
        copies: objects to be copied first, because their names do not tell their compression.
        left_out: the addresses of objects that were asked for and are not read, with the reasons.

    """

    uris: tuple[str, ...]
    objects: int
    size_bytes: int
    gluing: Gluing
    notes: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def pick_input(
    storage: StorageGateway,
    bucket: str,
    query: Query,
    *,
    given: Sequence[str] = (),
    renamed: str,
    skips: bool = False,
    on_look: Callable[[int, int], None] = lambda _done, _total: None,
) -> RunInput:
    """Find the objects that a question reads, and inspect them: Hadoop goes by names, and misreads without an error.

    All objects whose names do not tell their compression are inspected, and a sample of the others; `on_look` is called
    with the number of objects inspected, and the number to inspect.

    `given` are addresses of folders, `s3://bucket/folder/`, or of objects. They are read completely; only the mapper
    compares records with the question's time. Without them, that time chooses among the flow logs in the stack's
    bucket. `renamed` is the folder in that bucket for copies with better names. With `skips`, objects that a cluster
    cannot read are left out.

    Raises:
        UsageError: an address is not one in S3, or has characters that Hadoop would interpret.
        ToptalkersError: there is nothing to read, or a cluster cannot read an object, without `skips`.

    """
    notes: list[str] = []
    survey = Survey(storage, query)
    if given:
        places = [_parse_given(uri) for uri in given]
        others = sorted({place for place, _ in places} - {bucket})
        notes += [f"the nodes' role can read only s3://{bucket}; it must be granted s3://{other}" for other in others]
        for place, key in places:
            found = object_at(storage, place, key)
            folder = "" if found else f"{key.rstrip('/')}/" if key else ""
            if not survey.add(place, folder, [found] if found else storage.list(place, folder)):
                raise ToptalkersError(f"there is nothing to read at s3://{place}/{key}")
    else:
        arrival = Arrival.of_records(query.since, query.until)
        for level in dated_folders(storage, bucket, arrival, on_odd=lambda uri: notes.append(f"{_NO_DATE}: {uri}")):
            survey.add(bucket, level.folder, level.objects)
    survey.inspect(on_look, needs_all=skips)
    if survey.unreadable and not skips:
        raise ToptalkersError(
            f"{len(survey.unreadable):,} of {survey.objects:,} objects cannot be read on a cluster:"
            f" {format_reasons(survey.unreadable)}",
            hint="try 'toptalkers run-local' on them, name others with --input, or leave these out with"
            " --skip-unreadable",
        )
    taken = survey.taken
    if not taken:
        when = " at the time asked for" if query.since or query.until else ""
        where = f"s3://{bucket}{when}" if not given else ", ".join(given)
        passed = survey.neighbours | survey.unreadable
        raise ToptalkersError(
            f"there are no flow logs to read in {where}" + (f": {format_reasons(passed)}" if passed else ""),
            hint=None if given else "'toptalkers status' shows what arrives; records take up to 15 minutes",
        )
    uris, copied = survey.places()
    copies = plan_copies(copied, survey.renamed, renamed)
    if copies:
        uris.append(f"s3://{bucket}/{renamed}")
        number = "1 object is" if len(copies) == 1 else f"{len(copies):,} objects are"
        why = "Hadoop goes by the ending of a name" if survey.renamed else "they are among objects left out"
        notes.append(f"{number} copied to s3://{bucket}/{renamed} until the run is over, as {why}")
    if survey.neighbours:
        notes.append(f"passed over, as they are not flow logs: {format_reasons(survey.neighbours)}")
    if survey.unreadable:
        notes.append(f"left out, as a cluster cannot read them: {format_reasons(survey.unreadable)}")
    if not given and len({uri.split("/")[3] for uri in uris} & {"flowlogs", "AWSLogs"}) > 1:
        notes.append(
            f"flow logs come both ways, {locations.CAPTURED} and {locations.DIRECT}; what is logged both ways counts"
            f" twice (--input s3://{bucket}/{locations.CAPTURED} reads only the first)"
        )
    return RunInput(
        tuple(uris),
        len(taken),
        sum(taken.values()),
        _gluing(survey, bucket),
        tuple(notes),
        copies,
        tuple(sorted(survey.unreadable.items())),
    )


def _gluing(survey: Survey, own_bucket: str) -> Gluing:
    """Decide by the names of the objects to read how they may share a map."""
    if not all(survey.renamed.get(place, place[1]).endswith(".gz") for place in survey.taken):
        return "never"
    explain_themselves = not survey.renamed and all(
        begins_with_header(key, is_own_bucket=bucket == own_bucket) for bucket, key in survey.taken
    )
    return "headers" if explain_themselves else "offsets"


def _parse_given(uri: str) -> Place:
    match = GIVEN.fullmatch(uri)
    if match is None:
        raise UsageError(
            f"--input: {uri!r} is not an address in S3 that can be passed to a step",
            hint="s3://bucket/folder/ of letters, digits and _ . - + @ = :, without patterns",
        )
    return match[1], match[2] or ""
