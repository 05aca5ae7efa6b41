"""Forecasts of a model of DeepAR; no Spark here."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.algorithms.deepar.metrics import quantiles
from sparkml_algos.algorithms.deepar.params import DETERMINISTIC
from sparkml_algos.algorithms.deepar.windows import Shape, Table, check_dynamic
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.predictor import Computed

# Series whose context is read together, and whose paths are there with 64 bits.
_SERIES = 256


class Forecaster:
    """The predictor of a model.

    Of a batch of series it gives ``forecast_start`` (Arrow timestamps), ``mean`` (series, horizon), ``quantiles``, lists of a list for each
    quantile asked for, and ``samples``, lists of paths. Paths depend on the series, the model and the number of samples alone.

    Parameters
    ----------
    artifact : Artifact
    hyperparameters : Hyperparameters
    device : str

    Attributes
    ----------
    shape : Shape
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> None:
        from sparkml_algos.algorithms.deepar.network import Sampler, build
        from sparkml_algos.networks.state import loaded

        values = artifact.values
        self.shape = Shape(Frequency.parse(hyperparameters.time_freq), hyperparameters.context_length, hyperparameters.prediction_length)
        self._settings, self._network, self._dynamic = hyperparameters, values["network"], values["dynamic"]
        network = loaded(lambda: build(values["network"]), artifact, device)
        self._sampler = Sampler(network, hyperparameters.likelihood, self.shape, values["scaling"])
        self._is_point = hyperparameters.likelihood == DETERMINISTIC

    def __call__(self, batch: Batch) -> Mapping[str, Any]:
        levels = self._settings.quantiles
        paths = self._room(batch, self._settings.num_samples, np.float32)  # as they are drawn
        mean, of_levels = np.empty((len(batch), self.shape.horizon)), np.empty((len(batch), len(levels), self.shape.horizon))
        for part, drawn in self.parts(batch, self._settings.num_samples):
            paths[part], mean[part] = drawn, drawn.mean(1)
            if not self._is_point:
                of_levels[part] = quantiles(drawn, levels)
        found = {"forecast_start": lambda: pa.array(self.starts(batch)), "mean": lambda: mean}
        if not self._is_point:
            found |= {"quantiles": lambda: nested(of_levels), "samples": lambda: nested(paths.astype(np.float64))}
        return Computed(found)

    def starts(self, batch: Batch) -> np.ndarray:
        """The time of the first step that is forecast of each series, datetime64[us]."""
        return self.shape.frequency.times(batch.start, batch.target.lengths)

    def paths(self, batch: Batch, samples: int) -> np.ndarray:
        """Paths of series, shape (series, samples, horizon); one, of a model that forecasts points. Raises what `parts` does."""
        found = self._room(batch, samples, np.float64)
        for part, drawn in self.parts(batch, samples):
            found[part] = drawn
        return found

    def parts(self, batch: Batch, samples: int) -> Iterator[tuple[slice, np.ndarray]]:
        """The same of some series at a time, and which these are; paths of ten thousand series take more memory than most workers have.

        Raises
        ------
        InvalidRows
            If categories or dynamic features are missing, or do not reach as far as the horizon.
        """
        for role, needed, column in (("cat", self._network["cardinality"], batch.cat), ("dynamic_feat", self._dynamic, batch.dynamic_feat)):
            if bool(needed) != (column is not None):
                raise InvalidRows(f"the model was trained {'with' if needed else 'without'} {role}, and forecasts so only")
        check_dynamic(batch, self.shape.horizon, self.shape, 0)
        for start in range(0, len(batch), _SERIES):
            part = slice(start, start + _SERIES)
            windows = Table(batch.take(part)).last_windows(self.shape, beyond=True)
            yield part, self._sampler.paths(windows, _seeds(windows), 1 if self._is_point else samples)

    def _room(self, batch: Batch, samples: int, dtype: type) -> np.ndarray:
        return np.empty((len(batch), 1 if self._is_point else samples, self.shape.horizon), dtype)


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Forecaster:
    """The predictor of a model."""
    return Forecaster(artifact, hyperparameters, device)


def withheld(batch: Batch, horizon: int) -> tuple[Batch, np.ndarray]:
    """Series without their last steps, and these, shape (series, horizon); of the series that have more than so many."""
    long = batch.take(np.flatnonzero(batch.target.lengths > horizon))
    target: Ragged = long.target
    actual = target.values[target.offsets[1:, None] - horizon + np.arange(horizon)] if len(long) else np.empty((0, horizon))
    kept = np.arange(len(target.values)) < np.repeat(target.offsets[1:] - horizon, target.lengths)
    offsets = target.offsets - horizon * np.arange(len(target.offsets))
    return long.replace(target=Ragged(target.values[kept], offsets)), actual


def nested(array: np.ndarray) -> pa.Array:
    """Numbers of shape (rows, lists, length) as Arrow's lists of lists."""
    rows, lists, length = array.shape
    inner = pa.ListArray.from_arrays(np.arange(0, rows * lists * length + 1, length, dtype=np.int32), np.ascontiguousarray(array).ravel())
    return pa.ListArray.from_arrays(np.arange(0, rows * lists + 1, lists, dtype=np.int32), inner)


def _seeds(windows: Batch) -> list[int]:
    """What the paths of each series are drawn from: a number that depends on what the network sees of it."""
    found = []
    for row in range(len(windows)):
        seed = zlib.crc32(windows.values[row].tobytes(), int(windows.first[row]) & 0xFFFFFFFF)
        found.append(zlib.crc32(windows.start[row].tobytes(), seed))
    return found
