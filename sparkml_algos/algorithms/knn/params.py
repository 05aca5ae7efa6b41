"""Hyperparameters of k-nearest neighbours, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter
from sparkml_algos.rows import fields

FLAT, IVF_FLAT, IVF_PQ = "faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"
L2, INNER_PRODUCT, COSINE = "L2", "INNER_PRODUCT", "COSINE"

# The probabilities of a row are a dense vector with an entry per class.
MAX_CLASSES = 10_000


FIELDS = (
    fields.features(),
    fields.label(),
    fields.id("Column of whole numbers, a different one for each row, by which the model names the rows it keeps."),
)


class KNNParams(Declarations):
    """What classifier and regressor have in common."""

    reads = FIELDS

    feature_dim = Hyperparameter(int, "Number of features; taken from the data and, where given, checked.", minimum=1)
    k = Hyperparameter(int, "Number of neighbours; may be changed on the model.", required=True, minimum=1, on_model=True)
    sample_size = Hyperparameter(int, "Rows the model keeps, a uniform sample of all; all where there are fewer.", required=True, minimum=1)
    dimension_reduction_type = Hyperparameter(
        str,
        "Random map to fewer dimensions: sign, by a matrix of ±1; fjlt, by a fast Johnson-Lindenstrauss transform.",
        choices=["sign", "fjlt"],
    )
    dimension_reduction_target = Hyperparameter(
        int, "Dimensions to reduce to, fewer than features; required with dimension_reduction_type.", minimum=1
    )
    index_type = Hyperparameter(
        str,
        "faiss.Flat: exact; faiss.IVFFlat: scans the lists of the nearest centroids; faiss.IVFPQ: that with rows coded in few bytes.",
        default=FLAT,
        choices=[FLAT, IVF_FLAT, IVF_PQ],
    )
    index_metric = Hyperparameter(
        str,
        "L2: Euclidean distance; INNER_PRODUCT, COSINE: the largest inner product, or cosine, is nearest; these not with faiss.IVFPQ.",
        default=L2,
        choices=[L2, INNER_PRODUCT, COSINE],
    )
    faiss_index_ivf_nlists = Hyperparameter(
        int, "Centroids of faiss.IVFFlat and faiss.IVFPQ; auto is the root of the rows kept.", default="auto", minimum=1, special=["auto"]
    )
    faiss_index_pq_m = Hyperparameter(
        int,
        "Bytes of a coded row; required with faiss.IVFPQ. Where the dimension is no multiple, rows are padded or the target is raised.",
        choices=[1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96],
    )
    mini_batch_size = Hyperparameter(int, "Rows read at a time, by all workers together.", default=5000, minimum=1)
    distancesCol = ColumnParam("Output column, only where named: the distances of the neighbours, nearest first.")
    neighborLabelsCol = ColumnParam("Output column, only where named: the labels of the neighbours, nearest first.")
    neighborsCol = ColumnParam("Output column of kneighbors: the ids of the neighbours, nearest first.", default="neighbors")

    def problems(self) -> list[str]:
        found = super().problems()
        return found or self._combinations()

    def _combinations(self) -> list[str]:
        """What is wrong with values that are right alone."""
        found = []
        kind, target = self.value("dimension_reduction_type"), self.value("dimension_reduction_target")
        index, metric = self.value("index_type"), self.value("index_metric")
        if kind and not target:
            found.append(f"dimension_reduction_type={kind!r} needs dimension_reduction_target")
        if target and not kind:
            found.append(f"dimension_reduction_target={target} has no meaning without dimension_reduction_type")
        if target and self.value("feature_dim"):
            found += self.too_large_target(self.value("feature_dim"))
        if index == IVF_PQ and metric != L2:
            found.append(f"index_metric={metric!r} cannot be combined with index_type={IVF_PQ!r}, which codes Euclidean distances")
        if index == IVF_PQ and not self.value("faiss_index_pq_m"):
            found.append(f"index_type={IVF_PQ!r} needs faiss_index_pq_m")
        if index != IVF_PQ and self.value("faiss_index_pq_m"):
            found.append(f"faiss_index_pq_m has no meaning with index_type={index!r}, which codes no rows")
        if index == FLAT and self.value("faiss_index_ivf_nlists") != "auto":
            found.append(f"faiss_index_ivf_nlists has no meaning with index_type={FLAT!r}, which has no lists")
        return found

    def too_large_target(self, features: int) -> list[str]:
        """What is wrong with the target of the reduction for so many features."""
        target = self.value("dimension_reduction_target")
        return [target_problem(target, features)] if target and target >= features else []


class KNNClassifierParams(KNNParams):
    """What the classifier has besides."""

    predictor_type = Hyperparameter(str, "Is the class.", default="classifier", choices=["classifier"])


class KNNRegressorParams(KNNParams):
    """What the regressor has besides."""

    predictor_type = Hyperparameter(str, "Is the class.", default="regressor", choices=["regressor"])


def target_problem(target: int, features: int) -> str:
    """The message for a reduction that does not reduce."""
    return f"dimension_reduction_target={target} must be less than the {features} features"
