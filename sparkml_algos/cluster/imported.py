"""What a Python worker has imported costs each of its tasks no time."""

from __future__ import annotations

import gc
import sys
from zipimport import zipimporter

# A library has hundreds of modules; for fewer, to search all once more is not worth it.
WORTH_IT = 100

_spared = 0


def spare_imported() -> None:
    """Have tasks neither search what was imported for garbage nor read the directories of zip files again.

    Spark's worker (PySpark 3.5 to 4.3) collects garbage after each task. That takes 50 ms with pandas and Arrow loaded and 200 ms with
    torch, in which the worker cannot begin with the next task, and writes to pages that it otherwise shares with its siblings. Before
    each task (Spark 3.5), or its first (4.3), it forgets what is known of the files to import from: Python before 3.12 then reads the
    directory of ``pyspark.zip`` once for each package within that was imported from. An importer that is needed again is made again.

    To be called as a task begins: whatever lives is taken for what was imported, and is not freed if it becomes part of a cycle. Does
    something where many modules have come since the last call.
    """
    global _spared
    if len(sys.modules) < _spared + WORTH_IT:
        return
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]
    gc.collect()
    gc.freeze()
    _spared = len(sys.modules)
