"""`scripts/bench PART...`: the ratios first, the answers checked equal before any time is shown."""

import argparse
import gzip
import hashlib
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.distinct import write_distinct
from bench.measure import alternate, ratio, run_once

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "bench/peers"
TOPTALKERS = str(Path(sysconfig.get_path("scripts")) / "toptalkers")
MAPPER = str(ROOT / "src/toptalkers/streaming/count_flows.py")


def sample(work: Path, records: int) -> Path:
    """The sample of that many default-format records; made once."""
    folder = work / f"default-{records}"
    if not folder.exists():
        making = work / f"making-{records}"
        shutil.rmtree(making, ignore_errors=True)
        command = [TOPTALKERS, "sample", "--records", str(records), "--out", str(making)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        making.rename(folder)
    return folder


def same(outputs: dict[str, str], read: Callable[[Path], object]) -> None:
    """Refuse to go on unless all outputs say the same."""
    (first, expected), *others = ((name, read(Path(path))) for name, path in outputs.items())
    for name, got in others:
        if got != expected:
            sys.exit(f"the answers of {first} and {name} differ: {outputs[first]} {outputs[name]}")
    print(f"same answer: {', '.join(outputs)}")


def bench_local(work: Path, runs: int) -> None:
    """`run-local` beside what its users would write, whole process against whole process; and its growth."""
    folder = sample(work, 4_000_000)
    duckdb_output = str(work / "duckdb.tsv")
    commands = {
        "run-local": [TOPTALKERS, "run-local", str(folder)],
        "polars": [sys.executable, str(PEERS / "polars_script.py"), str(folder)],
        "duckdb": [sys.executable, str(PEERS / "duckdb_script.py"), str(folder), duckdb_output],
        "awk pipe": [str(PEERS / "awk_pipe"), str(folder)],
    }
    outputs = {name: str(work / f"{name.replace(' ', '-')}.tsv") for name in commands}
    # DuckDB writes its own file, so that what it prints goes elsewhere.
    timings = alternate(commands, runs, {**outputs, "duckdb": str(work / "duckdb.log")})
    same(outputs, Path.read_bytes)
    for peer in ("polars", "duckdb", "awk pipe"):
        print(f"run-local / {peer}: {ratio(timings['run-local'], timings[peer])}   (4 M records, 100 files)")
    for name, timing in timings.items():
        print(f"  {name:10} {timing.median_s:6.2f} s ({timing.spread})  {timing.peak_mib:6.0f} MiB")
    peaks: dict[int, float] = {}
    for records in (4_000_000, 20_000_000):
        command = [TOPTALKERS, "run-local", str(sample(work, records))]
        wall, _, peaks[records] = run_once(command, None, str(work / "growth.tsv"))
        print(f"  {records:>12,} records {wall:6.2f} s  {peaks[records]:6.0f} MiB")
    print(f"peak of 20 M / peak of 4 M: {peaks[20_000_000] / peaks[4_000_000]:.2f}")


def bench_mapper(work: Path, runs: int) -> None:
    """The mapper under Python 3.9 beside gawk doing the same count."""
    python39, gawk = shutil.which("python3.9") or "", shutil.which("gawk")
    if not python39 or subprocess.run([python39, "-V"], capture_output=True, check=False).returncode:
        python39 = str(next(iter(sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))), sys.executable))
    if gawk is None:
        sys.exit("bench mapper needs gawk, which is what cluster nodes have (on Debian: apt install gawk)")
    lines = work / "lines.log"
    if not lines.exists():
        with lines.open("wb") as out:
            for path in sorted(sample(work, 4_000_000).glob("*.gz"))[:50]:
                out.write(gzip.decompress(path.read_bytes()))
    commands = {
        "mapper": [python39, "-I", "-S", MAPPER],
        "gawk": [gawk, "-f", str(PEERS / "count.awk")],
    }
    outputs = {name: str(work / f"{name}.txt") for name in commands}
    timings = alternate(commands, runs, outputs, stdin=str(lines))

    def sums(path: Path) -> Counter[bytes]:
        total: Counter[bytes] = Counter()
        for line in path.read_bytes().splitlines():
            talker, _, number = line.partition(b"\t")
            total[talker] += int(number)
        return total

    same(outputs, sums)
    version = subprocess.run([python39, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"count_flows.py / gawk: {ratio(timings['mapper'], timings['gawk'])}   (2 M records, {version})")
    for name, timing in timings.items():
        print(f"  {name:10} {timing.median_s:6.2f} s ({timing.spread})  {timing.peak_mib:6.0f} MiB")


def bench_hadoop(work: Path, runs: int) -> None:
    """The two steps on the embedded Hadoop, this bundle beside the recipe's and Spark; one run each, they are long."""
    from bench.hadoop import bench_hadoop as run

    del runs
    run(work, sample(work, 4_000_000), files=100)


def bench_lambda(work: Path, runs: int) -> None:
    """The Lambda's rate on one core, and its peak memory for the largest events."""
    del work, runs
    subprocess.run([sys.executable, str(ROOT / "scripts/bench-lambda")], check=True)


def bench_memory(work: Path, runs: int) -> None:
    """Mostly distinct talkers: all sums in memory, and as on a machine that has 2 GiB left; the same answer."""
    del runs
    folder = work / "distinct"
    if not folder.exists():
        making = work / "making-distinct"
        shutil.rmtree(making, ignore_errors=True)
        write_distinct(making, 24_000_000)
        making.rename(folder)
    code = (
        "import sys; from toptalkers.engines import inputs, local, sums; from toptalkers.query import Query\n"
        "rows = int(sys.argv[2]) // 2 // sums.ROW_BYTES\n"
        "answer = local.count_files(Query(), inputs.find_inputs([sys.argv[1]]).files, rows_held=rows)\n"
        "for chunk in answer.chunks: sys.stdout.buffer.write(chunk)\n"
    )
    outputs = {}
    for name, bytes_ in {"all in memory": 1 << 40, "2 GiB": 2 << 30}.items():
        outputs[name] = str(work / f"{name.replace(' ', '-')}.tsv")
        wall, _, peak_mib = run_once([sys.executable, "-c", code, str(folder), str(bytes_)], None, outputs[name])
        print(f"  {name:14} {wall:6.1f} s  {peak_mib:6.0f} MiB   (24 M records, 21.6 M talkers)")
    same(outputs, lambda path: hashlib.sha256(path.read_bytes()).hexdigest())


PARTS = {
    "local": bench_local,
    "memory": bench_memory,
    "mapper": bench_mapper,
    "hadoop": bench_hadoop,
    "lambda": bench_lambda,
}


def main() -> None:
    """Run the parts that were named, or all."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="where samples and outputs lie")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(f"{platform.machine()}, Python {platform.python_version()}, {platform.system()} {platform.release()}")
    for part in options.parts or PARTS:
        print(f"\n{part}")
        PARTS[part](options.work, options.runs)


if __name__ == "__main__":
    main()
