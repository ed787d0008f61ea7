"""Which column holds which field: from a header line, from AWS's format syntax, or by default.

The rules (docs/decisions/0001-lines-and-columns.md): a line splits at each single space. In a header line all columns
look like field names, and the first one or more than half of them are known: a field newer than our table then does not
make the whole file unreadable. `_` is accepted for `-`, as Athena, Vector and Terraform write it.
"""

import re
from dataclasses import dataclass

from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS, TRANSIT_GATEWAY_FIELDS
from toptalkers.visible import quoted

_FORMAT_COLUMN = re.compile(r"\$+\{([^{}\s]*)\}")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a record, in order, by field name."""

    columns: tuple[str, ...]

    def __contains__(self, field: object) -> bool:
        """Whether the layout has that field."""
        return field in self.columns

    def __len__(self) -> int:
        """Return how many columns a record of this layout has."""
        return len(self.columns)

    def position(self, field: str) -> int:
        """Return the column of a field, counted from 0; ValueError if the layout lacks it."""
        return self.columns.index(field)


DEFAULT_LAYOUT = Layout(DEFAULT_FIELDS)

_RICH_FIELDS = (
    "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id pkt-src-aws-service"
    " pkt-dst-aws-service flow-direction traffic-path"
)
RICH_LAYOUT = Layout((*DEFAULT_FIELDS, *_RICH_FIELDS.split()))
"""The default format, and fields for later questions: which side started, NAT, zones, the path."""

TRANSIT_GATEWAY_LAYOUT = Layout(TRANSIT_GATEWAY_FIELDS)

NAMED_LAYOUTS = {"default": DEFAULT_LAYOUT, "rich": RICH_LAYOUT}
"""Names that a user may give instead of a format when creating a VPC's flow logs."""

READ_LAYOUTS = {**NAMED_LAYOUTS, "transit-gateway": TRANSIT_GATEWAY_LAYOUT}
"""The same, when reading files."""


def parse_log_format(text: str) -> Layout:
    """Make a layout from AWS's `${field} ${field}` syntax, or from `default`, `rich` or `transit-gateway`.

    Bare field names, separated by spaces or commas, are accepted too: that is how a layout is passed to a mapper,
    because Hadoop would expand `${...}` and split the command at spaces. So are `log_status` for `log-status`,
    and Terraform's `$${...}`.

    Raises:
        UsageError: there is no field, an unknown one, or one named twice.

    """
    if text.strip() in READ_LAYOUTS:
        return READ_LAYOUTS[text.strip()]
    bare = _FORMAT_COLUMN.sub(r"\1 ", text) if "$" in text else text
    names = tuple(name.replace("_", "-") for name in bare.replace(",", " ").split())
    if not names:
        raise UsageError("the log format names no field", hint="write it as '${srcaddr} ${dstaddr} ${dstport}'")
    for name in names:
        if name not in FIELDS:
            raise UsageError(f"the log format has an unknown field {quoted(name)}", hint=_hint(name))
        if names.count(name) > 1:
            raise UsageError(f"the log format names the field {name!r} twice")
    return Layout(names)


def _hint(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), FIELDS, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "the fields are those of AWS's flow-log records, of VPCs (versions 2 to 11) and of transit gateways"


def format_log_format(layout: Layout) -> str:
    """Write a layout in AWS's `${field} ${field}` syntax, as CreateFlowLogs takes it."""
    return " ".join(f"${{{name}}}" for name in layout.columns)


def parse_header(line: str) -> Layout | None:
    """Make a layout from a header line; None if the line is not one.

    A column may have an unknown name. If two columns have the same name, the first one is used.
    """
    columns = line.rstrip(" ").split(" ")
    if not all(map(_FIELD_NAME.fullmatch, columns)):
        return None
    names = tuple(column.replace("_", "-") for column in columns)
    if names[0] in FIELDS or 2 * sum(name in FIELDS for name in names) > len(names):
        return Layout(names)
    return None


def format_header(layout: Layout) -> str:
    """Write the header line of a layout, without a line end."""
    return " ".join(layout.columns)
