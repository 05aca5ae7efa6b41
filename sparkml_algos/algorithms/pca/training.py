"""Components from one exact pass, or from a sketch and its refinements."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sparkml_algos.algorithms.pca.params import FIELDS, PROJECTION_FIELDS
from sparkml_algos.algorithms.pca.prediction import load, load_reconstructing
from sparkml_algos.algorithms.pca.scatter import Scatter, add_outer, guarded, leading, negligible
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.device import to_device
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Features
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

# extra_components = -1, by the service's documentation.
AUTO_MIN_EXTRA_COMPONENTS = 10

# Passes of the randomized mode after that of the sketch. On sparse rows with Zipf-distributed columns (50,000 × 100,000, 10 components) two
# leave an error of 1.5 % in the singular values, three 0.2 %, four 0.03 %.
REFINEMENTS = 3

# Floats of a strip of the scatter that workers exchange at once: 32 MiB in float64.
STRIP = 1 << 22

# Squares of singular values below this share of the largest are rounding of float64 products.
NEGLIGIBLE_SQUARE = 1e-24


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Find components from which `finalize` takes the leading ones.

    Returns
    -------
    Artifact
        The same on every worker: ``mean`` (features,); in the regular mode ``scatter`` (features, features), in the randomized one
        ``components`` (count, features) and ``singular_values`` (count,). In its values ``total``, the sum of squares of all rows about the
        mean, and ``degrees``, what to divide by for a variance.
    """
    if hyperparameters.num_components > shard.num_features:
        raise InvalidRows(too_many_components(hyperparameters.num_components, shard.num_features))
    state = job.resume() or Artifact()
    for epoch in job.epochs(passes(hyperparameters)):
        if hyperparameters.algorithm_mode == "regular":
            state = _exact(hyperparameters, shard.num_features, communicator, job)
        elif epoch == 0:
            state = _sketched(hyperparameters, shard.num_features, communicator, job)
        else:
            state = _refined(state, hyperparameters, communicator, job)
        # A scatter is the square of a model, and there is no pass left that it would save.
        job.end_epoch(None if hyperparameters.algorithm_mode == "regular" else state)
    return state


def too_many_components(wanted: int, num_features: int) -> str:
    return f"num_components={wanted} is more than the {num_features} features of the rows"


def passes(hyperparameters: Hyperparameters) -> int:
    """How often the rows are read."""
    return 1 if hyperparameters.algorithm_mode == "regular" else 1 + REFINEMENTS


def sketch_rows(hyperparameters: Hyperparameters) -> int:
    """L, the number of rows of the sketch where there are as many features."""
    extra = hyperparameters.extra_components
    extra = max(AUTO_MIN_EXTRA_COMPONENTS, hyperparameters.num_components) if extra == -1 else extra
    return hyperparameters.num_components + extra


# ------------------------------------------------------------------------------------------------------------ regular mode


def _exact(hyperparameters: Hyperparameters, num_features: int, communicator: Communicator, job: Job) -> Artifact:
    """``scatter`` (features, features), of which the upper triangle counts, and ``mean``."""
    scatter = Scatter(num_features, guarded(hyperparameters.num_components, num_features), job.device)
    for batch in job.minibatches(hyperparameters.mini_batch_size):
        if len(batch):
            scatter.add(batch)
    total, mean = scatter.result()
    sums = communicator.allreduce(np.concatenate([scatter.weight * mean, [scatter.weight, scatter.rows]]))
    center = sums[:-2] / sums[-2] if hyperparameters.subtract_mean else np.zeros(num_features)
    add_outer(total, scatter.weight, mean - center)
    _sum_upper(total, communicator)
    return Artifact({"scatter": total, "mean": center}, {"total": float(np.trace(total)), "degrees": _degrees(*sums[-2:])})


def _sum_upper(matrix: np.ndarray, communicator: Communicator) -> None:
    """Add up the upper triangles of all workers, in place, a strip at a time."""
    rows = max(1, STRIP // len(matrix))
    for start in range(0, len(matrix), rows):
        strip = matrix[start : start + rows, start:]
        strip[:] = communicator.allreduce(np.ascontiguousarray(strip))


# --------------------------------------------------------------------------------------------------------- randomized mode


def _sketched(hyperparameters: Hyperparameters, num_features: int, communicator: Communicator, job: Job) -> Artifact:
    """The span of the centred sketch as ``components``, not refined yet."""
    count = min(sketch_rows(hyperparameters), num_features)
    sketch, moments = np.zeros((count, num_features)), np.zeros(num_features + 2)
    signs_sum, shift = np.zeros(count), None
    random = np.random.default_rng([job.seed, communicator.rank])
    for batch in job.minibatches(hyperparameters.mini_batch_size):
        if not len(batch):
            continue
        weights = batch.weights
        signs = random.choice(np.array([-1.0, 1.0]), (len(batch), count)) * np.sqrt(weights)[:, None]
        moments += np.concatenate([batch.features.T @ weights, [weights.sum(), len(batch)]])
        if shift is None:
            shift = np.zeros(num_features) if sp.issparse(batch.features) else batch.features.mean(axis=0, dtype=np.float64)
        features = batch.features if sp.issparse(batch.features) else batch.features - shift
        sketch += _product(features.T, signs, job.device).T
        signs_sum += signs.sum(axis=0)
    moments = communicator.allreduce(moments)
    center = moments[:-2] / moments[-2] if hyperparameters.subtract_mean else np.zeros(num_features)
    _add_products(sketch, signs_sum, (0 if shift is None else shift) - center)
    basis = scipy.linalg.qr(communicator.allreduce(sketch).T, mode="economic", overwrite_a=True)[0]
    arrays = {"components": np.ascontiguousarray(communicator.broadcast(basis).T), "singular_values": np.zeros(count), "mean": center}
    return Artifact(arrays, {"total": 0.0, "degrees": _degrees(*moments[-2:])})


def _refined(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator, job: Job) -> Artifact:
    """Singular vectors from Z = AᵀAQ, Q being the ``components`` so far and A the centred rows."""
    center, basis = state.arrays["mean"], np.ascontiguousarray(state.arrays["components"].T)
    image, squares, absent = np.zeros(basis.shape), np.zeros(1), np.zeros(len(center))
    for batch in job.minibatches(hyperparameters.mini_batch_size):
        if not len(batch):
            continue
        weights = batch.weights
        if sp.issparse(batch.features):
            features = batch.features.astype(np.float64)
            along = (features @ basis - center @ basis) * weights[:, None]
            image += features.T @ along
            _add_products(image, center, -along.sum(axis=0))
            entries = np.repeat(weights, np.diff(features.indptr))
            squares += entries @ (features.data - center[features.indices]) ** 2
            absent += weights.sum() - np.bincount(features.indices, entries, len(center))
        else:
            features = batch.features - center
            along = _product(features, basis, job.device) * weights[:, None]
            image += _product(features.T, along, job.device)
            squares += weights @ np.einsum("ij,ij->i", features, features)
    squares += absent @ center**2
    image, squares = communicator.allreduce(image), communicator.allreduce(squares)
    vectors, values = _nystrom(basis, image)
    arrays = {**state.arrays, "components": np.ascontiguousarray(communicator.broadcast(vectors).T)}
    arrays["singular_values"] = np.sqrt(communicator.broadcast(values))
    return Artifact(arrays, {**state.values, "total": float(squares[0])})


def _nystrom(basis: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors, as columns, and eigenvalues, descending, of a matrix of which `image` = matrix · `basis` is known.

    The columns of the basis may stand for variances of very different sizes: QᵀZ is scaled to a unit diagonal before its root is inverted,
    and what that gives is not squared.
    """
    core = basis.T @ image
    variances = np.diag(core)
    alive = variances > NEGLIGIBLE_SQUARE * variances.max(initial=0)
    inverse = np.where(alive, 1 / np.sqrt(np.where(alive, variances, 1)), 0)
    scaled = core * np.outer(inverse, inverse)
    values, turn = np.linalg.eigh((scaled + scaled.T) / 2)
    kept = values > max(negligible(len(values)) * values[-1], 1e-300)
    root = (image * inverse) @ ((turn[:, kept] / np.sqrt(values[kept])) @ turn[:, kept].T)
    # Where rows span fewer directions than the basis has, the rest fills up with directions of no variance.
    vectors, small = scipy.linalg.qr(root, mode="economic", overwrite_a=True)
    left, roots, _ = np.linalg.svd(small)
    return vectors @ left, roots**2


def _add_products(matrix: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Add leftᵀ · right, in place and without a second matrix of that size."""
    step = max(1, STRIP // len(right))
    for start in range(0, len(matrix), step):
        matrix[start : start + step] += np.outer(left[start : start + step], right)


# ----------------------------------------------------------------------------------------------------------------- parts


def _product(left: Features, right: np.ndarray, device: str) -> np.ndarray:
    if device == "cpu" or sp.issparse(left):
        return left @ right
    return (to_device(left, device) @ to_device(right, device)).cpu().numpy()


def _degrees(weight: float, rows: float) -> float:
    """What to divide a sum of squares by for a variance."""
    return float(weight * (rows - 1) / rows)


def finalize(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator) -> Artifact:
    """The leading num_components, with signs that do not depend on chance.

    Returns
    -------
    Artifact
        On worker 0
        ``components`` (num_components, features), ``mean`` (features,), ``singular_values``, ``explained_variance`` and
        ``explained_variance_ratio`` (num_components,), all float64.
    """
    if communicator.rank:
        return Artifact()
    count = hyperparameters.num_components
    if "scatter" in state.arrays:
        values, components = leading(state.arrays["scatter"], count)
        singular_values = np.sqrt(values.clip(min=0))
    else:
        components, singular_values = state.arrays["components"][:count], state.arrays["singular_values"][:count]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    squares, total, degrees = singular_values**2, state.values["total"], state.values["degrees"]
    return Artifact(
        {
            "components": components * np.where(largest < 0, -1.0, 1.0),
            "mean": state.arrays["mean"],
            "singular_values": singular_values,
            "explained_variance": squares / degrees if degrees > 0 else np.zeros(count),
            "explained_variance_ratio": squares / total if total > 0 else np.zeros(count),
        }
    )


def _state_key(hyperparameters: Hyperparameters) -> list[object]:
    """What shapes scatter or sketch."""
    is_regular = hyperparameters.algorithm_mode == "regular"
    size = guarded(hyperparameters.num_components, 1 << 62) if is_regular else sketch_rows(hyperparameters)
    names = ("feature_dim", "algorithm_mode", "subtract_mean", "mini_batch_size")
    return [size, *(getattr(hyperparameters, name) for name in names)]


PCA_ALGORITHM = Algorithm(
    name="pca",
    fields=FIELDS,
    train=train,
    load=load,
    finalize=finalize,
    state_key=_state_key,
    passes=passes,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * (hyperparameters.num_components + 1) * num_features,
)
RECONSTRUCTION = Algorithm(name="pca_reconstruction", fields=PROJECTION_FIELDS, train=train, load=load_reconstructing)
