"""A daemon for Spark's Python workers that has loaded what training needs before it forks them.

With ``spark.python.daemon.module=sparkml_algos.cluster.daemon`` an executor imports PySpark's worker, NumPy, SciPy, Arrow and this package
once instead of once per worker, and workers share the memory of what was imported. It is Spark's own daemon otherwise, for every Python
function of the session.

What is imported is spared two costs of every task, too, see `settle`.
"""

import gc
import sys
from zipimport import zipimporter

import pyarrow  # noqa: F401
import pyspark.worker  # noqa: F401
import scipy.sparse  # noqa: F401
from pyspark.daemon import manager

import sparkml_algos.core.estimator  # noqa: F401


def settle() -> None:
    """Have tasks of the workers to come neither search what was imported for garbage nor read the directories of zip files again.

    Spark's worker (PySpark 3.5 to 4.3) collects garbage after each task. That takes 50 ms with pandas and Arrow loaded and 200 ms with
    torch, in which the worker cannot begin with the next task, and writes to pages that it otherwise shares with its siblings. Before
    each task it forgets what is known of the files to import from: Python before 3.12 then reads the directory of ``pyspark.zip`` once for
    each package within that was imported from. An importer that is needed again is made again.
    """
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    settle()
    manager()
