"""What an algorithm is to everything around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import Kind
from sparkml_algos.rows.predictor import Load
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Job


@dataclass(frozen=True)
class Algorithm:
    """What an algorithm is to everything around it: functions over arrays, all of them at the top level of a module.

    Parameters
    ----------
    name : str
        The name in the specification, for example ``kmeans``.
    fields : sequence of Field
        The columns it reads, each declared once.
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
    kinds : callable
        ``kinds(hyperparameters) -> mapping`` of role to kind, for fields of which hyperparameters say more than `fields` does, such as the
        number of classes.
    on_gpu : bool
        Whether `train` computes on `Job.device`; ``use_gpu`` is refused otherwise.
    libraries : sequence of str
        What its functions import, besides what this package requires.
    model_bytes : callable, optional
        ``model_bytes(hyperparameters, num_features) -> int``: bytes of the model, where that is known before training.
    unit : str
        What progress is counted in.
    """

    name: str
    fields: Sequence[Field]
    train: Callable[[Hyperparameters, Shard, Communicator, Job], Artifact]
    load: Load
    finalize: Callable[[Artifact, Hyperparameters, Communicator], Artifact] | None = None
    state_key: Callable[[Hyperparameters], object] | None = None
    passes: Callable[[Hyperparameters], int] = lambda hyperparameters: 1
    kinds: Callable[[Hyperparameters], Mapping[str, Kind]] = lambda hyperparameters: {}
    on_gpu: bool = False
    libraries: Sequence[str] = ()
    model_bytes: Callable[[Hyperparameters, int], int] | None = None
    unit: str = "epochs"

    def fields_for(self, hyperparameters: Hyperparameters) -> list[Field]:
        """The fields, with all that hyperparameters say of them."""
        kinds = self.kinds(hyperparameters)
        return [field.of(kinds.get(field.role, field.kind)) for field in self.fields]

    def groups(self, settings: Sequence[Hyperparameters]) -> list[list[int]]:
        """Indices of settings that one state serves, a list per state."""
        groups: dict[str, list[int]] = {}
        for index, setting in enumerate(settings):
            key = repr(self.state_key(setting)) if self.finalize and self.state_key else str(index)
            groups.setdefault(key, []).append(index)
        return list(groups.values())
