"""What travels to a cluster: the scripts of the steps and the kernels for its nodes, with a hash of their content."""

import hashlib
from importlib import resources

SCRIPTS = (
    "blocks.py",
    "conversations.py",
    "count_files.py",
    "count_flows.py",
    "node_kernel.py",
    "port_filter.py",
    "sort_blocks.py",
    "sum_blocks.py",
    "sum_counts.py",
)
"""The scripts of the steps. `sum_counts.py` adds up conversations, or for one sum of them Hadoop's `aggregate`."""

NODE_KERNELS = ("kernel-aarch64.so", "kernel-x86_64.so")
"""The kernel for each processor that nodes can have. `hatch_build.py` builds both, on any machine."""

NO_KERNELS = (
    "this installation has no kernels for nodes: they count in Python, which takes several times as long;"
    " a wheel of toptalkers has them"
)
"""What a run says in its notes if `installed_kernels` finds none."""


def installed_kernels() -> tuple[str, ...]:
    """The names of the kernels for nodes that this installation has: all of them, or none in a pure one."""
    folder = resources.files("toptalkers.job")
    return tuple(name for name in NODE_KERNELS if folder.joinpath(name).is_file())


def read_bundle() -> dict[str, bytes]:
    """The content of each script and of each kernel for nodes, by its name."""
    folder = resources.files("toptalkers.job")
    return {name: folder.joinpath(name).read_bytes() for name in (*SCRIPTS, *installed_kernels())}


def bundle_sha256() -> str:
    """The hash of the bundle's names and contents, in hexadecimal."""
    digest = hashlib.sha256()
    for name, content in read_bundle().items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
