"""Tests.

Linear algebra keeps to one thread, as in Spark's tasks: threads of several test processes, which wait for each other actively, take ten
times as long on the same cores.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
