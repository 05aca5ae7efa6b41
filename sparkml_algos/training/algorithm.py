"""What an algorithm is to everything around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Job

#: What scores rows: outputs by name, an entry per row.
Predictor = Callable[[Batch], Mapping[str, Any]]


@dataclass(frozen=True)
class Algorithm:
    """What an algorithm is to everything around it: functions over arrays, all of them at the top level of a module.

    Parameters
    ----------
    name : str
        The name in the specification, for example ``kmeans``.
    train : callable
        ``train(hyperparameters, shard, communicator, job) -> Artifact``. The artifact must be complete on worker 0;
        with `finalize`, on every worker.
    load : callable
        ``load(artifact, hyperparameters, device) -> predictor``, called once by a task or server. The predictor is a callable
        ``predictor(batch) -> mapping`` of output name to array with one entry per row, of which only the outputs that are wanted are looked
        up. The batch has the columns that scoring reads.
    finalize : callable, optional
        ``finalize(state, hyperparameters, communicator) -> Artifact``. With it, what `train` returns is a state from which models for
        many settings are cut, by all workers together; the model must be complete on worker 0.
    state_key : callable, optional
        ``state_key(hyperparameters)``: everything that the state depends on, as something with a `repr`. Settings of one key share a state,
        which is trained with those of any of them, so that each gives the model that it gives alone. Nothing is shared without.
    passes : callable
        ``passes(hyperparameters) -> int``: how often training reads the rows.
    missing_values : bool
        Whether features may have missing values; see `Decoder`. Otherwise NaN and null are refused.
    counts : bool
        Whether features are counts: whole numbers from 0; others are refused.
    on_gpu : bool
        Whether `train` computes on `Job.device`; ``use_gpu`` is refused otherwise.
    model_bytes : callable, optional
        ``model_bytes(hyperparameters, num_features) -> int``: bytes of the model, where that is known before training.
    """

    name: str
    train: Callable[[Hyperparameters, Shard, Communicator, Job], Artifact]
    load: Callable[[Artifact, Hyperparameters, str], Predictor]
    finalize: Callable[[Artifact, Hyperparameters, Communicator], Artifact] | None = None
    state_key: Callable[[Hyperparameters], object] | None = None
    passes: Callable[[Hyperparameters], int] = lambda hyperparameters: 1
    missing_values: bool = False
    counts: bool = False
    on_gpu: bool = False
    model_bytes: Callable[[Hyperparameters, int], int] | None = None

    def groups(self, settings: Sequence[Hyperparameters]) -> list[list[int]]:
        """Indices of settings that one state serves, a list per state."""
        groups: dict[str, list[int]] = {}
        for index, setting in enumerate(settings):
            key = repr(self.state_key(setting)) if self.finalize and self.state_key else str(index)
            groups.setdefault(key, []).append(index)
        return list(groups.values())


def predicting(predict: Callable[..., Mapping[str, Any]]) -> Callable[[Artifact, Hyperparameters, str], Predictor]:
    """`Algorithm.load` from a function of artifact, features and hyperparameters that has nothing to prepare."""

    def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
        def predictor(batch: Batch) -> Mapping[str, Any]:
            offset = {} if batch.base_margin is None else {"base_margin": batch.base_margin}
            return predict(artifact, batch.features, hyperparameters, **offset)

        return predictor

    return load
