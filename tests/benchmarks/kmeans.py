"""K-means against MLlib's and against the bare arithmetic.

Both engines get the same DataFrame in a session of the same settings, cached and counted before the clock starts. MLlib runs
``KMeans(k, maxIter=20, seed=1)``, ours ``KMeans(k, seed=1)``; everything else is each engine's default. Costs are computed from the
centres by one function here, on all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from data import Data, Dataset, read_vectors
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
    from pyspark.ml.clustering import KMeans as MLlibKMeans

    from sparkml_algos import KMeans
    from sparkml_algos.training.summary import TrainingSummary

ORDINALS = ("first", "second", "third")
PHASES = ("ingest", "setup", "train", "finish")
SEED = 1
MLLIB_ITERATIONS = 20
# Fits per session. On the large rows one of MLlib's takes minutes.
FITS = {"mnist": 3, "large": 2}
SCALING_FITS = 3
COST_BLOCK = 8192

FITTED_NOTES = [
    "DataFrame cached and counted before the clock starts, for both; 'first' is the first fit of a fresh session; "
    "'later' is the median of the fits after it.",
    "ours: nothing configured; the JVM bridge joins the session by itself, within the first fit.",
    "tuned: with the daemon for Python workers that spark-conf recommends, and warm_up(session) before data is read.",
    "Spark = total - ingest - setup - train - finish of training_summary.seconds: scheduling, shuffle, Python workers starting, "
    "collecting; outside = wall clock of fit() - total.",
    "msd: mean squared distance of all rows to the nearest centre, one numpy function for both.",
]


# ------------------------------------------------------------------------------------------------------------ fit against MLlib


def compare_fits(dataset: Dataset, options: Options) -> Report:
    """First and later fits of fresh sessions, seconds by phase, cost."""
    rows, count = read_vectors(dataset.path), FITS[dataset.name]
    engines = {
        "mllib": (fits_of_mllib, {}),
        "ours": (fits_of_ours, {"tuned": False}),
        "tuned": (fits_of_ours, {"tuned": True}),
    }
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for _ in range(options.sessions):
        for engine, (function, how) in engines.items():
            session = measure(function, path=dataset.path, k=dataset.k, fits=count, **how)
            session["msd"] = mean_squared_distance(rows, np.array(session.pop("centers")))
            found[engine].append(session)
    fits = {name: slice(number, number + 1) for number, name in enumerate(ORDINALS[:count])} | {"later": slice(1, None)}
    table = Table(f"Fit, {dataset.title}: seconds", ["fit", "", "MLlib", "ours", "MLlib/ours", *PHASES, "Spark", "outside"])
    values: dict[str, Any] = {"sessions": found}
    for name, part in fits.items():
        theirs = median([seconds for session in found["mllib"] for seconds in session["seconds"][part]])
        values[name] = {"mllib": theirs}
        for engine in list(engines)[1:]:
            own = medians([phases for session in found[engine] for phases in session["phases"][part]])
            shown = [own[phase] for phase in (*PHASES, "spark", "outside")]
            table.rows.append([name, engine, theirs, own["wall"], ratio(theirs, own["wall"]), *shown])
            values[name][engine] = {"seconds": own["wall"], "ratio": ratio(theirs, own["wall"]), "phases": own}
    costs = {engine: median([session["msd"] for session in found[engine]]) for engine in found}
    values["msd"] = {**costs, "ratio": ratio(costs["ours"], costs["mllib"])}
    cost = Table("Cost: msd", ["", *costs, "ours/MLlib"], [["all rows", *costs.values(), f"{values['msd']['ratio']:.4f}"]])
    quality = Quality("mean squared distance", costs["mllib"], costs["ours"])
    subject = f"k-means, {dataset.subject}, k = {dataset.k}"
    headlines = [
        Headline(f"{subject}, {what}", "MLlib", values[fit]["mllib"], values[fit]["ours"]["seconds"], quality=quality)
        for fit, what in (("first", "first fit of a session"), ("later", "later fits"))
    ]
    return Report([table, cost], values, FITTED_NOTES, headlines)


def fits_of_mllib(path: str, k: int, fits: int) -> dict[str, Any]:
    """Seconds of each fit in one session, and the centres of the last."""
    frame = cached(local_session(), path)
    measured = [timed(lambda: _mllib(k).fit(frame)) for _ in range(fits)]
    centers = [center.tolist() for center in measured[-1][1].clusterCenters()]
    return {"seconds": [seconds for seconds, _ in measured], "centers": centers, "partitions": frame.rdd.getNumPartitions()}


def fits_of_ours(path: str, k: int, fits: int, tuned: bool) -> dict[str, Any]:
    """Seconds by phase of each fit in one session, and the centres of the last."""
    from sparkml_algos import warm_up

    session = local_session(daemon="sparkml_algos.cluster.daemon") if tuned else local_session()
    if tuned:
        warm_up(session)
    frame = cached(session, path)
    measured = [timed(lambda: _ours(k).fit(frame)) for _ in range(fits)]
    return {
        "phases": [phase_seconds(wall, model.training_summary) for wall, model in measured],
        "centers": measured[-1][1].cluster_centers.tolist(),
        "partitions": frame.rdd.getNumPartitions(),
    }


def phase_seconds(wall: float, summary: TrainingSummary) -> dict[str, float]:
    """Seconds by phase, with what the phases leave unexplained of the total, and the total of the wall clock."""
    seconds = summary.seconds
    spark = seconds["total"] - sum(seconds[phase] for phase in PHASES)
    return {"wall": wall, **seconds, "spark": spark, "outside": wall - seconds["total"]}


def mean_squared_distance(rows: np.ndarray, centers: np.ndarray) -> float:
    """Mean over the rows of the squared distance to the nearest centre, in float64."""
    lengths = np.einsum("ij,ij->i", centers, centers)
    total = 0.0
    for start in range(0, len(rows), COST_BLOCK):
        block = rows[start : start + COST_BLOCK].astype(np.float64)
        nearest = (lengths - 2 * block @ centers.T).min(axis=1)
        total += float(np.maximum(nearest + np.einsum("ij,ij->i", block, block), 0).sum())
    return total / len(rows)


# -------------------------------------------------------------------------------------------------------------------- scaling


def compare_scaling(data: Data, options: Options) -> Report:
    """The train phase of one and of two workers, and the same loop alone in a process."""
    columns = ["dataset", "bare loop", "1 worker", "bare/1 worker", "2 workers", "scaling 1->2", "2 bare loops", "ceiling"]
    table, values = Table("Scaling: median seconds of the train phase", columns), {}
    for name in ("mnist", "large"):
        dataset = data.get(name)
        arguments = {"path": dataset.path, "k": dataset.k, "fits": SCALING_FITS}
        found: dict[str, Any] = {"bare": measure(bare_loop, threads=1, **arguments, share=0, shares=1)}
        for workers in (1, CORES):
            found[f"workers={workers}"] = measure(train_phase, **arguments, num_workers=workers)
        with ThreadPoolExecutor(CORES) as pool:
            halves = [pool.submit(measure, bare_loop, threads=1, **arguments, share=share, shares=CORES) for share in range(CORES)]
        found["bare halves"] = [second for half in halves for second in half.result()]
        bare, one, two, half = (median(seconds) for seconds in found.values())
        ratios = {"bare/1 worker": ratio(bare, one), "scaling": ratio(one, two), "ceiling": ratio(bare, half)}
        table.rows.append([dataset.title, bare, one, ratios["bare/1 worker"], two, ratios["scaling"], half, ratios["ceiling"]])
        values[name] = {"seconds": found, **ratios}
    notes = [
        "bare loop: the training function on a numpy array in one process without Spark, OMP_NUM_THREADS=1.",
        "2 bare loops: two such processes at once, each on half of the rows in half mini-batches, with no exchange between them; "
        "ceiling = bare loop / 2 bare loops is what the two cores of this machine give at best.",
        f"Median of {SCALING_FITS} fits after a warm-up one; the train phase includes the shrink to k, which every worker count pays once.",
    ]
    return Report([table], values, notes)


def bare_loop(path: str, k: int, fits: int, share: int, shares: int) -> list[float]:
    """Seconds of the train phase on every `shares`-th row, without Spark, after a warm-up."""
    from sparkml_algos.algorithms.kmeans.training import KMEANS
    from sparkml_algos.training.run import Alone, TrainingPlan, train
    from tests.decoding import decoder_of, record_batches

    rows = read_vectors(path)[share::shares]
    estimator = _ours(k)
    settings = {**estimator.hyperparameters(), "mini_batch_size": estimator.value("mini_batch_size") // shares}
    found = []
    for _ in range(fits + 1):
        # What train_arrays does; it keeps the seconds to itself.
        plan = TrainingPlan(KMEANS, [settings], decoder_of(["features"]), seed=SEED)
        results = dict(train(plan, Alone(), record_batches(rows)))
        found.append(results["report/0"].values["seconds"]["train"])
    return found[1:]


def train_phase(path: str, k: int, fits: int, num_workers: int) -> list[float]:
    """Seconds of the train phase in a session, after a warm-up."""
    frame = cached(local_session(), path)
    models = [_ours(k).setNumWorkers(num_workers).fit(frame) for _ in range(fits + 1)]
    return [model.training_summary.seconds["train"] for model in models[1:]]


# ------------------------------------------------------------------------------------------------------------------ transform


def compare_transforms(data: Data, options: Options) -> Report:
    """Rows per second of transform."""
    datasets = [data.get(name) for name in ("mnist", "large")]
    return score_rates("k-means", [(dataset, measure(transforms, path=dataset.path, k=dataset.k)) for dataset in datasets])


def compare_remote_transforms(data: Data, options: Options) -> Report:
    """The same through Spark Connect. The server has the heap that Spark gives it, which large rows do not fit into."""
    dataset = data.get("mnist")
    return score_rates("k-means over Spark Connect", [(dataset, measure(transforms, path=dataset.path, k=dataset.k, connect=True))])


def transforms(path: str, k: int, connect: bool = False) -> dict[str, dict[str, list[float]]]:
    """Seconds of each transform, by source and engine."""
    return score_times(path, lambda sample: (_mllib(k).fit(sample), _ours(k).fit(sample)), from_disk=True, connect=connect)


# -------------------------------------------------------------------------------------------------------------------- engines


def _mllib(k: int) -> MLlibKMeans:
    from pyspark.ml.clustering import KMeans

    return KMeans(k=k, maxIter=MLLIB_ITERATIONS, seed=SEED)


def _ours(k: int) -> KMeans:
    from sparkml_algos import KMeans

    return KMeans(k=k, seed=SEED)


CASES: dict[str, Callable[[Data, Options], Report]] = {
    "mnist": lambda data, options: compare_fits(data.get("mnist"), options),
    "large": lambda data, options: compare_fits(data.get("large"), options),
    "scaling": compare_scaling,
    "transform": compare_transforms,
    "connect": compare_remote_transforms,
}
