"""What a DuckDB user would write for other questions. Usage: duckdb_keys.py QUESTION FILES OUTPUT."""

import sys

import duckdb

name, files, output = sys.argv[1:]
COLUMNS = "version account_id interface_id srcaddr dstaddr srcport dstport protocol packets bytes".split()
COLUMNS += "start end action log_status".split()
TYPES = "{" + ", ".join(f"'{column}': 'VARCHAR'" for column in COLUMNS) + "}"
IS_PARQUET = files.endswith(".parquet")
SOURCE = (
    f"read_parquet('{files}')"
    if IS_PARQUET
    else f"read_csv('{files}/*.gz', delim = ' ', header = false, quote = '', escape = '', columns = {TYPES})"
)

PORT = "dstport" if IS_PARQUET else "try_cast(dstport AS INTEGER)"
WANTED = f"log_status = 'OK' AND action = 'ACCEPT' AND {PORT} <= 1024"
HOUR = '"start"::BIGINT // 3600'
PRINTED_HOUR = "strftime(epoch_ms(hour * 3600000), '%Y-%m-%dT%H:00:00Z')"
NETWORK = r"""CASE WHEN contains(srcaddr, ':')
    THEN regexp_extract(srcaddr, '^((?:[0-9a-f]+:){3}[0-9a-f]+):', 1) || '::/64'
    ELSE regexp_extract(srcaddr, '^(\d+\.\d+\.\d+)\.', 1) || '.0/24' END"""
RECIPE = """CASE WHEN contains(srcaddr, ':') THEN '[' || srcaddr || ']' ELSE srcaddr END || ':' ||
    CASE WHEN contains(dstaddr, ':') THEN '[' || dstaddr || ']' ELSE dstaddr END || ':' || dstport"""
SUMS = "sum(bytes::BIGINT), sum(packets::BIGINT), count(*)"
FIVE = f"""srcaddr LIKE '10.0.%' AND NOT (srcaddr = '10.0.1.11' OR dstaddr = '10.0.1.11') AND {PORT} = 443
    AND bytes::BIGINT > 1000 AND protocol = '6'"""

# For each question: the key by name, how each part is printed, the sums, the condition.
QUESTIONS = {
    "default": ({"srcaddr": "srcaddr", "dstaddr": "dstaddr", "dstport": "dstport"}, [RECIPE], "count(*)", ""),
    "srcaddr": ({"srcaddr": "srcaddr"}, ["srcaddr"], "count(*)", ""),
    "ports": ({"dstport": "dstport", "protocol": "protocol"}, ["dstport", "protocol"], "count(*)", ""),
    "networks": ({"hour": HOUR, "network": NETWORK}, [PRINTED_HOUR, "network"], "count(*)", ""),
    "where": ({"srcaddr": "srcaddr", "dstaddr": "dstaddr", "dstport": "dstport"}, [RECIPE], "count(*)", FIVE),
    "metrics": ({"srcaddr": "srcaddr", "dstaddr": "dstaddr", "dstport": "dstport"}, [RECIPE], SUMS, ""),
    "together": (
        {"hour": HOUR, "network": NETWORK, "dstport": "dstport"},
        [PRINTED_HOUR, "network", "dstport"],
        SUMS,
        FIVE,
    ),
}

key, printed, sums, condition = QUESTIONS[name]
inner = ", ".join([*(f"{how} AS {column}" for column, how in key.items()), "bytes", "packets"])
parts = ", ".join(f"({how})::VARCHAR AS k{number}" for number, how in enumerate(printed))
counted = ", ".join(f"{how} AS n{number}" for number, how in enumerate(sums.split(", ")))
order = ", ".join(["n0 DESC", *(f"k{number}" for number in range(len(printed)))])
duckdb.sql(f"""
    COPY (
        SELECT {parts}, {counted}
        FROM (SELECT {inner} FROM {SOURCE} WHERE {WANTED} {"AND " + condition if condition else ""})
        GROUP BY {", ".join(key)}
        ORDER BY {order}
    ) TO '{output}' (DELIMITER '\t', HEADER false, QUOTE '')
""")
