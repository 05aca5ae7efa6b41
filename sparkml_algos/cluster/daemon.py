"""A daemon for Spark's Python workers that has loaded what training needs before it forks them.

With ``spark.python.daemon.module=sparkml_algos.cluster.daemon`` an executor imports PySpark's worker, NumPy, SciPy, Arrow and this package
once instead of once per worker, and workers share the memory of what was imported. It is Spark's own daemon otherwise, for every Python
function of the session.
"""

import pyarrow  # noqa: F401
import pyspark.worker  # noqa: F401
import scipy.sparse  # noqa: F401
from pyspark.daemon import manager

import sparkml_algos.core.estimator  # noqa: F401
from sparkml_algos.cluster.imported import spare_imported

if __name__ == "__main__":
    spare_imported()
    manager()
