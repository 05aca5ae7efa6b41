"""Hyperparameters of XGBoost, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

from sparkml_algos.algorithms.xgboost.objectives import CLASSIFICATION, RANKING, REGRESSION
from sparkml_algos.algorithms.xgboost.settings import DEFAULT_UPDATER, contradictions
from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.arrays.params import ClassificationParams, PredictionParams, RegressionParams
from sparkml_algos.rows import fields

NAN = "nan"


class MissingParam(OwnHyperparameter):
    """A value that stands for a missing one; NaN in a form that JSON can hold."""

    def convert(self, value: Any) -> float | str:
        if value is None or isinstance(value, float) and math.isnan(value):
            return NAN
        return super().convert(value)


class ModelParam(OwnHyperparameter):
    """A booster as text, so that it is saved with the other Params."""

    def convert(self, value: Any) -> str | None:
        """The base64 text of a booster in the library's UBJSON form.

        Parameters
        ----------
        value : XGBoost…Model, xgboost.Booster, path of a saved booster, bytes of one, or what this has returned
        """
        if value is None:
            return None
        if hasattr(value, "get_booster"):
            value = value.get_booster()
        if hasattr(value, "save_raw"):
            value = bytes(value.save_raw("ubj"))
        if isinstance(value, (str, Path)) and len(str(value)) < _LONGEST_PATH:
            value = Path(value).read_bytes()
        return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else super().convert(value)


# Labels have 32 bits, which tell whole numbers apart up to this.
MOST_CLASSES = 1 << 24

# Longer text is a booster, not a path.
_LONGEST_PATH = 1024


FIELDS = (fields.features(missing_values=True), fields.label(), fields.weight(), fields.validation(), fields.base_margin())
RANKING_FIELDS = (*FIELDS, fields.group())


class XGBoostParams(Declarations):
    """What classifier, regressor and ranker have in common."""

    reads = FIELDS

    num_round = Hyperparameter(int, "Boosting rounds to run.", default=100, minimum=1)
    num_class = Hyperparameter(int, "Number of classes, for multi:softprob and multi:softmax.", accessor="NumClasses")
    booster = Hyperparameter(str, "Trees, trees with dropout, or a linear model.", default="gbtree", choices=["gbtree", "gblinear", "dart"])
    eta = Hyperparameter(float, "Shrinkage of every new tree.", default=0.3, minimum=0, maximum=1, aliases=["learning_rate"])
    max_depth = Hyperparameter(int, "Deepest tree; 0 is no limit, which grow_policy='depthwise' forbids.", default=6, minimum=0)
    gamma = Hyperparameter(float, "Least loss reduction that justifies a split.", default=0, minimum=0, aliases=["min_split_loss"])
    min_child_weight = Hyperparameter(float, "Least sum of row hessians a child must have.", default=1, minimum=0)
    max_delta_step = Hyperparameter(int, "Largest step of a leaf's weight; 0 leaves it to the objective.", default=0, minimum=0)
    subsample = Hyperparameter(float, "Share of rows sampled in a round.", default=1, minimum=0, maximum=1, min_exclusive=True)
    colsample_bytree = Hyperparameter(
        float,
        "Share of features sampled for a tree.",
        default=1,
        minimum=0,
        maximum=1,
        min_exclusive=True,
        accessor="ColSampleByTree",
    )
    colsample_bylevel = Hyperparameter(
        float,
        "Share of features sampled for a level of a tree.",
        default=1,
        minimum=0,
        maximum=1,
        min_exclusive=True,
        accessor="ColSampleByLevel",
    )
    colsample_bynode = Hyperparameter(
        float,
        "Share of features sampled for a node.",
        default=1,
        minimum=0,
        maximum=1,
        min_exclusive=True,
        accessor="ColSampleByNode",
    )
    # A keyword of Python: XGBoostRegressor(**{"lambda": 2}), or by its other name.
    vars()["lambda"] = Hyperparameter(float, "L2 penalty on leaf weights.", default=1, minimum=0, aliases=["reg_lambda"])
    alpha = Hyperparameter(float, "L1 penalty on leaf weights.", default=0, minimum=0, aliases=["reg_alpha"])
    base_score = Hyperparameter(float, "Prediction of every row at the start.", default=0.5)
    scale_pos_weight = Hyperparameter(float, "Weight of rows of label 1 relative to the others.", default=1)
    tree_method = Hyperparameter(
        str,
        "How splits are found; auto is hist, gpu_hist is hist on GPUs.",
        default="auto",
        choices=["auto", "exact", "approx", "hist", "gpu_hist"],
    )
    max_bin = Hyperparameter(int, "Most bins of a feature (hist).", default=256)
    sketch_eps = Hyperparameter(float, "Features have 1 / sketch_eps bins (approx).", default=0.03, minimum=0, maximum=1)
    grow_policy = Hyperparameter(
        str,
        "Split next the node nearest to the root, or that of the greatest gain (hist).",
        default="depthwise",
        choices=["depthwise", "lossguide"],
    )
    max_leaves = Hyperparameter(int, "Most leaves of a tree (lossguide); 0 is no limit.", default=0)
    monotone_constraints = Hyperparameter(
        list, "Per feature: the prediction may only fall (-1), only rise (1), or do both (0) with it.", choices=[-1, 0, 1]
    )
    interaction_constraints = Hyperparameter(list, "Lists of features, counted from 0, that may meet on a path of a tree.")
    sample_type = Hyperparameter(str, "How trees to drop are picked (dart).", default="uniform", choices=["uniform", "weighted"])
    normalize_type = Hyperparameter(str, "How dropped and new trees are reweighted (dart).", default="tree", choices=["tree", "forest"])
    rate_drop = Hyperparameter(float, "Share of earlier trees dropped in a round (dart).", default=0, minimum=0, maximum=1)
    one_drop = Hyperparameter(int, "1: drop at least one tree in a round (dart).", default=0, minimum=0, maximum=1, choices=[0, 1])
    skip_drop = Hyperparameter(float, "Chance that a round drops nothing (dart).", default=0, minimum=0, maximum=1)
    lambda_bias = Hyperparameter(
        float, "L2 penalty on the bias; the library has it no more, so only 0 will do.", default=0, minimum=0, maximum=1
    )
    tweedie_variance_power = Hyperparameter(
        float,
        "Power of the variance (reg:tweedie).",
        default=1.5,
        minimum=1,
        maximum=2,
        min_exclusive=True,
        max_exclusive=True,
    )
    process_type = Hyperparameter(
        str, "Grow new trees, or update those of initial_model.", default="default", choices=["default", "update"]
    )
    updater = Hyperparameter(list, "Tree updaters in their order; the default leaves them to tree_method.", default=DEFAULT_UPDATER)
    refresh_leaf = Hyperparameter(
        int,
        "Whether the updater refresh changes leaves (1) or only statistics of nodes (0).",
        default=1,
        minimum=0,
        maximum=1,
        choices=[0, 1],
    )
    eval_metric = Hyperparameter(
        str,
        "Metrics of every round, separated by commas; the last one drives early stopping. By the objective where unset.",
        on_model=True,
    )
    early_stopping_rounds = Hyperparameter(
        int,
        "Stop after so many rounds without a better validation metric (of the training rows where none are marked); the best round serves.",
        minimum=1,
    )
    csv_weights = Hyperparameter(int, "1: rows have weights, in the column weightCol.", default=0, minimum=0, maximum=1, choices=[0, 1])
    nthread = Hyperparameter(int, "Threads of a worker; the CPUs of its task where unset.", accessor="NThread")
    seed = Hyperparameter(int, "Seed of everything random.", default=0)
    verbosity = Hyperparameter(
        int, "What the library says in the executors' logs: 0 nothing to 3 all.", default=1, minimum=0, maximum=3, choices=[0, 1, 2, 3]
    )
    deterministic_histogram = Hyperparameter(
        str, "The library's sums on GPUs are always reproducible, so only 'true' will do.", default="true", choices=["true", "false"]
    )
    single_precision_histogram = Hyperparameter(
        str, "The library always sums in double precision, so only 'false' will do.", default="false", choices=["true", "false"]
    )
    missing = MissingParam(
        float,
        "Value that stands for a missing one, besides nulls, NaN and what sparse rows do not store.",
        default=NAN,
        special=[NAN],
        on_model=True,
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        values = self.hyperparameters()
        optional = {name: self.declared[name] for name in values if not self.declared[name].required}
        changed = {name for name, param in optional.items() if values[name] != param.convert(param.default)}
        found = contradictions(Hyperparameters(**{"initial_model": None, **values}), changed, self._uses_gpu())
        if values["csv_weights"] and not self.value("weightCol"):
            found.append("csv_weights=1 says that rows have weights; name their column in weightCol")
        return found

    def _uses_gpu(self) -> bool:
        return "use_gpu" in self.declared and self.value("use_gpu")


class WarmStartParams(Declarations):
    """What training starts from."""

    initial_model = ModelParam(
        str, "A model, booster, or file of one: num_round more rounds follow its own, or change its trees (process_type='update')."
    )


class ExplanationParams(Declarations):
    """What transform tells beside the prediction."""

    contributionsCol = ColumnParam("Output column, where named: a vector of each feature's part in the raw score, and the bias.")
    leafCol = ColumnParam("Output column, where named: a vector of the leaf that the row ends in, of each tree.")


class XGBoostRegressorParams(XGBoostParams, RegressionParams):
    """What the regressor has besides."""

    objective = Hyperparameter(str, "Loss.", default="reg:squarederror", choices=REGRESSION)


class XGBoostClassifierParams(XGBoostParams, ClassificationParams):
    """What the classifier has besides."""

    objective = Hyperparameter(
        str,
        "Loss: for the classes 0 and 1, or (multi:) for num_class classes; where unset, taken from the data: binary:logistic where no "
        "label is beyond 1, else multi:softprob.",
        choices=CLASSIFICATION,
    )


class XGBoostRankerParams(XGBoostParams, PredictionParams):
    """What the ranker has besides."""

    reads = RANKING_FIELDS

    objective = Hyperparameter(str, "Loss.", default=RANKING[0], choices=RANKING)

    def problems(self) -> list[str]:
        found = super().problems()
        if not self.value("groupCol"):
            found.append("groupCol is required: the rows that are ranked together")
        return found
