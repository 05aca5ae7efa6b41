"""Gradient boosted trees for regression, classification and ranking: Models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.xgboost.metrics import Sums, metrics
from sparkml_algos.algorithms.xgboost.objectives import BINARY, metric_names
from sparkml_algos.algorithms.xgboost.params import (
    ExplanationParams,
    XGBoostClassifierParams,
    XGBoostParams,
    XGBoostRankerParams,
    XGBoostRegressorParams,
)
from sparkml_algos.algorithms.xgboost.ranking import ranking_metrics
from sparkml_algos.algorithms.xgboost.training import XGBOOST, booster_artifact
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.aggregation import sum_over_batches
from sparkml_algos.core.bridge import OnJvm
from sparkml_algos.core.estimator import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.training.algorithm import Algorithm

if TYPE_CHECKING:
    import xgboost as xgb

_EXPLANATIONS = (
    Output("contributions", "vector", "contributionsCol", on_jvm=False),
    Output("leaf", "vector", "leafCol", on_jvm=False),
)
_PREDICTION = Output("prediction", "double", "predictionCol")
# The library takes no names of features with these.
_FORBIDDEN_IN_NAMES = set("[]<")

_SCORE = "_sparkml_algos_score"

# Bytes of a booster up to which the JVM is known to score faster. Of rows of 28 features Python spends 20 µs on handing a row over and
# back; the walks through 50, 500 and 400 trees of depth 6, 6 and 8 (0.2, 2.2 and 4.6 MB) take the JVM 2, 16 and 30 µs and the library 2, 8
# and 35 µs.
JVM_BYTES = 5_000_000

M = TypeVar("M", bound="_XGBoostModel")


def _is_faster(artifact: Artifact) -> bool:
    """Whether the JVM scores faster."""
    return len(artifact.arrays["model"]) <= JVM_BYTES


class _XGBoostModel(XGBoostParams, ExplanationParams, AlgorithmModel):
    @staticmethod
    def algorithm() -> Algorithm:
        return XGBOOST

    def label_classes(self) -> int | None:
        """Number of classes; None where labels are numbers."""
        return None

    @property
    def num_features(self) -> int:
        """Length of the features the model takes."""
        return self.artifact.values["num_features"]

    numFeatures = num_features

    @property
    def best_iteration(self) -> int | None:
        """The last round that serves, counted from 0; with early stopping that of the best metric. None of a booster trained elsewhere."""
        return self.artifact.values.get("best_iteration")

    def get_booster(self) -> xgb.Booster:
        """The library's own model, with the names of the features where they are known."""
        import xgboost as xgb

        booster = xgb.Booster(model_file=bytearray(self.artifact.arrays["model"]))
        names = self.feature_names
        if names and len(set(names)) == len(names) and not any(_FORBIDDEN_IN_NAMES & set(name) for name in names):
            booster.feature_names = names
        return booster

    def save_booster(self, path: str | Path) -> None:
        """Write the library's own model to a local file, in the format of its suffix, ``.ubj`` or ``.json``."""
        self.get_booster().save_model(path)

    @classmethod
    def from_booster(cls: type[M], booster: xgb.Booster | str | Path, **params: object) -> M:
        """A Model from a booster, or a local file of one, wherever that was trained.

        Parameters
        ----------
        booster : xgboost.Booster or path
        **params
            Params of the Model, such as `featuresCol`.

        Raises
        ------
        ValueError
            If the booster is for another task.
        """
        import xgboost as xgb

        if not isinstance(booster, xgb.Booster):
            booster = xgb.Booster(model_file=booster)
        artifact = booster_artifact(bytes(booster.save_raw("ubj")), {})
        objective = artifact.values["objective"]
        known = cls.declared["objective"].choices
        if objective not in known:
            raise ValueError(f"the booster's objective is {objective!r}; {cls.__name__} takes {', '.join(known)}")
        model = cls(objective=objective, num_class=artifact.values["num_class"] or None, **params)
        model.artifact = artifact
        model.feature_names = booster.feature_names
        return model

    def feature_importances(self, importance_type: str = "gain") -> dict[str, float]:
        """What each feature that is used contributes, by its name, or ``f0``, ``f1``, … where names are not known.

        Parameters
        ----------
        importance_type : {"gain", "weight", "cover", "total_gain", "total_cover"}
            Of a linear booster only ``weight``, its coefficients.
        """
        return dict(self.get_booster().get_score(importance_type=importance_type))

    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with features and label, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            By the service's names with the prefix ``test:``.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        hyperparameters = Hyperparameters(**self.hyperparameters())
        totals = sum_over_batches(dataset, self, Sums(self.artifact, hyperparameters, self.label_classes()), self.label_classes())
        return {f"test:{name}": value for name, value in metrics(totals, self.artifact.values["objective"]).items()}


class XGBoostRegressionModel(XGBoostRegressorParams, _XGBoostModel):
    """Boosted trees for numbers. `transform` appends ``prediction`` (double) and, where their columns are named, contributions and
    leaves."""

    outputs = (_PREDICTION, *_EXPLANATIONS)
    on_jvm = OnJvm("org.sparkmlalgos.ml.XGBoostRegressionModel", faster=_is_faster)


class XGBoostClassificationModel(XGBoostClassifierParams, _XGBoostModel):
    """Boosted trees for classes.

    `transform` appends ``prediction`` (double, the class), ``rawPrediction`` and ``probability`` (vectors with an entry per class) and,
    where their columns are named, contributions and leaves. An output column with an empty name is left out, and not computed.
    """

    outputs = (
        _PREDICTION,
        Output("raw", "vector", "rawPredictionCol"),
        Output("probability", "vector", "probabilityCol"),
        *_EXPLANATIONS,
    )
    on_jvm = OnJvm("org.sparkmlalgos.ml.XGBoostClassificationModel", faster=_is_faster)

    @property
    def numClasses(self) -> int:
        """Number of classes."""
        return self.label_classes()

    def own_outputs(self) -> Sequence[Output]:
        has_probability = self.artifact is None or self.artifact.values["objective"] != "binary:hinge"
        return [output for output in super().own_outputs() if output.field != "probability" or has_probability]

    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        found = super().evaluate(dataset)
        if self.artifact.values["objective"] not in BINARY:
            return found
        options = {"weightCol": self.value("weightCol")} if self.value("weightCol") else {}
        evaluator = BinaryClassificationEvaluator(rawPredictionCol=_SCORE, labelCol=self.value("labelCol"), numBins=0, **options)
        return {**found, "test:auc": evaluator.evaluate(self.only("raw", _SCORE).transform(dataset))}

    evaluate.__doc__ = _XGBoostModel.evaluate.__doc__


class XGBoostRankerModel(XGBoostRankerParams, _XGBoostModel):
    """Boosted trees that rank. `transform` appends ``prediction`` (double), larger for rows that come first in their group and only to be
    compared within it, and, where their columns are named, contributions and leaves."""

    outputs = (_PREDICTION, *_EXPLANATIONS)
    on_jvm = OnJvm("org.sparkmlalgos.ml.XGBoostRankerModel", faster=_is_faster)

    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with features, label and groups.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:ndcg``, ``test:map`` and those with a number of first places, such as ``ndcg@5``, in `eval_metric`. Groups without a
            relevant row count as 1, as in the library.
        """
        asked = [name for name in metric_names(self.value("eval_metric")) if name.startswith(("ndcg", "map"))]
        scored = self.only("prediction", _SCORE).transform(dataset)
        names = list(dict.fromkeys(["ndcg", "map", *asked]))
        found = ranking_metrics(scored, self.value("groupCol"), self.value("labelCol"), _SCORE, names)
        return {f"test:{name}": value for name, value in found.items()}
