"""Peak memory of a worker whose rows are far more than it may hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = 400 << 20  # bytes the process may have resident, interpreter and libraries included
DATA = 4 * ALLOWED

WORKER = f"""
import json, sys
import numpy as np, pyarrow as pa
from sparkml_algos import KMeans
from sparkml_algos.algorithms.kmeans.training import KMEANS
from sparkml_algos.training.run import Alone, TrainingPlan, train
from tests.decoding import decoder_of, record_batches

ROWS, FEATURES = 10_000, 100
centers = 20 * np.random.default_rng(0).random((5, FEATURES), np.float32)
count = {DATA} // (4 * ROWS * FEATURES)

def batches():
    random = np.random.default_rng(1)
    for _ in range(count):
        rows = centers[random.integers(0, 5, ROWS)] + random.random((ROWS, FEATURES), np.float32)
        yield from record_batches(rows)

hyperparameters = KMeans(k=5, epochs=2, extra_center_factor=4).hyperparameters()
plan = TrainingPlan(KMEANS, [hyperparameters], decoder_of(["features"]), input_mode=sys.argv[1], max_shard_bytes={ALLOWED} // 4)
results = dict(train(plan, Alone(), batches()))
found = results["model/0"].arrays["centers"]
error = max(float(np.abs(found - center - 0.5).max(axis=1).min()) for center in centers)
# Not ru_maxrss, which a process inherits from the one that started it.
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({{"peak": peak, "rows": results["report/0"].values["rows"], "error": error}}))
"""


@pytest.mark.parametrize("input_mode", ["Pipe", "File"])
def test_rows_beyond_the_budget_do_not_stay_in_memory(input_mode: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", WORKER, input_mode], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["rows"] * 400 == DATA // 4_000_000 * 4_000_000
    assert found["peak"] < ALLOWED
    assert found["error"] < 0.01  # of the true means of the five blobs: the quality of a fit that holds everything
    assert list(tmp_path.iterdir()) == []
