"""What scores rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

#: Outputs by name, an entry per row: ndarray, `Ragged` or Arrow array. Only the outputs that are wanted are looked up.
Predictor = Callable[[Batch], Mapping[str, Any]]

#: ``load(artifact, hyperparameters, device) -> predictor``, called once by a task or server.
Load = Callable[[Artifact, Hyperparameters, str], Predictor]


def predicting(predict: Callable[..., Mapping[str, Any]]) -> Load:
    """A `Load` from a function of artifact, features and hyperparameters that has nothing to prepare."""

    def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
        def predictor(batch: Batch) -> Mapping[str, Any]:
            offset = {} if batch.base_margin is None else {"base_margin": batch.base_margin}
            return predict(artifact, batch.features, hyperparameters, **offset)

        return predictor

    return load


class Computed(Mapping[str, Any]):
    """Outputs by name, each computed when it is first looked up.

    Parameters
    ----------
    outputs : dict of str to callable
        Functions without arguments.
    """

    def __init__(self, outputs: Mapping[str, Callable[[], Any]]) -> None:
        self._outputs, self._found = dict(outputs), {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = self._outputs[name]()
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._outputs

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)
