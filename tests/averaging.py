"""An algorithm for testing the framework: the mean of the rows, with failures on demand.

Exact on any number of workers, so whatever is wrong with its result is wrong with the framework.
"""

from __future__ import annotations

import os
import signal
import time
from operator import attrgetter
from pathlib import Path

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows import fields
from sparkml_algos.rows.batch import Features
from sparkml_algos.rows.predictor import predicting
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

# Seconds in which a test may do something to a worker that waits, while the others are in a collective.
WAIT = 5.0


FIELDS = (fields.features(), fields.weight())


class AveragingParams(PredictionParams):
    reads = FIELDS

    epochs = Hyperparameter(int, "Passes over the rows.", default=1, minimum=1)
    mini_batch_size = Hyperparameter(int, "Rows per mini-batch.", default=100, minimum=1)
    scale = Hyperparameter(float, "Factor of the result; serves from one state.", default=1.0, minimum=0.0)
    failure = Hyperparameter(str, "What goes wrong.", default="none", choices=["none", "raise", "kill", "kill_jvm", "stop", "wait"])
    failing_rank = Hyperparameter(int, "Where.", default=1, minimum=0)
    failing_epoch = Hyperparameter(int, "When; counted from 0.", default=1, minimum=0)
    log = Hyperparameter(str, "Directory that receives a file per epoch done, and one that keeps the failure from recurring.", default="")


class Averaging(AlgorithmEstimator, AveragingParams):
    """The mean of the rows."""

    @staticmethod
    def algorithm() -> Algorithm:
        return AVERAGING

    @staticmethod
    def model_class() -> type[AveragingModel]:
        return AveragingModel


class AveragingModel(AlgorithmModel, AveragingParams):
    outputs = (Output("distance", "double", "predictionCol"),)

    @staticmethod
    def algorithm() -> Algorithm:
        return AVERAGING

    @property
    def mean(self) -> np.ndarray:
        return self.artifact.arrays["mean"]


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    state = job.resume() or Artifact({"sum": np.zeros(shard.num_features + 1)})
    total = state.arrays["sum"].copy()
    for epoch in job.epochs(hyperparameters.epochs):
        for step, batch in enumerate(job.minibatches(hyperparameters.mini_batch_size)):
            if step == 1:
                fail(hyperparameters, communicator.rank, epoch)
            weight = np.ones(len(batch)) if batch.weight is None else batch.weight.astype(np.float64)
            part = np.append(batch.features.T @ weight, weight.sum())
            total += communicator.allreduce(part.astype(np.float64))
        if hyperparameters.log and communicator.rank == 0:
            (Path(hyperparameters.log) / f"epoch-{epoch}-{time.time_ns()}").touch()
        job.end_epoch(Artifact({"sum": total}), rows=float(total[-1]))
    return Artifact({"sum": total})


def finalize(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator) -> Artifact:
    total = state.arrays["sum"]
    return Artifact({"mean": hyperparameters.scale * total[:-1] / total[-1]})


def predict(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    return {"distance": np.linalg.norm(dense - artifact.arrays["mean"], axis=1)}


load = predicting(predict)


def fail(hyperparameters: Hyperparameters, rank: int, epoch: int) -> None:
    """Let the wanted thing go wrong, once if there is a log to remember it."""
    how = hyperparameters.failure
    if how == "none" or rank != hyperparameters.failing_rank or epoch != hyperparameters.failing_epoch:
        return
    if hyperparameters.log:
        happened = Path(hyperparameters.log) / "failed"
        if happened.exists():
            return
        happened.write_text(str(os.getpid()))
    if how == "wait":
        time.sleep(WAIT)
        return
    if how == "raise":
        raise ArithmeticError("the true cause")
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(_jvm() if how == "kill_jvm" else os.getpid(), signal.SIGKILL)


def _jvm() -> int:
    """The executor of this worker: the parent of the daemon that forked it."""
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


AVERAGING = Algorithm(
    name="averaging",
    fields=FIELDS,
    train=train,
    load=load,
    finalize=finalize,
    state_key=attrgetter("epochs", "mini_batch_size", "failure", "failing_rank", "failing_epoch", "log"),
    passes=lambda hyperparameters: hyperparameters.epochs,
)
