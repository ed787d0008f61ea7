"""Builds the counting kernel (`src/toptalkers/kernel/`, C) when the package is installed or packed.

With the compiler that `CC` names or the machine's `cc`; where there is none, with the one that the package `ziglang`
brings, so that nothing but pip is needed. The library is not tied to a version of Python.
"""

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


def compiler() -> list[str] | None:
    """The machine's C compiler; None when it has none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = shutil.which("cc")
    return [found] if found else None


class KernelBuildHook(BuildHookInterface[Any]):
    """Compiles the kernel into the wheel, or into the checkout of an editable installation."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return [] if compiler() else ["ziglang>=0.14,<0.18"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; a source distribution has the sources alone."""
        if self.target_name != "wheel":
            return
        # Zig builds for the processor that it runs on, unless it is told to build for any of its kind.
        command = compiler() or [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]
        self._folder = tempfile.TemporaryDirectory(dir=KERNEL if version == "editable" else None, prefix=".")
        library = Path(self._folder.name) / LIBRARY
        sources = [str(path) for path in sorted(KERNEL.glob("*.c"))]
        subprocess.run([*command, *FLAGS, "-o", str(library), *sources], check=True)
        if version == "editable":
            # Renamed, not written over: a process that runs may have it loaded.
            library.replace(KERNEL / LIBRARY)
        else:
            build_data["force_include"][str(library)] = f"toptalkers/kernel/{LIBRARY}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        del version, build_data, artifact_path
        if self.target_name == "wheel":
            self._folder.cleanup()
