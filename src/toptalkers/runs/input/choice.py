"""Choose the input of a run: the folders that the question's time needs, or that are given, and copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toptalkers import locations
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.truth import has_sample_name
from toptalkers.question.query import Query
from toptalkers.records.stored import Search, describe_missing
from toptalkers.records.wanted import ANYWHERE, EVERYTHING, Origin, Wanted
from toptalkers.runs.input.access import check_access, describe_transfer, explain_refusal
from toptalkers.runs.input.copies import Copy, plan_copies
from toptalkers.runs.input.survey import GIVEN, Survey, format_reasons
from toptalkers.runs.site import Site


@dataclass(frozen=True, slots=True)
class RunInput:
    """The input of a run.

    Attributes:
        uris: the addresses of folders, read with all objects below them, and of files.
        patterns: what a step is given instead if these are too long for it: patterns that match them.
        objects: the number of objects.
        size_bytes: their total size as stored, usually compressed.
        is_gzip: whether the names of all objects end in `.gz`.
        largest_bytes: the stored size of the largest object that is not named so; 0 if there is none.
        notes: lines that a user should read.
        copies: objects to be copied first, because a step cannot name all of them.
        left_out: the addresses of objects that were asked for and are not read, with the reasons.

    """

    uris: tuple[str, ...]
    objects: int
    size_bytes: int
    is_gzip: bool
    largest_bytes: int = 0
    notes: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    patterns: tuple[str, ...] = ()


def pick_input(
    storage: StorageGateway,
    site: Site,
    query: Query,
    *,
    given: Sequence[str] = (),
    origin: Origin = ANYWHERE,
    region: str = "",
    copy_folder: str,
    skips: bool = False,
    on_look: Callable[[int, int], None] = lambda _done, _total: None,
) -> RunInput:
    """Find the objects that a question reads, and inspect them, so that no cluster is paid for what it cannot read.

    All objects whose names do not tell their compression are inspected, and a sample of the others; `on_look` is called
    with the number of objects inspected, and the number to inspect.

    `given` are addresses of folders, `s3://bucket/folder/`, or of objects; without them, the flow logs in the site's
    bucket are read. The question's time and `origin` choose among the objects there, as `run-local` does. `copy_folder`
    is the folder in the site's bucket for copies that a step can name. With `skips`, objects that a cluster cannot read
    are left out. `region` is the cluster's Region, for a note about buckets in others.

    Raises:
        UsageError: an address is not one in S3, or has characters that Hadoop would interpret.
        ToptalkersError: there is nothing to read, the nodes may not read a bucket, or a cluster cannot read an object,
            without `skips`.

    """
    bucket = site.bucket
    for uri in given:
        _check_given(uri)
    notes = check_access(site, given)
    survey = Survey(storage, query)
    wanted = Wanted.of_records(query.since, query.until, origin)
    own = [f"s3://{bucket}/{root}" for root in (locations.CAPTURED, locations.DIRECT)]
    if not given and origin != ANYWHERE:
        notes.append(f"{own[0]} is left out: its names do not tell accounts and Regions")
        own.pop(0)
    searches = [Search.at(storage, uri, wanted) for uri in given or own]
    for search in searches:
        if not survey.add(search) and given:
            place = f"s3://{search.bucket}/{search.key}"
            if wanted == EVERYTHING:
                raise ToptalkersError(f"there is nothing to read at {place}")
            notes.append(f"nothing that is asked for is at {place}")
    notes += describe_transfer(storage, site, given, region)
    missing = list(describe_missing(searches, origin))
    survey.inspect(on_look, needs_all=skips)
    if survey.unreadable and not skips:
        raise ToptalkersError(
            f"{len(survey.unreadable):,} of {survey.objects:,} objects cannot be read on a cluster:"
            f" {format_reasons(survey.unreadable)}",
            hint=explain_refusal(survey.unreadable.values())
            or "try 'toptalkers run-local' on them, name others with --input, or leave these out with"
            " --skip-unreadable",
        )
    taken = survey.taken
    if not taken:
        raise _nothing_to_read(site, query, given, own, missing, survey)
    uris, patterns, copied = survey.places()
    copies = plan_copies(copied, copy_folder)
    if copies:
        uris.append(f"s3://{bucket}/{copy_folder}")
        if patterns:
            patterns.append(uris[-1])
        number = "1 object is" if len(copies) == 1 else f"{len(copies):,} objects are"
        why = "they are too many for a step to name, or have names that a step cannot have"
        notes.append(f"{number} copied to s3://{bucket}/{copy_folder} until the run is over: {why}")
    notes += missing
    if named := {uri: what for uri, what in survey.neighbours.items() if not has_sample_name(uri)}:
        notes.append(f"passed over, as they are not flow logs: {format_reasons(named)}")
    if survey.unreadable:
        notes.append(f"left out, as a cluster cannot read them: {format_reasons(survey.unreadable)}")
    if not given and len({uri.split("/")[3] for uri in uris} & {"flowlogs", "AWSLogs"}) > 1:
        notes.append(
            f"flow logs come both ways, {locations.CAPTURED} and {locations.DIRECT}; what is logged both ways counts"
            f" twice (--input s3://{bucket}/{locations.CAPTURED} reads only the first)"
        )
    not_gzip = [size for (_, key), size in taken.items() if not key.endswith(".gz")]
    return RunInput(
        tuple(uris),
        len(taken),
        sum(taken.values()),
        not not_gzip,
        max(not_gzip, default=0),
        tuple(notes),
        copies,
        tuple(sorted(survey.unreadable.items())),
        tuple(patterns),
    )


def _nothing_to_read(
    site: Site, query: Query, given: Sequence[str], own: Sequence[str], missing: Sequence[str], survey: Survey
) -> ToptalkersError:
    """Make the error for an input without flow logs, which says what is there instead."""
    if missing:
        return ToptalkersError(f"there are no flow logs to read in {', '.join(given or own)}: {'; '.join(missing)}")
    when = " at the time asked for" if query.since or query.until else ""
    where = ", ".join(given) or f"s3://{site.bucket}"
    passed = survey.neighbours | survey.unreadable
    hint = "'toptalkers status' shows what arrives; records take up to 15 minutes"
    if not site.is_stack:
        hint = f"--input names others; without it, {locations.CAPTURED} and {locations.DIRECT} there are read"
    return ToptalkersError(
        f"there are no flow logs to read in {where}{when}" + (f": {format_reasons(passed)}" if passed else ""),
        hint=None if given else hint,
    )


def _check_given(uri: str) -> None:
    if GIVEN.fullmatch(uri) is None:
        raise UsageError(
            f"--input: {uri!r} is not an address in S3 that can be passed to a step",
            hint="s3://bucket/folder/ of letters, digits and _ . - + @ = :, without patterns",
        )
