"""The scripts that travel to a cluster, named by what is in them."""

import hashlib
from importlib import resources

SCRIPTS = ("count_flows.py", "port_filter.py")
"""What the steps run; Hadoop's own `aggregate` stands where `sum_counts.py` does elsewhere."""


def read_bundle() -> dict[str, bytes]:
    """The scripts' content by their names."""
    folder = resources.files("toptalkers.job")
    return {name: folder.joinpath(name).read_bytes() for name in SCRIPTS}


def bundle_sha256() -> str:
    """The hash of the scripts, names and all, in hexadecimal: another one whenever one of them is another."""
    digest = hashlib.sha256()
    for name, content in read_bundle().items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
