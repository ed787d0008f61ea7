"""Builds the counting kernel (`src/toptalkers/kernel/`, C) when the package is installed or a wheel is built.

The compiler is the one that `CC` names, or else the machine's `cc`, or else the one in the package `ziglang`, so that
nothing but pip is needed. The library is not tied to a version of Python. Where there is not even `ziglang`, or where
TOPTALKERS_PURE=1 is set, the wheel is a pure one: the package then counts in Python.
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


def compiler() -> list[str] | None:
    """The C compiler of this machine; None when there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = shutil.which("cc")
    return [found] if found else None


def zig() -> list[str] | None:
    """The C compiler of the package `ziglang`; None when it is not installed."""
    # Zig builds for the processor that it runs on, unless it is told to build for any of its kind.
    installed = importlib.util.find_spec("ziglang") is not None
    return [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"] if installed else None


class KernelBuildHook(BuildHookInterface[Any]):
    """Compiles the kernel into the wheel, or into the checkout of an editable installation."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """The packages that the build needs beside hatchling."""
        return [] if self._is_pure() or compiler() else ["ziglang>=0.14,<0.18"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for a wheel; a source distribution contains only the sources."""
        command = None if self._is_pure() else compiler() or zig()
        if self.target_name != "wheel" or command is None:
            return
        self._folder = tempfile.TemporaryDirectory(dir=KERNEL if version == "editable" else None, prefix=".")
        library = Path(self._folder.name) / LIBRARY
        sources = [str(path) for path in sorted(KERNEL.glob("*.c"))]
        subprocess.run([*command, *FLAGS, "-o", str(library), *sources], check=True)
        if version == "editable":
            # Replaced, not overwritten: a running process may have it loaded.
            library.replace(KERNEL / LIBRARY)
        else:
            build_data["force_include"][str(library)] = f"toptalkers/kernel/{LIBRARY}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        del version, build_data, artifact_path
        if self._folder is not None:
            self._folder.cleanup()

    @staticmethod
    def _is_pure() -> bool:
        return os.environ.get("TOPTALKERS_PURE") == "1"
