"""The first answer of a process needs little: neither torch, nor pandas, nor Spark is imported for models without networks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.saved.expected import SAVED

WITHOUT = [
    "FactorizationMachinesRegressorModel",
    "KMeansModel",
    "KNNClassifierModel",
    "LDAModel",
    "LinearLearnerBinaryClassifierModel",
    "PCAModel",
    "RandomCutForestModel",
]
PROGRAM = """
import sys
import numpy as np
from sparkml_algos import serving
model = serving.load(sys.argv[1])
found = model(features=np.ones((1, 3), np.float32))
assert all(len(found[name]) == 1 for name in found)
large = {"torch", "pandas", "sklearn", "pyspark", "onnx", "fastapi", "sympy"}
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules} & large)))
"""


@pytest.mark.parametrize("name", WITHOUT)
def test_the_first_answer_imports_nothing_large(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(SAVED / name)], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == []
