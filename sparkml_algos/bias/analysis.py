"""From a DataFrame to a report of bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.bias.columns import Facet, Kind, Split, split, with_kinds
from sparkml_algos.bias.counting import Group, Question, count, flip_tests
from sparkml_algos.bias.measures import chosen
from sparkml_algos.bias.report import BiasReport, FacetBias, performance_of, values_of
from sparkml_algos.cluster.jobs import described
from sparkml_algos.core.columns import column, is_number, needed

# Rows of a side up to which the flip test looks at all of them.
FLIP_TEST_ROWS = 10_000


def bias_report(
    dataset: DataFrame,
    label: str,
    label_values_or_threshold: Any,
    facets: Facet | str | Sequence[Facet | str],
    *,
    predicted_label: str | None = None,
    probability: str | None = None,
    probability_threshold: float = 0.5,
    group_variable: str | None = None,
    weight: str | None = None,
    pre_training: str | Sequence[str] | None = "all",
    post_training: str | Sequence[str] | None = "all",
    label_kind: Kind | None = None,
    flip_test_features: Sequence[str] | None = None,
    flip_test_rows: int = FLIP_TEST_ROWS,
    flip_test_sign: str = "published",
    seed: int = 0,
) -> BiasReport:
    """Measure bias in labels and predictions.

    All facets and measures come from one aggregation of Spark, but for the flip test, which needs rows and reads them once more. Columns
    whose kind neither their type nor the given values tell cost another pass, which ``kind`` and `label_kind` save.

    Parameters
    ----------
    dataset : DataFrame
    label : str
        Column of observed labels: strings, numbers or booleans.
    label_values_or_threshold : value or list of values
        Labels that are positive or, if labels are continuous, the threshold that they are above.
    facets : Facet, str, or sequence of them
        Columns whose groups are compared; a name alone compares each value with all others.
    predicted_label : str, optional
        Column of predicted labels, of the kind of `label`. Without it, and without `probability`, only labels are looked at.
    probability : str, optional
        Column of scores in place of predicted labels: a prediction is positive where the score is greater than `probability_threshold`.
    probability_threshold : float
    group_variable : str, optional
        Column of strata for CDDL and CDDPL. Rows without a stratum are left out of the sums over strata, as in the reference.
    weight : str, optional
        Column of weights; each row counts 1 without it.
    pre_training, post_training : "all", sequence of str or None
        Short names of measures; None for none of the stage.
    label_kind : {"categorical", "continuous"}, optional
        What labels and predictions are; see `Facet` for how it is found. A label of type double is continuous unless this says otherwise.
    flip_test_features : sequence of str, optional
        Columns of numbers or booleans that neighbours are alike in. By default all columns of numbers and booleans but label, prediction,
        probability, weight and the facets. The reference refuses tables with other columns, here they are left out.
    flip_test_rows : int
        Rows of a side from which on the flip test looks at a sample of about so many; the report says so.
    flip_test_sign : {"published", "reference"}
        The published formula is positive where the facet is treated worse; the code of the reference gives the opposite sign.
    seed : int
        Of that sample.

    Returns
    -------
    BiasReport

    Raises
    ------
    ValueError
        If columns, values or names of measures do not fit, there are no rows, or no prediction is positive.

    Notes
    -----
    A row is in the facet *d* if its value is one of those given, or above the threshold; null is not. Published pages also call the given
    values those that bias favours; what is computed is the rule of the executed reference. KL, JS, LP, TVD and KS are of labels reduced to
    positive and negative, over outcomes that both sides have; `sparkml_algos.bias.distributions` has them for more.

    Examples
    --------
    >>> report = bias_report(  # doctest: +SKIP
    ...     adults, "income", ">50K", [Facet("sex", "Female"), "race"], predicted_label="predicted", group_variable="education"
    ... )
    >>> report["sex", "DPL"]  # doctest: +SKIP
    """
    before, after = chosen(pre_training, "pre_training"), chosen(post_training, "post_training")
    if flip_test_sign not in ("published", "reference"):
        raise ValueError(f"flip_test_sign is 'published' or 'reference', not {flip_test_sign!r}")
    if flip_test_rows < 1:
        raise ValueError(f"flip_test_rows is 1 or more, not {flip_test_rows}")
    given = [facets] if isinstance(facets, (Facet, str)) else facets
    listed = [Facet(one) if isinstance(one, str) else one for one in given]
    if not listed:
        raise ValueError("facets: none is given")
    if predicted_label is not None and probability is not None:
        raise ValueError("predicted_label and probability are given, and one of them says what is predicted")
    question = _question(dataset, label, label_values_or_threshold, label_kind, listed, predicted_label, probability, probability_threshold,
                         group_variable, weight)  # fmt: skip
    with described(dataset.sparkSession, "bias report"):
        counted = count(dataset, question)
        groups = counted.groups
        notes: list[str | None] = [None] * len(groups)
        predicted = question.positive is not None
        if predicted and groups and not any(group.counts.predictions()[:, 1].sum() for group in groups):
            raise ValueError(
                f"no prediction is positive: none is {question.label.text()}" if probability is None else "no score is above the threshold"
            )
        if predicted and any(measure.name == "FT" for measure in after):
            taken = {label, predicted_label, probability, weight, *(facet.name for facet in listed)}
            features = _features(dataset, flip_test_features, taken)
            tested = flip_tests(dataset, question, groups, features, flip_test_rows, seed)
            notes = [f"Flip test {note}" if note else None for _, note in tested]
            groups = [_with_flips(group, found, flip_test_sign) for group, (found, _) in zip(groups, tested, strict=True)]
    performance = performance_of(groups[0].counts, counted.matrix) if predicted and groups else {}
    return BiasReport(
        label,
        counted.label_text,
        tuple(
            FacetBias(
                listed[group.facet].name,
                group.text,
                values_of(group.counts, before),
                values_of(group.counts, after) if predicted else (),
                (float(group.counts.sides[0]), float(group.counts.sides[1])),
                (note,) if note else (),
            )
            for group, note in zip(groups, notes, strict=True)
        ),
        performance,
    )


def bias_report_from_config(dataset: DataFrame, config: Mapping[str, Any], **options: Any) -> BiasReport:
    """Measure bias as a configuration of the service asks for, ``analysis_config.json``.

    Parameters
    ----------
    dataset : DataFrame
        The rows, predictions among them, whatever ``dataset_uri`` says.
    config : mapping
        Keys ``label``, ``label_values_or_threshold``, ``facet``, ``predicted_label``, ``probability_threshold``, ``group_variable``,
        ``excluded_columns`` and, of ``methods``, ``pre_training_bias`` and ``post_training_bias`` are followed. Columns may be given by
        number. Where ``predictor`` names a ``probability``, that column holds the scores.
    **options
        Further arguments of `bias_report`, such as ``weight``.

    Returns
    -------
    BiasReport

    Raises
    ------
    ValueError
        If a key that is needed is missing, or one of them is wrong.
    """

    def name(given: Any) -> str:
        return dataset.columns[given] if isinstance(given, int) else str(given)

    methods = config.get("methods", {})
    if lacking := [key for key in ("label", "label_values_or_threshold", "facet") if key not in config]:
        raise ValueError(f"the configuration lacks {', '.join(lacking)}")
    asked = {
        stage: methods[f"{stage}_bias"].get("methods", "all") if f"{stage}_bias" in methods else None
        for stage in ("pre_training", "post_training")
    }
    if not any(value is not None for value in asked.values()):
        raise ValueError("methods has neither pre_training_bias nor post_training_bias")
    facets = [Facet(name(facet["name_or_index"]), facet.get("value_or_threshold")) for facet in _list(config["facet"])]
    probability = config.get("predictor", {}).get("probability")
    given = {
        "predicted_label": name(config["predicted_label"]) if "predicted_label" in config else None,
        "probability": name(probability) if probability is not None and "predicted_label" not in config else None,
        "probability_threshold": config.get("probability_threshold", 0.5),
        "group_variable": name(config["group_variable"]) if "group_variable" in config else None,
    }
    excluded = {name(one) for one in _list(config.get("excluded_columns", []))}
    kept = dataset.select(*(column(one) for one in dataset.columns if one not in excluded))
    return bias_report(kept, name(config["label"]), config["label_values_or_threshold"], facets, **{**given, **asked, **options})


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _question(
    dataset: DataFrame, label: str, values: Any, kind: Kind | None, facets: Sequence[Facet], predicted_label: str | None,
    probability: str | None, threshold: float, group: str | None, weight: str | None,
) -> Question:  # fmt: skip
    labels = split(dataset, label, values, kind, "label")
    if not labels.values:
        raise ValueError("label_values_or_threshold: no label is said to be positive")
    columns = [labels, *(split(dataset, facet.name, facet.value_or_threshold, facet.kind, "facets") for facet in facets)]
    if predicted_label is not None:
        columns.append(split(dataset, predicted_label, values, kind, "predicted_label"))
    known = with_kinds(dataset, columns)
    observed, sides = known[0], known[1 : len(facets) + 1]
    guessed: Split | None = None
    positive: Column | None = None
    if predicted_label is not None:
        guessed = known[-1]
        if guessed.kind != observed.kind:
            kinds = f"{label!r} is {observed.kind}, {predicted_label!r} is {guessed.kind}"
            raise ValueError(f"labels and predictions are not of one kind: {kinds}; label_kind says what both are")
        guessed = replace(guessed, values=observed.values)
        positive = guessed.holds()
    elif probability is not None:
        positive = needed(dataset, probability, "probability", numeric=True).column > F.lit(float(threshold))
    grouped = None if group is None else needed(dataset, group, "group_variable").column
    weighed = None if weight is None else needed(dataset, weight, "weight", numeric=True)
    return Question(observed, guessed, positive, sides, grouped, weighed)


def _features(dataset: DataFrame, names: Sequence[str] | None, taken: set[str | None]) -> list[Column]:
    if names is not None:
        return [needed(dataset, name, "flip_test_features", numeric=True).column for name in names]
    return [column(field.name) for field in dataset.schema.fields if field.name not in taken and is_number(field.dataType)]


def _with_flips(group: Group, found: Any, sign: str) -> Group:
    if sign == "reference" and not isinstance(found, str):
        found = replace(found, favourable=found.unfavourable, unfavourable=found.favourable)
    return replace(group, counts=replace(group.counts, flips=found))
