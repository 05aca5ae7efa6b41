"""Training of k-nearest neighbours on arrays: a sample of the rows, and an index of it."""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from sparkml_algos.algorithms.knn.index import build, library
from sparkml_algos.algorithms.knn.params import FIELDS, FLAT, IVF_PQ, MAX_CLASSES, target_problem
from sparkml_algos.algorithms.knn.prediction import load
from sparkml_algos.algorithms.knn.reduction import make_reduction, reduce
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import ClassLabel, InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.sampling import Reservoir

# Rows of the sample are sent to worker 0 in pieces of so many bytes.
PIECE_BYTES = 1 << 26


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Sample the rows of all workers.

    Returns
    -------
    Artifact
        On worker 0 ``rows`` (rows, d), reduced, ``labels`` (rows,), with an id column ``ids`` (rows,); in the order of the ids, or else of
        the bytes of row and label, so that all rows of a dataset give the same model wherever they were. Values: ``seed``,
        ``reduction``, ``classes`` where labels are such.
    """
    if hyperparameters.index_type != FLAT:
        library(hyperparameters.index_type)  # or else tell before rows are read
    state = job.resume()
    for _ in job.epochs(1):
        reservoir = Reservoir(hyperparameters.sample_size, np.random.default_rng([job.seed, communicator.rank]))
        for batch in job.minibatches(hyperparameters.mini_batch_size):
            if communicator.rank == 0 or not job.replicated:
                reservoir.add(batch)
        reduction = _reduction(hyperparameters, shard.num_features, job.seed)
        largest = communicator.allreduce(np.array([shard.largest_label]), "max")[0]
        values = {"seed": job.seed, "reduction": reduction, "classes": int(largest) + 1 if np.isfinite(largest) else None}
        arrays = _gathered(reservoir.share(communicator), reduction, shard.num_features, communicator)
        state = Artifact(_in_order(arrays, hyperparameters.sample_size) if arrays else {}, values)
        job.end_epoch(state)
    return state


def finalize(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator) -> Artifact:
    """The model of a sample, on worker 0; see `index.build`."""
    return build(state, hyperparameters) if communicator.rank == 0 else Artifact()


def _reduction(hyperparameters: Hyperparameters, features: int, seed: int) -> dict[str, object] | None:
    kind, target = hyperparameters.dimension_reduction_type, hyperparameters.dimension_reduction_target
    if kind is None:
        return None
    if target >= features:
        raise InvalidRows(target_problem(target, features))
    multiple = hyperparameters.faiss_index_pq_m if hyperparameters.index_type == IVF_PQ else 1
    return make_reduction(kind, features, target, multiple, seed)


def _gathered(batch: Batch | None, reduction: dict[str, object] | None, features: int, communicator: Communicator) -> dict[str, np.ndarray]:
    """The rows of all workers, reduced, on worker 0; nothing on the others."""
    width = reduction["target_dim"] if reduction else features
    count = 0 if batch is None else len(batch)
    has_ids = bool(communicator.allreduce(np.array([batch is not None and batch.id is not None], np.int64), "max")[0])
    own = {
        "rows": np.ascontiguousarray(reduce(batch.features, reduction), np.float32) if count else np.empty((0, width), np.float32),
        "labels": batch.label if count else np.empty(0, np.float32),
    }
    if has_ids:
        own["ids"] = batch.id if count else np.empty(0, np.int64)
    most, total = int(communicator.allreduce(np.array([count]), "max")[0]), int(communicator.allreduce(np.array([count]))[0])
    is_root = communicator.rank == 0
    step = max(1, PIECE_BYTES // (4 * width))
    whole = {name: np.empty((total, *array.shape[1:]), array.dtype) for name, array in own.items()} if is_root else {}
    filled = 0
    for start in range(0, most, step):
        for name, array in own.items():
            parts = communicator.gather(array[start : start + step])
            if is_root:
                end = filled + sum(map(len, parts))
                np.concatenate(parts, out=whole[name][filled:end])
        filled = end if is_root else 0
    return whole


def _in_order(arrays: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    if "ids" in arrays:
        order = np.argsort(arrays["ids"], kind="stable")
        ids = arrays["ids"][order]
        twice = np.flatnonzero(ids[1:] == ids[:-1])
        if len(twice):
            raise InvalidRows(f"the id column has {ids[twice[0]]} in more than one row; ids must differ")
    else:
        # Adding 0 makes -0 into 0, which must not differ. Bytes are compared from the first on, so the largest should come first.
        whole = np.column_stack([arrays["rows"], arrays["labels"]]) + np.float32(0)
        whole = np.ascontiguousarray(whole, ">f4")
        order = np.argsort(whole.view(f"V{whole.itemsize * whole.shape[1]}")[:, 0], kind="stable")
    return {name: array[order[:size]] for name, array in arrays.items()}


KNN = Algorithm(
    name="knn",
    fields=FIELDS,
    kinds=lambda hyperparameters: {LABEL: ClassLabel(MAX_CLASSES)} if hyperparameters.predictor_type == "classifier" else {},
    train=train,
    load=load,
    finalize=finalize,
    state_key=attrgetter(
        "feature_dim",
        "sample_size",
        "dimension_reduction_type",
        "dimension_reduction_target",
        "index_type",
        "faiss_index_pq_m",
        "mini_batch_size",
    ),
)
