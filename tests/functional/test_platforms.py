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
from tests.render import ROOT
from toptalkers.flowlog.fields import FIELDS
from toptalkers.flowlog.reasons import REASONS
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


@pytest.mark.emulated
def test_kernel_counts_the_same_on_arm(flow_log: bytes, tmp_path: Path) -> None:
    """Compiled for 64-bit ARM and musl, the kernel gives the same tally and the same bytes."""
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("needs qemu-aarch64 (on Debian: apt install qemu-user)")
    program = tmp_path / "count_stdin"
    sources = [ROOT / "tests/count_stdin.c", *sorted(hatch_build.KERNEL.glob("*.c"))]
    flags = [flag for flag in hatch_build.FLAGS if flag not in ("-shared", "-fPIC")]
    target = ["-target", hatch_build.TARGETS["musllinux_1_2_aarch64"], "-static", f"-I{hatch_build.KERNEL}"]
    command = [*hatch_build.ZIG, *target, *flags, *hatch_build.WARNINGS, "-o", str(program), *map(str, sources)]
    subprocess.run(command, check=True)

    query = Query(ports=((0, 65535),), action="ALL", metric=("bytes",))
    columns = (" ".join(FIELDS), " ".join(query.layout.columns), " ".join(query.metric))
    done = subprocess.run([emulator, program, *columns], input=flow_log, capture_output=True, check=True)
    counter = Counter(query)
    counter.feed(flow_log)
    tally = counter.end_lines()
    counter.end_file(counts=True)
    numbers = [tally.records_read, tally.counted, *(tally.skipped.get(reason, 0) for reason in REASONS)]
    expected = "".join(f"{number}\n" for number in numbers).encode() + b"".join(counter.ranked(0))
    assert tally.counted > 10_000
    assert len(tally.skipped) > 3
    assert done.stdout == expected


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
        assert not [name for name in archive.namelist() if name.startswith("tests") or name.endswith(".c")]
    # The machine that a library is for, in the headers of ELF and Mach-O.
    assert (kernel[18:20] if "linux" in target else kernel[4:8]) == {
        "musllinux_1_2_aarch64": b"\xb7\0",
        "macosx_11_0_arm64": b"\x0c\0\0\1",
    }[target]
