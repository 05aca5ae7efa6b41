"""What users of MLlib expect of a fitted model besides `transform`.

The outputs of a single row, thresholds, the history of the training, and weights as vectors and matrices of Spark ML.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.lib.mixins import NDArrayOperatorsMixin
from pyspark.ml.linalg import DenseMatrix, DenseVector, Matrix, SparseVector, Vector

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import sigmoid
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.rows.fields import FEATURES
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.training.summary import TrainingSummary

T = TypeVar("T", bound="BinaryThreshold")

# A raw score that no row falls below, or reaches: what a probability of 0 or 1 is as a threshold. JSON has no infinity.
_UTMOST = float(np.finfo(np.float64).max)


class PredictsRows:
    """`predict`, for models with an output column of the Param ``predictionCol``."""

    def predict(self, value: Vector | Sequence[float] | np.ndarray) -> float:
        """The prediction for a single row, as `transform` makes it.

        Parameters
        ----------
        value : Vector, ndarray or sequence of float, length numFeatures

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the row has another length, or a value that is no finite number.
        """
        return float(row_output(self, value, "predictionCol")[0])


class ClassifiesRows(PredictsRows):
    """`predictRaw` and `predictProbability`, for classifiers with such outputs."""

    def predictRaw(self, value: Vector | Sequence[float] | np.ndarray) -> DenseVector:
        """The raw score of each class for a single row; takes and refuses what `predict` does."""
        return DenseVector(row_output(self, value, "rawPredictionCol")[0])

    def predictProbability(self, value: Vector | Sequence[float] | np.ndarray) -> DenseVector:
        """The probability of each class for a single row; takes what `predict` takes; refused where the loss knows none."""
        return DenseVector(row_output(self, value, "probabilityCol")[0])


class BinaryThreshold:
    """The threshold of a classifier for two classes, which stands in its artifact: every way of scoring reads it there, and it is saved.

    Attributes
    ----------
    numClasses : int
        2.
    """

    numClasses: ClassVar[int] = 2
    artifact: Artifact

    @property
    def threshold(self) -> float:
        """The score from which on a row is of class 1: a probability, or the raw score where the loss knows no probabilities."""
        raw = self.artifact.values.get("raw_threshold", 0.0)
        return float(sigmoid(np.array(raw))) if self._knows_probabilities else raw

    def getThreshold(self) -> float:
        """The value of `threshold`."""
        return self.threshold

    def setThreshold(self: T, value: float) -> T:
        """Let rows be of class 1 from this score on: a probability, or a raw score where the loss knows no probabilities.

        Raises
        ------
        ValueError
            If a probability is not between 0 and 1.
        """
        value = float(value)
        if not np.isfinite(value) or self._knows_probabilities and not 0 <= value <= 1:
            wanted = "a number from 0 to 1" if self._knows_probabilities else "a finite number"
            raise ValueError(f"threshold must be {wanted}, got {value!r}")
        if self._knows_probabilities:
            with np.errstate(divide="ignore"):
                value = float(np.clip(np.log(value) - np.log1p(-value), -_UTMOST, _UTMOST))
        self.artifact = Artifact(self.artifact.arrays, {**self.artifact.values, "raw_threshold": value})
        return self

    def getThresholds(self) -> list[float]:
        """The threshold as MLlib has it for each class: 1 − t and t."""
        self._need_probabilities()
        return [1 - self.threshold, self.threshold]

    def setThresholds(self: T, value: Sequence[float]) -> T:
        """Set the threshold by two numbers: the class is the one whose probability is largest in relation to its number.

        Raises
        ------
        ValueError
            Unless these are two numbers from 0, one at most being 0.
        """
        self._need_probabilities()
        first, second = checked_thresholds(value, 2)
        return self.setThreshold(second / (first + second))

    @property
    def _knows_probabilities(self) -> bool:
        return True

    def _need_probabilities(self) -> None:
        if not self._knows_probabilities:
            raise ValueError("this model knows no probabilities, and so no thresholds of classes; use setThreshold for its raw score")


class ClassThresholds:
    """Thresholds of a classifier for many classes, in its artifact: every way of scoring reads them there, and they are saved."""

    artifact: Artifact
    numClasses: int

    @property
    def thresholds(self) -> list[float] | None:
        """A number for each class; a row is of the class whose probability is largest in relation to it. None: of the most probable."""
        found = self.artifact.arrays.get("thresholds")
        return None if found is None else found.tolist()

    def getThresholds(self) -> list[float] | None:
        """The value of `thresholds`."""
        return self.thresholds

    def setThresholds(self, value: Sequence[float] | None) -> Any:
        """Let a row be of the class whose probability is largest in relation to its number; None lets it be of the most probable again.

        Raises
        ------
        ValueError
            Unless there is a number from 0 for each class, one of them at most being 0.
        """
        arrays = {name: array for name, array in self.artifact.arrays.items() if name != "thresholds"}
        if value is not None:
            arrays["thresholds"] = checked_thresholds(value, self.numClasses)
        self.artifact = Artifact(arrays, self.artifact.values)
        return self


class HasSummary:
    """`summary` and `hasSummary`, for models whose training has a history."""

    training_summary: TrainingSummary | None

    def objective_metric(self) -> str:
        """Name, without prefix, of the metric that the training minimises."""
        raise NotImplementedError

    @property
    def hasSummary(self) -> bool:
        """Whether it is known how the training went; so it is after loading too."""
        return self.training_summary is not None

    @property
    def summary(self) -> ObjectiveSummary:
        """How the training went, by MLlib's names; more is in `training_summary`.

        Raises
        ------
        RuntimeError
            If that is not known.
        """
        name = f"train:{self.objective_metric()}"
        return ObjectiveSummary([epoch[name] for epoch in self._known_summary().history])

    def _known_summary(self) -> TrainingSummary:
        if self.training_summary is None:
            raise RuntimeError(f"No training summary available for this {type(self).__name__}")
        return self.training_summary


class ObjectiveSummary:
    """The course of a training.

    Attributes
    ----------
    objectiveHistory : list of float
        The figure that is minimised, on training rows, after each epoch.
    totalIterations : int
        How many epochs there were.
    """

    def __init__(self, history: Sequence[float]) -> None:
        self.objectiveHistory = list(history)

    @property
    def totalIterations(self) -> int:
        return len(self.objectiveHistory)


class ArrayVector(NDArrayOperatorsMixin, DenseVector):
    """A vector of Spark ML that is also an array: it takes part in NumPy's arithmetic and has an array's attributes.

    It equals another Vector as a whole, as those of Spark ML do, and anything else element by element.
    """

    def __init__(self, values: Sequence[float] | np.ndarray) -> None:
        super().__init__(np.asarray(values, np.float64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return _as_asked(self.array, dtype, copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return _applied(ufunc, method, inputs, options)

    def __eq__(self, other: object) -> Any:
        return DenseVector.__eq__(self, other) if isinstance(other, Vector) else NDArrayOperatorsMixin.__eq__(self, other)

    def __ne__(self, other: object) -> Any:
        return DenseVector.__ne__(self, other) if isinstance(other, Vector) else NDArrayOperatorsMixin.__ne__(self, other)

    __hash__ = DenseVector.__hash__


class ArrayMatrix(NDArrayOperatorsMixin, DenseMatrix):
    """A matrix of Spark ML that is also an array; see `ArrayVector`.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
    """

    def __init__(self, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values, np.float64)
        super().__init__(*values.shape, values.ravel(), isTransposed=True)

    def __reduce__(self) -> tuple[type[ArrayMatrix], tuple[np.ndarray]]:
        return ArrayMatrix, (self.toArray(),)

    def toArray(self) -> np.ndarray:
        """The array, shape (rows, columns)."""
        return self.values.reshape(self.numRows, self.numCols)

    @property
    def T(self) -> np.ndarray:
        """The transposed array."""
        return self.toArray().T

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return _as_asked(self.toArray(), dtype, copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return _applied(ufunc, method, inputs, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("values", "numRows", "numCols"):
            raise AttributeError(name)
        return getattr(self.toArray(), name)

    def __getitem__(self, item: Any) -> Any:
        return self.toArray()[item]

    def __len__(self) -> int:
        return self.numRows

    def __eq__(self, other: object) -> Any:
        return DenseMatrix.__eq__(self, other) if isinstance(other, Matrix) else NDArrayOperatorsMixin.__eq__(self, other)

    def __ne__(self, other: object) -> Any:
        return not DenseMatrix.__eq__(self, other) if isinstance(other, Matrix) else NDArrayOperatorsMixin.__ne__(self, other)

    __hash__ = None


def checked_thresholds(value: Sequence[float], classes: int) -> np.ndarray:
    """Thresholds of classes, shape (classes,).

    Raises
    ------
    ValueError
        Unless there is a number from 0 for each class, one of them at most being 0.
    """
    found = np.asarray(value, np.float64)
    if found.shape != (classes,) or not np.isfinite(found).all() or (found < 0).any() or (found == 0).sum() > 1:
        raise ValueError(f"thresholds must be {classes} numbers >= 0, one for each class, of which one at most is 0; got {list(value)!r}")
    return found


def row_output(model: Any, value: Vector | Sequence[float] | np.ndarray, param: str) -> np.ndarray:
    """An output of a model for a single row, by the Param that names its column; shape (1,) or (1, length)."""
    field = next(output.field for output in model.outputs if output.param == param)
    kind = next(field.kind for field in model.fields() if field.role == FEATURES)
    found = _predictor(model)(Batch(features=_one_row(value, model.num_features, kind.missing_values)))
    if field not in found:
        raise ValueError(f"{type(model).__name__} with these settings has no {field}")
    return found[field]


def _predictor(model: Any) -> Predictor:
    """What scores rows in this process, made anew when the artifact or a setting is another."""
    settings = model.hyperparameters()
    known = vars(model).get("_row_predictor")
    if known is None or known[0] is not model.artifact or known[1] != settings:
        known = (model.artifact, settings, model.algorithm().load(model.artifact, Hyperparameters(**settings), "cpu"))
        model._row_predictor = known
    return known[2]


def _one_row(value: Vector | Sequence[float] | np.ndarray, features: int, missing_values: bool) -> Features:
    """A row as models take them: with 32 bits, sparse if it was; NaN where values may be missing."""
    if isinstance(value, SparseVector):
        row = sp.csr_matrix((value.values.astype(np.float32), value.indices, [0, len(value.indices)]), shape=(1, value.size))
        numbers = row.data
    else:
        with np.errstate(over="ignore"):
            row = numbers = np.asarray(value.toArray() if isinstance(value, Vector) else value, np.float32).reshape(1, -1)
    if row.shape[1] != features:
        raise ValueError(f"the row has {row.shape[1]} values; the model takes {features}")
    if np.isinf(numbers).any() or not missing_values and np.isnan(numbers).any():
        raise ValueError("the row has a value that is no finite number with 32 bits")
    return row


def _as_asked(array: np.ndarray, dtype: Any, copy: bool | None) -> np.ndarray:
    converted = array.astype(dtype or array.dtype, copy=bool(copy))
    if copy is False and converted is not array:
        raise ValueError(f"cannot be an array of {dtype} without a copy")
    return converted


def _applied(ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """The result of a function of NumPy on the arrays; vectors of numbers are vectors again."""
    arrays = [_plain(one) for one in inputs]
    if "out" in options:
        options["out"] = tuple(_plain(one) for one in options["out"])
    result = getattr(ufunc, method)(*arrays, **options)
    return ArrayVector(result) if isinstance(result, np.ndarray) and result.ndim == 1 and result.dtype == np.float64 else result


def _plain(value: Any) -> Any:
    return value.toArray() if isinstance(value, (Vector, Matrix)) else value
