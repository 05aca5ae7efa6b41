"""Look at the rows of a window: ``spark-submit …/sparkml_algos/watch.py``, or ``python -m sparkml_algos.watch --help``.

`sparkml_algos.monitor.MonitorJob` prints the line.
"""

from __future__ import annotations

import sys

from sparkml_algos.monitor.job import main

if __name__ == "__main__":
    sys.exit(main())
