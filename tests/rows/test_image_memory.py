"""A worker whose images are four times what it may hold, of which some are to validate on, piped, killed and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ALLOWED = 360 << 20  # bytes the process may have resident, interpreter and libraries included
IMAGE_BYTES, IMAGES_PER_BATCH = 100_000, 100
BATCHES = 4 * ALLOWED // (IMAGE_BYTES * IMAGES_PER_BATCH)

WORKER = f"""
import json, sys
import numpy as np
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import Alone, TrainingPlan, train
from tests.toys.pictures import FIELDS, PICTURES, Pictures

class Lost(Exception):
    pass

pattern = np.random.default_rng(0).integers(0, 256, {IMAGE_BYTES} + 256, np.uint8).tobytes()
box = np.array([[1, 2, 3, 4, 5]], np.float32)

def batches():
    for number in range({BATCHES}):
        images = [pattern[i % 256 : i % 256 + {IMAGE_BYTES}] for i in range(number, number + {IMAGES_PER_BATCH})]
        marked = np.arange({IMAGES_PER_BATCH}) % 5 == 0
        yield from record_batches(FIELDS, {{"image": images, "boxes": [box] * len(images), "validation": marked}})

def fit(dies):
    save = checkpoint.CheckpointStore.save
    def save_and_die(store, epoch, state):
        save(store, epoch, state)
        raise Lost
    checkpoint.CheckpointStore.save = save_and_die if dies else save
    decoder = Decoder([Source(field, [field.role]) for field in FIELDS])
    settings = [Pictures(epochs=2).hyperparameters()]
    options = {{"input_mode": sys.argv[1], "max_shard_bytes": {ALLOWED} // 8, "checkpoint_dir": sys.argv[2]}}
    try:
        return dict(train(TrainingPlan(PICTURES, settings, decoder, **options), Alone(), batches()))
    except Lost:
        return None
    finally:
        checkpoint.CheckpointStore.save = save

fit(dies=True)
results = fit(dies=False)
model, report = results["model/0"], results["report/0"].values
# Not ru_maxrss, which a process inherits from the one that started it.
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
bytes_seen = [float(model.arrays["histogram"].sum()), float(model.arrays["validated"][0])]
print(json.dumps({{"peak": peak, "report": report, "bytes": bytes_seen, "epochs": len(model.values["history"])}}))
"""


def test_its_peak_stays_below_the_limit(tmp_path: Path) -> None:
    spilled, checkpoints = tmp_path / "spilled", tmp_path / "checkpoints"
    spilled.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(spilled)}
    command = [sys.executable, "-c", WORKER, "Pipe", str(checkpoints)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    images = BATCHES * IMAGES_PER_BATCH
    assert (found["report"]["rows"], found["report"]["validation_rows"]) == (images * 4 // 5, images // 5)
    assert found["bytes"] == [images * 4 // 5 * IMAGE_BYTES, images // 5 * IMAGE_BYTES]
    assert found["epochs"] == 2  # of which the first is the one before it was lost
    assert found["peak"] < ALLOWED
    assert list(spilled.iterdir()) == []
