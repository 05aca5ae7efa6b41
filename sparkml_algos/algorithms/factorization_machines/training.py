"""Training of a factorization machine; no Spark here."""

from __future__ import annotations

from sparkml_algos.algorithms.factorization_machines.machine import Machine
from sparkml_algos.algorithms.factorization_machines.params import FIELDS
from sparkml_algos.algorithms.factorization_machines.prediction import load
from sparkml_algos.algorithms.factorization_machines.preparation import Preparation, prepare
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import ClassLabel
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import FEW_STEPS, EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows

# How far the linear weights must be able to get, in deviations of the label: a step of Adam is as long as its learning rate. Twice that is
# a compromise: at the service's rates seven of ten sets of 2,000 to 100,000 ratings were predicted to 1 % as well as by users' and films'
# means, or better, the others 2 to 4 % worse. Small sets were best with less, large ones with more.
TRAVEL = 2.0
# Rows up to which an epoch has as many passes as that takes. Beyond, one pass costs more than anyone may want, and a warning has to do.
FEW_ROWS = 100_000


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train a factorization machine.

    Returns
    -------
    Artifact
        ``bias`` (1,) float64, ``linear`` (features,) and ``factors`` (features, factors) float32, of the best epoch, in the label's
        units; in its values the metrics of that epoch, and which it was.
    """
    start, rows = Start(job), WatchedRows(job)
    preparation = Preparation.from_artifact(start.learned(lambda: prepare(hyperparameters, job, communicator).to_artifact()))
    machine = Machine(hyperparameters, shard.num_features, job, communicator, preparation, rows)
    # Without validation rows nothing ought to end the training: a loss that stands still may be about to fall, once factors have grown from
    # next to nothing.
    stopping = EarlyStopping(hyperparameters.early_stopping_patience) if rows.marks_validation else None
    best = fit(
        machine,
        job,
        communicator,
        epochs=hyperparameters.epochs,
        mini_batch_size=hyperparameters.mini_batch_size,
        min_steps_per_epoch=-(-_min_steps(hyperparameters, job) // hyperparameters.epochs),
        stopping=stopping,
        start=start,
    )
    _warn_of_short_way(hyperparameters, machine.steps, job)
    return machine.model(best)


def _min_steps(hyperparameters: Hyperparameters, job: Job) -> int:
    """How many steps the training has at least."""
    if hyperparameters.min_steps != "auto":
        return hyperparameters.min_steps
    rows, rate = job.total_rows(), hyperparameters.linear_lr
    return round(TRAVEL / rate) if rate and rows is not None and rows <= FEW_ROWS else 1


def _warn_of_short_way(hyperparameters: Hyperparameters, steps: int, job: Job) -> None:
    """Say so if weights cannot have got where they belong, though there were more steps than `fit` warns of."""
    way = steps * hyperparameters.linear_lr
    if steps >= FEW_STEPS and 0 < way < TRAVEL / 2:
        unit = "deviations of the label" if hyperparameters.predictor_type == "regressor" else "units of the score"
        job.warn(
            f"{steps} steps at linear_lr={hyperparameters.linear_lr:g} move a linear weight by about {way:.2g} {unit} at most, which is "
            "seldom enough: raise linear_lr (and factors_lr, to a tenth of it), or epochs"
        )


FACTORIZATION_MACHINES = Algorithm(
    name="factorization_machines",
    fields=FIELDS,
    kinds=lambda hyperparameters: {LABEL: ClassLabel(2)} if hyperparameters.predictor_type == "binary_classifier" else {},
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 4 * (1 + hyperparameters.num_factors) * num_features,
)
