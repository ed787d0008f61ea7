"""The scripts that travel to a cluster, with a hash of their content."""

import hashlib
from collections.abc import Iterable
from importlib import resources

SCRIPTS = ("conversations.py", "count_flows.py", "port_filter.py", "sum_counts.py")
"""The scripts of the steps. For one sum that adds up, Hadoop's `aggregate` takes the place of `sum_counts.py`."""


def read_bundle() -> dict[str, bytes]:
    """The content of each script, by its name."""
    folder = resources.files("toptalkers.job")
    return {name: folder.joinpath(name).read_bytes() for name in SCRIPTS}


def kernels_of(bundle: Iterable[str]) -> tuple[str, ...]:
    """The names of the kernels for nodes among the names of a bundle; none where this installation has none."""
    return tuple(name for name in bundle if name.endswith(".so"))


def bundle_sha256() -> str:
    """The hash of the scripts' names and contents, in hexadecimal."""
    digest = hashlib.sha256()
    for name, content in read_bundle().items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
