"""Every field that a flow-log record can have: of a VPC, versions 2 to 11, and of a transit gateway, version 6.

Sources: Amazon VPC user guide, "Flow log records", the table of available fields; Amazon VPC Transit Gateways guide,
"Transit Gateway Flow Log records". A transit gateway's records have many of a VPC's fields, but no action.
"""

from dataclasses import dataclass
from enum import StrEnum


def field_name(text: str) -> str:
    """A field's name as AWS writes it, from a text in any case, with `-` or `_`."""
    return text.strip().lower().replace("_", "-")


def column_name(field: str) -> str:
    """The name of a field's column in Parquet and in SQL, which have `_` for `-`."""
    return field.replace("-", "_")


class FieldType(StrEnum):
    """The type that AWS gives a field (the Parquet types of the same table)."""

    STRING = "STRING"
    INT_32 = "INT_32"
    INT_64 = "INT_64"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name as AWS writes it, the version that introduced it, its type."""

    name: str
    version: int
    type: FieldType


_NUMBERS = {
    "version": FieldType.INT_32,
    "srcport": FieldType.INT_32,
    "dstport": FieldType.INT_32,
    "protocol": FieldType.INT_32,
    "packets": FieldType.INT_64,
    "bytes": FieldType.INT_64,
    "start": FieldType.INT_64,
    "end": FieldType.INT_64,
    "tcp-flags": FieldType.INT_32,
    "traffic-path": FieldType.INT_32,
    "encryption-status": FieldType.INT_32,
    "packets-lost-no-route": FieldType.INT_64,
    "packets-lost-blackhole": FieldType.INT_64,
    "packets-lost-mtu-exceeded": FieldType.INT_64,
    "packets-lost-ttl-expired": FieldType.INT_64,
}

_NAMES_BY_VERSION = {
    2: "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end"
    " action log-status",
    3: "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
    4: "region az-id sublocation-type sublocation-id",
    5: "pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path",
    6: "resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id"
    " tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id"
    " tgw-pair-attachment-id packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded"
    " packets-lost-ttl-expired",
    7: "ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id"
    " ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn"
    " ecs-task-id",
    8: "reject-reason",
    9: "resource-id",
    10: "encryption-status",
    11: "instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type"
    " next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type",
}

FIELDS: dict[str, Field] = {
    name: Field(name, version, _NUMBERS.get(name, FieldType.STRING))
    for version, names in _NAMES_BY_VERSION.items()
    for name in names.split()
}
"""Every field by its name, in the order of AWS's table."""

DEFAULT_FIELDS: tuple[str, ...] = tuple(_NAMES_BY_VERSION[2].split())
"""The columns of the default format: version 2, in this order."""

TRANSIT_GATEWAY_FIELDS: tuple[str, ...] = (
    "version",
    "resource-type",
    "account-id",
    *(name for name in _NAMES_BY_VERSION[6].split() if name.startswith("tgw-")),
    *("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "log-status", "type"),
    *(name for name in _NAMES_BY_VERSION[6].split() if name.startswith("packets-lost-")),
    *("tcp-flags", "region", "flow-direction", "pkt-src-aws-service", "pkt-dst-aws-service"),
)
"""The columns of a transit gateway's default format."""
