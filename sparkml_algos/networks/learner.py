"""A network that learns in the common loop of `training.trainer`."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from sparkml_algos.networks.batch_norm import batches_seen, mean_statistics, share_statistics
from sparkml_algos.networks.compiling import Compiled
from sparkml_algos.networks.exchange import add_up, touched_by_any
from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.parameters import FlatParameters, Mover
from sparkml_algos.networks.state import from_artifact, put_state, state_of, to_artifact
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.progress import Best, EpochResult, Progress
from sparkml_algos.training.watching import WatchedRows

# Beginning of the names of the optimizer's tensors in a checkpoint, and where it keeps the number of steps.
_MEMORY, _STEPS = "optimizer", "optimizer/steps"
# What random numbers are drawn for; together with seed, epoch, step and worker it is their seed.
_TRAINING, _VALIDATION = 0, 1


@dataclass(frozen=True)
class Draws:
    """Where a mini-batch stands, and random numbers for it that depend on seed, epoch, step and worker alone: a training that is resumed
    draws what it would have drawn.

    Attributes
    ----------
    progress : Progress
    random : numpy.random.Generator
    torch : torch.Generator
        On the CPU.
    """

    progress: Progress
    random: np.random.Generator
    torch: torch.Generator


@dataclass
class Sums:
    """What the rows of a mini-batch contribute: dense gradients and figures in one tensor, and by table the touched rows' gradients."""

    flat: Tensor
    rows: dict[str, tuple[Tensor, Tensor]]


class NetworkLearner(Learner):
    """A network that learns; a subclass says what its loss is.

    Parameters
    ----------
    network : Module
        On the CPU, of 32 bits, or all of 64; equal on every worker if `networks.state.built` has made it.
    job : Job
    communicator : Communicator
    optimizer : OptimizerSettings
    watched : WatchedRows
        The rows for validation.
    shares_statistics : bool
        Whether batch normalisation looks at the rows of all workers. Otherwise each worker normalises by its own, and the running
        statistics become their mean after every epoch, see `networks.batch_norm.mean_statistics`.

    Attributes
    ----------
    network : Module
        On the worker's device. What `forward` computes with.
    device : torch.device
    figures : tuple of str
        What `loss` returns; a class variable. The first is minimised.
    """

    figures: ClassVar[tuple[str, ...]] = ("loss",)

    def __init__(
        self,
        network: nn.Module,
        job: Job,
        communicator: Communicator,
        optimizer: OptimizerSettings,
        watched: WatchedRows,
        *,
        shares_statistics: bool = True,
    ) -> None:
        use_threads_of_task()
        self.device = torch.device(job.device)
        self.network = network.to(self.device)
        self._always_meets = share_statistics(self.network, communicator if shares_statistics else SingleProcess())
        self._has_own_statistics, self._batches_seen = not shares_statistics, batches_seen(self.network)
        self._job, self._communicator, self._watched = job, communicator, watched
        self._parameters = FlatParameters(self.network, len(self.figures) + 1)
        self._settings, self._mover = optimizer, Mover(optimizer.make(), self._parameters)
        self._compiled = Compiled(self.network) if job.compile else None
        self._progress = Progress(0, 0, None)
        self._totals = np.zeros(len(self.figures) + 1)

    @abstractmethod
    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        """Sums over the rows of a batch by the names of `figures`, each a tensor of one number; call `forward`, not the network.

        It is called while the network trains and, in validation, while it does not: `self.network.training` tells. Of a batch without rows
        it is asked only where batch normalisation needs every worker; sums of nothing are 0.
        """

    def extended(self, batch: Batch, draws: Draws) -> Batch:
        """The rows that `loss` and `weight` are asked of: those of a batch that has some, and what an algorithm adds to them."""
        return batch

    def weight(self, batch: Batch) -> float:
        """What the sums of a batch are divided by, over all workers: the weight of its rows, their number where they have none."""
        return len(batch) if batch.weight is None else float(batch.weight.sum(dtype=np.float64))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The network at inputs, compiled where the job says so."""
        compiles = self._compiled is not None and self.network.training
        return (self._compiled if compiles else self.network)(*inputs, **named)

    def begin_step(self, progress: Progress) -> None:
        self._progress = progress

    def gradient(self, batch: Batch) -> Sums:
        self.network.train()
        if self._compiled is not None and self._compiled.is_to_be_timed and (len(batch) or self._always_meets):
            self._compiled.time_step(lambda: self._gradient(batch))
        return self._gradient(batch)

    def _gradient(self, batch: Batch) -> Sums:
        self._parameters.figures.zero_()
        if len(batch) or self._always_meets:
            with self._drawing(_TRAINING, self._progress) as draws:
                batch = self.extended(batch, draws) if len(batch) else batch
                with self._precision():
                    found = self.loss(batch, draws)
                found[self.figures[0]].backward()
            figures = self._parameters.figures
            figures[:-1] = torch.stack([found[name].detach().to(figures.dtype) for name in self.figures])
            figures[-1] = self.weight(batch)
        self._parameters.gather()
        return Sums(self._parameters.sums, self._parameters.take_rows())

    def combine(self, part: Sums, communicator: Communicator) -> Sums:
        """One exchange of one tensor, after one of which rows are touched where there are tables."""
        if communicator.size == 1:
            return part
        if not part.rows:
            add_up(part.flat, communicator)
            return part
        touched = {name: touched_by_any(ids, communicator) for name, (ids, _) in part.rows.items()}
        shapes = {name: (len(ids), part.rows[name][1].shape[1]) for name, ids in touched.items()}
        message = part.flat.new_zeros(len(part.flat) + sum(map(np.prod, shapes.values())))
        flat, *tables = message.split([len(part.flat), *(int(np.prod(shape)) for shape in shapes.values())])
        flat.copy_(part.flat)
        summed = {}
        for (name, ids), table in zip(touched.items(), tables, strict=True):
            own, rows = part.rows[name]
            summed[name] = ids, table.view(shapes[name])
            summed[name][1][torch.searchsorted(ids, own)] = rows
        add_up(message, communicator)
        return Sums(flat, summed)

    @torch.no_grad()
    def update(self, sums: Sums, progress: Progress) -> None:
        numbers = len(self._parameters.values)
        gradient, figures = sums.flat[:numbers], sums.flat[numbers:].cpu().numpy().astype(np.float64)
        if figures[-1] == 0:
            return
        self._totals += figures
        parts = [gradient, *(rows for _, rows in sums.rows.values())]
        for part in parts:
            part.mul_(self._settings.rescale / figures[-1])
            if self._settings.clip_gradient is not None:
                part.clamp_(-self._settings.clip_gradient, self._settings.clip_gradient)
        if self._settings.clip_norm is not None:
            length = torch.sqrt(sum((part * part).sum() for part in parts))
            factor = torch.clamp(self._settings.clip_norm / (length + 1e-6), max=1.0)
            for part in parts:
                part.mul_(factor)
        self._mover.step(gradient, sums.rows, self._settings.rate(progress), self._settings.weight_decay)

    def end_epoch(self, progress: Progress) -> EpochResult:
        """Means over the mini-batches of the epoch, each before its step; and what `validate` finds, if rows are for validation.

        Raises
        ------
        InvalidRows
            If nothing counts of the rows to train on, or of those for validation.
        FloatingPointError
            If the loss, or a parameter, is no finite number.
        """
        if self._has_own_statistics:
            mean_statistics(self.network, self._communicator, self._batches_seen)
            self._batches_seen = batches_seen(self.network)
        totals, self._totals = self._totals, np.zeros_like(self._totals)
        if not totals[-1]:
            raise InvalidRows(f"epoch {progress.epoch + 1} had nothing to learn from: what it has seen of the rows counts for nothing")
        means = totals[:-1] / totals[-1]
        found = {f"train:{name}": float(mean) for name, mean in zip(self.figures, means, strict=True)}
        if not np.isfinite(means[0]):
            raise FloatingPointError(f"the training loss is not finite in epoch {progress.epoch + 1}: lower learning_rate")
        # The loss is that of before the last step.
        if not self._parameters.are_finite():
            raise FloatingPointError(f"the network has numbers that are not finite after epoch {progress.epoch + 1}: lower learning_rate")
        if not self._watched.marks_validation:
            return self.result(found)
        self.network.eval()
        with torch.no_grad(), self._drawing(_VALIDATION, progress) as draws:
            found |= {f"validation:{name}": value for name, value in self.validate(self._watched.of_validation(), draws).items()}
        return self.result(found)

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        """Figures of the rows for validation, of all workers, by name; this worker's are given, and every worker calls it. By default means
        of what `loss` gives. The network does not train, nor are gradients kept."""
        own = np.zeros(len(self.figures) + 1)
        for given in batches:
            batch = self.extended(given, draws)
            with self._precision():
                found = self.loss(batch, draws)
            own += [*(float(found[name]) for name in self.figures), self.weight(batch)]
        summed = self._communicator.allreduce(own)
        if not summed[-1]:
            raise InvalidRows("there is nothing to validate on: the rows that are marked for validation count for nothing")
        return dict(zip(self.figures, (summed[:-1] / summed[-1]).tolist(), strict=True))

    def result(self, found: dict[str, float]) -> EpochResult:
        """What the epoch came to: the first figure is watched, on rows for validation where there are such."""
        name = self.figures[0]
        return EpochResult(found, found.get(f"validation:{name}", found[f"train:{name}"]))

    def state(self) -> Artifact:
        memory = {f"{_MEMORY}/{name}": tensor for name, tensor in self._mover.state().items()}
        found = to_artifact({**state_of(self.network), **memory})
        found.values[_STEPS] = self._mover.steps
        return found

    def restore(self, state: Artifact) -> None:
        self.serve(state)
        self._batches_seen = batches_seen(self.network)
        self._mover.steps = state.values[_STEPS]
        for name, tensor in self._mover.state().items():
            tensor.copy_(from_artifact(state, f"{_MEMORY}/{name}"))

    def served(self) -> Artifact:
        return to_artifact(state_of(self.network))

    def serve(self, best: Artifact) -> None:
        put_state(self.network, best)

    def model(self, best: Best) -> Artifact:
        """What was learned: the network's state and, as values, the figures of its epoch and which that was, counted from 1."""
        found = self.served()
        found.values |= {**best.result.metrics, "epoch": best.epoch + 1}
        if self._compiled is not None:
            found.values["compile"] = self._compiled.report()
        return found

    def _precision(self) -> AbstractContextManager[Any]:
        """Where matrix products are of 16 bits; parameters and sums stay of 32."""
        if not self._job.mixed_precision:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _drawing(self, purpose: int, progress: Progress) -> _Drawing:
        return _Drawing([self._job.seed, progress.epoch, progress.step, self._communicator.rank, purpose], progress, self.device)


class _Drawing:
    """Within it, torch's own random numbers (those of dropout) depend on the seed alone; afterwards they go on as if nothing had been."""

    def __init__(self, seed: list[int], progress: Progress, device: torch.device) -> None:
        self._seed, self._progress = seed, progress
        # Not `torch.manual_seed` within `fork_rng`: it asks after every kind of device, and formats the stack for each, in every step.
        self._generators = [torch.random.default_generator]
        if device.type == "cuda":
            torch.cuda.init()
            self._generators.append(torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index])

    def __enter__(self) -> Draws:
        random = np.random.default_rng(self._seed)
        first, second = random.integers(1 << 63, size=2).tolist()
        self._before = [generator.get_state() for generator in self._generators]
        for generator in self._generators:
            generator.manual_seed(first)
        return Draws(self._progress, random, torch.Generator().manual_seed(second))

    def __exit__(self, *error: Any) -> None:
        for generator, state in zip(self._generators, self._before, strict=True):
            generator.set_state(state)


def use_threads_of_task() -> None:
    """Compute with as many threads as Spark gives a task CPUs (``spark.task.cpus``), which it says in OMP_NUM_THREADS; with torch's own
    number where nothing is said."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads) and torch.get_num_threads() != int(threads):
        torch.set_num_threads(int(threads))
