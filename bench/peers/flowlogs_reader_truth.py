"""What a flowlogs-reader user would write to rank conversations. Usage: flowlogs_reader_truth.py FOLDER.

Its own `aggregated_records`, with its own key: the five columns of a flow. Prints the first 100: source, destination,
both ports, protocol, bytes.
"""

import csv
import gzip
import sys
from pathlib import Path

from flowlogs_reader import FlowRecord, aggregated_records


def records():
    for path in sorted(Path(sys.argv[1]).glob("*.gz")):
        with gzip.open(path, "rt") as lines:
            for row in csv.DictReader(lines, delimiter=" "):
                record = FlowRecord({name.replace("-", "_"): value for name, value in row.items()})
                if record.log_status == "OK" and record.action == "ACCEPT":
                    yield record


for flow in sorted(aggregated_records(records()), key=lambda flow: -flow["bytes"])[:100]:
    print(*(flow[name] for name in ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "bytes")), sep="\t")
