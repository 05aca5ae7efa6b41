"""Training: a sample of the rows of all workers, cut into a part for each tree; the workers share the trees and all get the forest."""

from __future__ import annotations

import logging

import numpy as np

from sparkml_algos import kernels
from sparkml_algos.algorithms.random_cut_forest.forest import Forest, grow
from sparkml_algos.algorithms.random_cut_forest.params import FIELDS
from sparkml_algos.algorithms.random_cut_forest.prediction import dense, load, load_attributing, scores
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.sampling import draw_sample

logger = logging.getLogger(__name__)

# Rows of the sample that are scored for the threshold: their deviation is known to 1 %.
REFERENCE_ROWS = 10_000

# Places at which the quantiles of these scores are kept: 0, 0.001, …, 1.
QUANTILES = np.linspace(0, 1, 1001)

# What the random numbers are for, beside the seed.
_ORDER, _CUTS = 0, 1


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Grow a forest.

    Returns
    -------
    Artifact
        The same on every worker: the arrays of a `Forest`, and of the scores of up to `REFERENCE_ROWS` rows of the sample ``quantiles``,
        at `QUANTILES`, and the values ``mean`` and ``deviation``.
    """
    state = job.resume() or Artifact()
    for _ in job.epochs(1):
        sample = draw_sample(hyperparameters.num_trees * hyperparameters.num_samples_per_tree, job, communicator)
        points, reference = _parts(dense(sample.features), hyperparameters.num_trees, job.seed)
        forest = _grown(points, job.seed, communicator)
        mine = np.array_split(reference, communicator.size)[communicator.rank]
        found = np.concatenate(communicator.allgather(scores(forest, mine)[0]))
        state = forest.to_artifact()
        state.arrays["quantiles"] = np.quantile(found, QUANTILES)
        logger.info("random cut forest: %d trees, scored by %s", len(forest.roots), kernels.name())
        state.values |= {"kernels": kernels.name(), "mean": float(found.mean()), "deviation": float(found.std())}
        job.end_epoch(state, **{"train:mean_score": state.values["mean"]})
    return state


def _parts(sample: np.ndarray, trees: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The points of each tree (trees, points, features), and the rows whose scores are to be known.

    Where there are fewer rows than trees, trees of a single row take them in turn.
    """
    # Rows come in an order that depends on how they were spread; of equal rows it does not matter which comes first.
    sample = np.ascontiguousarray(sample + np.float32(0))  # no −0, whose bytes are others than those of 0
    rows = sample.view(np.dtype((np.void, sample.itemsize * sample.shape[1]))).ravel()
    sample = sample[np.argsort(rows)]
    sample = sample[np.random.default_rng([seed, _ORDER]).permutation(len(sample))]
    size = max(1, len(sample) // trees)
    chosen = np.arange(trees * size) % len(sample)
    return sample[chosen].reshape(trees, size, -1), sample[:REFERENCE_ROWS]


def _grown(points: np.ndarray, seed: int, communicator: Communicator) -> Forest:
    """The forest, each tree grown on one worker from random numbers of its own, so that it is the same on any number of workers."""
    mine = np.array_split(np.arange(len(points)), communicator.size)[communicator.rank]
    nodes = points.shape[1] - 1
    uniform = [np.random.default_rng([seed, _CUTS, tree]).random((nodes, 2)) for tree in mine]
    part = grow(points[mine], np.array(uniform).reshape(len(mine), nodes, 2))
    gathered = {name: communicator.allgather(array) for name, array in part.to_artifact().arrays.items()}
    return Forest.concat(
        [
            Forest(**{name: arrays[rank] for name, arrays in gathered.items()}, points_per_tree=points.shape[1])
            for rank in range(communicator.size)
        ]
    )


RANDOM_CUT_FOREST = Algorithm(name="random_cut_forest", fields=FIELDS, train=train, load=load)
ATTRIBUTING = Algorithm(name="random_cut_forest", fields=FIELDS, train=train, load=load_attributing)
