"""Components from one exact pass, or from a sketch and its refinements."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.linalg.blas import ssyrk

from sparkml_algos.algorithms.pca.params import FIELDS, PROJECTION_FIELDS
from sparkml_algos.algorithms.pca.prediction import load, load_reconstructing
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

# Rows multiplied in float32 before their sum goes into the float64 total.
BLOCK_ROWS = 256

# Floats of a strip of the scatter that workers exchange at once: 32 MiB in float64.
STRIP = 1 << 22

# Eigenvalues below this share of the largest are rounding of float64 products. A column a million times larger than the others leaves
# theirs at 1e-12.
NEGLIGIBLE = 1e-15


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Find components from which `finalize` takes the leading ones.

    Returns
    -------
    Artifact
        The same on every worker: ``components`` (count, features), ``mean`` (features,) and ``singular_values`` (count,); ``total``, the
        sum of squares of all rows about the mean, and ``degrees``, what to divide by for a variance.
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
        job.end_epoch(state)
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
    scatter, mean, weight, rows = _local_scatter(job, hyperparameters.mini_batch_size, num_features)
    sums = communicator.allreduce(np.concatenate([weight * mean, [weight, rows]]))
    center = sums[:-2] / sums[-2] if hyperparameters.subtract_mean else np.zeros(num_features)
    _add_outer(scatter, weight, mean - center)
    _sum_upper(scatter, communicator)
    first = num_features - hyperparameters.num_components
    values, vectors = scipy.linalg.eigh(scatter, subset_by_index=[first, num_features - 1], lower=False)
    return _state(vectors[:, ::-1].T, values[::-1], center, np.trace(scatter), sums[-2], sums[-1])


def _local_scatter(job: Job, mini_batch_size: int, num_features: int) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Of this worker's rows: scatter about their mean, in float64, of which the upper triangle counts; mean, weight, number."""
    scatter, sums = np.zeros((num_features, num_features)), np.zeros(num_features)
    shift, weight, rows = None, 0.0, 0
    for batch in job.minibatches(mini_batch_size):
        if not len(batch):
            continue
        rows += len(batch)
        weights = batch.weights
        weight += weights.sum()
        if sp.issparse(batch.features):
            features = batch.features.astype(np.float64)
            sums += features.T @ weights
            scatter += features.T @ features.multiply(weights[:, None]).tocsr()
            continue
        if shift is None:
            shift = batch.features.mean(axis=0, dtype=np.float64).astype(np.float32)
        for start in range(0, len(batch), BLOCK_ROWS):
            block = batch.features[start : start + BLOCK_ROWS] - shift
            part = weights[start : start + BLOCK_ROWS]
            sums += part @ block
            if batch.weight is not None:
                block *= np.sqrt(part, dtype=np.float32)[:, None]
            scatter += _squared(block, job.device)
    mean = sums / max(weight, 1e-300)
    _add_outer(scatter, -weight, mean)
    return scatter, mean if shift is None else mean + shift, weight, rows


def _squared(block: np.ndarray, device: str) -> np.ndarray:
    """Upper triangle of blockᵀ · block."""
    if device != "cpu":
        return _product(block.T, block, device)
    return ssyrk(1.0, block.T, lower=1).T


def _add_outer(matrix: np.ndarray, factor: float, vector: np.ndarray) -> None:
    """Add factor · vectorᵀ · vector, in place and without a second matrix."""
    for row, value in zip(matrix, factor * vector, strict=True):
        row += value * vector


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
    return _state(communicator.broadcast(basis).T, np.zeros(count), center, 0.0, moments[-2], moments[-1])


def _refined(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator, job: Job) -> Artifact:
    """Singular vectors from Z = AᵀAQ, Q being the ``components`` so far and A the centred rows."""
    center, basis = state.arrays["mean"], np.ascontiguousarray(state.arrays["components"].T)
    image, squares = np.zeros(basis.shape), np.zeros(1)
    for batch in job.minibatches(hyperparameters.mini_batch_size):
        if not len(batch):
            continue
        weights = batch.weights
        if sp.issparse(batch.features):
            features = batch.features.astype(np.float64)
            along = (features @ basis - center @ basis) * weights[:, None]
            image += features.T @ along
            _add_products(image, center, -along.sum(axis=0))
            lengths = np.asarray(features.multiply(features).sum(axis=1)).ravel() - 2 * features @ center + center @ center
        else:
            features = batch.features - center
            along = _product(features, basis, job.device) * weights[:, None]
            image += _product(features.T, along, job.device)
            lengths = np.einsum("ij,ij->i", features, features)
        squares += weights @ lengths
    image, squares = communicator.allreduce(image), communicator.allreduce(squares)
    vectors, values = _nystrom(basis, image)
    arrays = {**state.arrays, "components": np.ascontiguousarray(communicator.broadcast(vectors).T)}
    arrays["singular_values"] = np.sqrt(communicator.broadcast(values))
    return Artifact(arrays, {**state.values, "total": float(squares[0])})


def _nystrom(basis: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors, as columns, and eigenvalues, descending, of a matrix of which `image` = matrix · `basis` is known."""
    core = basis.T @ image
    values, rotation = np.linalg.eigh((core + core.T) / 2)
    values, rotation = values[::-1], rotation[:, ::-1]
    alive = values > NEGLIGIBLE * max(values[0], 1e-300)
    root = (image @ rotation[:, alive]) / np.sqrt(values[alive])
    squares, turn = np.linalg.eigh(root.T @ root)
    squares, turn = squares[::-1].clip(min=0), turn[:, ::-1]
    # Where rows span fewer directions than the basis has, the rest of the basis fills up with directions of no variance.
    vectors = np.hstack([root @ turn, basis @ rotation[:, ~alive]])
    vectors = scipy.linalg.qr(vectors, mode="economic", overwrite_a=True)[0]
    return vectors, np.append(squares, np.zeros(len(values) - len(squares)))


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


def _state(
    components: np.ndarray, squares: np.ndarray, center: np.ndarray, total: float, weight: float, rows: float
) -> Artifact:
    arrays = {
        "components": np.ascontiguousarray(components),
        "singular_values": np.sqrt(np.maximum(squares, 0)),
        "mean": center,
    }
    return Artifact(arrays, {"total": float(total), "degrees": float(weight * (rows - 1) / rows)})


def finalize(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator) -> Artifact:
    """The leading num_components, with signs that do not depend on chance.

    Returns
    -------
    Artifact
        ``components`` (num_components, features), ``mean`` (features,), ``singular_values``, ``explained_variance`` and
        ``explained_variance_ratio`` (num_components,), all float64.
    """
    count = hyperparameters.num_components
    components = state.arrays["components"][:count]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    singular_values = state.arrays["singular_values"][:count]
    squares, total, degrees = singular_values**2, state.values["total"], state.values["degrees"]
    return Artifact({
        "components": components * np.where(largest < 0, -1.0, 1.0),
        "mean": state.arrays["mean"],
        "singular_values": singular_values,
        "explained_variance": squares / degrees if degrees > 0 else np.zeros(count),
        "explained_variance_ratio": squares / total if total > 0 else np.zeros(count),
    })


PCA_ALGORITHM = Algorithm(
    name="pca",
    fields=FIELDS,
    train=train,
    load=load,
    finalize=finalize,
    state_key=lambda hyperparameters: sorted(vars(hyperparameters).items()),
    passes=passes,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * (hyperparameters.num_components + 1) * num_features,
)
RECONSTRUCTION = Algorithm(name="pca_reconstruction", fields=PROJECTION_FIELDS, train=train, load=load_reconstructing)
