"""What a flowlogs-reader user would write for the question. Usage: flowlogs_reader_script.py FOLDER.

Its own command reads CloudWatch Logs and S3 alone, and its `aggregate` sums packets and bytes but counts no records:
so this takes its record class to lines of files, and counts.
"""

import gzip
import sys
from collections import Counter
from pathlib import Path

from flowlogs_reader import FlowRecord


def bracketed(address):
    return f"[{address}]" if ":" in address else address


counts = Counter()
for path in Path(sys.argv[1]).glob("*.gz"):
    with gzip.open(path, "rt") as lines:
        for line in lines:
            record = FlowRecord.from_cwl_event({"message": line})
            if record.log_status == "OK" and record.action == "ACCEPT" and record.dstport <= 1024:
                counts[record.srcaddr, record.dstaddr, record.dstport] += 1
answer = [(-n, f"{bracketed(src)}:{bracketed(dst)}:{port}") for (src, dst, port), n in counts.items()]
for n, talker in sorted(answer):
    print(f"{talker}\t{-n}")
