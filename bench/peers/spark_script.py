"""What a Spark user would write for the question, in local mode. Usage: spark_script.py FOLDER OUTPUT."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

spark = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()
columns = f.split("value", " ")


def bracketed(name):
    return f.when(f.contains(name, f.lit(":")), f.concat(f.lit("["), name, f.lit("]"))).otherwise(f.col(name))


(
    spark.read.text(sys.argv[1] + "/*.gz")
    .select(
        columns[3].alias("src"),
        columns[4].alias("dst"),
        columns[6].alias("port"),
        columns[12].alias("action"),
        columns[13].alias("status"),
    )
    .where((f.col("status") == "OK") & (f.col("action") == "ACCEPT") & (f.col("port").cast("int") <= 1024))
    .groupBy("src", "dst", "port")
    .count()
    .select(f.concat_ws(":", bracketed("src"), bracketed("dst"), "port").alias("talker"), "count")
    .orderBy(f.desc("count"), "talker")
    .coalesce(1)
    .write.csv(sys.argv[2], sep="\t", mode="overwrite")
)
spark.stop()
