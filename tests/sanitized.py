"""Build the kernel with the available sanitizers, in a copy of the package."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

LESS = 4 if "ASAN_OPTIONS" in os.environ else 1
"""Sanitizers make all of it ten times as slow; `scripts/fuzz` has them look at many more."""

CC = (shutil.which("cc") or "cc",)
ZIG = (sys.executable, "-m", "ziglang", "cc")


def build(folder: Path, ways: list[tuple[tuple[str, ...], list[str]]]) -> int:
    """Copy the package into a folder, and build the kernel in the first way that works; return that way's number."""
    shutil.copytree(
        ROOT / "src/toptalkers", folder / "toptalkers", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    kernel = folder / "toptalkers/kernel"
    sources = [str(path) for path in sorted(kernel.glob("*.c"))]
    always = ["-std=c11", "-g", "-D_GNU_SOURCE", "-fPIC", "-shared", "-pthread", "-o", str(kernel / "kernel.so")]
    for number, (compiler, flags) in enumerate(ways):
        try:
            subprocess.run([*compiler, *flags, *always, *sources], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        (folder / f"toptalkers/job/kernel-{platform.machine()}.so").symlink_to(kernel / "kernel.so")
        return number
    raise AssertionError("no compiler builds the kernel")


def build_watched(folder: Path) -> dict[str, str]:
    """Copy the package into a folder, and build a kernel with sanitizers; return the environment to use it.

    The system's compiler checks addresses and undefined behaviour; the compiler from a Python package only undefined
    behaviour. Any warning is an error.
    """
    flags = [
        "-O1",
        "-DFILE_BITS=4",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fno-sanitize-recover=undefined",
        "-fno-omit-frame-pointer",
    ]
    watching = {"cc": "-fsanitize=address,undefined", "zig": "-fsanitize=undefined"}
    way = build(folder, [(CC, [*flags, watching["cc"]]), (ZIG, [*flags, watching["zig"]])])
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "ASAN_OPTIONS": "detect_leaks=0"}
    if way == 0:
        runtimes = [
            subprocess.run([*CC, f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True)
            for name in ("asan", "ubsan")
        ]
        environment |= {"LD_PRELOAD": " ".join(done.stdout.strip() for done in runtimes), "PYTHONMALLOC": "malloc"}
    return environment
