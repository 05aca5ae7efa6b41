"""Models from a sample of rows: as it is, in lists around centroids, or coded; and the neighbours of queries in each.

A model's artifact has

    labels (rows,) float32, ids (rows,) int64 where rows have names, and
    faiss.Flat       rows (rows, d) float32, half_squares (rows,) float32
    faiss.IVFFlat    the same, list after list, centroids (lists, d) float32, offsets (lists + 1,) int64
    faiss.IVFPQ      index, bytes in the format of faiss.write_index

Rows are those of the sample after the reduction, of length 1 with index_metric COSINE. The lists of faiss.IVFFlat are searched with matrix
products for whole batches of queries, which on MNIST was 2.5 times as fast as with the library; the library finds the centroids, and does
all of faiss.IVFPQ.

References
----------
H. Jégou, M. Douze, C. Schmid, "Product quantization for nearest neighbor search", IEEE PAMI 33 (2011). M. Douze et al., "The Faiss
library", arXiv:2401.08281.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from sparkml_algos.algorithms.knn.params import COSINE, FLAT, IVF_FLAT, IVF_PQ, L2
from sparkml_algos.algorithms.knn.reduction import reduce
from sparkml_algos.arrays import neighbors as search
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Features
from sparkml_algos.rows.kinds import InvalidRows

# Lists the service scans for a query, as its logs show.
MIN_PROBES = 5
# Share of the true neighbours that the scanned lists must hold, of so many rows of the sample. These have shaped the centroids, queries
# have not: the target has a margin to the 0.95 that is meant.
RECALL = 0.96
RECALL_NEIGHBORS = 10
RECALL_QUERIES = 500

# Passes of k-means for the centroids, as in the library's own indexes.
CENTROID_PASSES = 10
# Values of a byte: a codebook has so many entries, and needs as many rows.
CODES = 256


def build(sample: Artifact, hyperparameters: Hyperparameters) -> Artifact:
    """The model of a sample.

    Parameters
    ----------
    sample : Artifact
        ``rows``, ``labels`` and perhaps ``ids``; in its values ``seed``.
    hyperparameters : Hyperparameters

    Raises
    ------
    InvalidRows
        If there are too few rows for k, for the lists or for the codebooks.
    """
    rows = sample.arrays["rows"]
    if len(rows) < hyperparameters.k:
        raise InvalidRows(f"k={hyperparameters.k} neighbours need as many rows, the sample has {len(rows)}")
    if hyperparameters.index_metric == COSINE:
        rows = normalized(rows)
    arrays = {name: array for name, array in sample.arrays.items() if name != "rows"}
    if hyperparameters.index_type == IVF_PQ:
        index = _coded(rows, _num_lists(len(rows), hyperparameters), hyperparameters.faiss_index_pq_m, sample.values["seed"])
        return Artifact({**arrays, "index": index}, {**sample.values, "probes": MIN_PROBES})
    arrays |= {"rows": rows, "half_squares": search.half_squares(rows)}
    if hyperparameters.index_type == FLAT:
        return Artifact(arrays, sample.values)
    return _in_lists(Artifact(arrays, sample.values), hyperparameters)


class Lookup:
    """Finds the neighbours of rows in a model. What does not depend on the rows is made ready once; arrays that are mapped stay mapped.

    Parameters
    ----------
    artifact : Artifact
        A model.
    hyperparameters : Hyperparameters
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        self._metric, self._k = hyperparameters.index_metric, hyperparameters.k
        self._reduction = artifact.values["reduction"]
        if hyperparameters.index_type == IVF_PQ:
            self._search: Callable[[np.ndarray, int], search.Found] = _Coded(artifact)
        else:
            self._search = _exact(artifact, hyperparameters)

    def __call__(self, features: Features) -> search.Found:
        """Places of the k nearest stored rows of each row, nearest first, and their distances.

        Parameters
        ----------
        features : ndarray or csr_matrix, shape (rows, features)

        Returns
        -------
        (ndarray, ndarray)
            int64 and float64, shape (rows, k). Distances ascend: Euclidean, negative inner products, or 1 − cosine.
        """
        queries = np.ascontiguousarray(reduce(features, self._reduction), np.float32)
        if self._metric == COSINE:
            queries = normalized(queries)
        places, distances = self._search(queries, self._k)
        if self._metric == L2:
            return places, np.sqrt(np.maximum(distances, 0))
        return places, 1 + distances if self._metric == COSINE else distances


def _exact(artifact: Artifact, hyperparameters: Hyperparameters) -> Callable[[np.ndarray, int], search.Found]:
    """The search of a model that keeps its rows, by queries and k."""
    rows = _rows(artifact, hyperparameters.index_metric)
    if hyperparameters.index_type == FLAT:
        return functools.partial(search.search, rows)
    centroids = artifact.arrays["centroids"]
    centroids = search.Rows(centroids, search.half_squares(centroids), rows.is_l2)
    return functools.partial(search.search_lists, rows, centroids, artifact.arrays["offsets"], probes=artifact.values["probes"])


def normalized(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths; rows of zeros stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return (rows / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)


def library(index_type: str) -> ModuleType:
    """The module faiss.

    Raises
    ------
    ImportError
        That says what to install.
    """
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise ImportError(
            f"index_type={index_type!r} needs the package faiss-cpu on driver and executors: pip install 'sparkml-algos[knn]'"
        ) from error


def _rows(artifact: Artifact, metric: str) -> search.Rows:
    return search.Rows(artifact.arrays["rows"], artifact.arrays["half_squares"], metric == L2)


def _num_lists(rows: int, hyperparameters: Hyperparameters) -> int:
    wanted = hyperparameters.faiss_index_ivf_nlists
    if wanted == "auto":
        return max(1, int(np.sqrt(rows)))
    if wanted > rows:
        raise InvalidRows(f"faiss_index_ivf_nlists={wanted} centroids need as many rows, the sample has {rows}")
    return wanted


# ---------------------------------------------------------------------------------------------------------------------- lists


def _in_lists(model: Artifact, hyperparameters: Hyperparameters) -> Artifact:
    """The model of a flat one with its rows in lists around centroids."""
    rows = _rows(model, hyperparameters.index_metric)
    centroids = _centroids(rows, _num_lists(len(rows), hyperparameters), model.values["seed"])
    nearest = np.concatenate(
        [search.nearest_lists(centroids, rows.values[start : start + search.ROWS], 1)[:, 0] for start in range(0, len(rows), search.ROWS)]
    )
    order = np.argsort(nearest, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(nearest, minlength=len(centroids))))
    probes = _probes(rows, centroids, nearest, model.values["seed"])
    arrays = {name: array[order] for name, array in model.arrays.items()}
    return Artifact({**arrays, "centroids": centroids.values, "offsets": offsets.astype(np.int64)}, {**model.values, "probes": probes})


def _centroids(rows: search.Rows, count: int, seed: int) -> search.Rows:
    options: dict[str, Any] = {"niter": CENTROID_PASSES, "seed": seed % (1 << 31) + 1, "min_points_per_centroid": 1}
    means = library(IVF_FLAT).Kmeans(rows.values.shape[1], count, spherical=not rows.is_l2, **options)
    means.train(np.ascontiguousarray(rows.values))
    return search.Rows(means.centroids, search.half_squares(means.centroids), rows.is_l2)


def _probes(rows: search.Rows, centroids: search.Rows, nearest: np.ndarray, seed: int) -> int:
    """The fewest lists, nearest first, that hold `RECALL` of the true neighbours of rows of the sample."""
    count = min(RECALL_NEIGHBORS, len(rows) - 1)
    if not count:
        return 1
    chosen = np.sort(np.random.default_rng([seed, len(rows)]).permutation(len(rows))[:RECALL_QUERIES])
    queries = rows.values[chosen]
    places, _ = search.search(rows, queries, count + 1)
    others = places != chosen[:, None]
    scores = np.empty((len(queries), len(centroids)), np.float32)
    centroids.scores(queries, slice(None), scores)
    ranks = scores.argsort(axis=1).argsort(axis=1)
    needed = np.sort(np.take_along_axis(ranks, nearest[places], axis=1)[others]) + 1
    return min(len(centroids), max(MIN_PROBES, int(needed[int(np.ceil(RECALL * len(needed))) - 1])))


# ---------------------------------------------------------------------------------------------------------------------- codes


def padded(rows: np.ndarray, parts: int) -> np.ndarray:
    """Rows with zeros behind, so that they can be cut into equal parts."""
    missing = -rows.shape[1] % parts
    return np.pad(rows, ((0, 0), (0, missing))) if missing else rows


def _coded(rows: np.ndarray, lists: int, parts: int, seed: int) -> np.ndarray:
    """An inverted index of coded rows, in bytes."""
    if len(rows) < CODES:
        raise InvalidRows(f"index_type={IVF_PQ!r} needs at least {CODES} rows for its codebooks, the sample has {len(rows)}")
    faiss = library(IVF_PQ)
    rows = np.ascontiguousarray(padded(rows, parts))
    index = faiss.IndexIVFPQ(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], lists, parts, 8)
    for clustering in (index.cp, index.pq.cp):
        clustering.seed, clustering.min_points_per_centroid = seed % (1 << 31) + 1, 1
    index.train(rows)
    index.add(rows)
    return faiss.serialize_index(index)


class _Coded:
    """The search of a model of codes: the nearest by approximate distances. Queries whose lists hold fewer than k rows are searched in all
    lists."""

    def __init__(self, artifact: Artifact) -> None:
        self._faiss = library(IVF_PQ)
        self._data = artifact.arrays["index"]  # the index is views of these bytes, which the workers share
        self._index = self._faiss.read_index(self._faiss.ZeroCopyIOReader(self._faiss.swig_ptr(self._data), self._data.size))
        self._probes = min(artifact.values["probes"], self._index.nlist)

    def __call__(self, queries: np.ndarray, k: int) -> search.Found:
        queries = np.ascontiguousarray(np.pad(queries, ((0, 0), (0, self._index.d - queries.shape[1]))))
        distances, places = self._scan(queries, k, self._probes)
        few = np.flatnonzero(places[:, -1] < 0)
        if len(few):
            distances[few], places[few] = self._scan(queries[few], k, self._index.nlist)
        return places, distances.astype(np.float64)

    def _scan(self, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        # Not by a setting of the index: threads of a server share it.
        return self._index.search(queries, k, params=self._faiss.SearchParametersIVF(nprobe=probes))
