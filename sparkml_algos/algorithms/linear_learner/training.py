"""Training of many linear models side by side, and scoring with the chosen one; no Spark here.

All candidates share the passes, the mini-batches and, in each step, two matrix products: features times weights, and features times the
derivatives of the losses. Weights are one array (features, outputs · models), so a product serves every model.

Sparse rows are normalised without touching their zeros. With z = (x − m)/s:

    w·z + b = (w/s)·x + (b − (w/s)·m),    Σ g·z = (Σ g·x − m·Σ g)/s
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.linear_learner.candidates import Candidate, make_candidates, optimizer_name
from sparkml_algos.algorithms.linear_learner.judge import Judge
from sparkml_algos.algorithms.linear_learner.losses import loss_name, make_loss
from sparkml_algos.algorithms.linear_learner.metrics import classes_of, raw_scores
from sparkml_algos.algorithms.linear_learner.params import FIELDS, MAX_CLASSES
from sparkml_algos.algorithms.linear_learner.scaling import Scaling, draw_sample, estimate
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import softmax
from sparkml_algos.arrays.device import to_device
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import ClassLabel, InvalidRows, Kind
from sparkml_algos.rows.predictor import predicting
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.losses import sigmoid
from sparkml_algos.training.optimizers import Adam, Optimizer, RmsProp, Sgd, StepDecay
from sparkml_algos.training.trainer import EarlyStopping, EpochResult, Learner, Progress, fit

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
# The service's logs show a bias that learns ten times as fast. With features and labels shifted to mean 0 there is little for it to learn.
AUTO_BIAS_LR_MULT = 1.0


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train all candidates and keep the best.

    Returns
    -------
    Artifact
        ``weights`` (outputs, features) and ``bias`` (outputs,) of the chosen model in float64, for features and labels in their own units;
        in its values the ``leaderboard`` of the candidates, which of them was ``chosen``, the threshold, and the metrics.
    """
    sample = draw_sample(hyperparameters.num_point_for_scaler, job, communicator)
    scaling = estimate(hyperparameters, sample, communicator)
    outputs = _num_outputs(hyperparameters, job, communicator)
    counts = _class_counts(sample, max(outputs, 2), communicator) if hyperparameters.predictor_type != "regressor" else None
    models = SideBySide(
        hyperparameters,
        make_candidates(hyperparameters, len(scaling.shift), _positive_weights(hyperparameters, counts)),
        scaling,
        outputs=outputs,
        class_weights=_class_weights(counts) if _is_balanced(hyperparameters) else None,
        judge=Judge(hyperparameters, job, communicator),
        job=job,
    )
    stopping = EarlyStopping(
        hyperparameters.early_stopping_patience, hyperparameters.early_stopping_tolerance, models.larger_is_better
    )
    fit(models, job, communicator, epochs=hyperparameters.epochs, mini_batch_size=hyperparameters.mini_batch_size, stopping=stopping)
    return models.best()


def _num_outputs(hyperparameters: Hyperparameters, job: Job, communicator: Communicator) -> int:
    """Classes of a multiclass classifier, as given or one more than the largest label; else 1."""
    if hyperparameters.predictor_type != "multiclass_classifier":
        return 1
    if hyperparameters.num_classes is not None:
        return hyperparameters.num_classes
    found = int(communicator.allreduce(np.array([job.shard.largest_label]), "max")[0]) + 1
    if found < 2:
        raise InvalidRows("all labels are 0; a classifier needs at least two classes")
    return found


def _class_counts(sample: Batch, classes: int, communicator: Communicator) -> np.ndarray:
    """Weight of the rows of each class in the sample of all workers."""
    return communicator.allreduce(np.bincount(sample.label.astype(np.int64), sample.weights, classes))


def _is_balanced(hyperparameters: Hyperparameters) -> bool:
    return hyperparameters.predictor_type == "multiclass_classifier" and hyperparameters.balance_multiclass_weights


def _class_weights(counts: np.ndarray) -> np.ndarray:
    """Inverse to the frequency of each class, with which a row of the sample weighs 1 on average. A class that the sample lacks weighs like
    one with a single row."""
    return counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1.0))


def _positive_weights(hyperparameters: Hyperparameters, counts: np.ndarray | None) -> list[float]:
    """Values of `positive_example_weight_mult` to try."""
    if hyperparameters.predictor_type != "binary_classifier":
        return [1.0]
    given = hyperparameters.positive_example_weight_mult
    balanced = float(counts[0] / counts[1]) if counts.all() else 1.0
    if given == "auto":
        return [1.0, balanced**0.5, balanced]
    return [balanced if given == "balanced" else given]


class SideBySide(Learner):
    """Linear models that differ in their settings and learn in the same steps.

    Attributes
    ----------
    weights : ndarray of float32, shape (features, outputs · models)
        For normalised features; the models of one output stand together.
    bias : ndarray of float32, shape (outputs · models,)
    """

    def __init__(
        self,
        hyperparameters: Hyperparameters,
        candidates: Sequence[Candidate],
        scaling: Scaling,
        *,
        outputs: int,
        class_weights: np.ndarray | None,
        judge: Judge,
        job: Job,
    ) -> None:
        self.hyperparameters, self.candidates, self.scaling = hyperparameters, candidates, scaling
        self.outputs, self.class_weights, self.judge = outputs, class_weights, judge
        features, self.models = len(scaling.shift), len(candidates)
        self.weights, self.bias = _start(hyperparameters, features, outputs, self.models, job.random)
        self._product = Product(scaling, job.device)
        self._loss = make_loss(hyperparameters, self._by_model("positive_example_weight_mult", np.float32)[:, None])
        self._optimizer = _make_optimizer(hyperparameters, [self.weights, self.bias])
        self._schedule = _make_schedule(hyperparameters)
        self._rates = self._by_model("learning_rate", np.float64)
        l1, wd = (np.tile(self._by_model(name, np.float32), outputs) for name in ("l1", "wd"))
        self._l1 = [l1, None] if l1.any() else None
        self._wd = wd if wd.any() else None
        self._bias_rate = _auto(hyperparameters.bias_lr_mult, AUTO_BIAS_LR_MULT)
        self._bias_wd = _auto(hyperparameters.bias_wd_mult, AUTO_BIAS_WD_MULT)
        self._buffer = np.empty(self.weights.size + 2 * self.bias.size + self.models + 1, np.float32)
        self._totals = np.zeros(self.models + 1)
        self.training_loss = np.full(self.models, np.nan)

    @property
    def larger_is_better(self) -> bool:
        """Whether early stopping watches a figure to be maximised: the criterion of a classifier for two classes with validation rows."""
        return self.judge.has_validation and self.judge.calibrates

    def gradient(self, batch: Batch) -> np.ndarray:
        """Sums over the rows: derivatives by weights and bias, sizes of the latter, losses by model, weight."""
        weight_sums, bias_sums, bias_sizes, losses, total = self._parts(self._buffer)
        if not len(batch):
            self._buffer[:] = 0
            return self._buffer
        with np.errstate(over="ignore", invalid="ignore"):  # a model that diverges leaves the others alone
            rows, scores = self._product.scores(batch.features, self.weights, self.bias)
            value, slope = self._loss(scores.reshape(self.outputs, self.models, -1), self.scaling.label(batch.label))
            weight = self._weights_of(batch)
            if weight is not None:
                value, slope = value * weight, slope * weight
            slope = slope.reshape(scores.shape)
            self._product.gradient(rows, slope, out=weight_sums)
            slope.sum(axis=1, out=bias_sums)
            np.abs(slope, out=slope).sum(axis=1, out=bias_sizes)
            value.sum(axis=1, out=losses)
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
            rates = self._schedule.rate(rates, progress.step, progress.total_steps)
        rates = np.tile(rates.astype(np.float32), self.outputs)
        with np.errstate(over="ignore", invalid="ignore"):
            self._optimizer.step([weight_sums, bias_sums], [rates, rates * np.float32(self._bias_rate)], self._l1)

    def end_epoch(self, progress: Progress) -> EpochResult:
        self.training_loss = self._totals[:-1] / self._totals[-1]
        self._totals[:] = 0
        if not np.isfinite(self.training_loss).any():
            tried = ", ".join(f"{candidate.learning_rate:g}" for candidate in self.candidates[:4])
            raise FloatingPointError(f"the training loss is not finite in epoch {progress.epoch + 1}: lower learning_rate (tried {tried})")
        lowest = float(np.nanmin(self.training_loss))
        found = {"train:objective_loss": lowest}
        if not self.judge.has_validation:
            return EpochResult(found, lowest)
        verdict = self.judge(self)
        found["validation:objective_loss"] = float(np.nanmin(verdict["objective_loss"]))
        if self.larger_is_better:
            criterion = self.hyperparameters.binary_classifier_model_selection_criteria
            best = float(verdict["criterion"].max())
            return EpochResult({**found, f"validation:{criterion}": best}, best)
        return EpochResult(found, found["validation:objective_loss"])

    def state(self) -> Artifact:
        arrays = {"weights": self.weights, "bias": self.bias, "training_loss": self.training_loss}
        return Artifact({**arrays, **self._optimizer.state()})

    def restore(self, state: Artifact) -> None:
        for name in ("weights", "bias", "training_loss"):
            getattr(self, name)[...] = state.arrays[name]
        self._optimizer.restore(state.arrays)

    def scores(self, features: Features) -> np.ndarray:
        """Raw scores in training units, shape (outputs, models, rows)."""
        return self._product.scores(features, self.weights, self.bias)[1].reshape(self.outputs, self.models, -1)

    def judged(self, batch: Batch) -> np.ndarray:
        """Of some rows by model, sums of the losses and, of many classes, weights of the rows in the right one; then the weight of all."""
        scores, weight = self.scores(batch.features), batch.weights
        correct = (scores.argmax(axis=0) == batch.label) @ weight if self.outputs > 1 else np.zeros(self.models)
        value = self._loss(scores, self.scaling.label(batch.label))[0]
        counted = self._weights_of(batch)
        losses = value.sum(axis=1, dtype=np.float64) if counted is None else value @ counted.astype(np.float64)
        return np.concatenate([losses, correct, [weight.sum()]])

    def best(self) -> Artifact:
        """The model that serves its purpose best, in the units of features and labels; the same on every worker."""
        verdict = self.judge(self)
        entries = [
            {**candidate.to_dict(), **{name: float(values[index]) for name, values in verdict.items()}}
            for index, candidate in enumerate(self.candidates)
        ]
        chosen = int(np.lexsort((verdict["objective_loss"], -verdict["criterion"]))[0])
        shape = (-1, self.outputs, self.models)
        weights, bias = self.scaling.unscaled(
            self.weights.reshape(shape)[:, :, chosen].T, self.bias.reshape(self.outputs, self.models)[:, chosen]
        )
        artifact = Artifact(
            {"weights": weights, "bias": bias},
            {"leaderboard": entries, "chosen": chosen, "train:objective_loss": float(self.training_loss[chosen])},
        )
        if self.class_weights is not None:
            artifact.arrays["class_weights"] = self.class_weights
        if self.hyperparameters.predictor_type == "regressor":
            artifact.values["label_scaling"] = [self.scaling.label_shift, self.scaling.label_scale]
        if self.hyperparameters.predictor_type == "binary_classifier":
            artifact.values["raw_threshold"] = float(verdict["raw_threshold"][chosen])
            artifact.values["positive_example_weight_mult"] = self.candidates[chosen].positive_example_weight_mult
        if self.judge.has_validation:
            artifact.values |= {f"validation:{name}": value for name, value in self.judge.metrics(artifact).items()}
        return artifact

    def _by_model(self, name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(candidate, name) for candidate in self.candidates], dtype)

    def _parts(self, buffer: np.ndarray) -> tuple[np.ndarray, ...]:
        """Views of the flat array, in the order in which `gradient` names them."""
        ends = np.cumsum([self.weights.size, self.bias.size, self.bias.size, self.models])
        weights, *others = np.split(buffer, ends)
        return weights.reshape(self.weights.shape), *others

    def _weights_of(self, batch: Batch) -> np.ndarray | None:
        """What the loss of each row counts, by its own weight and by that of its class."""
        if self.class_weights is None:
            return batch.weight
        of_class = self.class_weights[batch.label.astype(np.int64)].astype(np.float32)
        return of_class if batch.weight is None else batch.weight * of_class


class Product:
    """The two matrix products of a step, on normalised features.

    Parameters
    ----------
    scaling : Scaling
    device : str
        ``cpu``, or the CUDA device that dense products run on.
    """

    def __init__(self, scaling: Scaling, device: str) -> None:
        self._device = device
        self._shift, self._inverse = scaling.shift.astype(np.float32), (1 / scaling.scale).astype(np.float32)
        self._is_plain = not self._shift.any() and (self._inverse == 1).all()

    def scores(self, features: Features, weights: np.ndarray, bias: np.ndarray) -> tuple[Features, np.ndarray]:
        """What `gradient` wants to be given again, and scores (columns of `weights`, rows)."""
        if sp.issparse(features):
            scaled = weights * self._inverse[:, None]
            return features, np.ascontiguousarray((features @ scaled + (bias - self._shift @ scaled)).T)
        rows = features if self._is_plain else (features - self._shift) * self._inverse
        if self._device != "cpu":
            return self._on_gpu(rows, weights, bias)
        scores = weights.T @ rows.T
        scores += bias[:, None]
        return rows, scores

    def gradient(self, rows: Features, slope: np.ndarray, out: np.ndarray) -> None:
        """Write Σ slope · normalised features, shape (features, columns); `slope` has shape (columns, rows)."""
        if sp.issparse(rows):
            out[...] = rows.T @ np.ascontiguousarray(slope.T)
            out -= np.outer(self._shift, slope.sum(axis=1))
            out *= self._inverse[:, None]
        elif self._device != "cpu":
            out[...] = (rows.T @ to_device(slope, self._device).T).cpu().numpy()
        else:
            np.matmul(rows.T, slope.T, out=out)

    def _on_gpu(self, rows: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> tuple[Features, np.ndarray]:
        import torch

        rows, weights, bias = (to_device(array, self._device) for array in (rows, weights, bias))
        return rows, torch.addmm(bias[:, None], weights.T, rows.T).cpu().numpy()


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


# ------------------------------------------------------------------------------------------------------------------- scoring


def predict(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """Score rows.

    Returns
    -------
    dict
        ``score`` (rows,) of a regression. Of a classifier ``predicted_label`` (rows,), ``raw`` and ``probability`` (rows, classes); with
        hinge loss no ``probability``.
    """
    raw = raw_scores(artifact, features)
    if hyperparameters.predictor_type == "regressor":
        return {"score": raw[:, 0]}
    if hyperparameters.predictor_type == "multiclass_classifier":
        label = classes_of(artifact, raw).astype(np.float64)
        return {"predicted_label": label, "raw": raw, "probability": softmax(raw)}
    score = raw[:, 0]
    found = {"predicted_label": (score >= artifact.values["raw_threshold"]).astype(np.float64), "raw": np.stack([-score, score], axis=1)}
    if loss_name(hyperparameters) != "hinge_loss":
        found["probability"] = np.stack([sigmoid(-score), sigmoid(score)], axis=1)
    return found


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
    load=predicting(predict),
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * (getattr(hyperparameters, "num_classes", None) or 1) * num_features,
)
