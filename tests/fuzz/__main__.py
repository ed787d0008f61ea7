"""`scripts/fuzz SECONDS [SEED]`: tries random cases on a kernel with sanitizers, until one differs.

The tries run in a separate process, which writes the number of the current case to a file. A case that ends the
process, or never ends, is therefore known, too.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random, SystemRandom

from tests import sanitized
from tests.fuzz.cases import Case, draw, dump, load
from tests.fuzz.compare import difference, shrink

FOUND = Path(__file__).with_name("found")
LONGEST_TRY_SECONDS = 60

DIFFERS = 10
"""The exit code of a process that found a difference; sanitizers and Python errors end it with 1."""


def drawn(seed: int, number: int) -> Case:
    """Return the case of a number."""
    return draw(Random(f"{seed} {number}"))


def write_found(case: Case) -> Path:
    """Keep a case for the tests; return its file."""
    text = dump(case)
    path = FOUND / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    FOUND.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def try_cases(seconds: float, seed: int, progress: Path) -> int:
    """Try one case after another; return 0 if all agree, else DIFFERS."""
    began = time.monotonic()
    number = 0
    with progress.open("wb", buffering=0) as at:
        while time.monotonic() < began + seconds:
            os.pwrite(at.fileno(), b"%d" % number, 0)
            case = drawn(seed, number)
            if difference(case):
                print(f"case {number} of seed {seed} differs; searching for the smallest that does", flush=True)
                least = shrink(case, lambda smaller: difference(smaller) is not None)
                print(f"{write_found(least)}:\n{difference(least)}")
                return DIFFERS
            number += 1
    print(f"{number} cases agree, {number / (time.monotonic() - began):.0f} per second")
    return 0


def try_one(path: Path) -> int:
    """Try the case in a file; return the same as `try_cases`."""
    found = difference(load(path.read_text()))
    print(found or "agrees")
    return DIFFERS if found else 0


def main(seconds: float, seed: int) -> int:
    """Build the kernel, try cases on it, and keep one that it fails on; return the exit code."""
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = sanitized.build_watched(folder)
        progress = folder / "progress"

        def run(*arguments: str, wait: float, output: int | None = None) -> int:
            command = [sys.executable, "-m", "tests.fuzz", *arguments]
            try:
                done = subprocess.run(command, env=environment, stdout=output, stderr=output, timeout=wait, check=False)
            except subprocess.TimeoutExpired:
                return -1
            return done.returncode

        code = run("tries", str(seconds), str(seed), str(progress), wait=seconds + 2 * LONGEST_TRY_SECONDS)
        if code in (0, DIFFERS):
            return min(code, 1)
        number = int(progress.read_text())
        print(f"case {number} of seed {seed} ends the process, or never ends; searching for the smallest", flush=True)

        def fails(case: Case) -> bool:
            tried = folder / "tried.json"
            tried.write_text(dump(case))
            return run("one", str(tried), wait=LONGEST_TRY_SECONDS, output=subprocess.DEVNULL) not in (0, DIFFERS)

        print(write_found(shrink(drawn(seed, number), fails)))
    return 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tries", seconds, seed, progress]:
            sys.exit(try_cases(float(seconds), int(seed), Path(progress)))
        case ["one", path]:
            sys.exit(try_one(Path(path)))
        case [seconds, *seed] if len(seed) < 2 and all(text.isdecimal() for text in (seconds, *seed)):
            sys.exit(main(int(seconds), int(seed[0]) if seed else SystemRandom().getrandbits(32)))
        case _:
            print("usage: scripts/fuzz SECONDS [SEED]", file=sys.stderr)
            sys.exit(2)
