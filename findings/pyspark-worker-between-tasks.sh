#!/usr/bin/env bash
# PySpark 4.3.0: a Python worker searches all that it has imported for garbage after every task.
#
# Guess:  a Python worker that is used again begins its next task at once; that a task before it has imported large libraries costs nothing.
# Seen:   it calls gc.collect() after every task, which looks at every object of every module that is loaded: tens of thousands with PySpark
#         alone, hundreds of thousands with pandas, Arrow and torch (0.2 s a task on a slow core).
# So:     where tasks are short, call gc.freeze() once in the worker when the libraries are loaded, or in a daemon of your own
#         (spark.python.daemon.module) before it forks.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as 'in one process: True
full collections between two tasks: 1, each of more than 20,000 objects: True
after gc.freeze(): fewer than 5,000 objects: True' <<'PYTHON'
from pyspark.sql import SparkSession

TASKS = 5


def look(_):
    import gc
    import os

    yield os.getpid(), gc.get_stats()[2]["collections"], len(gc.get_objects())


def freeze(_):
    import gc

    gc.collect()
    gc.freeze()
    yield 0


def seen(tasks):
    return zip(*(spark.sparkContext.range(0, 1, 1, 1).mapPartitions(look).first() for _ in range(tasks)))


spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
pids, collections, objects = seen(TASKS)
spark.sparkContext.range(0, 1, 1, 1).mapPartitions(freeze).first()
pids_after, _, objects_after = seen(TASKS)
spark.stop()
print("in one process:", len({*pids, *pids_after}) == 1)
between = {later - earlier for earlier, later in zip(collections[1:], collections[2:])}
print(f"full collections between two tasks: {min(between)}, each of more than 20,000 objects:", min(objects) > 20_000)
print("after gc.freeze(): fewer than 5,000 objects:", max(objects_after) < 5_000)
PYTHON
