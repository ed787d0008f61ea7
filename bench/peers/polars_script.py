"""What a Polars user would write for the question. Usage: polars_script.py FOLDER."""

import sys

import polars as pl

columns = (
    "version account_id interface_id srcaddr dstaddr srcport dstport protocol packets bytes start end action log_status"
).split()


def bracketed(name):
    return pl.when(pl.col(name).str.contains(":", literal=True)).then("[" + pl.col(name) + "]").otherwise(pl.col(name))


(
    pl.scan_csv(
        sys.argv[1] + "/*.gz",
        separator=" ",
        has_header=False,
        quote_char=None,
        schema=dict.fromkeys(columns, pl.String),
    )
    .filter((pl.col("log_status") == "OK") & (pl.col("action") == "ACCEPT"))
    .filter(pl.col("dstport").cast(pl.Int32, strict=False) <= 1024)
    .group_by("srcaddr", "dstaddr", "dstport")
    .len()
    .select(talker=pl.concat_str(bracketed("srcaddr"), bracketed("dstaddr"), "dstport", separator=":"), n="len")
    .sort("n", "talker", descending=[True, False])
    .collect(engine="streaming")
    .write_csv(sys.stdout.buffer, separator="\t", include_header=False)
)
