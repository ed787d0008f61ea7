"""The measured programs: where they are, and which versions they have."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "bench/peers"
STREAMING = ROOT / "src/toptalkers/job"
TOPTALKERS = str(Path(sysconfig.get_path("scripts")) / "toptalkers")

PEER_PACKAGES = ("chdb", "duckdb", "flowlogs-reader", "polars", "pyspark")


@dataclass(frozen=True, slots=True)
class Tools:
    """The installed peers.

    Attributes:
        python: the Python of the peers' environment, or None.
        versions: the versions of the peers' packages that are installed there.

    """

    python: str | None
    versions: dict[str, str]

    def has(self, *packages: str) -> bool:
        """Whether packages are installed."""
        return all(package in self.versions for package in packages)


def find_tools(python: str | None) -> Tools:
    """Find which of the peers' packages an environment has."""
    if python is None:
        return Tools(None, {})
    code = (
        "import json, sys; from importlib import metadata\n"
        "print(json.dumps({d.metadata['Name'].lower().replace('_', '-'): d.version for d in metadata.distributions()}))"
    )
    found = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    return Tools(python, {name: found[name] for name in PEER_PACKAGES if name in found})


@cache
def find_java() -> str | None:
    """Return the system's Java: Spark needs a module that the sandbox's Java lacks."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin/java") if home else shutil.which("java")
    return java if java and _output([java, "-version"]) else None


@cache
def find_awk() -> str | None:
    """Return the fastest awk that is installed: mawk, if there is one."""
    return shutil.which("mawk") or shutil.which("awk")


@cache
def find_python39() -> str:
    """Return the Python of a cluster node, else the one that runs this."""
    named = shutil.which("python3.9")
    if named and _output([named, "-V"]):
        return named
    return str(next(iter(sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))), sys.executable))


@cache
def version_of(program: str) -> str:
    """Return the name and version that a program prints."""
    flags = {"java": ["-version"], "mawk": ["-W", "version"]}.get(Path(program).name, ["--version"])
    found = re.match(r"(.*?) (?:version )?\"?([0-9][0-9.]*[0-9])", _output([program, *flags]))
    return f"{found[1].replace('openjdk', 'OpenJDK')} {found[2]}" if found else Path(program).name


def machine() -> str:
    """Describe the machine in one line, without its name."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores{f' ({model})' if model else ''}, {memory_gib:.0f} GiB, {platform.machine()},"
        f" {platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()},"
        f" toptalkers {metadata.version('toptalkers')}"
    )


def _output(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else ""
