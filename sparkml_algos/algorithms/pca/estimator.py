"""Principal component analysis: the orthogonal directions along which rows vary most.

``regular`` sums, in one pass, the scatter about the mean, S = Σ w (x − m)ᵀ(x − m), and takes its leading eigenvectors. A worker
subtracts a pilot mean before it multiplies, so rows far from the origin lose nothing; workers are merged in float64 by

    S = Σ S_i + Σ n_i (m_i − m)ᵀ(m_i − m)

``randomized`` keeps L rows instead of a square. The first pass sums B = Σ H X of random signs H, whose rows, centred, span nearly the
leading directions. Three more refine that span by Z = AᵀAQ, A being the centred rows and Q an orthonormal basis, and the last Z gives the
result by Nyström's formula, AᵀA ≈ Z (QᵀZ)⁻¹ Zᵀ.

References
----------
T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983). N. Halko,
P. Martinsson, J. Tropp, "Finding structure with randomness", SIAM Review 53 (2011). J. Tropp et al., "Fixed-rank approximation of a
positive-semidefinite matrix from streaming data", NIPS 2017.
"""

from __future__ import annotations

import numpy as np
from pyspark.ml.linalg import DenseMatrix, DenseVector
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.pca.params import PROJECTION_FIELDS, PCAParams
from sparkml_algos.algorithms.pca.training import PCA_ALGORITHM, RECONSTRUCTION, too_many_components
from sparkml_algos.arrays.hyperparameters import ColumnParam
from sparkml_algos.core.bridge import JVM_OUTPUTS, OnJvm
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.training.algorithm import Algorithm


class PCA(AlgorithmEstimator["PCAModel"], PCAParams):
    """Principal component analysis on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    ``regular`` costs O(rows · features² / workers) and holds features² numbers in float64, and copies of them, in each worker.
    ``randomized``, with L = num_components + extra_components, costs O(non-zeros · L) in each of four passes and holds a few
    arrays of features · L numbers; sparse rows stay sparse. Its result depends slightly on how rows are spread, and it needs singular
    values that decay: where they hardly do, as for columns that are all alike and independent, raise `extra_components`.

    The leading component comes first, as in MLlib and scikit-learn; the service orders them the other way round. Of each component the
    entry of largest magnitude is positive. A row of weight w counts as w in sums and means; variances are divided by
    Σw · (rows − 1) / rows, which is rows − 1 without weights.

    With `use_gpu`, dense rows are multiplied on the GPU; sparse ones stay on the CPU.

    Examples
    --------
    >>> from sparkml_algos import PCA
    >>> model = PCA(num_components=50).fit(dataframe)  # doctest: +SKIP
    >>> model.transform(dataframe).select("projection").show()  # doctest: +SKIP
    >>> model.explained_variance_ratio.sum()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return PCA_ALGORITHM

    @staticmethod
    def model_class() -> type[PCAModel]:
        return PCAModel

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        known = None if problems else self.inputs(dataset).num_features
        return problems + ([too_many_components(self.getNumComponents(), known)] if known and self.getNumComponents() > known else [])


class PCAModel(AlgorithmModel, PCAParams):
    """Components found by `PCA`.

    `transform` appends ``projection``, a Vector of num_components coordinates, (x − mean) · componentsᵀ. MLlib's PCA does not centre:
    its projections differ from these by a constant vector, and perhaps in sign.
    """

    outputs = (Output("projection", "vector", "outputCol"),)
    on_jvm = OnJvm("org.sparkmlalgos.ml.PCAModel", faster=lambda artifact: len(artifact.arrays["components"]) <= JVM_OUTPUTS)

    @staticmethod
    def algorithm() -> Algorithm:
        return PCA_ALGORITHM

    @property
    def components(self) -> np.ndarray:
        """Unit vectors, leading first, shape (num_components, features), float64."""
        return self.artifact.arrays["components"]

    @property
    def mean(self) -> np.ndarray:
        """What is subtracted from a row, shape (features,): the mean of the training rows, zeros with ``subtract_mean=False``."""
        return self.artifact.arrays["mean"]

    @property
    def singular_values(self) -> np.ndarray:
        """Of the matrix of centred training rows, each times the root of its weight; shape (num_components,), descending."""
        return self.artifact.arrays["singular_values"]

    @property
    def explained_variance(self) -> np.ndarray:
        """Variance of the training rows along each component, shape (num_components,)."""
        return self.artifact.arrays["explained_variance"]

    @property
    def explained_variance_ratio(self) -> np.ndarray:
        """Share of the total variance along each component, shape (num_components,); zeros where rows do not vary."""
        return self.artifact.arrays["explained_variance_ratio"]

    @property
    def pc(self) -> DenseMatrix:
        """The components as columns, as MLlib has them, shape (features, num_components); a column may have the other sign than there."""
        count, features = self.components.shape
        return DenseMatrix(features, count, self.components.ravel())

    @property
    def explainedVariance(self) -> DenseVector:
        """What MLlib calls so: shares of the total variance, those of `explained_variance_ratio`, not variances as `explained_variance`."""
        return DenseVector(self.explained_variance_ratio)

    def inverse_transform(self, dataset: DataFrame) -> DataFrame:
        """Append ``reconstruction``: the point of feature space that each ``projection`` stands for.

        Parameters
        ----------
        dataset : DataFrame
            With a column `outputCol`, as `transform` appends it.

        Returns
        -------
        DataFrame

        Raises
        ------
        ValueError
            If `outputCol` is missing or of another length than num_components, or `reconstructionCol` exists already.
        """
        inverse = _Reconstruction(featuresCol=self.getOutputCol(), reconstructionCol=self.getReconstructionCol())
        inverse.artifact = self.artifact
        return inverse.transform(dataset)


class _Reconstruction(AlgorithmModel):
    """The way back from a projection, as a model whose features are projections."""

    reads = PROJECTION_FIELDS

    reconstructionCol = ColumnParam("Output column.", default="reconstruction")
    outputs = (Output("reconstruction", "vector", "reconstructionCol"),)

    @staticmethod
    def algorithm() -> Algorithm:
        return RECONSTRUCTION

    @property
    def num_features(self) -> int:
        return len(self.artifact.arrays["components"])
