"""Horovod in the place of our own collectives: every algorithm learns the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from sparkml_algos import KMeans
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster.errors import TrainingError
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.training.run import train_arrays
from tests.averaging import Averaging
from tests.cases import BLOB, CASES, Case
from tests.gang import process_gang

# As the generic suite labels its rows. A group stays on one worker.
LABELS = {"target": lambda rows: rows @ np.array([1, -2, 0.5]) + 7, "half": lambda rows: BLOB % 2, "blob": lambda rows: BLOB}
GROUP = np.arange(len(BLOB)) // 4


def train_share(communicator: Communicator, kind: type[AlgorithmEstimator], settings: dict[str, Any], rows: np.ndarray) -> Artifact:
    """Train on this worker's share of the rows."""
    estimator = kind(**settings)
    mine = GROUP % communicator.size == communicator.rank
    return train_arrays(
        estimator.algorithm(),
        estimator.hyperparameters(),
        rows[mine],
        **({"label": LABELS[settings["labelCol"]](rows)[mine]} if "labelCol" in settings else {}),
        **({"group": GROUP[mine]} if "groupCol" in settings else {}),
        communicator=communicator,
    )


@pytest.mark.horovod
@pytest.mark.parametrize("case", [case for case in CASES if case.takes_features], ids=str)
def test_every_algorithm_learns_the_same_over_horovod(case: Case) -> None:
    expected, over_gloo, found = (
        process_gang(2, kind)(train_share, case.estimator, case.settings, case.rows)[0] for kind in ("tcp", "gloo", "horovod")
    )
    assert len(expected.arrays)
    for model in (over_gloo, found):
        assert model.arrays.keys() == expected.arrays.keys()
        for name, array in expected.arrays.items():
            assert model.arrays[name].dtype == array.dtype
            np.testing.assert_allclose(model.arrays[name], array, rtol=1e-5, atol=1e-6)


@pytest.fixture
def data(spark):
    return spark.range(0, 300, 1, 3).select(F.array(F.randn(1), F.randn(2) + F.col("id") % 3 * 10).cast("array<float>").alias("features"))


@pytest.mark.horovod
@pytest.mark.parametrize("launch", ["barrier", "gang"])
def test_it_trains_in_spark_and_again_in_the_same_python_workers(spark, data, launch) -> None:
    settings = {"k": 3, "num_workers": 2, "launch": launch}
    expected = KMeans(**settings).fit(data)
    for _ in range(2):
        model = KMeans(**settings, communicator="horovod").fit(data)
        assert model.training_summary.num_workers == 2
        np.testing.assert_allclose(model.cluster_centers, expected.cluster_centers, rtol=1e-5)


@pytest.mark.horovod
@pytest.mark.parametrize("kind", ["raise", "kill"])
def test_a_failing_worker_is_named_not_those_that_waited_for_it(spark, data, kind) -> None:
    failing = Averaging(num_workers=2, communicator="horovod", epochs=3, mini_batch_size=50, failure=kind, collective_timeout=60.0)
    with pytest.raises(TrainingError, match="worker 1 on"):
        failing.fit(data)


def test_it_is_refused_for_gpus(spark, data) -> None:
    with pytest.raises(ValueError, match="communicator='horovod' cannot exchange arrays between GPUs; leave it 'auto'"):
        KMeans(k=3, communicator="horovod", use_gpu=True).fit(data)
