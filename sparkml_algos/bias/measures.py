"""The measures of bias, each a function of counts: how many rows of both sides of a facet have which label and which prediction.

Side *d* are the rows in the facet, side *a* all others. A measure is positive where *d* fares worse, but for TE, SD and DRR, whose sign is
that of the published formula, and for DI, a ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sparkml_algos.bias import distributions

Stage = Literal["pre_training", "post_training"]
# The first axis of the cells of `Counts`; the second and third are negative and positive.
A, D = 0, 1
_ALPHA = 2  # of the generalized entropy


class Undefined(ValueError):
    """A measure has no value for these counts; the message says why."""


@dataclass(frozen=True)
class Flips:
    """What the flip test counts among the rows of side *d*, or of a sample of them.

    Attributes
    ----------
    favourable, unfavourable : float
        Weight of rows whose prediction is negative and that of their neighbours of side *a* positive, and the opposite.
    rows : float
        Weight of all rows that were looked at.
    """

    favourable: float
    unfavourable: float
    rows: float


@dataclass(frozen=True)
class Counts:
    """Rows, or their weights, by side of a facet, label, prediction and stratum.

    Attributes
    ----------
    cells : ndarray of float64, shape (2, 2, 2, strata + 1)
        Side (*a*, *d*), label (negative, positive), prediction (negative, positive), stratum; the last stratum has the rows without one.
    predicted : bool
        Whether there are predictions; without them all rows stand under the negative ones.
    stratified : bool
        Whether there is a group variable.
    flips : Flips or str
        What the flip test found, or why there is nothing.
    """

    cells: np.ndarray
    predicted: bool = True
    stratified: bool = True
    flips: Flips | str = "the flip test was not asked for"

    sides: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sides", self.cells.sum(axis=(1, 2, 3)))

    def labels(self) -> np.ndarray:
        """Rows by side and label, shape (2, 2)."""
        return self.cells.sum(axis=(2, 3))

    def predictions(self) -> np.ndarray:
        """Rows by side and prediction, shape (2, 2)."""
        return self.cells.sum(axis=(1, 3))

    def confusion(self) -> np.ndarray:
        """Rows by side, label and prediction, shape (2, 2, 2)."""
        return self.cells.sum(axis=3)

    def require_sides(self) -> None:
        """Raise `Undefined` where a side has no rows."""
        if self.sides[D] == 0:
            raise Undefined("no row is in the facet")
        if self.sides[A] == 0:
            raise Undefined("every row is in the facet")


@dataclass(frozen=True)
class Measure:
    """A measure of bias.

    Attributes
    ----------
    name : str
        Short name of the service.
    description : str
    stage : {"pre_training", "post_training"}
        Whether it reads predictions.
    reading : str
        What a value means.
    ideal : float
        The value without bias.
    """

    name: str
    description: str
    stage: Stage
    reading: str
    function: Callable[[Counts], float] = field(repr=False, compare=False)
    ideal: float = 0.0

    def __call__(self, counts: Counts) -> float:
        """The value for these counts; infinite where something is divided by nothing.

        Raises
        ------
        Undefined
            If there is none.
        """
        if self.stage == "post_training" and not counts.predicted:
            raise Undefined("there are no predictions")
        return float(self.function(counts))


def ratio(numerator: float, denominator: float) -> float:
    """A quotient where 0/0 is 0 and x/0 infinite with the sign of x."""
    if denominator:
        return numerator / denominator
    return math.copysign(math.inf, numerator) if numerator else 0.0


def _difference(one: float, other: float) -> float:
    """One less the other; nothing where both are infinite."""
    return 0.0 if one == other else one - other


# --------------------------------------------------------------------------------------------------------- before training


def _class_imbalance(counts: Counts) -> float:
    counts.require_sides()
    return (counts.sides[A] - counts.sides[D]) / counts.sides.sum()


def _difference_of_proportions(outcomes: np.ndarray, counts: Counts) -> float:
    counts.require_sides()
    return outcomes[A, 1] / counts.sides[A] - outcomes[D, 1] / counts.sides[D]


def _of_distributions(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Counts], float]:
    def measure(counts: Counts) -> float:
        counts.require_sides()
        outcomes = counts.labels() / counts.sides[:, None]
        try:
            return function(outcomes[A], outcomes[D])
        except ValueError as error:
            raise Undefined(str(error)) from None

    return measure


def _conditional_disparity(counts: Counts, axis: int) -> float:
    """Of the strata, the mean by their rows of the share of *d* among the negatives less that among the positives."""
    if not counts.stratified:
        raise Undefined("there is no group variable")
    table = counts.cells.sum(axis=3 - axis)  # side, outcome, stratum
    for outcome, name in ((1, "positive"), (0, "negative")):
        if table[:, outcome].sum() == 0:
            raise Undefined(f"no row is {name}")
    inside = table[..., :-1]
    totals = inside.sum(axis=0)
    shares = np.divide(inside[D], totals, out=np.zeros_like(totals), where=totals > 0)
    rows = totals.sum(axis=0)
    return ratio(float(rows @ (shares[0] - shares[1])), float(rows.sum()))


# ---------------------------------------------------------------------------------------------------------- after training


def _of_both(statistic: Callable[[np.ndarray], float], first: int) -> Callable[[Counts], float]:
    """A statistic of the confusion matrix of one side less that of the other."""

    def measure(counts: Counts) -> float:
        counts.require_sides()
        confusion = counts.confusion()
        return _difference(statistic(confusion[first]), statistic(confusion[1 - first]))

    return measure


def _disparate_impact(counts: Counts) -> float:
    counts.require_sides()
    positive = counts.predictions()[:, 1] / counts.sides
    return ratio(positive[D], positive[A])


def _flip_test(counts: Counts) -> float:
    counts.require_sides()
    if isinstance(counts.flips, str):
        raise Undefined(counts.flips)
    return ratio(counts.flips.favourable - counts.flips.unfavourable, counts.flips.rows)


def _generalized_entropy(counts: Counts) -> float:
    confusion = counts.confusion().sum(axis=0)
    rows = confusion.sum()
    if rows == 0:
        raise Undefined("there are no rows")
    benefits, weights = np.array([0.0, 1.0, 2.0]), np.array([confusion[1, 0], confusion[0, 0] + confusion[1, 1], confusion[0, 1]])
    mean = benefits @ weights / rows
    if mean == 0:
        raise Undefined("every prediction is a false negative")
    return float(((benefits / mean) ** _ALPHA - 1) @ weights / (rows * _ALPHA * (_ALPHA - 1)))


# Statistics of one confusion matrix, shape (2, 2): label, prediction.
STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "Accuracy": lambda m: ratio(m[0, 0] + m[1, 1], m.sum()),
    "Proportion of Positive Predictions in Labels": lambda m: ratio(m[:, 1].sum(), m.sum()),
    "Proportion of Negative Predictions in Labels": lambda m: ratio(m[:, 0].sum(), m.sum()),
    "True Positive Rate / Recall": lambda m: ratio(m[1, 1], m[1].sum()),
    "True Negative Rate / Specificity": lambda m: ratio(m[0, 0], m[0].sum()),
    "Acceptance Rate / Precision": lambda m: ratio(m[1, 1], m[:, 1].sum()),
    "Rejection Rate": lambda m: ratio(m[0, 0], m[:, 0].sum()),
    "Conditional Acceptance": lambda m: ratio(m[1].sum(), m[:, 1].sum()),
    "Conditional Rejection": lambda m: ratio(m[0].sum(), m[:, 0].sum()),
    "F1 Score": lambda m: ratio(2 * m[1, 1], 2 * m[1, 1] + m[0, 1] + m[1, 0]),
}


def _miss_to_alarm(confusion: np.ndarray) -> float:
    return ratio(confusion[1, 0], confusion[0, 1])


_ALL = (
    Measure(
        "CI", "Class Imbalance (CI)", "pre_training",
        "above 0 the facet has fewer rows than the others", _class_imbalance,
    ),
    Measure(
        "DPL", "Difference in Positive Proportions in Labels (DPL)", "pre_training",
        "above 0 the facet has positive labels less often", lambda counts: _difference_of_proportions(counts.labels(), counts),
    ),
    Measure(
        "KL", "Kullback-Leibler Divergence (KL)", "pre_training",
        "0 where labels are alike, in nats", _of_distributions(distributions.kl),
    ),
    Measure(
        "JS", "Jensen-Shannon Divergence (JS)", "pre_training",
        "0 where labels are alike, at most ln 2", _of_distributions(distributions.js),
    ),
    Measure(
        "LP", "L-p Norm (LP)", "pre_training",
        "0 where labels are alike, at most √2", _of_distributions(distributions.lp),
    ),
    Measure(
        "TVD", "Total Variation Distance (TVD)", "pre_training",
        "share of labels that would have to change", _of_distributions(distributions.tvd),
    ),
    Measure(
        "KS", "Kolmogorov-Smirnov Distance (KS)", "pre_training",
        "largest gap of one label", _of_distributions(distributions.ks),
    ),
    Measure(
        "CDDL", "Conditional Demographic Disparity in Labels (CDDL)", "pre_training",
        "above 0 the facet has more of the negative labels than of the positive ones, inside groups",
        lambda counts: _conditional_disparity(counts, 1),
    ),
    Measure(
        "DPPL", "Difference in Positive Proportions in Predicted Labels (DPPL)", "post_training",
        "above 0 the facet is predicted positive less often", lambda counts: _difference_of_proportions(counts.predictions(), counts),
    ),
    Measure(
        "DI", "Disparate Impact (DI)", "post_training",
        "below 1 the facet is predicted positive less often; 0.8 to 1.25 is a common rule", _disparate_impact, 1.0,
    ),
    Measure(
        "DCA", "Difference in Conditional Acceptance (DCA)", "post_training",
        "above 0 others are accepted less than observed, beside the facet", _of_both(STATISTICS["Conditional Acceptance"], A),
    ),
    Measure(
        "DCR", "Difference in Conditional Rejection (DCR)", "post_training",
        "above 0 the facet is rejected less than observed, beside others", _of_both(STATISTICS["Conditional Rejection"], D),
    ),
    Measure(
        "SD", "Specificity Difference (SD)", "post_training",
        "above 0 the facet has fewer false positives", _of_both(STATISTICS["True Negative Rate / Specificity"], D),
    ),
    Measure(
        "RD", "Recall Difference (RD)", "post_training",
        "above 0 recall is worse in the facet", _of_both(STATISTICS["True Positive Rate / Recall"], A),
    ),
    Measure(
        "DAR", "Difference in Acceptance Rates (DAR)", "post_training",
        "above 0 precision is worse in the facet", _of_both(STATISTICS["Acceptance Rate / Precision"], A),
    ),
    Measure(
        "DRR", "Difference in Rejection Rates (DRR)", "post_training",
        "above 0 rejections are right more often in the facet", _of_both(STATISTICS["Rejection Rate"], D),
    ),
    Measure(
        "AD", "Accuracy Difference (AD)", "post_training",
        "above 0 accuracy is worse in the facet", _of_both(STATISTICS["Accuracy"], A),
    ),
    Measure(
        "TE", "Treatment Equality (TE)", "post_training",
        "above 0 the facet has more misses to a false alarm", _of_both(_miss_to_alarm, D),
    ),
    Measure(
        "CDDPL", "Conditional Demographic Disparity in Predicted Labels (CDDPL)", "post_training",
        "above 0 the facet has more of the negative predictions than of the positive ones, inside groups",
        lambda counts: _conditional_disparity(counts, 2),
    ),
    Measure(
        "FT", "Flip Test (FT)", "post_training",
        "above 0 the like among others are predicted positive where the facet is not", _flip_test,
    ),
    Measure(
        "GE", "Generalized Entropy (GE)", "post_training",
        "0 where all are served alike; the same for every facet", _generalized_entropy,
    ),
)  # fmt: skip

#: All measures by their short names, in the order of the names.
MEASURES: dict[str, Measure] = {measure.name: measure for measure in sorted(_ALL, key=lambda measure: measure.name)}


def chosen(methods: str | Sequence[str] | None, stage: Stage) -> list[Measure]:
    """The measures of a stage that were asked for.

    Parameters
    ----------
    methods : "all", sequence of str or None
        Short names; None for no measures.
    stage : {"pre_training", "post_training"}

    Returns
    -------
    list of Measure
        In the order of their names.

    Raises
    ------
    ValueError
        If a name is not one of this stage.
    """
    there = {name: measure for name, measure in MEASURES.items() if measure.stage == stage}
    if methods is None:
        return []
    wanted = list(there) if methods == "all" else [methods] if isinstance(methods, str) else list(methods)
    wanted = list(there) if "all" in wanted else wanted
    if unknown := [name for name in wanted if name not in there]:
        raise ValueError(f"no measure of {stage} is called {', '.join(map(repr, unknown))}; there are {', '.join(there)}")
    return [measure for name, measure in there.items() if name in wanted]
