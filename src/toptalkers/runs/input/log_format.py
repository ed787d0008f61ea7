"""`--log-format auto`: the format of files is that of the flow log that wrote them.

AWS puts the id of a flow log into the names of the files that it delivers (`..._fl-0123456789abcdef0_...`). For other
names, the flow logs are those that deliver to the place of the files.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from toptalkers.aws.account import Account
from toptalkers.aws.flowlogs import FlowLog
from toptalkers.capture.our_stack import require_own
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_log_format
from toptalkers.records.files import find_inputs
from toptalkers.records.stored import Search
from toptalkers.records.wanted import EVERYTHING, Wanted
from toptalkers.runs.input.content import find_flow_log_ids
from toptalkers.runs.site import SiteOptions, find_bucket

MOST_NAMES = 100_000
"""How many names of objects per address are searched for ids of flow logs."""

_BY_HAND = "name it with --log-format '${field} ${field}'; 'aws ec2 describe-flow-logs' shows the formats there are"


def find_log_format(
    account: Account, paths: Iterable[str], where: SiteOptions | None = None, wanted: Wanted = EVERYTHING
) -> tuple[str, str]:
    """Find the format of files, as CreateFlowLogs takes it, and a line that names the flow logs that have it.

    `paths` are files, folders and `s3://` addresses; none for the flow logs in the bucket of runs, which `where` tells.
    The log group of a stack counts as a place of the files, too. In S3, only names of what is `wanted` are looked at.

    Raises:
        UsageError: a text is not an address in S3.
        ToptalkersError: no known flow log wrote these files, or several with different formats did.

    """
    paths = list(paths)
    buckets = {path.removeprefix("s3://").split("/")[0] for path in paths if path.startswith("s3://")}
    groups: set[str] = set()
    if where and not where.bucket:
        stack = require_own(account, where.stack_name)
        groups = {stack.log_group} if stack.has_stream else set()
    if where and not paths:
        buckets = {find_bucket(account, where)}
    known = account.flow_logs.find()
    ids = {found for name in _names(account, paths, wanted) for found in find_flow_log_ids(name)}
    if ids:
        matching = [one for one in known if one.id in ids]
        what = f"the flow logs named in the files: {_some(sorted(ids))}"
    else:
        matching = [one for one in known if _delivers_to(one, buckets, groups)]
        places = [f"s3://{one}" for one in sorted(buckets)] + [f"the log group {one}" for one in sorted(groups)]
        if not places:
            raise ToptalkersError(
                "--log-format auto: no name of a file has the id of its flow log in it (fl-...)", hint=_BY_HAND
            )
        what = f"flow logs that deliver to {_some(places)}"
    if not matching:
        raise ToptalkersError(
            f"--log-format auto: {account.region} knows nothing of {what}",
            hint=f"are they another account's or Region's, or deleted? {_BY_HAND}",
        )
    formats: dict[str, list[str]] = {}
    for one in matching:
        formats.setdefault(one.log_format or format_log_format(DEFAULT_LAYOUT), []).append(one.id)
    if len(formats) > 1:
        several = "; ".join(f"{_some(names)}: {log_format}" for log_format, names in formats.items())
        raise ToptalkersError(f"--log-format auto: {len(formats)} formats match: {several}", hint=_BY_HAND)
    ((log_format, names),) = formats.items()
    unknown = sorted(ids - {one.id for one in matching})
    rest = f"; not known any more: {_some(unknown)}" if unknown else ""
    return log_format, f"the log format is that of {_some(names)}: {log_format}{rest}"


def _names(account: Account, paths: Iterable[str], wanted: Wanted) -> Iterator[str]:
    for path in paths:
        yield path
        if path.startswith("s3://"):
            yield from (one.key for one in islice(Search.at(account.storage, path, wanted), MOST_NAMES))
        elif path != "-" and Path(path).exists():
            yield from (file.name for file in find_inputs([path]).files)


def _delivers_to(flow_log: FlowLog, buckets: set[str], groups: set[str]) -> bool:
    if flow_log.destination_type == "s3":
        return flow_log.destination.rpartition(":")[2].split("/")[0] in buckets
    return flow_log.destination_type == "cloud-watch-logs" and flow_log.destination in groups


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
