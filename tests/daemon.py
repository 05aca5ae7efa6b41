"""The package's daemon of Python workers, which has loaded the networks and kernels of all algorithms too.

Tests of what goes wrong end many workers. Those that take their places would import torch anew, which takes seconds; forked from this one
they have it.
"""

from __future__ import annotations

import importlib
import pkgutil

from sparkml_algos import algorithms, kernels, networks
from sparkml_algos.cluster.daemon import manager
from sparkml_algos.cluster.imported import spare_imported

for package in (networks, kernels, algorithms):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)

if __name__ == "__main__":
    spare_imported()
    manager()
