"""The question as a Spark user writes it with RDDs, in local mode. Usage: spark_rdd_script.py FOLDER OUTPUT."""

import shutil
import sys
from operator import add

from pyspark import SparkConf, SparkContext


def wanted(columns):
    return columns[13] == "OK" and columns[12] == "ACCEPT" and int(columns[6]) <= 1024


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def talker(columns):
    return f"{bracketed(columns[3])}:{bracketed(columns[4])}:{columns[6]}", 1


shutil.rmtree(sys.argv[2], ignore_errors=True)
context = SparkContext(conf=SparkConf().setMaster("local[*]").set("spark.ui.enabled", "false"))
(
    context.textFile(sys.argv[1] + "/*.gz")
    .map(lambda line: line.split(" "))
    .filter(wanted)
    .map(talker)
    .reduceByKey(add, context.defaultParallelism)
    .sortBy(lambda pair: (-pair[1], pair[0]))
    .map(lambda pair: f"{pair[0]}\t{pair[1]}")
    .coalesce(1)
    .saveAsTextFile(sys.argv[2])
)
context.stop()
