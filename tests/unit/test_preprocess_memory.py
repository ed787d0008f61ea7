"""No event that the stream can hold needs more memory than the function has."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench-lambda"
SOURCES = Path(__file__).parents[2] / "src"

BOUND_MIB = 110
"""Of the function's 256 MiB boto3 with its client takes 25 more, Lambda's runtime and the largest event 30."""


def test_no_envelope_takes_more_memory_than_the_function_has() -> None:
    """Envelopes at their limit, with the widest texts and the costliest structures, one after the other, fit."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, str(SCRIPT), "--widest"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    peaks = {case["case"]: case["peak_mib"] for case in map(json.loads, done.stdout.splitlines())}
    assert len(peaks) > 30
    assert max(peaks.values()) < BOUND_MIB, peaks
