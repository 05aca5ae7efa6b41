"""From scores to probabilities and classes, in graphs as `arrays.decisions` does it."""

from __future__ import annotations

import numpy as np

from sparkml_algos.export.graph import Graph


def two_classes(graph: Graph, score: str, threshold: float, *, at_least: bool, probable: bool) -> dict[str, str]:
    """Outputs of a model of two classes.

    Parameters
    ----------
    graph : Graph
    score : str
        Raw scores of the second class (rows,).
    threshold : float
        From which on, or, if not `at_least`, above which a row is of the second class.
    at_least, probable : bool
        `probable`: whether there are probabilities.

    Returns
    -------
    dict of str to str
        ``label`` (rows,), ``raw`` and, if wanted, ``probability`` (rows, 2).
    """
    minus = graph("Neg", score)
    operator = "GreaterOrEqual" if at_least else "Greater"
    found = {"label": graph.real(graph(operator, score, graph.reals(threshold))), "raw": graph.stacked(minus, score)}
    if probable:
        found["probability"] = graph.stacked(graph("Sigmoid", minus), graph("Sigmoid", score))
    return found


def many_classes(graph: Graph, scores: str, thresholds: np.ndarray | None) -> dict[str, str]:
    """The same of several classes: ``label`` (rows,), ``raw`` and ``probability`` (rows, classes)."""
    probability = graph("Softmax", scores, axis=1)
    judged = scores if thresholds is None else in_relation(graph, probability, thresholds)
    return {"label": largest(graph, judged), "raw": scores, "probability": probability}


def in_relation(graph: Graph, probability: str, thresholds: np.ndarray) -> str:
    """Probabilities in relation to thresholds, shape (rows, classes); 0 in relation to 0 is less than anything."""
    shares = graph("Div", probability, graph.reals(thresholds))
    return graph("Where", graph("IsNaN", shares), graph.reals(-np.inf), shares)


def largest(graph: Graph, scores: str) -> str:
    """The place of the largest score of each row, the first of equal ones, as a number."""
    return graph.real(graph("ArgMax", scores, axis=1, keepdims=0))
