"""What a DuckDB user would write to rank conversations. Usage: duckdb_truth.py FOLDER plain|lower|expert.

`plain` adds up bytes by source, destination and destination port; `lower` takes the lower of two ports for the
server's, and adds up both directions. `expert` also leaves out copies, takes the packets' addresses, and of each flow
and hour the interface that logged most. Prints the first 100: source or client, destination or server, port, protocol,
bytes.
"""

import sys

import duckdb

folder, how = sys.argv[1:]
SERVER_SENDS = "srcport::INTEGER < dstport::INTEGER"
LOWER = f"""CASE WHEN {SERVER_SENDS} THEN dstaddr ELSE srcaddr END AS a,
        CASE WHEN {SERVER_SENDS} THEN srcaddr ELSE dstaddr END AS b,
        CASE WHEN {SERVER_SENDS} THEN srcport ELSE dstport END AS port, protocol"""
KEYS = {"plain": "srcaddr AS a, dstaddr AS b, dstport AS port, protocol", "lower": LOWER, "expert": LOWER}
RECORDS = f"""
    SELECT * FROM read_csv('{folder}/*.gz', delim = ' ', header = true, all_varchar = true)
    WHERE "log-status" = 'OK' AND action = 'ACCEPT'
"""
ONCE = f"""
    SELECT srcaddr, dstaddr, srcport, dstport, protocol, max(bytes) AS bytes
    FROM (
        SELECT "interface-id", "pkt-srcaddr" AS srcaddr, "pkt-dstaddr" AS dstaddr, srcport, dstport, protocol,
            start::BIGINT // 3600 AS hour, sum(bytes::BIGINT) AS bytes
        FROM (SELECT DISTINCT * FROM ({RECORDS}))
        GROUP BY ALL
    )
    GROUP BY srcaddr, dstaddr, srcport, dstport, protocol, hour
"""
rows = duckdb.sql(f"""
    SELECT a, b, port, protocol, sum(bytes)::BIGINT AS n
    FROM (SELECT {KEYS[how]}, bytes::BIGINT AS bytes FROM ({ONCE if how == "expert" else RECORDS}))
    GROUP BY ALL ORDER BY n DESC, a, b, port, protocol LIMIT 100
""").fetchall()
for row in rows:
    print(*row, sep="\t")
