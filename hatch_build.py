"""Builds the counting kernel (`src/toptalkers/kernel/`, C) into a wheel or an editable checkout.

Three libraries are built. `kernel/kernel.so` is for the machine that installs the package. The compiler is what `CC`
names, or the machine's `cc`. Where there is none, it is the one in the package `ziglang`, so that a build needs
nothing but pip. `TOPTALKERS_TARGET` names another platform to build for; that is always done by `ziglang`.

`job/kernel-x86_64.so` and `job/kernel-aarch64.so` travel to the nodes of a cluster, whatever machine starts it.
`ziglang` always builds them, in a checkout only when their sources are newer. `python hatch_build.py` builds these two
in a checkout.

No library depends on a version of Python. Where `TOPTALKERS_PURE=1` is set, or where there is neither a compiler nor
`ziglang`, the wheel is a pure one: the package then counts in Python. Without `ziglang`, nodes do.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path(__file__).parent / "src/toptalkers/kernel"
LIBRARY = "kernel.so"
FLAGS = ["-std=c11", "-O3", "-fPIC", "-shared", "-pthread", "-D_GNU_SOURCE"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]
# Zig builds for the processor that it runs on, unless told otherwise.
ZIG = [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]

TARGETS = {
    "manylinux2014_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux2014_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "macosx_11_0_x86_64": "x86_64-macos.11.0",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
}
"""The platforms of released wheels: the wheel's tag, and what Zig calls it."""

JOB = KERNEL.parent / "job"
NODES = ("x86_64", "aarch64")
"""The processors of a cluster's nodes, as `platform.machine()` calls them."""


def target() -> str | None:
    """The platform to build for, a key of `TARGETS`; None for this machine."""
    return os.environ.get("TOPTALKERS_TARGET") or None


def compiler() -> list[str] | None:
    """Give the C compiler of this machine; None when it has none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = shutil.which("cc")
    return [found] if found else None


def node_library(machine: str) -> str:
    """The file name of the kernel for nodes with a processor, one of `NODES`."""
    return f"kernel-{machine}.so"


def compile_kernel(command: list[str], library: Path) -> None:
    """Compile the kernel into a library; subprocess.CalledProcessError if the compiler fails."""
    sources = [str(path) for path in sorted(KERNEL.glob("*.c"))]
    # A library for macOS holds the name under which it was written.
    subprocess.run([*command, *FLAGS, "-o", library.name, *sources], cwd=library.parent, check=True)


def has_zig() -> bool:
    """Whether Python finds the package `ziglang`; a build that isolates itself always does."""
    return importlib.util.find_spec("ziglang") is not None


def compile_for_nodes(machine: str, library: Path) -> None:
    """Compile the kernel for the nodes with a processor, one of `NODES`."""
    compile_kernel([*ZIG, "-target", TARGETS[f"manylinux2014_{machine}"], "-s", *WARNINGS], library)


def update_node_kernels() -> None:
    """Compile those kernels for nodes in the checkout that are older than their sources."""
    newest = max(path.stat().st_mtime for path in (Path(__file__), *KERNEL.glob("*.[ch]")))
    for library in (JOB / node_library(machine) for machine in NODES):
        if library.exists() and library.stat().st_mtime > newest:
            continue
        with tempfile.TemporaryDirectory(dir=JOB, prefix=".") as folder:
            compiled = Path(folder) / library.name
            compile_for_nodes(library.stem.partition("-")[2], compiled)
            # Replaced, not overwritten: a running process may have it loaded.
            compiled.replace(library)


class KernelBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before and after it writes the distribution."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """The packages that the build needs beside hatchling."""
        return [] if self._is_pure() else ["ziglang>=0.14,<0.18"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for a wheel; a source distribution contains only the sources."""
        if self.target_name != "wheel" or self._is_pure():
            return
        platform = target()
        if platform:
            command = [*ZIG, "-target", TARGETS[platform], "-s", *WARNINGS]
        else:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            found = compiler() or (ZIG if has_zig() else None)
            if found is None:
                return
            command = found
        self._folder = tempfile.TemporaryDirectory(dir=KERNEL if version == "editable" else None, prefix=".")
        folder = Path(self._folder.name)
        compile_kernel(command, folder / LIBRARY)
        if version == "editable":
            # Replaced, not overwritten: a running process may have it loaded.
            (folder / LIBRARY).replace(KERNEL / LIBRARY)
            if has_zig():
                update_node_kernels()
        else:
            included = {folder / LIBRARY: f"toptalkers/kernel/{LIBRARY}"}
            for machine in NODES if has_zig() else ():
                library = folder / node_library(machine)
                compile_for_nodes(machine, library)
                included[library] = f"toptalkers/job/{library.name}"
            build_data["force_include"].update({str(path): name for path, name in included.items()})
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary files."""
        del version, build_data, artifact_path
        if self._folder is not None:
            self._folder.cleanup()

    @staticmethod
    def _is_pure() -> bool:
        return os.environ.get("TOPTALKERS_PURE") == "1"


if __name__ == "__main__":
    update_node_kernels()
