"""Builds the counting kernel (`src/toptalkers/engines/kernel/`, C) into the package when it is installed or packed.

With the compiler that `CC` names or the machine's `cc`; where there is none, with the one that the package `ziglang`
brings, so that nothing but pip is needed. The library is not tied to a version of Python.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path(__file__).parent / "src/toptalkers/engines/kernel"
LIBRARY = KERNEL / "kernel.so"
FLAGS = ["-std=c11", "-O3", "-fPIC", "-shared", "-pthread", "-D_GNU_SOURCE"]


def compiler() -> list[str] | None:
    """The machine's C compiler; None when it has none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = shutil.which("cc")
    return [found] if found else None


class KernelBuildHook(BuildHookInterface[Any]):
    """Compiles the kernel, and says that the wheel is for this platform."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return [] if compiler() else ["ziglang>=0.14"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; a source distribution has the sources alone."""
        del version
        if self.target_name != "wheel":
            return
        command = [*(compiler() or [sys.executable, "-m", "ziglang", "cc"]), *FLAGS]
        # Built under another name and renamed, since a process that runs may have it loaded.
        making = LIBRARY.with_suffix(f".{os.getpid()}")
        try:
            subprocess.run([*command, "-o", str(making), *map(str, sorted(KERNEL.glob("*.c")))], check=True)
            making.replace(LIBRARY)
        finally:
            making.unlink(missing_ok=True)
        build_data["pure_python"] = False
        build_data["artifacts"].append(str(LIBRARY.relative_to(self.root)))
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
