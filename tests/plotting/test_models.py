"""Importances, components and topics, as arrays and as models have them."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.linalg import SparseVector

from sparkml_algos.plotting import plot_components, plot_explained_variance, plot_feature_importances, plot_topics


def bars(ax):
    """Names and lengths of horizontal bars, from the top."""
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    lengths = [bar.get_width() for bar in sorted(ax.patches, key=lambda bar: bar.get_y())]
    assert ax.yaxis_inverted()
    return list(zip(names, lengths, strict=True))


def test_the_most_important_features_are_on_top_and_unused_ones_left_out():
    found = {"a": 1.0, "b": 5.0, "c": 0.0, "d": 3.0}
    assert bars(plot_feature_importances(found)) == [("b", 5), ("d", 3), ("a", 1)]
    assert bars(plot_feature_importances(found, top=2)) == [("b", 5), ("d", 3)]


def test_importances_come_as_vectors_arrays_and_from_models():
    vector = SparseVector(4, {1: 0.75, 3: 0.25})

    class OfMLlib:
        featureImportances = vector

    class OfBoosting:
        feature_names = None

        @staticmethod
        def get_feature_importances(importance_type):
            return {"f1": 0.75, "f3": 0.25} if importance_type == "cover" else {}

    for importances in (vector, vector.toArray(), OfMLlib()):
        assert bars(plot_feature_importances(importances)) == [("f1", 0.75), ("f3", 0.25)]
    ax = plot_feature_importances(OfBoosting(), importance_type="cover", feature_names=["a", "b", "c", "d"])
    assert bars(ax) == [("b", 0.75), ("d", 0.25)] and ax.get_xlabel() == "importance (cover)"
    assert bars(plot_feature_importances(vector, feature_names=["a", "b", "c", "d"])) == [("b", 0.75), ("d", 0.25)]
    with pytest.raises(ValueError, match="2 names are given for 4 features"):
        plot_feature_importances(vector, feature_names=["a", "b"])
    with pytest.raises(ValueError, match="no feature has an importance: the model uses none"):
        plot_feature_importances(OfBoosting())


def test_variance_is_drawn_by_component_and_in_sum():
    ax = plot_explained_variance([0.5, 0.3, 0.1])
    drawn = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in ax.patches]
    np.testing.assert_allclose(drawn, [(1, 0.5), (2, 0.3), (3, 0.1)])
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 0.5], [2, 0.8], [3, 0.9]])


def test_components_are_rows_of_colours_around_zero():
    class Model:
        components = np.array([[0.6, -0.8, 0.0], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]])
        feature_names = ("age", "income", "visits")

    ax = plot_components(Model(), components=[1, 0])
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), Model.components[[1, 0]])
    assert image.get_clim() == (-0.9, 0.9)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1", "0"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["age", "income", "visits"]
    with pytest.raises(ValueError, match="there is no component 3; there are 3, counted from 0"):
        plot_components(Model(), components=[0, 3])
    with pytest.raises(ValueError, match="1 names are given for 3 features"):
        plot_components(Model(), feature_names=["age"])


def test_topics_stand_below_each_other_with_their_first_words():
    class Model:
        topics = np.array([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]])
        feature_names = None

    ax = plot_topics(Model(), ["ant", "bee", "cat"], words=2)
    assert bars(ax) == [("bee", 0.6), ("cat", 0.3), ("ant", 0.5), ("cat", 0.4)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["topic 0", "topic 1"]
    assert bars(plot_topics(Model(), topics=[1], words=9)) == [("0", 0.5), ("2", 0.4), ("1", 0.1)]
    with pytest.raises(ValueError, match="there is no topic 2; there are 2, counted from 0"):
        plot_topics(Model(), topics=[2])
    with pytest.raises(ValueError, match="vocabulary has 1 words; the topics have 3"):
        plot_topics(Model(), ["ant"])
