"""Training of many linear models side by side; no Spark here."""

from __future__ import annotations

from sparkml_algos.algorithms.linear_learner.judge import Judge
from sparkml_algos.algorithms.linear_learner.params import FIELDS, MAX_CLASSES
from sparkml_algos.algorithms.linear_learner.prediction import load
from sparkml_algos.algorithms.linear_learner.preparation import Preparation, prepare
from sparkml_algos.algorithms.linear_learner.side_by_side import SideBySide
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import ClassLabel, Kind
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import EarlyStopping, Start, fit


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train all candidates and keep the best, in its best epoch.

    Returns
    -------
    Artifact
        ``weights`` (outputs, features) and ``bias`` (outputs,) of the chosen model in float64, for features and labels in their own units;
        in its values the ``leaderboard`` of the candidates, which of them was ``chosen``, after which ``epoch``, threshold and metrics.
    """
    start = Start(job)
    preparation = Preparation.from_artifact(start.learned(lambda: prepare(hyperparameters, job, communicator).to_artifact()))
    models = SideBySide(hyperparameters, preparation, Judge(hyperparameters, job, communicator), job)
    best = fit(
        models,
        job,
        communicator,
        epochs=hyperparameters.epochs,
        mini_batch_size=hyperparameters.mini_batch_size,
        min_steps_per_epoch=hyperparameters.min_steps_per_epoch,
        stopping=EarlyStopping(hyperparameters.early_stopping_patience, hyperparameters.early_stopping_tolerance, models.larger_is_better),
        start=start,
    )
    artifact = models.best()
    artifact.values["epoch"] = best.epoch + 1
    return artifact


def kinds(hyperparameters: Hyperparameters) -> dict[str, Kind]:
    """What labels a task takes."""
    if hyperparameters.predictor_type == "regressor":
        return {}
    classes = 2 if hyperparameters.predictor_type == "binary_classifier" else hyperparameters.num_classes or MAX_CLASSES
    return {LABEL: ClassLabel(classes)}


LINEAR_LEARNER = Algorithm(
    name="linear_learner",
    fields=FIELDS,
    kinds=kinds,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * (getattr(hyperparameters, "num_classes", None) or 1) * num_features,
)
