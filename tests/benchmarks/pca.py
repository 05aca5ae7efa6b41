"""PCA against MLlib's and against the bare arithmetic: 50 components of MNIST.

Both engines get the same DataFrame, cached and counted before the clock starts, in one session, and fit in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from data import Data, read_vectors
from harness import (
    CORES,
    Headline,
    Options,
    Quality,
    Report,
    Table,
    cached,
    local_session,
    measure,
    median,
    medians,
    ratio,
    score_rates,
    score_times,
    timed,
)

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import DataFrame

    from sparkml_algos.core.model import AlgorithmModel

COMPONENTS = 50
FITS = 3
PHASES = ("ingest", "setup", "train", "finish")


def compare_fits(data: Data, options: Options) -> Report:
    """Seconds of later fits by phase, and of the training function alone."""
    dataset = data.get("mnist")
    sessions = [measure(fits_in_turn, path=dataset.path) for _ in range(options.sessions)]
    mllib = median([seconds for session in sessions for seconds in session["mllib"]])
    ours = medians([fit for session in sessions for fit in session["ours"]])
    bare = median(measure(bare_loop, threads=CORES, path=dataset.path))
    columns = ["MLlib", "ours", "MLlib/ours", *PHASES, "bare loop"]
    row = [mllib, ours["wall"], ratio(mllib, ours["wall"]), *(ours[phase] for phase in PHASES), bare]
    notes = [
        f"Medians of {FITS} fits in turn after a warm-up fit of each. bare loop: the training function on an array, {CORES} threads.",
    ]
    table = Table(f"Fit, {dataset.name}, {COMPONENTS} components: seconds", ["", *columns], [["later", *row]])
    explained = Quality("explained variance", sessions[-1]["explained"]["mllib"], sessions[-1]["explained"]["ours"])
    headline = Headline(f"PCA, {dataset.subject}, {COMPONENTS} components", "MLlib", mllib, ours["wall"], quality=explained)
    return Report([table], {"sessions": sessions, "bare": bare, "ratio": headline.ratio}, notes, [headline])


def fits_in_turn(path: str) -> dict[str, Any]:
    """Seconds of each fit of both engines after a warm-up, and the variance they explain."""
    from pyspark.ml.feature import PCA as MLlibPCA

    from sparkml_algos import PCA

    frame = cached(local_session(), path)
    found: dict[str, Any] = {"mllib": [], "ours": []}
    for _ in range(FITS + 1):
        wall, peer = timed(lambda: MLlibPCA(k=COMPONENTS, inputCol="features", outputCol="projection").fit(frame))
        found["mllib"].append(wall)
        wall, model = timed(lambda: PCA(num_components=COMPONENTS).fit(frame))
        found["ours"].append({"wall": wall, **model.training_summary.seconds})
    explained = {"mllib": float(peer.explainedVariance.toArray().sum()), "ours": float(model.explained_variance_ratio.sum())}
    return {**{engine: fits[1:] for engine, fits in found.items()}, "explained": explained}


def bare_loop(path: str) -> list[float]:
    """Seconds of training on the rows as an array, without Spark, after a warm-up."""
    from sparkml_algos import PCA
    from sparkml_algos.algorithms.pca.training import PCA_ALGORITHM
    from sparkml_algos.training.run import train_arrays

    rows, settings = read_vectors(path), PCA(num_components=COMPONENTS).hyperparameters()
    return [timed(lambda: train_arrays(PCA_ALGORITHM, settings, rows))[0] for _ in range(FITS + 1)][1:]


def compare_transforms(data: Data, options: Options) -> Report:
    """Rows per second of transform."""
    dataset = data.get("mnist")
    return score_rates("PCA", [(dataset, measure(transforms, path=dataset.path))])


def transforms(path: str) -> dict[str, dict[str, list[float]]]:
    """Seconds of each transform, by source and engine."""
    from pyspark.ml.feature import PCA as MLlibPCA

    from sparkml_algos import PCA

    def fit(sample: DataFrame) -> tuple[PCAModel, AlgorithmModel]:
        peer = MLlibPCA(k=COMPONENTS, inputCol="features", outputCol="projection")
        return peer.fit(sample), PCA(num_components=COMPONENTS).fit(sample)

    return score_times(path, fit)


CASES: dict[str, Callable[[Data, Options], Report]] = {"mnist": compare_fits, "transform": compare_transforms}
