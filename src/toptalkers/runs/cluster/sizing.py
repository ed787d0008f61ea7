"""How large a cluster a run gets, and why."""

import math
import re
from dataclasses import dataclass

from toptalkers.errors import UsageError
from toptalkers.runs.units import format_size

DEFAULT_INSTANCE_TYPE = "m7g.xlarge"
"""The smallest Graviton that EMR has; counting wants processors, not memory (docs/benchmarks.md)."""

BYTES_PER_VCPU_SECOND = 14 << 20
"""Bytes of compressed flow logs that one vCPU counts per second, with all that Hadoop does: cautious.

Measured: 42 ms of one core per MB with the embedded Hadoop, 5 more to read it from S3 over TLS, and 3 for the JVM of
its map, which are 19 MiB per second (docs/benchmarks.md). The rest is for what was not measured: a vCPU that is slower
than that core, or is half a core, as on Intel, and nodes that wait for the last maps.
"""

WORK_OF_CONVERSATIONS = 40
"""How many times the work it is to find conversations, or to make a digest: all records are sorted, and read often.

Measured with the embedded Hadoop on a busy machine: 2.1 s of one core per MB in five steps, beside 54 ms for a plain
count. The kernel has a part only in the first of the five.
"""

WORK_WITHOUT_KERNEL = 4
"""How many times the work a plain count is if nodes count in Python: 150 ms of one core per MB instead of 42."""

WANTED_MINUTES = 15
"""How long the first step should take at most."""

MOST_NODES = 20
"""A run asks for no more nodes by itself. Larger inputs take longer, unless --max-nodes allows more."""

STARTING_MINUTES = 8
STEPS_MINUTES = 3
MORE_STEPS_MINUTES = 3
"""How long it takes to start a cluster, to start two steps, and to start three more, whatever the input is."""

VCPUS_PER_VPC_NODE = 0.16
"""The rule of `--vpc-nodes`, from the published recipe: ten task nodes of r3.4xlarge, which has 16 vCPUs, per 1,000
nodes in the VPC."""

OBJECTS_PER_PRIMARY = 500_000
"""How many objects a primary node of size xlarge lists: Hadoop's client there holds 1.1 to 1.8 KB for each.

Measured with the embedded Hadoop: a heap of 200 MiB was enough to find the splits of 100,800 objects in S3, and 128 MiB
were not.
"""

PRIMARY_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge")
"""The sizes of the primary node; each has twice the memory of the one before."""

_TYPE = re.compile(r"[a-z][a-z0-9-]*\.(?:([0-9]*)(xlarge)|[a-z0-9-]+)")

_STANDARD = re.compile(r"(?:[acdhimrtz]|im|is)[0-9]")
"""The beginnings of the families that share one quota (EC2 user guide, "On-Demand Instance quotas"); im4gn and is4gen
belong to I."""

_ALIKE = (("m7g", "m6g", "r7g", "r6g"), ("m7i", "m6i", "r7i", "r6i"))
"""Families of one architecture that can replace each other when Spot instances are scarce."""


def format_minutes(minutes: int) -> str:
    """Write a guessed duration: `90 minutes`, `26 hours`, `9.9 days`."""
    if minutes < 120:
        return f"{minutes} minutes"
    hours = minutes / 60
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.1f} days"


@dataclass(frozen=True, slots=True)
class Sizing:
    """How many instances of which type.

    Attributes:
        instance_type: the type of the core and task nodes.
        primary_type: the type of the primary node.
        core: how many on-demand nodes also hold HDFS.
        task: how many nodes only count.
        spot: whether the task nodes are Spot instances.
        minutes: how long the run will take, a guess.
        reason: why there are so many nodes, and why the primary node is large.
        substitutes: the types that may take the place of `instance_type` where Spot instances are scarce.

    """

    instance_type: str
    primary_type: str
    core: int
    task: int
    spot: bool
    minutes: int
    reason: str
    substitutes: tuple[str, ...] = ()

    @property
    def instances(self) -> int:
        """How many nodes there are, with the primary node."""
        return 1 + self.core + self.task

    @property
    def instance_hours(self) -> float:
        """Instance-hours to pay for: all instances for all of the time."""
        return round(self.instances * self.minutes / 60, 1)

    @property
    def map_slots(self) -> int:
        """How many maps run at a time."""
        return vcpus(self.instance_type) * (self.core + self.task)

    @property
    def spot_vcpus(self) -> int:
        """The vCPUs of the Spot instances."""
        return vcpus(self.instance_type) * self.task if self.spot else 0

    @property
    def on_demand_vcpus(self) -> int:
        """The vCPUs of all nodes that are not Spot instances."""
        return vcpus(self.primary_type) + self.map_slots - self.spot_vcpus


def similar_types(instance_type: str) -> tuple[str, ...]:
    """List the types of the same size and architecture in similar families; none for a type that we do not know."""
    family, _, size = instance_type.partition(".")
    return tuple(f"{other}.{size}" for alike in _ALIKE if family in alike for other in alike if other != family)


def is_standard(instance_type: str) -> bool:
    """Whether the type counts for the quota of standard instances: families A, C, D, H, I, M, R, T and Z."""
    return _STANDARD.match(instance_type) is not None


def vcpus(instance_type: str, *, option: str = "--instance-type") -> int:
    """Tell how many vCPUs a type has, by its name: 4 per `xlarge`; also 4 when the name does not tell.

    Raises:
        UsageError: it is not the name of a type; the error names `option`.

    """
    match = _TYPE.fullmatch(instance_type)
    if match is None:
        raise UsageError(f"{option}: {instance_type!r} is not a type of EC2 instances", hint="like m7g.xlarge")
    if match[2]:
        return 4 * int(match[1] or 1)
    return 2 if instance_type.endswith(".large") else 4


def size_cluster(
    input_bytes: int,
    *,
    objects: int = 0,
    is_joined: bool = False,
    has_kernel: bool = True,
    instance_type: str = DEFAULT_INSTANCE_TYPE,
    primary_type: str | None = None,
    core: int | None = None,
    task: int | None = None,
    vpc_nodes: int | None = None,
    max_nodes: int | None = None,
    spot: bool = False,
) -> Sizing:
    """Decide how large a cluster is: by the options, by the number of nodes in the VPC, or by the bytes to read.

    Args:
        input_bytes: the compressed size of the input.
        objects: how many objects the input has; very many need a primary node with more memory.
        is_joined: whether records are joined to conversations, or folded for a digest, which is more work.
        has_kernel: whether the nodes count with the compiled kernel.
        instance_type: the type of core and task nodes.
        primary_type: the type of the primary node; None for the smallest of the same family that lists the objects.
        core: core nodes, at least 1; None computes them.
        task: task nodes; None computes them.
        vpc_nodes: the number of nodes in the VPC. There are as many task nodes as the recipe's rule or the bytes ask
            for, whichever is more.
        max_nodes: the most core and task nodes to compute; None for `MOST_NODES`, and for no limit to the rule of
            `vpc_nodes`.
        spot: task nodes are Spot instances; then, if computed, all nodes but one are task nodes.

    Raises:
        UsageError: a type is not one, two rules are asked for at once, or there are no task nodes for Spot.

    """
    if task is not None and vpc_nodes is not None:
        raise UsageError("--task and --vpc-nodes both set the number of task nodes", hint="give one of them")
    node_vcpus = vcpus(instance_type)
    work = WORK_OF_CONVERSATIONS if is_joined else 1 if has_kernel else WORK_WITHOUT_KERNEL
    a_node = node_vcpus * BYTES_PER_VCPU_SECOND // work
    most = max_nodes or MOST_NODES
    needed = max(1, math.ceil(input_bytes / (a_node * WANTED_MINUTES * 60)))
    nodes = min(most, needed)
    by_bytes = (
        f"{format_size(input_bytes)} to read, {format_size(a_node)} per second and node,"
        f" within {WANTED_MINUTES} minutes"
    )
    if needed > nodes:
        by_bytes += f"; that would need {needed} nodes; the limit is {most} (--max-nodes, or --core and --task)"
    if vpc_nodes is not None:
        core = core or 1
        of_rule = math.ceil(round(vpc_nodes * VCPUS_PER_VPC_NODE, 6) / node_vcpus)
        task = max(of_rule if max_nodes is None else min(of_rule, max(1, most - core)), nodes - core)
        reason = by_bytes
        if task <= of_rule:
            reason = (
                f"{of_rule * node_vcpus} vCPUs in {of_rule} task nodes for {vpc_nodes:,} nodes in the VPC,"
                f" {VCPUS_PER_VPC_NODE * 1000:.0f} per 1,000"
            )
            if task < of_rule:
                reason += f"; the limit is {most} nodes (--max-nodes)"
    elif core is not None or task is not None:
        core, task = core or 1, task or 0
        reason = "as asked"
    else:
        core, task = (1, max(1, nodes - 1)) if spot else (nodes, 0)
        reason = by_bytes
    if spot and not task:
        raise UsageError("--spot is for task nodes, and there are none", hint="ask for some with --task")
    primary = primary_type or _primary_of(instance_type, objects)
    vcpus(primary, option="--primary-type")
    if objects > OBJECTS_PER_PRIMARY and primary_type is None and primary != instance_type:
        reason += f"; {primary} as primary, to list {objects:,} objects"
    counting_s = input_bytes / (a_node * (core + task))
    starting = STARTING_MINUTES + STEPS_MINUTES + MORE_STEPS_MINUTES * is_joined
    minutes = starting + math.ceil(counting_s / 60)
    substitutes = similar_types(instance_type) if spot else ()
    return Sizing(instance_type, primary, core, task, spot, minutes, reason, substitutes)


def objects_notes(sizing: Sizing, objects: int) -> list[str]:
    """List what the user should know if the primary node may not have the memory to list all objects."""
    most = OBJECTS_PER_PRIMARY * vcpus(sizing.primary_type) // 4
    if objects <= most:
        return []
    return [
        (
            f"{sizing.primary_type} as primary has memory to list about {most:,} objects, and there are {objects:,}:"
            " ask for less time, or give a larger --primary-type"
        )
    ]


def _primary_of(instance_type: str, objects: int) -> str:
    """Choose the type of the primary node: the smallest of the same family, or a larger one for very many objects.

    The family stays the same because it has the same architecture, and is offered where the other nodes are. The
    families that do not count as standard are dear, and many have no small sizes; there the type stays the same.
    """
    family, _, size = instance_type.partition(".")
    if not is_standard(instance_type) or (size == "large" and objects <= OBJECTS_PER_PRIMARY):
        return instance_type
    doublings = math.ceil(math.log2(max(1.0, objects / OBJECTS_PER_PRIMARY)))
    return f"{family}.{PRIMARY_SIZES[min(doublings, len(PRIMARY_SIZES) - 1)]}"
