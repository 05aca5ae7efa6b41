"""Where a training starts: at its beginning or, resumed from a checkpoint, after some of its epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.progress import Best, Clock, EarlyStopping

# Beginnings of names in a checkpoint: what was learned before the first epoch, and the best state.
_BEFORE, _BEST = "before", "best"


class Start:
    """The start of a training, from the newest checkpoint if there is one.

    What an algorithm learns from the rows before it makes a learner belongs to the training as much as parameters do: scales that are
    estimated anew, on the same rows in another order, would turn the parameters of a checkpoint into others. `learned` keeps it.

    Parameters
    ----------
    job : Job

    Attributes
    ----------
    epochs_done : int
        0 without a checkpoint.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._state = job.resume()
        self._before = None if self._state is None else _part(self._state, _BEFORE)
        self.epochs_done = job.epochs_done

    def learned(self, learn: Callable[[], Artifact]) -> Artifact:
        """What `learn` finds out from the rows, or had found out when the training began; call it once, on every worker."""
        if self._before is None:
            self._before = learn()
        return self._before

    def resume(self, learner: Learner, best: Best, clock: Clock, stopping: EarlyStopping | None) -> int:
        """Bring everything where it was after the epochs that are done; the number of steps done."""
        if self._state is None:
            return 0
        values = self._state.values
        is_best = values[_BEST]["epoch"] == self.epochs_done - 1
        best.restore(values[_BEST], None if is_best else _part(self._state, _BEST))
        clock.set(values["step"], values["elapsed"])
        learner.restore(self._state)
        if stopping is not None:
            stopping.best, stopping.waited = values["to_beat"], values["waited"]
        if is_best and self._job.communicator.rank == 0:
            best.keep(learner.served)
        return values["step"]

    def checkpoint(self, learner: Learner, best: Best, clock: Clock, stopping: EarlyStopping | None, step: int) -> Artifact | None:
        """What `resume` will need; None where no checkpoints are kept."""
        if not self._job.keeps_checkpoints:
            return None
        state = learner.state()
        arrays, values = dict(state.arrays), dict(state.values)
        values |= {"step": step, "elapsed": clock.elapsed(step) or 0.0}
        values |= {"waited": 0, "to_beat": None} if stopping is None else {"waited": stopping.waited, "to_beat": stopping.best}
        values |= {_BEST: best.to_values(), f"{_BEST}/values": {}, f"{_BEFORE}/values": {}}
        parts = {_BEFORE: self._before, _BEST: best.state if best.epoch != self._job.epoch else None}
        for name, part in parts.items():
            if part is not None:
                arrays |= {f"{name}/{key}": array for key, array in part.arrays.items()}
                values[f"{name}/values"] = part.values
        return Artifact(arrays, values)


def _part(state: Artifact, name: str) -> Artifact:
    """What `Start.checkpoint` has put under a name."""
    arrays = {key.removeprefix(f"{name}/"): array for key, array in state.arrays.items() if key.startswith(f"{name}/")}
    values: dict[str, Any] = state.values[f"{name}/values"]
    return Artifact(arrays, values)
