"""What every algorithm pays before it starts: rows from a DataFrame to the arrays of the workers.

The estimator here is like any other but learns nothing, so a fit of it is the way of the rows and the launch of the gang.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from data import Data
from harness import CORES, Options, Report, Table, cached, local_session, measure, medians, timed

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.rows import fields
from sparkml_algos.rows.predictor import predicting
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import DataFrame

    from sparkml_algos.rows.batch import Features

FITS = 4
BYTES_PER_VALUE = 4  # the workers' arrays are float32


def learn_nothing(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """The shortest training."""
    return Artifact()


def predict_nothing(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """The shortest prediction."""
    return {}


FIELDS = (fields.features(),)
NOTHING = Algorithm(name="nothing", fields=FIELDS, train=learn_nothing, load=predicting(predict_nothing))


class Nothing(AlgorithmEstimator):
    """An estimator that reads its rows and learns nothing."""

    reads = FIELDS

    @staticmethod
    def algorithm() -> Algorithm:
        return NOTHING

    @staticmethod
    def model_class() -> type[NothingModel]:
        return NothingModel


class NothingModel(AlgorithmModel):
    """What `Nothing` fits."""

    reads = FIELDS

    @staticmethod
    def algorithm() -> Algorithm:
        return NOTHING


def report_ingest(data: Data, options: Options) -> Report:
    """Rows and bytes per second, of the ingest phase and of the whole fit."""
    columns = ["dataset", "source", "first", "later", "ingest", "setup", "Spark", "rows/s", "MB/s", "MB/s in ingest"]
    table, values = Table(f"Ingest by {CORES} workers: seconds of a fit that learns nothing", columns), {}
    for name in ("mnist", "large"):
        dataset = data.get(name)
        megabytes = dataset.rows * dataset.features * BYTES_PER_VALUE / 1e6
        values[name] = {}
        for source, fits in measure(fits_of_nothing, path=dataset.path).items():
            later = medians(fits[1:])
            spark = later["total"] - later["ingest"] - later["setup"] - later["train"] - later["finish"]
            rates = {
                "rows_per_second": dataset.rows / later["total"],
                "megabytes_per_second": megabytes / later["total"],
                "megabytes_per_second_of_ingest_phase": megabytes / later["ingest"],
            }
            shown = [fits[0]["total"], later["total"], later["ingest"], later["setup"], spark, *rates.values()]
            table.rows.append([dataset.title, source, *shown])
            values[name][source] = {"fits": fits, "later": later, "spark": spark, **rates}
    notes = [
        f"later and all that follows: medians of {FITS - 1} fits after the first. 'Parquet' runs after 'cached' in the same session.",
        "MB of the workers' float32 arrays; rates are over the whole fit, the last over the ingest phase of the slowest worker.",
    ]
    return Report([table], values, notes)


def fits_of_nothing(path: str) -> dict[str, list[dict[str, float]]]:
    """Seconds by phase of each fit, by source."""
    session = local_session()
    frame = cached(session, path)
    from_cache = _fits(frame)
    frame.unpersist(blocking=True)
    return {"cached": from_cache, "Parquet": _fits(session.read.parquet(path))}


def _fits(frame: DataFrame) -> list[dict[str, float]]:
    measured = [timed(lambda: Nothing(num_workers=CORES).fit(frame)) for _ in range(FITS)]
    return [{"wall": wall, **model.training_summary.seconds} for wall, model in measured]


CASES: dict[str, Callable[[Data, Options], Report]] = {"ingest": report_ingest}
