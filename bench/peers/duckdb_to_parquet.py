"""Writes flow logs as AWS delivers them in Parquet: its types, no value for `-`. Arguments: FOLDER OUTPUT."""

import sys

import duckdb

columns = "version account_id interface_id srcaddr dstaddr srcport dstport protocol packets bytes".split()
columns += "start end action log_status".split()
kinds = dict.fromkeys(("version", "srcport", "dstport", "protocol"), "INTEGER")
kinds |= dict.fromkeys(("packets", "bytes", "start", "end"), "BIGINT")
types = "{" + ", ".join(f"'{name}': '{kinds.get(name, 'VARCHAR')}'" for name in columns) + "}"
duckdb.sql(f"""
    COPY (
        FROM read_csv('{sys.argv[1]}/*.gz', delim = ' ', header = false, quote = '', escape = '', columns = {types},
            nullstr = '-')
    ) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION gzip)
""")
