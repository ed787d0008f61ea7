"""Faults that a user can ask for, to see a cluster of the sandbox fail.

A tag on the cluster asks for one, `sandbox:fault=step-failure`; the environment variable `TOPTALKERS_SANDBOX_FAULT` of
`toptalkers sandbox run` does for all clusters. Several are separated by spaces: in many tools a comma separates tags.
`quota:8` among them is the account's quota of vCPUs, on demand and as many as Spot instances: a larger cluster ends
while STARTING. In the variable, it is also what Service Quotas answers.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

TAG = "sandbox:fault"
QUOTA = "quota:"
VARIABLE = "TOPTALKERS_SANDBOX_FAULT"

THROTTLED_CALLS = 8
"""More than botocore retries by itself (4 in its default mode), so that the caller must retry as well."""

CALLS_BEFORE_EXPIRY = 3
"""How many calls about a cluster are answered before the caller's credentials expire."""

LATE_LOGS_SECONDS = 20
"""The delay of logs with `late-logs`; on EMR it is up to five minutes."""


class Fault(StrEnum):
    """A fault, by its name in the tag."""

    STEP_FAILURE = "step-failure"
    """The first step's mapper dies of a ZeroDivisionError in every task."""

    BOOTSTRAP_FAILURE = "bootstrap-failure"
    """The cluster ends while BOOTSTRAPPING, as if a bootstrap action returned 1."""

    NO_CAPACITY = "no-capacity"
    """The cluster ends while STARTING: EC2 has no such instances."""

    NO_PERMISSION = "no-permission"
    """The cluster ends while STARTING: EMR's service role may not make a security group."""

    INVALID_SUBNET = "invalid-subnet"
    """The cluster ends while STARTING: its subnet does not exist."""

    NO_SPOT_ROLE = "no-spot-role"
    """The cluster ends while STARTING: the account has no service-linked role for Spot instances."""

    NEVER_STARTS = "never-starts"
    """The cluster stays STARTING until it is terminated."""

    THROTTLING = "throttling"
    """The next calls about the cluster are refused with ThrottlingException (`THROTTLED_CALLS` of them)."""

    EXPIRED_CREDENTIALS = "expired-credentials"
    """After the first calls about the cluster, all are refused with ExpiredTokenException."""

    LATE_LOGS = "late-logs"
    """Step logs come to S3 `LATE_LOGS_SECONDS` later, even if the cluster has ended by then."""


def parse_faults(text: str) -> frozenset[Fault]:
    """Parse faults separated by spaces, without the quota; ValueError for an unknown one."""
    return frozenset(Fault(name) for name in text.split() if not name.startswith(QUOTA))


def parse_quota(text: str) -> int | None:
    """Return the quota among faults, in vCPUs; None without one, ValueError if it is not a number."""
    found = [name.removeprefix(QUOTA) for name in text.split() if name.startswith(QUOTA)]
    if found and not re.fullmatch("[0-9]{1,9}", found[-1]):
        raise ValueError(f"{QUOTA}{found[-1]} needs a number of vCPUs, such as {QUOTA}8")
    return int(found[-1]) if found else None


def format_faults(faults: Iterable[Fault]) -> str:
    """Write faults as `parse_faults` reads them."""
    return " ".join(sorted(faults))
