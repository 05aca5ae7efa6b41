"""What all pictures have in common: where they are drawn, and that they need matplotlib and nothing of Spark."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sparkml_algos import plotting
from tests.plotting.test_runs import Compared

TRIAL = SimpleNamespace(number=0, objective=0.5, status="Completed", succeeded=True, setting={"a": 1}, units={"a": 0.5})
SEARCH = SimpleNamespace(name="search", trials=[TRIAL], objective_metric="error", larger_is_better=False)
EXPLANATION = SimpleNamespace(features=("a",), labels=("label0",), global_values=lambda agg_method: {"label0": {"a": 1.0}})
DEPENDENCE = SimpleNamespace(
    feature_name="a",
    data_type="numerical",
    feature_values=(1.0, 2.0),
    model_predictions=((3.0, 4.0),),
    data_distribution=(0.5, 0.5),
    error=None,
)
DRAW = {
    "plot_anomalies": lambda **on: plotting.plot_anomalies({"time": [1, 2], "value": [3, 4], "score": [1, 2]}, threshold=1.5, **on),
    "plot_components": lambda **on: plotting.plot_components([[0.6, 0.8], [0.8, -0.6]], **on),
    "plot_confusion_matrix": lambda **on: plotting.plot_confusion_matrix({"label": [0, 1], "prediction": [0, 1]}, **on),
    "plot_detections": lambda **on: plotting.plot_detections(np.zeros((4, 4, 3), np.uint8), [], **on),
    "plot_elbow": lambda **on: plotting.plot_elbow({"k": [1, 2], "msd": [3, 1]}, **on),
    "plot_explained_variance": lambda **on: plotting.plot_explained_variance([0.6, 0.3], **on),
    "plot_explanations": lambda **on: plotting.plot_explanations(EXPLANATION, **on),
    "plot_feature_importances": lambda **on: plotting.plot_feature_importances({"a": 1.0}, **on),
    "plot_forecast": lambda **on: plotting.plot_forecast({"time": [1, 2], "mean": [3, 4], "quantiles": [{"0.5": 3.0}, {"0.5": 4.0}]}, **on),
    "plot_masks": lambda **on: plotting.plot_masks(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), **on),
    "plot_partial_dependence": lambda **on: plotting.plot_partial_dependence(DEPENDENCE, **on),
    "plot_precision_recall_curve": lambda **on: plotting.plot_precision_recall_curve({"label": [0, 1], "probability": [0.1, 0.9]}, **on),
    "plot_roc_curve": lambda **on: plotting.plot_roc_curve({"label": [0, 1], "probability": [0.1, 0.9]}, **on),
    "plot_runs": lambda **on: plotting.plot_runs(Compared(), "bar", "auc", **on),
    "plot_topics": lambda **on: plotting.plot_topics([[0.7, 0.3], [0.2, 0.8]], **on),
    "plot_tuning": lambda **on: plotting.plot_tuning(SEARCH, **on),
    "plot_training_history": lambda **on: plotting.plot_training_history([{"epoch": 1, "train:msd": 2.0}], **on),
}


@pytest.mark.parametrize("name", plotting.__all__)
def test_a_picture_is_drawn_on_the_axes_that_are_given_or_on_a_new_figure(name):
    _, ax = plt.subplots()
    assert DRAW[name](ax=ax) is ax and ax.has_data()
    figures = len(plt.get_fignums())
    assert DRAW[name]() is not ax and len(plt.get_fignums()) == figures + 1
    assert inspect.signature(getattr(plotting, name)).parameters["ax"].default is None


@pytest.mark.parametrize("name", plotting.__all__)
def test_without_matplotlib_the_message_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf"{name} needs matplotlib; install it with: pip install 'sparkml-algos\[plot\]'"):
        DRAW[name]()


def test_pictures_need_no_spark():
    draw = "import sys; sys.modules['pyspark'] = None; import matplotlib; matplotlib.use('Agg'); import sparkml_algos.plotting as plotting"
    draw += "; print(plotting.plot_roc_curve({'label': [0, 1], 'probability': [0.2, 0.9]}).get_ylabel())"
    done = subprocess.run([sys.executable, "-c", draw], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "share of positive rows found", done.stderr
