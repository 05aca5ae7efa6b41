"""Many trainings, one after the other, on rows that stay where they are: the body of a worker that takes tasks.

The first worker of a lane asks for each task, tells the others of its lane, and answers with figures. Rows are read once. Which rows a
training may see is a matter of folds: the rows of one are held out, and scored by what was trained on the others.

A training may be told to wait after some epochs. It then does so in this worker, while others are done, and goes on when it is asked for
again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.evaluation import Measure
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import CommunicationError, Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.memory import default_shard_bytes
from sparkml_algos.rows.recurring import RecurringRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Job, broadcast
from sparkml_algos.training.pausing import Pausable
from sparkml_algos.training.run import Clock, TrainingPlan, Worker, agree_on_rows, check_size, import_ahead
from sparkml_algos.training.watching import in_parts

# A lane that is to ask again does so after this time.
SECONDS_BETWEEN_QUESTIONS = 0.2


@dataclass(frozen=True)
class Stop:
    """When a training has no hope, by figures of earlier ones.

    Parameters
    ----------
    metric : str
        In the history.
    bounds : dict of int to float
        By epoch, counted from 1, the figure that is still good enough; other epochs decide nothing.
    larger_is_better : bool
    """

    metric: str
    bounds: dict[int, float]
    larger_is_better: bool

    def __call__(self, history: list[dict[str, Any]]) -> bool:
        """Whether the figure after the last epoch is worse than its bound; one that is no number is."""
        bound, value = self.bounds.get(len(history)), history[-1].get(self.metric)
        if bound is None or value is None:
            return False
        return not (value >= bound if self.larger_is_better else value <= bound)


@dataclass(frozen=True)
class Task:
    """What a lane is to do next.

    Parameters
    ----------
    settings : sequence of (int, int, dict)
        Trainings, or models of one state: the number of each, that of the settings in the plan which it starts from, and what is different.
        Without any there is nothing to do now, and the lane is to ask again.
    fold : int, optional
        Which rows are held out; none by default.
    keeps : bool
        Whether the models are kept, and travel to the driver at the end.
    forget : sequence of int
        Models that are no longer to be kept, and trainings that wait and will not be gone on with.
    stop : Stop, optional
    until : int, optional
        After how many epochs in all the training is to wait. One that waits here goes on, any other begins.
    end : bool
        Whether there is nothing more to do.
    """

    settings: Sequence[tuple[int, int, dict[str, Any]]] = ()
    fold: int | None = None
    keeps: bool = False
    forget: Sequence[int] = ()
    stop: Stop | None = None
    until: int | None = None
    end: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        stop = self.stop and [self.stop.metric, list(self.stop.bounds.items()), self.stop.larger_is_better]
        return {**vars(self), "settings": list(self.settings), "forget": list(self.forget), "stop": stop}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Task:
        """From what `to_dict` gave."""
        task = cls(**values)
        if task.stop is None:
            return task
        metric, bounds, larger = values["stop"]
        return replace(task, stop=Stop(metric, {int(epoch): bound for epoch, bound in bounds}, larger))


@dataclass(frozen=True)
class TrialsPlan:
    """What a worker must know of a search besides the rows.

    Parameters
    ----------
    training : TrainingPlan
        Whose settings are those that tasks start from.
    folds : int
        0 where no rows are ever held out, and rows have no fold.
    measure : Measure, optional
        What rows that are held out are scored by; without folds, those for validation.
    series : str, optional
        The metric of the history that is answered epoch by epoch.
    survives : bool
        Whether a training that fails is an answer like others, where a lane is one worker: of several, the others would wait for it.
    """

    training: TrainingPlan
    folds: int = 0
    measure: Measure | None = None
    series: str | None = None
    survives: bool = False


def run_trials(plan: TrialsPlan, worker: Worker, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, Artifact]]:
    """Do tasks until there are no more.

    Yields
    ------
    (str, Artifact)
        ``model/i``, of the tasks whose models are kept, from the first worker of a lane, with ``reports``, a dictionary per worker of the
        lane, among its values; and ``report/rank``, values only, from every worker.
    """
    training, clock = plan.training, Clock(worker)
    import_ahead(training.algorithm.libraries)
    rows = _Rows(plan, worker, batches)
    clock.enter("setup")
    communicator = worker.connect()
    kept: dict[int, Artifact] = {}
    answer: Any = None
    clock.enter("train")
    with contextlib.closing(_Trainings(plan, rows, worker, communicator)) as trainings:
        while True:
            task = _next(worker, communicator, answer)
            for number in task.forget:
                kept.pop(number, None)
                trainings.give_up(number)
            if task.end:
                break
            if not task.settings:
                time.sleep(SECONDS_BETWEEN_QUESTIONS)
                answer = []
                continue
            try:
                answer = []
                for number, found, model in trainings.of(task):
                    answer.append({"trial": number, **found})
                    if task.keeps and communicator.rank == 0 and model is not None:
                        kept[number] = model
            except Exception as error:
                if not plan.survives or communicator.size > 1 or isinstance(error, CommunicationError):
                    raise
                message = f"{type(error).__name__}: {error}"
                answer = [{"trial": number, "error": message} for number, _, _ in task.settings]
    for number, model in kept.items():
        yield f"model/{number}", model
    communicator.barrier()
    clock.enter("finish")
    yield f"report/{worker.rank}", Artifact(values={"seconds": clock.stop()})


def _next(worker: Worker, communicator: Communicator, answer: Any) -> Task:
    task = worker.ask(answer) if communicator.rank == 0 else None
    return Task.from_dict(communicator.allgather_json(task)[0])


class _Trainings:
    """The trainings of a worker: those that are done in one go, and those that wait.

    Parameters
    ----------
    plan : TrialsPlan
    rows : _Rows
    worker : Worker
    communicator : Communicator
    """

    def __init__(self, plan: TrialsPlan, rows: _Rows, worker: Worker, communicator: Communicator) -> None:
        self._plan, self._rows, self._worker, self._communicator = plan, rows, worker, communicator
        self._waiting: dict[int, _Training] = {}

    def of(self, task: Task) -> Iterator[tuple[int, dict[str, Any], Artifact | None]]:
        """Number, figures and model of each training of a task; there is no model of one that waits."""
        began, (number, _, _) = time.perf_counter(), task.settings[0]
        training = self._waiting.pop(number, None) or self._begun(task)
        before, waits = len(training.job.history), training.steps.advance(task.until)
        trained = {"trained": len(training.job.history) - before, "waits": waits}
        seconds = time.perf_counter() - began
        if waits:
            self._waiting[number] = training
            yield number, {**training.figures(), **trained, "metrics": {}, "seconds": seconds}, None
            return
        for found, (number, _, _), model in training.models(task):
            yield number, {**found, **trained, "seconds": found["seconds"] + seconds / len(task.settings)}, model

    def give_up(self, number: int) -> None:
        """A training that may wait is not to be gone on with."""
        if (training := self._waiting.pop(number, None)) is not None:
            training.steps.give_up()

    def close(self) -> None:
        """None of those that wait is to be gone on with."""
        for number in list(self._waiting):
            self.give_up(number)

    def _begun(self, task: Task) -> _Training:
        settings = [Hyperparameters(**{**self._plan.training.settings[base], **changes}) for _, base, changes in task.settings]
        shard = self._rows.shard(task.fold, self._communicator)
        check_size(self._plan.training, settings, shard.num_features)
        return _Training(self._plan, settings, task, shard, self._rows, self._worker, self._communicator)


class _Training:
    """A training that is under way.

    Parameters
    ----------
    plan : TrialsPlan
    settings : sequence of Hyperparameters
        Of each model that is to be cut from its state.
    task : Task
        That begins it.
    shard : Shard
    rows : _Rows
    worker : Worker
    communicator : Communicator

    Attributes
    ----------
    job : Job
    steps : Pausable
        The training itself, whose result is its state.
    """

    def __init__(
        self,
        plan: TrialsPlan,
        settings: Sequence[Hyperparameters],
        task: Task,
        shard: Shard,
        rows: _Rows,
        worker: Worker,
        communicator: Communicator,
    ) -> None:
        self._plan, self._settings, self._shard, self._rows, self._communicator = plan, settings, shard, rows, communicator
        training = plan.training
        self.steps = Pausable(self._trained)
        self.job = Job(
            shard,
            communicator,
            seed=training.seed,
            device=worker.device,
            host=worker.host,
            replicated=training.replicated,
            warn=worker.warn,
            compile=training.compile,
            mixed_precision=training.mixed_precision,
            is_hopeless=task.stop,
            after_epoch=self.steps.after_epoch,
            is_watched=task.keeps or task.stop is not None or plan.series is not None,
        )

    def _trained(self) -> Artifact:
        return self._plan.training.algorithm.train(self._settings[0], self._shard, self._communicator, self.job)

    def figures(self) -> dict[str, Any]:
        """What there is to say of it now, besides its model."""
        history = self.job.history
        return {
            "last": {name: value for name, value in (history[-1] if history else {}).items() if name not in ("epoch", "seconds")},
            "epochs": len(history),
            "series": [epoch.get(self._plan.series) for epoch in history] if self._plan.series else [],
            "was_stopped": self.job.was_stopped,
        }

    def models(self, task: Task) -> Iterator[tuple[dict[str, Any], tuple[int, int, dict[str, Any]], Artifact]]:
        """Of a training that has ended, for each of its settings figures, the setting and the model."""
        plan, algorithm, shard, communicator = self._plan, self._plan.training.algorithm, self._shard, self._communicator
        report = {"rows": shard.num_rows, "validation_rows": len(shard.validation), "facts": shard.facts}
        reports = communicator.allgather_json(report)
        for told, setting in zip(task.settings, self._settings, strict=True):
            began = time.perf_counter()
            model = algorithm.finalize(self.steps.result, setting, communicator) if algorithm.finalize else self.steps.result
            metrics = {name: value for name, value in model.values.items() if name.startswith(("train:", "validation:"))}
            found = {**self.figures(), "metrics": metrics, "rows": sum(report["rows"] for report in reports)}
            if plan.measure is not None and (task.fold is not None or not plan.folds):
                batches = iter(shard.validation) if task.fold is None else self._rows.held_out(task.fold)
                found["measured"] = _measured(plan.measure, batches, plan.training, model, setting, communicator)
            found["seconds"] = time.perf_counter() - began
            yield found, told, Artifact(model.arrays, {**model.values, "history": self.job.history, "reports": reports})


def _measured(
    measure: Measure,
    batches: Iterator[Batch],
    training: TrainingPlan,
    model: Artifact,
    setting: Hyperparameters,
    communicator: Communicator,
) -> float | None:
    """The measure of the rows of all workers that are held out; on the first one."""
    if communicator.size > 1:
        model = broadcast(model if communicator.rank == 0 else None, communicator)
    predictor = training.algorithm.load(model, setting, "cpu")
    parts = [
        measure.part(np.asarray(predictor(part)[measure.output], np.float64), part.label.astype(np.float64), part.weights)
        for batch in batches
        for part in in_parts(batch)
    ]
    width = communicator.allreduce(np.array([parts[0].shape[1] if parts else 0], np.int64), "max")[0]
    own = np.concatenate(parts) if parts else np.zeros((0, int(width)))
    gathered = communicator.gather(own)
    return measure.value(np.concatenate(gathered)) if communicator.rank == 0 else None


@dataclass
class _Rows:
    """The rows of this worker, and the shard that was made of them last."""

    plan: TrialsPlan
    worker: Worker
    source: Iterator[pa.RecordBatch]
    _fold: int | None = field(default=None, init=False)
    _shard: Shard | None = field(default=None, init=False)
    _held_out: list[Batch] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        training = self.plan.training
        max_bytes = training.max_shard_bytes or default_shard_bytes(self.worker.workers_on_host)
        self._max_bytes = max_bytes // 3 if self.plan.folds else max_bytes  # as they came, a shard, and what is held out
        if self.plan.folds:
            self._rows = RecurringRows(self.source, self.plan.folds, self._max_bytes, self.worker.spill_dir)
        else:
            self._shard = self._made_of(self.source)
            self._agreed = False

    def shard(self, fold: int | None, communicator: Communicator) -> Shard:
        """All rows but those of a fold."""
        if not self.plan.folds:
            if not self._agreed:
                agree_on_rows(self._shard, communicator)
                self._agreed = True
            return self._shard
        if self._shard is None or fold != self._fold:
            self._shard = self._held_out = None
            rows = self._rows.all() if fold is None else self._rows.without(fold)
            self._shard, self._fold = self._made_of(rows), fold
            agree_on_rows(self._shard, communicator)
        return self._shard

    def held_out(self, fold: int) -> Iterator[Batch]:
        """The rows of the fold that the present shard is without; kept as they are scored, unless they are many."""
        if self._held_out is not None:
            return iter(self._held_out)
        decoder = self._decoder(" of the held out rows of")
        batches = (batch.replace(validation=None) for batch in map(decoder, self._rows.of(fold)) if len(batch))
        return self._kept(batches)

    def _kept(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        kept: list[Batch] | None = []
        for batch in batches:
            if kept is not None:
                kept.append(batch)
                if sum(one.nbytes for one in kept) > self._max_bytes:
                    kept = None
            yield batch
        self._held_out = kept

    def _made_of(self, rows: Iterator[pa.RecordBatch]) -> Shard:
        training = self.plan.training
        return Shard(
            rows,
            self._decoder(" of"),
            max_bytes=self._max_bytes,
            seed=training.seed,
            rank=self.worker.rank_in_lane,
            spill_dir=self.worker.spill_dir,
        )

    def _decoder(self, where: str) -> Decoder:
        decoder = Decoder(self.plan.training.decoder.sources)
        decoder.where = f"{where} worker {self.worker.rank}'s shard"
        return decoder
