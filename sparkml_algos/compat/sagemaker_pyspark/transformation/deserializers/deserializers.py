"""Which columns a model appends: of which fields of the service's answer, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml.linalg import VectorUDT
from pyspark.sql.types import DoubleType, StructField, StructType

_NUMBER, _VECTOR = DoubleType(), VectorUDT()


class ResponseRowDeserializer:
    """Names the columns that a model appends.

    Attributes
    ----------
    schema : StructType
        The columns, in their order.
    protobufKeys : list of str
        The field of the service's answer that each column holds.
    """

    def __init__(self, schema: StructType, protobufKeys: Sequence[str] | None = None) -> None:
        self.schema = schema
        self.protobufKeys = list(protobufKeys) if protobufKeys is not None else schema.fieldNames()
        if len(self.protobufKeys) != len(schema):
            raise ValueError(f"{len(schema)} columns need as many protobufKeys, got {len(self.protobufKeys)}: {self.protobufKeys}")


class ProtobufResponseRowDeserializer(ResponseRowDeserializer):
    """Columns of any fields.

    Parameters
    ----------
    schema : StructType
        Columns, of numbers as doubles, or of vectors.
    protobufKeys : sequence of str, optional
        The field of each column; the column's name by default.

    Raises
    ------
    ValueError
        If there are not as many keys as columns.
    """


class KMeansProtobufResponseRowDeserializer(ResponseRowDeserializer):
    """Columns of k-means: distance to the nearest centre, and its index, as doubles."""

    def __init__(
        self, distance_to_cluster_column_name: str = "distance_to_cluster", closest_cluster_column_name: str = "closest_cluster"
    ) -> None:
        self.distance_to_cluster_column_name = distance_to_cluster_column_name
        self.closest_cluster_column_name = closest_cluster_column_name
        columns = {"distance_to_cluster": distance_to_cluster_column_name, "closest_cluster": closest_cluster_column_name}
        super().__init__(_schema(columns), list(columns))


class PCAProtobufResponseRowDeserializer(ResponseRowDeserializer):
    """Column of PCA: the projection, a vector, in the service's order: the leading component is last."""

    def __init__(self, projection_column_name: str = "projection") -> None:
        self.projection_column_name = projection_column_name
        super().__init__(_schema({"projection": projection_column_name}, vectors=["projection"]), ["projection"])


class LDAProtobufResponseRowDeserializer(ResponseRowDeserializer):
    """Column of LDA: the mixture of topics, a vector. The connector calls the parameter as it does that of PCA."""

    def __init__(self, projection_column_name: str = "topic_mixture") -> None:
        self.projection_column_name = projection_column_name
        super().__init__(_schema({"topic_mixture": projection_column_name}, vectors=["topic_mixture"]), ["topic_mixture"])


class _ScoreAndLabel(ResponseRowDeserializer):
    def __init__(self, score_column_name: str = "score", predicted_label_column_name: str = "predicted_label") -> None:
        self.score_column_name, self.predicted_label_column_name = score_column_name, predicted_label_column_name
        columns = {"score": score_column_name, "predicted_label": predicted_label_column_name}
        super().__init__(_schema(columns, vectors=self._vectors), list(columns))

    _vectors: Sequence[str] = ()


class LinearLearnerBinaryClassifierProtobufResponseRowDeserializer(_ScoreAndLabel):
    """Columns of a linear classifier of two classes: the probability of class 1 (with hinge loss the raw score), and the class, doubles."""


class LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer(_ScoreAndLabel):
    """Columns of a linear classifier of many classes: the probability of each, a vector, and the class, a double."""

    _vectors = ("score",)


class FactorizationMachinesBinaryClassifierDeserializer(_ScoreAndLabel):
    """Columns of a factorization machine that classifies: the probability of class 1, and the class, doubles."""


class _Score(ResponseRowDeserializer):
    def __init__(self, score_column_name: str = "score") -> None:
        self.score_column_name = score_column_name
        super().__init__(_schema({"score": score_column_name}), ["score"])


class LinearLearnerRegressorProtobufResponseRowDeserializer(_Score):
    """Column of a linear regression: the prediction, a double."""


class FactorizationMachinesRegressorDeserializer(_Score):
    """Column of a factorization machine for numbers: the prediction, a double."""


class XGBoostCSVRowDeserializer(ResponseRowDeserializer):
    """Column of XGBoost: what the objective predicts, a double."""

    def __init__(self, prediction_column_name: str = "prediction") -> None:
        self.prediction_column_name = prediction_column_name
        super().__init__(_schema({"prediction": prediction_column_name}), ["prediction"])


class LibSVMResponseRowDeserializer(ResponseRowDeserializer):
    """Columns of a model that answers in libsvm, a label and a vector; none of this package's models does.

    Parameters
    ----------
    dim : int
        Length of the vector.
    labelColumnName, featuresColumnName : str
    """

    def __init__(self, dim: int, labelColumnName: str, featuresColumnName: str) -> None:
        self.dim, self.labelColumnName, self.featuresColumnName = dim, labelColumnName, featuresColumnName
        columns = {"label": labelColumnName, "features": featuresColumnName}
        super().__init__(_schema(columns, vectors=["features"]), list(columns))


def _schema(columns: dict[str, str], vectors: Sequence[str] = ()) -> StructType:
    return StructType([StructField(name, _VECTOR if key in vectors else _NUMBER) for key, name in columns.items()])
