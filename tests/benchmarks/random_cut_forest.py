"""Random cut forest: anomalies of public data, and speed against scikit-learn's isolation forest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from data import NORMAL_FEATURES, NORMAL_ROWS, Data, public, read_vectors
from harness import CORES, Headline, Options, Report, Table, cached, local_session, measure, median, ratio, timed

SEEDS = (0, 1, 2)
TABULAR = ("thyroid", "satellite")

SERIES = (
    "ambient_temperature_system_failure",
    "cpu_utilization_asg_misconfiguration",
    "ec2_request_latency_system_failure",
    "machine_temperature_system_failure",
    "nyc_taxi",
    "rogue_agent_key_hold",
    "rogue_agent_key_updown",
)
SHINGLE = 24

TREES, SAMPLES = 100, 256
# Of the rows, so many are scored where it takes long; figures are seconds for all of them.
REPEATS = 2


# ------------------------------------------------------------------------------------------------------------------- quality


def rank_anomalies(data: Data, options: Options) -> Report:
    """Area under the ROC curve of public tables."""
    paths = {name: str(public(f"anomaly_tabular/{name}.csv.gz")) for name in TABULAR}
    found = {name: measure(areas, path=path) for name, path in paths.items()}
    table = Table(f"ROC AUC, seeds {', '.join(map(str, SEEDS))}", ["", "mean", "least", "largest", "isolation forest, mean"])
    for name, values in found.items():
        ours, peer = values["ours"], values["isolation_forest"]
        table.rows.append([name, *(f"{value:.3f}" for value in (np.mean(ours), min(ours), max(ours), np.mean(peer)))])
    notes = [f"{TREES} trees, {SAMPLES} samples each; satellite has rows for 64. Features as they are, all rows to fit and to score."]
    return Report([table], found, notes)


def areas(path: str) -> dict[str, list[float]]:
    """Areas by seed."""
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score

    table = pd.read_csv(path)
    rows, label = table.drop(columns="anomaly").to_numpy(np.float32), table["anomaly"].to_numpy()
    found: dict[str, list[float]] = {"ours": [], "isolation_forest": []}
    for seed in SEEDS:
        found["ours"].append(float(roc_auc_score(label, scores(trained(rows, seed), rows))))
        peer = IsolationForest(n_estimators=TREES, max_samples=SAMPLES, random_state=seed).fit(rows)
        found["isolation_forest"].append(float(roc_auc_score(label, -peer.score_samples(rows))))
    return found


def find_windows(data: Data, options: Options) -> Report:
    """Series with known causes of anomalies: which of the labelled windows the threshold finds, and what it finds besides."""
    paths = [str(public(f"nab_real_known_cause/{name}.csv.gz")) for name in SERIES]
    found = measure(detections, paths=paths)
    columns = ["series", "steps", "windows", "found", "false alarms", "steps above", "AUC"]
    table = Table(f"NAB, known causes, shingles of {SHINGLE} steps, threshold at 3 deviations above the mean", columns)
    table.rows = [[row[column] if column != "AUC" else f"{row[column]:.2f}" for column in columns] for row in found]
    total = {column: sum(row[column] for row in found) for column in ("steps", "windows", "found", "false alarms", "steps above")}
    table.rows.append(["all", *total.values(), None])
    notes = [
        "A pipeline of Shingle and RandomCutForest, defaults otherwise, fitted on each series as a whole and applied to it.",
        f"A window is found if one of its steps is above the threshold; steps above it outside all windows and less than {SHINGLE} steps "
        "apart are one false alarm. AUC: of the single steps, in windows against outside.",
    ]
    return Report([table], {"series": found}, notes)


def detections(paths: list[str]) -> list[dict[str, Any]]:
    """A row of the table for each file."""
    from pyspark.ml import Pipeline
    from sklearn.metrics import roc_auc_score

    from sparkml_algos import RandomCutForest, Shingle

    session, found = local_session(), []
    pipeline = Pipeline(stages=[
        Shingle(inputCols=["value"], timeCol="step", size=SHINGLE), RandomCutForest(predictionCol="is_anomaly"),
    ])  # fmt: skip
    for path in paths:
        table = pd.read_csv(path)
        table = pd.DataFrame({"step": np.arange(len(table)), "value": table["value"], "inside": table["in_anomaly_window"].astype(int)})
        frame = session.createDataFrame(table).cache()
        scored = pipeline.fit(frame).transform(frame).select("step", "inside", "score", "is_anomaly").toPandas().sort_values("step")
        inside, above = scored["inside"].to_numpy(), scored["is_anomaly"].to_numpy() == 1
        starts, ends = np.flatnonzero(np.diff(inside, prepend=0) == 1), np.flatnonzero(np.diff(inside, append=0) == -1) + 1
        alarms = np.flatnonzero(above & (inside == 0))
        found.append(
            {
                "series": Path(path).name.split(".")[0],
                "steps": len(table),
                "windows": len(starts),
                "found": int(sum(above[start:end].any() for start, end in zip(starts, ends, strict=True))),
                "false alarms": int((np.diff(alarms, prepend=-SHINGLE) >= SHINGLE).sum()),
                "steps above": int(above.sum()),
                "AUC": float(roc_auc_score(inside, scored["score"])),
            }
        )
    return found


# --------------------------------------------------------------------------------------------------------------------- speed


def compare_speed(data: Data, options: Options) -> Report:
    """Seconds to score a million rows."""
    path = data.get("normal").path
    peer = measure(seconds_of_isolation_forest, path=path)
    jvm = measure(seconds_of_transform, path=path, scorer="jvm")
    ours = measure(seconds_of_transform, path=path, scorer="auto")
    bare = measure(seconds_of_predict, path=path, threads=1)
    title = f"Score {NORMAL_ROWS:,} x {NORMAL_FEATURES} rows, {TREES} trees of {SAMPLES} samples: seconds"
    table = Table(title, ["", "seconds", "isolation forest/ours"])
    lines = {
        f"isolation forest, {CORES} threads": median(peer["threads"]),
        "isolation forest, 1 thread": median(peer["one"]),
        f"transform, JVM, {CORES} cores": median(jvm["seconds"]),
        f"transform, {CORES} cores": median(ours["seconds"]),
        "predict, 1 thread, without Spark": median(bare),
    }
    reference = lines[f"isolation forest, {CORES} threads"]
    table.rows = [[name, seconds, ratio(reference, seconds)] for name, seconds in lines.items()]
    notes = [
        f"Medians of {REPEATS} runs after a warm-up. transform: cached vectors to the sum of the scores, configured in no way but in the "
        "line of the JVM. Isolation forest: scikit-learn's score_samples, joblib's threads.",
        f"Fit of {NORMAL_ROWS:,} rows: {ours['fit']:.1f} s here, warm; {peer['fit']:.1f} s there.",
    ]
    values = {"isolation_forest": peer, "jvm": jvm, "transform": ours, "predict": bare, "seconds": lines}
    subject = f"scoring {NORMAL_ROWS:,} × {NORMAL_FEATURES} with a forest of {TREES} trees"
    headline = Headline(subject, "scikit-learn, isolation forest", reference, lines[f"transform, {CORES} cores"])
    return Report([table], values, notes, [headline])


def seconds_of_isolation_forest(path: str) -> dict[str, Any]:
    """Of fit, and of score_samples with one thread and with one per core."""
    import joblib
    from sklearn.ensemble import IsolationForest

    rows = read_vectors(path)
    fit, peer = timed(lambda: IsolationForest(n_estimators=TREES, max_samples=SAMPLES, random_state=0).fit(rows))
    found: dict[str, Any] = {"fit": fit}
    for name, threads in (("threads", CORES), ("one", 1)):
        with joblib.parallel_config(backend="threading", n_jobs=threads):
            found[name] = [timed(lambda: peer.score_samples(rows))[0] for _ in range(REPEATS + 1)][1:]
    return found


def seconds_of_transform(path: str, scorer: str) -> dict[str, Any]:
    """Of a warm fit, and of scoring in a session with the JVM bridge."""
    from sparkml_algos import RandomCutForest

    frame = cached(local_session(), path)
    _, fit = (timed(lambda: RandomCutForest(num_trees=TREES, num_samples_per_tree=SAMPLES).fit(frame)) for _ in range(2))
    model = fit[1].setScorer(scorer)
    seconds = [timed(lambda: model.transform(frame).agg({"score": "sum"}).first())[0] for _ in range(REPEATS + 1)][1:]
    return {"fit": fit[0], "seconds": seconds}


def seconds_of_predict(path: str) -> list[float]:
    """Of the scoring function on an array."""
    rows = read_vectors(path)
    artifact = trained(rows, 0)
    return [timed(lambda: scores(artifact, rows))[0] for _ in range(REPEATS + 1)][1:]


# --------------------------------------------------------------------------------------------------------------------- parts


def trained(rows: np.ndarray, seed: int) -> Any:
    """A model, without Spark."""
    from sparkml_algos import RandomCutForest
    from sparkml_algos.algorithms.random_cut_forest.training import RANDOM_CUT_FOREST
    from sparkml_algos.training.run import train_arrays

    settings = RandomCutForest(num_trees=TREES, num_samples_per_tree=SAMPLES).hyperparameters()
    return train_arrays(RANDOM_CUT_FOREST, settings, rows, seed=seed)


def scores(artifact: Any, rows: np.ndarray) -> np.ndarray:
    """Scores by a model, without Spark."""
    from sparkml_algos.algorithms.random_cut_forest.prediction import load
    from sparkml_algos.rows.batch import Batch

    return load(artifact, None, "cpu")(Batch(features=rows))["score"]


CASES: dict[str, Callable[[Data, Options], Report]] = {"tabular": rank_anomalies, "nab": find_windows, "speed": compare_speed}
