"""Each measure is what its published formula says, and what the reference computes where that is installed.

The reference, smclarify, is installed beside the pins with ``pip install --no-deps smclarify pyfunctional dill tabulate``.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sparkml_algos.bias import MEASURES, distributions
from sparkml_algos.bias.flipping import flips
from sparkml_algos.bias.measures import Counts, Flips, Undefined, chosen


def counts(facet, label, predicted, group=None, flipped="not tested") -> Counts:
    strata = sorted({one for one in group if one is not None}) if group is not None else []
    cells = np.zeros((2, 2, 2, len(strata) + 1))
    for i in range(len(facet)):
        stratum = strata.index(group[i]) if group is not None and group[i] is not None else -1
        cells[int(facet[i]), int(label[i]), int(predicted[i]), stratum] += 1
    return Counts(cells, stratified=group is not None, flips=flipped)


def two_sides(a, d) -> Counts:
    """From true positives, false positives, false negatives and true negatives of both sides."""
    cells = np.zeros((2, 2, 2, 1))
    for side, (tp, fp, fn, tn) in enumerate((a, d)):
        cells[side, :, :, 0] = [[tn, fp], [fn, tp]]
    return Counts(cells, stratified=False)


@pytest.mark.parametrize(
    ("name", "a", "d", "value"),
    [
        ("AD", (70, 30, 0, 0), (50, 50, 0, 0), 0.2),
        ("DAR", (35, 35, 0, 0), (40, 60, 0, 0), 0.1),
        ("DRR", (0, 0, 20, 80), (0, 0, 10, 40), 0.0),
        ("DCA", (60, 0, 10, 0), (20, 10, 0, 0), 0.5),
        ("DCA", (50, 10, 0, 0), (30, 0, 10, 0), -0.5),
        ("DCR", (0, 0, 10, 50), (0, 10, 0, 30), 0.5),
        ("RD", (65, 0, 5, 0), (20, 0, 7, 0), 65 / 70 - 20 / 27),
        ("SD", (0, 10, 0, 20), (0, 5, 0, 18), 18 / 23 - 20 / 30),
        ("TE", (0, 6, 8, 0), (0, 2, 5, 0), 5 / 2 - 8 / 6),
        ("DI", (5, 0, 0, 5), (2, 0, 0, 8), 0.4),
        ("DI", (0, 0, 0, 5), (2, 0, 0, 8), math.inf),
        ("TE", (0, 0, 8, 0), (0, 0, 5, 0), 0.0),
        ("TE", (0, 0, 8, 0), (0, 1, 5, 0), -math.inf),
        ("GE", (0, 0, 9, 0), (1, 0, 0, 0), 4.5),
        ("FT", (1, 0, 0, 0), (1, 0, 0, 0), None),
    ],
)
def test_worked_values(name, a, d, value):
    if value is None:
        with pytest.raises(Undefined, match="flip test"):
            MEASURES[name](two_sides(a, d))
    else:
        assert MEASURES[name](two_sides(a, d)) == pytest.approx(value)


def test_distances_of_distributions():
    assert distributions.kl([0.8, 0.2], [0.3, 0.7]) == pytest.approx(0.8 * math.log(0.8 / 0.3) + 0.2 * math.log(0.2 / 0.7))
    assert distributions.ks([0.4, 0.4, 0.2], [0.2, 0.1, 0.7]) == pytest.approx(0.5)
    assert distributions.tvd([0.5, 0.5, 0], [0.5, 0, 0.5]) == 0
    assert distributions.tvd([0.5, 0.5, 0], [0.5, 0, 0.5], "all") == pytest.approx(0.5)
    assert distributions.js([1, 0], [0, 1], "all") == pytest.approx(math.log(2))
    with pytest.raises(ValueError, match="no outcome in common"):
        distributions.js([1, 0], [0, 1])


def test_a_measure_without_a_value_says_why():
    empty = two_sides((1, 1, 1, 1), (0, 0, 0, 0))
    for name, measure in MEASURES.items():
        if name not in ("GE", "CDDL", "CDDPL"):
            with pytest.raises(Undefined, match="no row is in the facet"):
                measure(empty)
    with pytest.raises(Undefined, match="group variable"):
        MEASURES["CDDL"](empty)


def test_methods_are_chosen_by_name_and_unknown_ones_refused():
    assert len(chosen("all", "pre_training")) == 8 and len(chosen("all", "post_training")) == 13
    assert [measure.name for measure in chosen(["KL", "CI"], "pre_training")] == ["CI", "KL"]
    with pytest.raises(ValueError, match=r"no measure of pre_training is called 'DI'"):
        chosen(["DI"], "pre_training")


def test_the_flip_test_is_positive_where_the_facet_is_treated_worse():
    features = np.arange(20.0)[:, None] % 10
    facet = np.arange(20) < 10
    found = flips(features, ~facet, facet)
    assert found == Flips(10.0, 0.0, 10.0)
    order = np.random.default_rng(0).permutation(20)
    assert flips(features[order], ~facet[order], facet[order]) == found


def test_every_measure_equals_the_reference_on_random_tables():
    reference = pytest.importorskip("smclarify.bias.metrics")
    random = np.random.default_rng(7)
    compared = 0
    for _ in range(200):
        rows = int(random.integers(4, 60))
        facet, label, predicted = (random.random(rows) < random.choice([0.0, 0.1, 0.5, 0.9, 1.0]) for _ in range(3))
        group = random.choice(["a", "b", "c"], rows)
        features = random.normal(size=(rows, 3))
        frame = pd.DataFrame(features)
        flipped = flips(features, predicted, facet) if facet.any() and not facet.all() else "a side is empty"
        given = counts(facet, label, predicted, group, flipped)
        columns = {name: pd.Series(values) for name, values in (("facet", facet), ("label", label), ("predicted", predicted))}
        for function in (*reference.PRETRAINING_METRICS, *reference.POSTTRAINING_METRICS):
            name = function.__name__
            try:
                wanted = reference.call_metric(
                    function, df=frame, feature=frame[0], sensitive_facet_index=columns["facet"], label=columns["label"],
                    positive_label_index=columns["label"], predicted_label=columns["predicted"],
                    positive_predicted_label_index=columns["predicted"], group_variable=pd.Series(group),
                )  # fmt: skip
            except ValueError:
                with pytest.raises(Undefined):
                    MEASURES[name](given)
                continue
            found = MEASURES[name](given)
            # Of the flip test the reference has the sign that is not the published one.
            assert found == pytest.approx(-wanted if name == "FT" else wanted, abs=1e-9), name
            compared += 1
    assert compared > 2000
