"""What a DuckDB user would write for the question. Usage: duckdb_script.py FOLDER OUTPUT."""

import sys

import duckdb

columns = "version account_id interface_id srcaddr dstaddr srcport dstport protocol packets bytes".split()
columns += "start_time end_time action log_status".split()
types = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in columns) + "}"
duckdb.sql(f"""
    COPY (
        SELECT
            CASE WHEN contains(srcaddr, ':') THEN '[' || srcaddr || ']' ELSE srcaddr END || ':' ||
            CASE WHEN contains(dstaddr, ':') THEN '[' || dstaddr || ']' ELSE dstaddr END || ':' || dstport AS talker,
            count(*) AS n
        FROM read_csv('{sys.argv[1]}/*.gz', delim = ' ', header = false, quote = '', escape = '', columns = {types})
        WHERE log_status = 'OK' AND action = 'ACCEPT' AND try_cast(dstport AS INTEGER) <= 1024
        GROUP BY srcaddr, dstaddr, dstport
        ORDER BY n DESC, talker
    ) TO '{sys.argv[2]}' (DELIMITER '\t', HEADER false, QUOTE '')
""")
