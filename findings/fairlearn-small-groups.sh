#!/usr/bin/env bash
# fairlearn 0.15.0: a model without a fault is as unfair as can be where a group has no positive label.
#
# Guess:  the rate of positives that are found is not defined for a group without any, so the group is left out, or the result is NaN; a
#         model that is right in each row has no difference between groups.
# Seen:   the rate is 0 for that group, 1 for the others: equal_opportunity_difference and equalized_odds_difference are 1, their largest
#         value, and the ratio is 0. One row of a new group is enough.
# So:     count the labels by group in a MetricFrame beside each such figure, and leave out groups without a positive and a negative.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install fairlearn==0.15.0 scikit-learn==1.9.1 pandas==2.3.3 numpy==2.4.6

seen_as 'both with positives: equal_opportunity_difference 0.0, equalized_odds_difference 0.0, equalized_odds_ratio 1.0
and a negative row of c: equal_opportunity_difference 1.0, equalized_odds_difference 1.0, equalized_odds_ratio 0.0
and a positive row of c: equal_opportunity_difference 0.0, equalized_odds_difference 0.0, equalized_odds_ratio 1.0' <<'PYTHON'
from fairlearn.metrics import equal_opportunity_difference, equalized_odds_difference, equalized_odds_ratio

labels = [1, 0, 1, 0] * 100
groups = ["a", "a", "b", "b"] * 100
for name, more in (("both with positives", []), ("and a negative row of c", [0]), ("and a positive row of c", [1])):
    right, of = labels + more, groups + ["c"] * len(more)
    measures = (equal_opportunity_difference, equalized_odds_difference, equalized_odds_ratio)
    figures = (f"{measure.__name__} {measure(right, right, sensitive_features=of):.1f}" for measure in measures)
    print(f"{name}: {', '.join(figures)}")
PYTHON
