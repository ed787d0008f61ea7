"""Builds the counting kernel (`src/toptalkers/kernel/`, C) into a wheel or an editable checkout.

The compiler is what `CC` names, or the machine's `cc`. Where there is none, it is the one in the package `ziglang`, so
that a build needs nothing but pip. `TOPTALKERS_TARGET` names another platform to build for; that is always done by
`ziglang`. The library does not depend on a version of Python. Where there is not even `ziglang`, or where
`TOPTALKERS_PURE=1` is set, the wheel is a pure one: the package then counts in Python.
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


def target() -> str | None:
    """The platform to build for, a key of `TARGETS`; None for this machine."""
    return os.environ.get("TOPTALKERS_TARGET") or None


def compiler() -> list[str] | None:
    """Give the C compiler of this machine; None when it has none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = shutil.which("cc")
    return [found] if found else None


class KernelBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before and after it writes the distribution."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """The packages that the build needs beside hatchling."""
        return [] if self._is_pure() or (compiler() and not target()) else ["ziglang>=0.14,<0.18"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for a wheel; a source distribution contains only the sources."""
        if self.target_name != "wheel" or self._is_pure():
            return
        platform = target()
        if platform:
            command = [*ZIG, "-target", TARGETS[platform], "-s", *WARNINGS]
        else:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            found = compiler() or (ZIG if importlib.util.find_spec("ziglang") else None)
            if found is None:
                return
            command = found
        self._folder = tempfile.TemporaryDirectory(dir=KERNEL if version == "editable" else None, prefix=".")
        library = Path(self._folder.name) / LIBRARY
        sources = [str(path) for path in sorted(KERNEL.glob("*.c"))]
        # A library for macOS holds the name under which it was written.
        subprocess.run([*command, *FLAGS, "-o", LIBRARY, *sources], cwd=library.parent, check=True)
        if version == "editable":
            # Replaced, not overwritten: a running process may have it loaded.
            library.replace(KERNEL / LIBRARY)
        else:
            build_data["force_include"][str(library)] = f"toptalkers/kernel/{LIBRARY}"
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
