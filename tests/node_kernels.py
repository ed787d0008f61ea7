"""The kernels of nodes, as tests load them: those that travel, or where these cannot run (macOS), this machine's."""

import ctypes
import platform
import sys
import tempfile
from functools import cache
from pathlib import Path

import hatch_build
from toptalkers.job import node_kernel

JOB = Path(node_kernel.__file__).parent

FILES: dict[str, Path] = {
    path.name: path for machine in hatch_build.NODES if (path := JOB / hatch_build.node_library(machine)).exists()
}
"""The kernels that a node finds beside the scripts, by their names there."""
if FILES and sys.platform != "linux":
    FILES = {f"kernel-{platform.machine()}.so": hatch_build.KERNEL / hatch_build.LIBRARY}


@cache
def load() -> ctypes.CDLL:
    """Load the kernel as a script on a node does."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in FILES.items():
            Path(folder, name).symlink_to(path)
        return node_kernel.load(folder)
