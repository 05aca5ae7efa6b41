"""ROC, precision and recall, and confusion: what is drawn is what scikit-learn computes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F
from sklearn import metrics as reference

from sparkml_algos.plotting import plot_confusion_matrix, plot_precision_recall_curve, plot_roc_curve

RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, 2, 300)
# Few values, so that rows share them.
SCORE = np.round(LABEL + RANDOM.normal(0, 1, 300), 1)
WEIGHT = 1.0 + RANDOM.integers(0, 3, 300)
CLASS, GUESS = RANDOM.integers(0, 4, 300), RANDOM.integers(0, 4, 300)


def drawn(ax, curve=-1):
    return ax.lines[curve].get_xydata().T


@pytest.mark.parametrize("weighted", [False, True])
def test_the_roc_curve_is_that_of_scikit_learn(weighted):
    weights = WEIGHT if weighted else None
    table = {"label": LABEL, "score": SCORE, "w": WEIGHT}
    ax = plot_roc_curve(table, score="score", weight="w" if weighted else None, name="ours")
    x, y, _ = reference.roc_curve(LABEL, SCORE, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(drawn(ax), [x, y], atol=1e-12)
    area = reference.roc_auc_score(LABEL, SCORE, sample_weight=weights)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"ours: area {area:.3f}"]


@pytest.mark.parametrize("weighted", [False, True])
def test_precision_and_recall_are_those_of_scikit_learn(weighted):
    weights = WEIGHT if weighted else None
    ax = plot_precision_recall_curve({"label": LABEL, "score": SCORE, "w": WEIGHT}, score="score", weight="w" if weighted else None)
    precision, recall, _ = reference.precision_recall_curve(LABEL, SCORE, sample_weight=weights)
    # Theirs goes from the lowest threshold to beyond the highest, where it says a precision of 1 by convention.
    np.testing.assert_allclose(drawn(ax)[:, 1:], [recall[:-1][::-1], precision[:-1][::-1]])
    average = reference.average_precision_score(LABEL, SCORE, sample_weight=weights)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"mean {average:.3f}"]
    assert drawn(ax, 0)[1].tolist() == [np.average(LABEL, weights=weights)] * 2


def test_a_score_may_be_a_vector_of_which_the_positive_class_has_an_entry():
    scores = RANDOM.random((300, 4))
    x, y, _ = reference.roc_curve(CLASS == 2, scores[:, 2], drop_intermediate=False)
    for table in ({"label": CLASS, "probability": scores}, pd.DataFrame({"label": CLASS, "probability": list(scores)})):
        np.testing.assert_allclose(drawn(plot_roc_curve(table, positive=2)), [x, y], atol=1e-12)


def test_several_curves_share_axes():
    ax = plot_roc_curve({"label": LABEL, "probability": SCORE}, name="a")
    plot_roc_curve({"label": LABEL, "probability": -SCORE}, name="b", ax=ax)
    found = reference.roc_auc_score(LABEL, SCORE)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"a: area {found:.3f}", f"b: area {1 - found:.3f}"]


def test_rows_of_one_kind_make_no_curve():
    with pytest.raises(ValueError, match="plot_roc_curve needs rows of both kinds: there is none whose 'label' is 1"):
        plot_roc_curve({"label": [0, 0], "probability": [0.1, 0.2]})
    with pytest.raises(ValueError, match=r"plot_precision_recall_curve needs rows of both kinds: .* is other than 1"):
        plot_precision_recall_curve({"label": [1, 1], "probability": [0.1, 0.2]})


@pytest.mark.parametrize(("normalize", "theirs"), [(None, None), ("label", "true"), ("prediction", "pred"), ("all", "all")])
def test_the_confusion_matrix_is_that_of_scikit_learn(normalize, theirs):
    ax = plot_confusion_matrix({"label": CLASS, "prediction": GUESS.astype(float)}, normalize=normalize)
    expected = reference.confusion_matrix(CLASS, GUESS, normalize=theirs)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" if normalize else f"{value:g}" for value in expected.ravel()]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("label", "prediction")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "1", "2", "3"]


def test_classes_have_names_also_those_without_rows():
    table = {"label": [0, 2, 2], "prediction": [2.0, 2.0, 0.0]}
    ax = plot_confusion_matrix(table, class_names=["ant", "bee", "cat"])
    assert ax.images[0].get_array().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["ant", "bee", "cat"]
    with pytest.raises(ValueError, match="there are classes up to 2, and there are 2 names"):
        plot_confusion_matrix(table, class_names=["ant", "bee"])
    with pytest.raises(ValueError, match="normalize must be 'label', 'prediction' or 'all', got 'true'"):
        plot_confusion_matrix(table, normalize="true")


def test_rows_of_spark_are_counted_where_they_are(spark):
    rows = [(int(label), [0.0, float(score)], float(weight)) for label, score, weight in zip(LABEL, SCORE, WEIGHT, strict=True)]
    frame = spark.createDataFrame(rows, "`the.label` int, scores array<double>, w double").withColumn("vector", array_to_vector("scores"))
    frame = frame.withColumn("number", F.col("scores")[1]).withColumn("guess", (F.col("number") > 0.5).cast("double")).cache()
    arrays = {"label": LABEL, "score": SCORE, "w": WEIGHT}
    for name in ("scores", "vector", "number"):
        ax = plot_roc_curve(frame, label="the.label", score=name, weight="w")
        np.testing.assert_allclose(drawn(ax), drawn(plot_roc_curve(arrays, score="score", weight="w")))
    expected = reference.confusion_matrix(LABEL, SCORE > 0.5)
    ax = plot_confusion_matrix(frame, label="the.label", prediction="guess")
    assert ax.images[0].get_array().tolist() == expected.tolist()
    with pytest.raises(ValueError, match=r"plot_roc_curve needs the columns 'probability', 'label'; there are 'the\.label'"):
        plot_roc_curve(frame)
    with pytest.raises(ValueError, match="plot_roc_curve has no row to draw"):
        plot_roc_curve(frame.where("w < 0"), label="the.label", score="number")
