"""The instance types of the sandbox: their sizes, and the zones of a Region that offer them.

As on AWS, a newer family is not everywhere: those of the eighth generation are missing in the third zone.
"""

from collections.abc import Iterator

FAMILIES = ("c6i", "c7i", "m5", "m6i", "m7i", "r6i", "r7i", "c6g", "c7g", "m6g", "m7g", "m8g", "r6g", "r7g", "r8g")

VCPUS = {"xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64}
"""The vCPUs of each size, in every family."""

GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
"""The memory of a family, by its first letter."""

ZONES = ("a", "b", "c")


def instance_types() -> tuple[str, ...]:
    """Return the names of all types."""
    return tuple(f"{family}.{size}" for family in FAMILIES for size in VCPUS)


def vcpus_of(instance_type: str) -> int:
    """Return the vCPUs of a type of `instance_types`."""
    return VCPUS[instance_type.partition(".")[2]]


def memory_gib_of(instance_type: str) -> int:
    """Return the memory of a type of `instance_types`, in GiB."""
    return GIB_PER_VCPU[instance_type[0]] * vcpus_of(instance_type)


def architecture_of(instance_type: str) -> str:
    """Return `arm64` for Graviton, else `x86_64`."""
    return "arm64" if instance_type.partition(".")[0].endswith("g") else "x86_64"


def zones_of(instance_type: str, region: str) -> Iterator[str]:
    """Yield the Availability Zones of a Region that offer a type, such as `us-east-1a`; none for an unknown type."""
    if instance_type in instance_types():
        for zone in ZONES[:2] if instance_type[1] == "8" else ZONES:
            yield region + zone
