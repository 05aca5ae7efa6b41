"""DeepAR against GluonTS's on torch, where that is installed, and a plain loop of torch where it is not; two workers against one; and the
quality on the hourly series of M4 and on exchange rates.

All train the same network on windows of the same length, and are measured in steps of series per second of CPU, for they differ in how
many windows an epoch has. The plain loop has its lags gathered beforehand, torch's own layers, and no zoneout.
"""

from __future__ import annotations

import math
import tempfile
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow.csv as pcsv
from data import Data, public
from harness import CORES, Options, Report, Table, local_session, measure, median, ratio

HORIZON, CONTEXT, CELLS, LAYERS, BATCH = 48, 72, 40, 2, 128
STEPS_OF_PEER = 40  # mini-batches that peers are timed over
SAMPLES, FORECAST = 100, 64
HOURLY = {"time_freq": "H", "prediction_length": HORIZON, "context_length": CONTEXT, "num_cells": CELLS, "num_layers": LAYERS}
# What quality is measured with, see the page of the algorithm.
QUALITY = {
    "m4_hourly": {**HOURLY, "context_length": 48, "epochs": 8, "learning_rate": 0.003, "mini_batch_size": 128},
    # Chosen, of contexts of 1 to 30 steps and two sizes, by the error on the five windows of 30 days before the last 30.
    "exchange_rate": {
        **{"time_freq": "D", "prediction_length": 30, "context_length": 7, "num_cells": 20, "num_layers": 1, "epochs": 20},
        **{"learning_rate": 0.001, "mini_batch_size": 32, "num_eval_samples": 1000},
    },
}
SEEDS = {"m4_hourly": 1, "exchange_rate": 3}


def compare_speed(data: Data, options: Options) -> Report:
    """Steps of series per second of CPU in training, and paths per second of forecasts."""
    found = measure(speeds, threads=1, paths=m4_paths())
    table = Table("M4 hourly, windows of 72 + 48 steps, one thread", ["", "series·steps/CPU s", "this/peer", "paths/CPU s", "this/peer"])
    ours = found["this"]
    for name, values in found.items():
        parts = [[f"{values[what]:,.0f}", ratio(ours[what], values[what])] if what in values else ["", ""] for what in ("train", "paths")]
        table.rows.append([name, *parts[0], *parts[1]])
    note = f"Mini-batches of {BATCH} windows, {LAYERS} layers of {CELLS} cells; forecasts of {FORECAST} series, {SAMPLES} paths each."
    return Report([table], found, [note])


def compare_scaling(data: Data, options: Options) -> Report:
    """Seconds of the train phase with one worker and with two, and the error of either."""
    found = measure(by_workers, paths=m4_paths())
    one, two = found["1"], found[str(CORES)]
    table = Table("M4 hourly, 2 epochs, mini-batches of 512: train phase", ["workers", "seconds", "scaling", "ND"])
    table.rows = [["1", one["seconds"], "", one["nd"]], [str(CORES), two["seconds"], ratio(one["seconds"], two["seconds"]), two["nd"]]]
    return Report([table], found, [])


def measure_quality(data: Data, options: Options) -> Report:
    """Metrics of the last steps, withheld."""
    found = measure(qualities, paths={**m4_paths(), "exchange_rate": str(public("exchange_rate/exchange_rate.csv.gz"))})
    table = Table("Forecasts of what was withheld", ["", "ND", "of", "mean wQL", "sMAPE", "MASE", "CPU minutes"])
    for name, seeds in found.items():
        nd, *others = (f"{median([one[metric] for one in seeds]):.4f}" for metric in ("ND", "mean_wQuantileLoss", "sMAPE", "MASE"))
        minutes = median([one["minutes"] for one in seeds])
        table.rows.append([name, nd, " ".join(f"{one['ND']:.4f}" for one in seeds), *others, f"{minutes:.1f}"])
    notes = [
        "Medians of the seeds; minutes are of one training.",
        "Seasonal naive: ND 0.0483 on M4 hourly; the last value: 0.0146 on exchange rates (30 days).",
    ]
    return Report([table], found, notes)


def m4_paths() -> dict[str, str]:
    return {part: str(public(f"m4_hourly/hourly_{part}_long.csv.gz")) for part in ("train", "test")}


def read_m4(paths: dict[str, str]) -> tuple[list[np.ndarray], np.ndarray]:
    """Series, and what came after each, shape (series, horizon)."""
    parts = []
    for part in ("train", "test"):
        table = pcsv.read_csv(paths[part])
        names, values = table["id"].to_numpy(zero_copy_only=False), table["value"].to_numpy().astype(np.float32)
        cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
        parts.append(dict(zip(names[np.append(0, cuts)], np.split(values, cuts), strict=True)))
    return list(parts[0].values()), np.stack([parts[1][name] for name in parts[0]])


def columns(series: list[np.ndarray], start: str) -> dict[str, Any]:
    from sparkml_algos.arrays.ragged import Ragged

    target = Ragged(np.concatenate(series), np.cumsum([0, *map(len, series)]))
    return {"start": np.full(len(series), np.datetime64(start, "us")), "target": target}


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    from sparkml_algos import DeepAR

    return DeepAR(**given).hyperparameters()


def speeds(paths: dict[str, str]) -> dict[str, dict[str, float]]:
    series, _ = read_m4(paths)
    found = {"this": speed_of_this(series), "plain loop of torch": {"train": speed_of_plain_loop(series)}}
    if find_spec("gluonts") and find_spec("lightning"):
        found["GluonTS"] = speed_of_gluonts(series)
    return found


def speed_of_this(series: list[np.ndarray]) -> dict[str, float]:
    from sparkml_algos.algorithms.deepar.training import DEEPAR
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.training.run import train_arrays

    settings, given = settings_of({**HOURLY, "epochs": 1, "mini_batch_size": BATCH}), columns(series, "2020-01-01")
    train_arrays(DEEPAR, settings, **columns(series[:20], "2020-01-01"))
    began = time.process_time()
    artifact = train_arrays(DEEPAR, settings, **given)
    steps = math.ceil(sum(map(len, series)) / HORIZON) * (CONTEXT + HORIZON)
    found = {"train": steps / (time.process_time() - began)}
    forecaster, batch = DEEPAR.load(artifact, Hyperparameters(**settings), "cpu"), Batch(**columns(series[:FORECAST], "2020-01-01"))
    began = time.process_time()
    forecaster.paths(batch, SAMPLES)
    return {**found, "paths": FORECAST * SAMPLES / (time.process_time() - began)}


def speed_of_plain_loop(series: list[np.ndarray]) -> float:
    """Windows of lags in memory, torch's layers, Student's t, Adam."""
    import torch
    from torch import nn

    lags, total = 40, CONTEXT + HORIZON
    random, layers = np.random.default_rng(0), nn.LSTM(lags + 9, CELLS, LAYERS)
    says = nn.Linear(CELLS, 3)
    optimizer = torch.optim.Adam([*layers.parameters(), *says.parameters()])
    chosen = [series[place] for place in random.integers(0, len(series), BATCH)]
    windows = np.stack([one[-total - lags :] / one[-total - lags :].mean() for one in chosen])
    lagged = torch.from_numpy(np.stack([windows[:, lag : lag + total] for lag in range(lags)], 2).transpose(1, 0, 2).copy())
    target, more = torch.from_numpy(windows[:, lags:].T.copy()), torch.zeros(total, BATCH, 9)
    began = time.process_time()
    for _ in range(STEPS_OF_PEER):
        center, width, freedom = says(layers(torch.cat([lagged, more], 2))[0]).unbind(2)
        law = torch.distributions.StudentT(2 + nn.functional.softplus(freedom), center, nn.functional.softplus(width) + 1e-6)
        loss = -law.log_prob(target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return STEPS_OF_PEER * BATCH * total / (time.process_time() - began)


def speed_of_gluonts(series: list[np.ndarray]) -> dict[str, float]:
    import logging
    import warnings

    import pandas as pd
    from gluonts.dataset.common import ListDataset
    from gluonts.torch import DeepAREstimator
    from gluonts.torch.model.deepar.lightning_module import DeepARLightningModule

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    marks: list[float] = []

    def mark(module: Any) -> None:
        marks.append(time.process_time())

    DeepARLightningModule.on_train_epoch_start = DeepARLightningModule.on_train_epoch_end = mark

    def dataset(part: list[np.ndarray]) -> ListDataset:
        return ListDataset([{"start": pd.Period("2020-01-01", freq="h"), "target": one} for one in part], freq="h")

    # It insists on checkpoints.
    folder = tempfile.mkdtemp(prefix="gluonts-")
    quiet = {"enable_progress_bar": False, "logger": False, "accelerator": "cpu", "max_epochs": 2, "default_root_dir": folder}
    estimator = DeepAREstimator(
        **{"freq": "h", "prediction_length": HORIZON, "context_length": CONTEXT, "num_layers": LAYERS, "hidden_size": CELLS},
        **{"batch_size": BATCH, "num_batches_per_epoch": STEPS_OF_PEER, "trainer_kwargs": quiet},
    )
    predictor = estimator.train(dataset(series))
    found = {"train": STEPS_OF_PEER * BATCH * (CONTEXT + HORIZON) / (marks[-1] - marks[-2])}
    list(predictor.predict(dataset(series[:2]), num_samples=SAMPLES))
    began = time.process_time()
    list(predictor.predict(dataset(series[:FORECAST]), num_samples=SAMPLES))
    return {**found, "paths": FORECAST * SAMPLES / (time.process_time() - began)}


def by_workers(paths: dict[str, str]) -> dict[str, dict[str, float]]:
    """Seconds of the train phase and the error, by number of workers."""
    from sparkml_algos import DeepAR

    series, later = read_m4(paths)
    session = local_session()
    rows = [("2020-01-01", [*map(float, one), *map(float, after)]) for one, after in zip(series, later, strict=True)]
    known = [(start, values[:-HORIZON]) for start, values in rows]
    train, test = (session.createDataFrame(part, "start string, target array<double>").repartition(CORES).cache() for part in (known, rows))
    train.count()
    found = {}
    for workers in (1, CORES):
        learner = DeepAR(**HOURLY, epochs=2, mini_batch_size=512, learning_rate=0.005, num_workers=workers, num_eval_samples=50)
        model = learner.fit(train)
        found[str(workers)] = {"seconds": model.training_summary.seconds["train"], "nd": round(model.evaluate(test)["test:ND"], 4)}
    return found


def qualities(paths: dict[str, str]) -> dict[str, list[dict[str, float]]]:
    """Metrics of each seed, by dataset."""
    rates = pcsv.read_csv(paths["exchange_rate"]).drop_columns(["t"])
    rates = [column.to_numpy().astype(np.float32) for column in rates.columns]
    data = {
        "m4_hourly": (*read_m4(paths), "2020-01-01"),
        "exchange_rate": ([one[:-30] for one in rates], np.stack([one[-30:] for one in rates]), "1990-01-01"),
    }
    return {name: [quality(name, *parts, seed) for seed in range(SEEDS[name])] for name, parts in data.items()}


def quality(name: str, series: list[np.ndarray], later: np.ndarray, start: str, seed: int) -> dict[str, float]:
    from sparkml_algos.algorithms.deepar import metrics
    from sparkml_algos.algorithms.deepar.training import DEEPAR
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.training.run import train_arrays

    settings, given = settings_of(QUALITY[name]), columns(series, start)
    began = time.process_time()
    artifact = train_arrays(DEEPAR, settings, seed=seed, **given)
    minutes = (time.process_time() - began) / 60
    forecaster = DEEPAR.load(artifact, Hyperparameters(**settings), "cpu")
    season = forecaster.shape.frequency.season
    sums = metrics.sums(
        forecaster.paths(Batch(**given), settings["num_eval_samples"]), later, given["target"], season, settings["test_quantiles"]
    )
    return {**metrics.metrics(sums), "minutes": minutes}


CASES = {"speed": compare_speed, "scaling": compare_scaling, "quality": measure_quality}
