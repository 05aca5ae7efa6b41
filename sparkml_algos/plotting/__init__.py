"""Pictures of results, with matplotlib, which the extra ``plot`` installs.

Every function draws one picture on the axes it is given, ``ax``, or on a new figure, and returns the axes. Rows come as a DataFrame of
Spark or pandas, or as a mapping of names to arrays; models as they are, fitted or loaded.
"""

from __future__ import annotations

from sparkml_algos.plotting.anomalies import plot_anomalies
from sparkml_algos.plotting.classes import plot_confusion_matrix, plot_precision_recall_curve, plot_roc_curve
from sparkml_algos.plotting.clusters import plot_elbow
from sparkml_algos.plotting.components import plot_components, plot_explained_variance
from sparkml_algos.plotting.detections import plot_detections
from sparkml_algos.plotting.explanations import plot_explanations, plot_partial_dependence
from sparkml_algos.plotting.forecasts import plot_forecast
from sparkml_algos.plotting.importances import plot_feature_importances
from sparkml_algos.plotting.masks import plot_masks
from sparkml_algos.plotting.runs import plot_runs
from sparkml_algos.plotting.topics import plot_topics
from sparkml_algos.plotting.training import plot_training_history
from sparkml_algos.plotting.tuning import plot_tuning

__all__ = [
    "plot_anomalies",
    "plot_components",
    "plot_confusion_matrix",
    "plot_detections",
    "plot_elbow",
    "plot_explained_variance",
    "plot_explanations",
    "plot_feature_importances",
    "plot_forecast",
    "plot_masks",
    "plot_partial_dependence",
    "plot_precision_recall_curve",
    "plot_roc_curve",
    "plot_runs",
    "plot_topics",
    "plot_training_history",
    "plot_tuning",
]
