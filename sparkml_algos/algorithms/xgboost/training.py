"""Training: boosting rounds of all workers in step, with metrics, early stopping and checkpoints."""

from __future__ import annotations

import base64
import time
from dataclasses import replace

import numpy as np
import xgboost as xgb

from sparkml_algos.algorithms.xgboost.advice import advice, worse_than_best
from sparkml_algos.algorithms.xgboost.artifact import booster_artifact
from sparkml_algos.algorithms.xgboost.classes import with_objective
from sparkml_algos.algorithms.xgboost.data import matrices, needs_values
from sparkml_algos.algorithms.xgboost.library import collectives
from sparkml_algos.algorithms.xgboost.metrics import RoundMetrics
from sparkml_algos.algorithms.xgboost.objectives import BINARY, LABEL_RANGES, MULTICLASS, RELEVANCES, is_maximised
from sparkml_algos.algorithms.xgboost.params import FIELDS, MOST_CLASSES, RANKING_FIELDS
from sparkml_algos.algorithms.xgboost.prediction import load
from sparkml_algos.algorithms.xgboost.settings import dimension_problems, library_params
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import ClassLabel, InvalidRows, Kind
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

# Share of the time that checkpoints may take: a booster is written whole, and grows with every round.
CHECKPOINT_SHARE = 0.05


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train on the rows of all workers.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    shard : Shard
        Sharded rows are each on one worker; the rows of a group, for ranking, all on the same one.
    communicator : Communicator
        Over which the library's own collectives are set up.
    job : Job

    Returns
    -------
    Artifact
        ``model``, the booster in UBJSON as uint8, with the rounds that serve; see `booster_artifact` for the values. On every worker.
    """
    if job.device != "cpu" and not xgb.build_info()["USE_CUDA"]:  # the library would train on the CPU with a warning
        raise RuntimeError(
            f"use_gpu=True, but the xgboost {xgb.__version__} of this worker is built without CUDA: install xgboost there in place of "
            "xgboost-cpu"
        )
    shard.drain()
    h = with_objective(hyperparameters, shard, communicator, job.device != "cpu")
    _check(h, shard, communicator)
    resumed = job.resume()
    initial = None if h.initial_model is None else base64.b64decode(h.initial_model)
    given_rounds = _given_rounds(initial, shard.num_features) if initial else 0
    start = bytearray(resumed.arrays["model"]) if resumed else bytearray(initial) if initial else None
    copies = communicator.size if job.replicated else 1
    with collectives(communicator, job.host):
        data = matrices(h, shard, needs_values(h, start is not None), copies)
        if job.last:
            shard.release()  # the library has what it needs of the rows
        # A booster that goes on draws other rows and features than it did in its first rounds.
        drawing = {"seed_per_iteration": 1} if resumed else {}
        booster = xgb.Booster({**library_params(h, job.device), **drawing}, list(data.values()), model_file=start)
        best = _Best(h, job, given_rounds, None if resumed is None else resumed.arrays.get("best"))
        measure, pace = RoundMetrics(h, communicator, data), _Pace()
        every_round = job.is_watched or h.early_stopping_rounds is not None
        for number in job.epochs(h.num_round) if not best.is_over else ():
            booster.update(data["train"], number)
            metrics = measure(booster, number) if every_round or number + 1 == h.num_round else {}
            best.note(booster, metrics)
            job.end_epoch(pace.state(booster, best) if job.writes_checkpoints else None, **metrics)
            pace.written()
            if best.is_over:
                break
        served = best.serving(booster)
    for message in filter(None, [*advice(h, xgb.Booster(model_file=bytearray(served)), data["train"], communicator), best.advice()]):
        job.warn(message)
    return booster_artifact(served, best.metrics())


def _check(h: Hyperparameters, shard: Shard, communicator: Communicator) -> None:
    """What can only be seen with the rows at hand; the same on every worker, so that all of them stop."""
    if found := dimension_problems(h, shard.num_features):
        raise InvalidRows("; ".join(found))
    if shard.marks_validation and not communicator.allreduce(np.array([len(shard.validation)], np.int64))[0]:
        raise InvalidRows("no row is marked for validation; mark some, or leave validationIndicatorCol unset")


def _given_rounds(initial: bytes, num_features: int) -> int:
    booster = xgb.Booster(model_file=bytearray(initial))
    if booster.num_features() != num_features:
        raise InvalidRows(f"initial_model takes {booster.num_features()} features, the rows have {num_features}")
    return booster.num_boosted_rounds()


class _Best:
    """The round that serves: the last one or, with early stopping, the best so far; and whether waiting for a better one is over.

    Trees of later rounds can be cut off. What later rounds change of earlier trees or weights cannot, so there a copy is kept.
    """

    def __init__(self, h: Hyperparameters, job: Job, given_rounds: int, copy: np.ndarray | None) -> None:
        self._patience, self._job = h.early_stopping_rounds, job
        self._given_rounds = given_rounds
        self._keeps_copy = h.booster != "gbtree" or h.process_type == "update"
        self._copy = None if copy is None else copy.tobytes()
        self._round, self._score, self._last = 0, -np.inf, -1
        for epoch in job.history:
            self._compare(epoch)

    def note(self, booster: xgb.Booster, metrics: dict[str, float]) -> None:
        """The metrics of a round that is done."""
        if self._compare(metrics) and self._patience and self._keeps_copy:
            self._copy = bytes(booster.save_raw("ubj"))

    @property
    def is_over(self) -> bool:
        return self._patience is not None and self._last - self._round >= self._patience

    @property
    def copy(self) -> bytes | None:
        return self._copy

    def serving(self, booster: xgb.Booster) -> bytes:
        """What serves, in UBJSON."""
        if self._patience and self._round < self._last:
            if self._keeps_copy:
                return self._copy
            booster = booster[: self._given_rounds + self._round + 1]
        return bytes(booster.save_raw("ubj"))

    def advice(self) -> str | None:
        """What there is to say of the round that serves."""
        return None if self._patience or not self._job.is_watched else worse_than_best(self._job.history)

    def metrics(self) -> dict[str, float]:
        """Of the round that serves, and which one it is, counted from 0."""
        number = self._round if self._patience else self._last
        found = {name: value for name, value in self._job.history[number].items() if ":" in name}
        return {**found, "best_iteration": number}

    def _compare(self, metrics: dict[str, float]) -> bool:
        """Whether a round is the best so far, by the last metric on the last data."""
        self._last += 1
        if not metrics:
            return False
        name = [name for name in metrics if ":" in name][-1]
        score = metrics[name] if is_maximised(name.split(":", 1)[1]) else -metrics[name]
        if self._last and not score > self._score:
            return False
        if np.isnan(score):  # as the area under the curve where one class has no row; whatever comes is better
            score = -np.inf
        self._round, self._score = self._last, score
        return True


class _Pace:
    """Writes checkpoints as often as `CHECKPOINT_SHARE` of the time allows."""

    def __init__(self) -> None:
        self._end, self._cost, self._start = time.monotonic(), 0.0, None

    def state(self, booster: xgb.Booster, best: _Best) -> Artifact | None:
        """What a checkpoint holds, if one is due."""
        now = time.monotonic()
        if (now - self._end) * CHECKPOINT_SHARE < self._cost * (1 - CHECKPOINT_SHARE):
            return None
        self._start = now
        arrays = {"model": np.frombuffer(bytes(booster.save_raw("ubj")), np.uint8)}
        if best.copy is not None:
            arrays["best"] = np.frombuffer(best.copy, np.uint8)
        return Artifact(arrays)

    def written(self) -> None:
        """The round has ended, and with it the writing, if there was any."""
        if self._start is not None:
            self._end = time.monotonic()
            self._cost, self._start = self._end - self._start, None


def kinds(hyperparameters: Hyperparameters) -> dict[str, Kind]:
    """What labels an objective takes; those of a classifier without one say themselves how many classes there are."""
    objective = hyperparameters.objective
    if objective in LABEL_RANGES:
        return {LABEL: LABEL_RANGES[objective]}
    if objective in RELEVANCES:
        return {LABEL: ClassLabel(RELEVANCES[objective])}
    if objective in BINARY:
        return {LABEL: ClassLabel(2, hint="more classes need objective='multi:softprob' and num_class, or leave both unset")}
    if objective in (None, *MULTICLASS):
        return {LABEL: ClassLabel(hyperparameters.num_class or MOST_CLASSES)}
    return {}


XGBOOST = Algorithm(
    name="xgboost",
    fields=FIELDS,
    train=train,
    load=load,
    passes=lambda hyperparameters: 2,
    kinds=kinds,
    on_gpu=True,
    unit="rounds",
    libraries=("xgboost",),
)
XGBOOST_RANKING = replace(XGBOOST, fields=RANKING_FIELDS)
