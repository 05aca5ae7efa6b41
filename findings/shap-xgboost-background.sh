#!/usr/bin/env bash
# shap 0.51.0, xgboost 3.2.0: with background rows attributions of several classes, several targets and dart do not add up.
#
# Guess:  attributions and expected_value add up to the booster's margin, whichever way they are computed; and if they did not,
#         check_additivity, which is on, would say so.
# Seen:   without background rows they do: xgboost computes them itself. With some, shap walks the trees, takes the base score of the
#         first class or target for that of all, and does not know that the trees of dart have weights. The sums are off by as much as base scores
#         differ, for dart the attributions themselves are wrong. The check compares with the same trees, and is content.
# So:     compare the sums with predict(…, output_margin=True). For classes and targets the attributions are right, and the mean margin of
#         the background rows is the expected value; for dart leave the background out.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install shap==0.51.0 xgboost-cpu==3.2.0 numpy==2.4.6

seen_as 'one target, no background: add up: True
one target, 100 rows of background: add up: True, with the mean margin: True
three classes, no background: add up: True
three classes, 100 rows of background: add up: False, with the mean margin: True
two targets, no background: add up: True
two targets, 100 rows of background: add up: False, with the mean margin: True
dart, no background: add up: True
dart, 100 rows of background: add up: False, with the mean margin: False' <<'PYTHON'
import numpy as np
import shap
import xgboost as xgb

random = np.random.default_rng(0)
rows = random.normal(size=(300, 3))
value = rows[:, 0] + rows[:, 1] * rows[:, 2]
CASES = {
    "one target": (value, {}),
    "three classes": (np.digitize(value, [-1, 1.5]), {"objective": "multi:softprob", "num_class": 3}),
    "two targets": (np.c_[value, value**2], {}),
    "dart": (value, {"booster": "dart", "rate_drop": 0.5}),
}

for name, (labels, settings) in CASES.items():
    booster = xgb.train({"max_depth": 3, "seed": 1, "nthread": 1, **settings}, xgb.DMatrix(rows, labels), 10)
    margin = booster.predict(xgb.DMatrix(rows[:50]), output_margin=True)
    background = booster.predict(xgb.DMatrix(rows[50:150]), output_margin=True).mean(axis=0)
    for what, data in (("no background", None), ("100 rows of background", rows[50:150])):
        explainer = shap.TreeExplainer(booster, data)
        attributions = explainer.shap_values(rows[:50], check_additivity=True).sum(axis=1)
        right = np.allclose(attributions + explainer.expected_value, margin, atol=1e-4)
        print(f"{name}, {what}: add up: {right}", end="")
        print(f", with the mean margin: {np.allclose(attributions + background, margin, atol=1e-4)}" if data is not None else "")
PYTHON
