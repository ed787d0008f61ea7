"""The kernel on the platforms for which wheels are released, other than this machine's."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hatch_build
from tests import pipeline
from tests.render import ROOT
from toptalkers.flowlog.fields import FIELDS
from toptalkers.flowlog.reasons import REASONS
from toptalkers.job import blocks, sum_blocks
from toptalkers.kernel.door import Counter
from toptalkers.question.query import Query
from toptalkers.sample.writer import write_sample


@pytest.fixture(scope="module")
def flow_log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A dirty sample, followed by IPv6 addresses."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, records=20_000, dirty=True)
    sample = b"".join(gzip.decompress(path.read_bytes()) for path in sorted(folder.rglob("*.gz")))
    return sample + (ROOT / "tests/flowlogs/ipv6.log").read_bytes()


@pytest.fixture(scope="module")
def emulator() -> str:
    """The program that runs those of 64-bit ARM."""
    return _needed(shutil.which("qemu-aarch64"), "qemu-aarch64 (on Debian: apt install qemu-user)")


@pytest.fixture(scope="module")
def arm_root() -> str:
    """The folder with glibc for 64-bit ARM."""
    folder = "/usr/aarch64-linux-gnu"
    found = folder if Path(folder, "lib/ld-linux-aarch64.so.1").exists() else None
    return _needed(found, f"glibc in {folder} (on Debian: apt install libc6-arm64-cross)")


def _needed(found: str | None, what: str) -> str:
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {what}")
        pytest.skip(f"needs {what}")
    return found


def _build(program: Path, target: str, *more: str) -> None:
    """Compile the program of that name in tests/ for a platform of `hatch_build.TARGETS`."""
    flags = [flag for flag in hatch_build.FLAGS if flag not in ("-shared", "-fPIC")]
    options = ["-target", hatch_build.TARGETS[target], f"-I{hatch_build.KERNEL}", *flags, *hatch_build.WARNINGS]
    source = str(ROOT / f"tests/{program.name}.c")
    subprocess.run([*hatch_build.ZIG, *options, "-o", str(program), source, *more], check=True)


@pytest.mark.emulated
def test_kernel_counts_the_same_on_arm(flow_log: bytes, emulator: str, tmp_path: Path) -> None:
    """Compiled for 64-bit ARM and musl, the kernel gives the same tally and the same bytes."""
    program = tmp_path / "count_stdin"
    _build(program, "musllinux_1_2_aarch64", "-static", *map(str, sorted(hatch_build.KERNEL.glob("*.c"))))
    _check_counts([emulator, str(program)], flow_log)


@pytest.mark.emulated
def test_kernel_of_arm_nodes_counts_the_same(flow_log: bytes, emulator: str, arm_root: str, tmp_path: Path) -> None:
    """The very library that travels to nodes of 64-bit ARM gives the same tally, bytes, blocks and sums."""
    hatch_build.update_node_kernels()
    library = hatch_build.JOB / hatch_build.node_library("aarch64")
    counting, dividing = tmp_path / "count_stdin", tmp_path / "divide_stdin"
    for program in (counting, dividing):
        _build(program, "manylinux2014_aarch64", str(library), f"-Wl,-rpath,{library.parent}")
    _check_counts([emulator, "-L", arm_root, str(counting)], flow_log)
    _check_blocks([emulator, "-L", arm_root, str(dividing)], flow_log)


def _check_counts(command: list[str], flow_log: bytes) -> None:
    query = Query(ports=((0, 65535),), action="ALL", metric=("bytes",))
    columns = (" ".join(FIELDS), " ".join(query.layout.columns), " ".join(query.metric))
    done = subprocess.run([*command, *columns], input=flow_log, capture_output=True, check=True)
    counter = Counter(query)
    counter.feed(flow_log)
    tally = counter.end_lines()
    counter.end_file(counts=True)
    numbers = [tally.records_read, tally.counted, *(tally.skipped.get(reason, 0) for reason in REASONS)]
    ranked = b"".join(counter.ranked(0)).splitlines(keepends=True)
    of_mapper = [b"LongValueSum:" + line for line in ranked]
    assert tally.counted > 10_000
    assert len(tally.skipped) > 3
    given = done.stdout.splitlines(keepends=True)
    assert given[: len(numbers)] == [b"%d\n" % number for number in numbers]
    assert given[len(numbers) : -len(ranked)] == ranked
    assert sorted(given[-len(ranked) :]) == sorted(of_mapper)


def _check_blocks(command: list[str], flow_log: bytes) -> None:
    query = Query.parse(by="srcaddr,dstport", metric="bytes,first,last", ports="all", action="ALL")
    lines, _ = pipeline.count(query, flow_log)
    done = subprocess.run([*command, "0", "2", "012"], input=lines, capture_output=True, check=True)
    divided = sorted(blocks.divide_lines(lines.splitlines(keepends=True), 3, 2), key=lambda block: block[4:8])
    adder = sum_blocks.PythonAdder(list(query.metric))
    adder.add(lines * 2)
    summed = b"".join(adder.take_lines()).splitlines()
    given = done.stdout.removeprefix(b"".join(divided))
    assert len(given) < len(done.stdout)
    assert len(divided) > 2
    assert sorted(given.splitlines()) == sorted(summed)


@pytest.mark.parametrize("target", ["musllinux_1_2_aarch64", "macosx_11_0_arm64"])
def test_wheel_for_another_platform(target: str, tmp_path: Path) -> None:
    """A wheel for another platform says so, has that platform's kernel, and a second build gives the same bytes."""
    environment = {**os.environ, "TOPTALKERS_TARGET": target, "SOURCE_DATE_EPOCH": "1790000000"}
    hashes = set()
    for number in "12":
        folder = tmp_path / number
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        hashes.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert wheel.name.endswith(f"-py3-none-{target}.whl")
    assert len(hashes) == 1
    with zipfile.ZipFile(wheel) as archive:
        kernel = archive.read("toptalkers/kernel/kernel.so")
        for_nodes = [archive.read(f"toptalkers/job/kernel-{machine}.so") for machine in ("x86_64", "aarch64")]
        assert not [name for name in archive.namelist() if name.startswith("tests") or name.endswith(".c")]
    # The machine that a library is for, in the headers of ELF and Mach-O.
    assert [library[18:20] for library in for_nodes] == [b"\x3e\0", b"\xb7\0"]
    assert (kernel[18:20] if "linux" in target else kernel[4:8]) == {
        "musllinux_1_2_aarch64": b"\xb7\0",
        "macosx_11_0_arm64": b"\x0c\0\0\1",
    }[target]
