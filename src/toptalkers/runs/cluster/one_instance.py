"""What one instance takes for a question, with `run-local` on it: often less than a cluster, which has to be started.

`run-local` is one process, and reads S3 with the threads of one Python. So more vCPUs than those of a 4xlarge hardly
make it faster. A larger type is chosen only for its memory, which must hold whole records.
"""

import math
from dataclasses import dataclass

from toptalkers.runs.cluster.prices import EC2_PER_VCPU_HOUR, dollars
from toptalkers.runs.cluster.sizing import Sizing, vcpus

BY_HAND_MINUTES = 3
"""How long it takes to start an instance, to log in, and to install toptalkers: assumed."""

BYTES_PER_SECOND = 500_000_000
"""Compressed bytes per second from S3, counted: assumed, see docs/choosing.md.

It is half of the baseline of a c7g.4xlarge's network, 7.5 Gbit/s (EC2 instance types, "Network specifications"). Its
processors could count twice as much: a core takes 13 ms per MB, and 5 ms to read it from S3 (measured on an EPYC).
"""

JOINED_BYTES_PER_SECOND = 25_000_000
"""Compressed bytes per second of a question about conversations, or of a digest.

Measured on two cores: joining 55 MB takes 2 s of one core, whatever the number of cores, and 2.2 s of all of them.
"""

MEMORY_PER_BYTE = 35
"""Bytes of memory for a compressed byte of whole records: at most 450 for a record (docs/operations.md) of 13."""

USABLE = 0.5
"""The share of an instance's memory that whole records may take; `run-local` refuses more than half of what is free."""

GIB = 1 << 30

PLAIN_TYPE = "c7g.4xlarge"

MEMORY = {
    "c7g.4xlarge": 32 * GIB,
    "m7g.4xlarge": 64 * GIB,
    "r7g.4xlarge": 128 * GIB,
    "r7g.8xlarge": 256 * GIB,
    "r7g.16xlarge": 512 * GIB,
}
"""The memory of the types to choose from, from the cheapest to the dearest."""


@dataclass(frozen=True, slots=True)
class OneInstance:
    """One instance that answers a question: its type, and how many minutes and dollars it takes, a guess."""

    instance_type: str
    minutes: int
    dollars: float


def choose_instance(input_bytes: int, *, is_joined: bool = False) -> OneInstance | None:
    """Choose the cheapest instance for an input of this compressed size; None if it fits into the memory of none.

    `is_joined` is as for `size_cluster`: then all records are in memory. Sums that memory cannot hold go to the disk.
    """
    needed = MEMORY_PER_BYTE * input_bytes if is_joined else 0
    chosen = next((one for one, memory in MEMORY.items() if needed <= USABLE * memory), None)
    if chosen is None:
        return None
    counting_s = input_bytes / (JOINED_BYTES_PER_SECOND if is_joined else BYTES_PER_SECOND)
    minutes = BY_HAND_MINUTES + math.ceil(counting_s / 60)
    an_hour = EC2_PER_VCPU_HOUR[chosen.partition(".")[0]] * vcpus(chosen)
    return OneInstance(chosen, minutes, an_hour * minutes / 60)


def find_better(input_bytes: int, sizing: Sizing, *, is_joined: bool = False) -> OneInstance | None:
    """Find one instance that is cheaper than a cluster, and not slower; None if there is none, or nobody knows."""
    one, cost = choose_instance(input_bytes, is_joined=is_joined), dollars(sizing)
    if one is None or cost is None or one.dollars >= cost or one.minutes > sizing.minutes:
        return None
    return one
