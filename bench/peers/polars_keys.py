"""What a Polars user would write for other questions. Usage: polars_keys.py QUESTION FOLDER."""

import sys

import polars as pl

name, folder = sys.argv[1:]
columns = (
    "version account_id interface_id srcaddr dstaddr srcport dstport protocol packets bytes start end action log_status"
).split()


def bracketed(name):
    return pl.when(pl.col(name).str.contains(":", literal=True)).then("[" + pl.col(name) + "]").otherwise(pl.col(name))


recipe = [pl.concat_str(bracketed("srcaddr"), bracketed("dstaddr"), "dstport", separator=":").alias("talker")]
hour = pl.from_epoch(pl.col("hour") * 3600).dt.strftime("%Y-%m-%dT%H:00:00Z")
hours = (pl.col("start").cast(pl.Int64) // 3600).alias("hour")
network = (
    pl.when(pl.col("srcaddr").str.contains(":", literal=True))
    .then(pl.col("srcaddr").str.extract("^((?:[0-9a-f]+:){3}[0-9a-f]+):") + "::/64")
    .otherwise(pl.col("srcaddr").str.extract(r"^(\d+\.\d+\.\d+)\.") + ".0/24")
    .alias("network")
)
one = [pl.len().alias("n0")]
three = [pl.col("bytes").cast(pl.Int64).sum().alias("n0"), pl.col("packets").cast(pl.Int64).sum().alias("n1")]
three.append(pl.len().alias("n2"))
host = "10.0.1.11"
five = (
    pl.col("srcaddr").str.starts_with("10.0.")
    & ~((pl.col("srcaddr") == host) | (pl.col("dstaddr") == host))
    & (pl.col("dstport") == "443")
    & (pl.col("bytes").cast(pl.Int64, strict=False) > 1000)
    & (pl.col("protocol") == "6")
)

# For each question: the key, how it is printed, the sums, the condition.
questions = {
    "default": (["srcaddr", "dstaddr", "dstport"], recipe, one, None),
    "srcaddr": (["srcaddr"], ["srcaddr"], one, None),
    "ports": (["dstport", "protocol"], ["dstport", "protocol"], one, None),
    "networks": ([hours, network], [hour, "network"], one, None),
    "where": (["srcaddr", "dstaddr", "dstport"], recipe, one, five),
    "metrics": (["srcaddr", "dstaddr", "dstport"], recipe, three, None),
    "together": ([hours, network, "dstport"], [hour, "network", "dstport"], three, five),
}
key, printed, sums, condition = questions[name]
lines = (
    pl.scan_csv(
        folder + "/*.gz",
        separator=" ",
        has_header=False,
        quote_char=None,
        schema=dict.fromkeys(columns, pl.String),
    )
    .filter((pl.col("log_status") == "OK") & (pl.col("action") == "ACCEPT"))
    .filter(pl.col("dstport").cast(pl.Int32, strict=False) <= 1024)
)
if condition is not None:
    lines = lines.filter(condition)
counted = lines.group_by(key).agg(sums).select(*printed, pl.col("^n[0-9]$"))
parts = [column for column in counted.collect_schema().names() if not column.startswith("n") or column == "network"]
(
    counted.sort(["n0", *parts], descending=[True] + [False] * len(parts))
    .collect(engine="streaming")
    .write_csv(sys.stdout.buffer, separator="\t", include_header=False)
)
