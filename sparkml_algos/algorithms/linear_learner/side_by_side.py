"""Linear models that learn in the same steps.

All candidates share the passes, the mini-batches and, in each step, two matrix products: features times weights, and features times the
derivatives of the losses. Weights are one array (features, outputs · models), so a product serves every model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkml_algos.algorithms.linear_learner.candidates import optimizer_name
from sparkml_algos.algorithms.linear_learner.judge import Judge
from sparkml_algos.algorithms.linear_learner.losses import in_label_units, make_loss
from sparkml_algos.algorithms.linear_learner.preparation import Preparation
from sparkml_algos.algorithms.linear_learner.products import Product
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.optimizers import Adam, Optimizer, RmsProp, Sgd, StepDecay
from sparkml_algos.training.progress import EpochResult, Progress

# What ``auto`` stands for; the service's logs show these.
AUTO_BETAS = (0.9, 0.999)
AUTO_MOMENTUM = 0.0
AUTO_BIAS_WD_MULT = 0.0
AUTO_MINIMUM_RATE = 1e-5
# The optimizers' ε: what is left of a derivative by rounding, as of a feature that is constant, moves nothing.
EPSILON = 1e-5
# Features and labels of mean 0 leave of the derivative by the bias a sum that rounding has decided, which the optimizers would blow up to
# full steps in a direction that depends on how rows are spread. Below this share of the summands' sizes a sum is taken for 0.
LOST_IN_ROUNDING = 1e-5
# The service's logs show a bias that learns ten times as fast. The rates of the weights are divided by √features, for a score is a sum over
# the features; but there is only one bias.
MAX_AUTO_BIAS_LR_MULT = 10.0


# What is told of the leading model after each epoch.
_WATCHED = ("objective_loss", "multiclass_accuracy")


class SideBySide(Learner):
    """Linear models that differ in their settings and learn in the same steps.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    preparation : Preparation
    judge : Judge
    job : Job

    Attributes
    ----------
    weights : ndarray of float32 or float64, shape (features, outputs · models)
        For normalised features; the models of one output stand together.
    bias : ndarray of the same type, shape (outputs · models,)
    training_loss : ndarray of float64, shape (models,)
        What is minimised, after the last epoch.
    """

    def __init__(self, hyperparameters: Hyperparameters, preparation: Preparation, judge: Judge, job: Job) -> None:
        self.hyperparameters, self.preparation, self.judge = hyperparameters, preparation, judge
        self.outputs, self.models = preparation.outputs, len(preparation.candidates)
        self._scaling, self._class_weights = preparation.scaling, preparation.class_weights
        dtype = self._scaling.dtype
        weights, self.bias = _start(hyperparameters, len(self._scaling.shift), self.outputs, self.models, job.random)
        self.weights, self.bias = weights.astype(dtype, copy=False), self.bias.astype(dtype, copy=False)
        self._product = Product(self._scaling, job.device)
        self._loss = make_loss(hyperparameters, self._by_model("positive_example_weight_mult", dtype)[:, None])
        self._unit = in_label_units(hyperparameters, self._scaling.label_scale)
        self._optimizer = _make_optimizer(hyperparameters, [self.weights, self.bias])
        self._schedule = _make_schedule(hyperparameters)
        self._rates = self._by_model("learning_rate", np.float64)
        l1, wd = (np.tile(self._by_model(name, dtype), self.outputs) for name in ("l1", "wd"))
        self._l1 = [l1, None] if l1.any() else None
        self._wd = wd if wd.any() else None
        self._bias_rate = _auto(hyperparameters.bias_lr_mult, min(len(self.weights) ** 0.5, MAX_AUTO_BIAS_LR_MULT))
        self._bias_wd = _auto(hyperparameters.bias_wd_mult, AUTO_BIAS_WD_MULT)
        self._buffer = np.zeros(self.weights.size + 2 * self.bias.size + self.models + 1, dtype)
        self._totals = np.zeros(self.models + 1)
        self.training_loss = np.full(self.models, np.nan)

    @property
    def larger_is_better(self) -> bool:
        """Whether a figure to be maximised is watched: the criterion of a classifier for two classes with validation rows."""
        return self.judge.has_validation and self.judge.calibrates

    def gradient(self, batch: Batch) -> np.ndarray:
        """Sums over the rows: derivatives by weights and bias, sizes of the latter, losses by model, weight. The losses are left out where
        all training rows will be looked at after the epoch."""
        weight_sums, bias_sums, bias_sizes, losses, total = self._parts(self._buffer)
        if not len(batch):
            self._buffer[:] = 0
            return self._buffer
        with np.errstate(over="ignore", invalid="ignore"):  # a model that diverges leaves the others alone
            rows, scores = self._product.scores(batch.features, self.weights, self.bias)
            label, weight = self._scaling.label(batch.label), self._weights_of(batch)
            stacked = scores.reshape(self.outputs, self.models, -1)
            if self.judge.has_all_training_rows:
                slope = self._loss.slope(stacked, label)
            else:
                value, slope = self._loss(stacked, label)
                losses[:] = value.sum(axis=1) if weight is None else value @ weight.astype(value.dtype)
            if weight is not None:
                slope *= weight
            slope = slope.reshape(scores.shape)
            self._product.gradient(rows, slope, out=weight_sums)
            slope.sum(axis=1, out=bias_sums)
            np.abs(slope, out=slope).sum(axis=1, out=bias_sizes)
            total[:] = len(batch) if batch.weight is None else batch.weight.sum()
        return self._buffer

    def update(self, sums: np.ndarray, progress: Progress) -> None:
        weight_sums, bias_sums, bias_sizes, losses, total = self._parts(sums)
        if total[0] == 0:
            return
        self._totals += np.append(losses, total)
        bias_sums[np.abs(bias_sums) <= LOST_IN_ROUNDING * bias_sizes] = 0
        weight_sums /= total[0]
        bias_sums /= total[0]
        if self._wd is not None:
            weight_sums += self._wd * self.weights
            if self._bias_wd:
                bias_sums += self._bias_wd * self._wd * self.bias
        if not self.hyperparameters.use_bias:
            bias_sums[:] = 0
        rates = self._rates
        if self._schedule is not None:
            rates = self._schedule.rate(rates, progress.step, progress.total_steps, progress.elapsed)
        rates = np.tile(rates.astype(self.weights.dtype), self.outputs)
        with np.errstate(over="ignore", invalid="ignore"):
            self._optimizer.step([weight_sums, bias_sums], [rates, rates * rates.dtype.type(self._bias_rate)], self._l1)

    def end_epoch(self, progress: Progress) -> EpochResult:
        self.training_loss = losses = self._objective()
        if not np.isfinite(losses).any():
            tried = ", ".join(f"{candidate.learning_rate:g}" for candidate in self.preparation.candidates[:4])
            raise FloatingPointError(f"the training loss is not finite in epoch {progress.epoch + 1}: lower learning_rate (tried {tried})")
        if not self.judge.has_validation:
            return EpochResult({"train:objective_loss": float(losses.min())}, float(losses.min()))
        verdict = self.judge(self)
        leader = _first(verdict)
        found = {"train:objective_loss": float(losses[leader])}
        found |= {f"validation:{name}": float(verdict[name][leader]) for name in _WATCHED if name in verdict}
        watched = loss = found["validation:objective_loss"]
        if self.larger_is_better:
            watched = float(verdict["criterion"][leader])
            found[f"validation:{self.hyperparameters.binary_classifier_model_selection_criteria}"] = watched
        return EpochResult(found, watched, loss)

    def state(self) -> Artifact:
        return Artifact({**self.served().arrays, **self._optimizer.state()})

    def restore(self, state: Artifact) -> None:
        self.serve(state)
        self._optimizer.restore(state.arrays)

    def served(self) -> Artifact:
        return Artifact({"weights": self.weights, "bias": self.bias, "training_loss": self.training_loss})

    def serve(self, best: Artifact) -> None:
        for name in ("weights", "bias", "training_loss"):
            getattr(self, name)[...] = best.arrays[name]

    def scores(self, features: Features) -> np.ndarray:
        """Raw scores in training units, shape (outputs, models, rows)."""
        return self._product.scores(features, self.weights, self.bias)[1].reshape(self.outputs, self.models, -1)

    def judged(self, batch: Batch) -> np.ndarray:
        """Of some rows by model, sums of the losses, in units of the label, and of many classes weights of the rows in the right one; then
        the weight of all."""
        scores, weight = self.scores(batch.features), batch.weights
        correct = (scores.argmax(axis=0) == batch.label) @ weight if self.outputs > 1 else np.zeros(self.models)
        value = self._loss.value(scores, self._scaling.label(batch.label))
        counted = self._weights_of(batch)
        losses = value.sum(axis=1, dtype=np.float64) if counted is None else value @ counted.astype(np.float64)
        return np.concatenate([self._unit * losses, correct, [weight.sum()]])

    def best(self) -> Artifact:
        """The model that serves its purpose best, in the units of features and labels; the same on every worker."""
        verdict = self.judge(self)
        chosen = _first(verdict)
        shape = (-1, self.outputs, self.models)
        weights, bias = self._scaling.unscaled(
            self.weights.reshape(shape)[:, :, chosen].T, self.bias.reshape(self.outputs, self.models)[:, chosen]
        )
        entries = [
            {**candidate.to_dict(), **{name: float(values[index]) for name, values in verdict.items()}}
            for index, candidate in enumerate(self.preparation.candidates)
        ]
        artifact = Artifact(
            {"weights": weights, "bias": bias},
            {"leaderboard": entries, "chosen": chosen, "train:objective_loss": float(self.training_loss[chosen])},
        )
        if self._class_weights is not None:
            artifact.arrays["class_weights"] = self._class_weights
        if self.hyperparameters.predictor_type == "regressor":
            artifact.values["label_scaling"] = [self._scaling.label_shift, self._scaling.label_scale]
        if self.hyperparameters.predictor_type == "binary_classifier":
            artifact.values["raw_threshold"] = float(verdict["raw_threshold"][chosen])
            artifact.values["positive_example_weight_mult"] = self.preparation.candidates[chosen].positive_example_weight_mult
        if self.judge.has_validation:
            artifact.values |= {f"validation:{name}": value for name, value in self.judge.metrics(artifact).items()}
        return artifact

    def _objective(self) -> np.ndarray:
        """What is minimised, in units of the label, shape (models,): the loss on training rows, and the penalties."""
        with np.errstate(over="ignore", invalid="ignore"):
            penalties = np.zeros(self.bias.shape)
            if self._l1 is not None:
                penalties += self._l1[0] * np.abs(self.weights).sum(axis=0, dtype=np.float64)
            if self._wd is not None:
                squares = np.einsum("ij,ij->j", self.weights, self.weights, dtype=np.float64)
                penalties += self._wd / 2 * (squares + self._bias_wd * self.bias.astype(np.float64) ** 2)
            found = self._mean_loss() + self._unit * penalties.reshape(self.outputs, self.models).sum(axis=0)
        return np.where(np.isnan(found), np.inf, found)

    def _mean_loss(self) -> np.ndarray:
        """The loss on training rows, in units of the label, shape (models,): on all of them now, or on the mini-batches of the epoch, each
        before its step."""
        totals, self._totals = self._totals, np.zeros_like(self._totals)
        return self.judge.training_loss(self) if self.judge.has_all_training_rows else self._unit * totals[:-1] / totals[-1]

    def _by_model(self, name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(candidate, name) for candidate in self.preparation.candidates], dtype)

    def _parts(self, buffer: np.ndarray) -> tuple[np.ndarray, ...]:
        """Views of the flat array, in the order in which `gradient` names them."""
        ends = np.cumsum([self.weights.size, self.bias.size, self.bias.size, self.models])
        weights, *others = np.split(buffer, ends)
        return weights.reshape(self.weights.shape), *others

    def _weights_of(self, batch: Batch) -> np.ndarray | None:
        """What the loss of each row counts, by its own weight and by that of its class."""
        if self._class_weights is None:
            return batch.weight
        of_class = self._class_weights[batch.label.astype(np.int64)].astype(np.float32)
        return of_class if batch.weight is None else batch.weight * of_class


def _first(verdict: dict[str, np.ndarray]) -> int:
    """The model of the largest criterion, of several the one of the smallest loss."""
    return int(np.lexsort((verdict["objective_loss"], -verdict["criterion"]))[0])


def _start(
    hyperparameters: Hyperparameters, features: int, outputs: int, models: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias to start from, equal for all models."""
    shape = (features, outputs)
    if hyperparameters.init_method == "uniform":
        weights = random.uniform(-hyperparameters.init_scale, hyperparameters.init_scale, shape)
    else:
        weights = random.normal(0, hyperparameters.init_sigma, shape)
    bias = hyperparameters.init_bias if hyperparameters.use_bias else 0.0
    return np.repeat(weights.astype(np.float32), models, axis=1), np.full(outputs * models, bias, np.float32)


def _make_optimizer(hyperparameters: Hyperparameters, parameters: Sequence[np.ndarray]) -> Optimizer:
    name = optimizer_name(hyperparameters)
    if name == "sgd":
        return Sgd(parameters, _auto(hyperparameters.momentum, AUTO_MOMENTUM))
    if name == "rmsprop":
        return RmsProp(parameters, EPSILON)
    return Adam(parameters, _auto(hyperparameters.beta_1, AUTO_BETAS[0]), _auto(hyperparameters.beta_2, AUTO_BETAS[1]), EPSILON)


def _make_schedule(hyperparameters: Hyperparameters) -> StepDecay | None:
    if not hyperparameters.use_lr_scheduler:
        return None
    every, factor = (_auto(value, None) for value in (hyperparameters.lr_scheduler_step, hyperparameters.lr_scheduler_factor))
    return StepDecay(every, factor, _auto(hyperparameters.lr_scheduler_minimum_lr, AUTO_MINIMUM_RATE))


def _auto(value: float | str, meaning: float | None) -> float | None:
    return meaning if value == "auto" else value
