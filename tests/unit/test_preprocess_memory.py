"""No event that the stream can hold needs more memory than the function has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BOUND_MIB = 110
"""Of the function's 256 MiB boto3 with its client takes 25 more, Lambda's runtime and the largest event 30."""


@pytest.mark.slow
def test_no_envelope_takes_more_memory_than_the_function_has() -> None:
    """Envelopes at their limit, of the widest texts and the costliest structures, one after the other, fit."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "bench.preprocessor", "--widest"]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peaks = {case["case"]: case["peak_mib"] for case in map(json.loads, done.stdout.splitlines())}
    assert len(peaks) > 30
    assert max(peaks.values()) < BOUND_MIB, peaks
