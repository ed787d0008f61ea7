#!/usr/bin/env python3
"""The published recipe's mapper in its own way: shlex, and a line a record. All that was captured counts."""

import shlex
import sys

for line in sys.stdin:
    fields = shlex.split(line)
    print(f"LongValueSum:{fields[3]}:{fields[4]}:{fields[6]}\t1")
