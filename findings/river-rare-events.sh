#!/usr/bin/env bash
# river 0.26.1: the ROCAUC of calibrated probabilities of a rare event is 0.5, whatever the model knows.
#
# Guess:  an approximation by ten thresholds is a few hundredths off; the documentation says that the error is not significant where
#         probabilities are well calibrated, and that models can be compared in any case.
# Seen:   the thresholds are spread evenly over 0 to 1. Clicks, frauds and failures have probabilities below 0.1, calibrated or not, which
#         all lie below the first threshold: 0.5 for 0.8. Even with probabilities up to 0.3 it is below 0.6. Of two models the one whose
#         scores are too high looks better.
# So:     n_thresholds=1000, or RollingROCAUC, which orders the scores of a window.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install river==0.26.1 scikit-learn==1.9.1 numpy==2.4.6

seen_as 'probabilities up to 0.1: scikit-learn above 0.75: True, river 0.50, with 1000 thresholds as scikit-learn: True
probabilities up to 0.3: scikit-learn above 0.75: True, river below 0.6: True, with 1000 thresholds as scikit-learn: True' <<'PYTHON'
import numpy as np
from river.metrics import ROCAUC
from sklearn.metrics import roc_auc_score

random = np.random.default_rng(0)


def area(happened, probabilities, **options):
    metric = ROCAUC(**options)
    for event, probability in zip(happened, probabilities):
        metric.update(bool(event), float(probability))
    return metric.get()


for top in (0.1, 0.3):
    probabilities = top * random.beta(0.5, 5, 20_000)
    happened = random.random(20_000) < probabilities
    right, said = roc_auc_score(happened, probabilities), area(happened, probabilities)
    fine = area(happened, probabilities, n_thresholds=1000)
    seen = f"{said:.2f}" if top == 0.1 else f"below 0.6: {said < 0.6}"
    print(f"probabilities up to {top}: scikit-learn above 0.75: {right > 0.75}, river {seen}", end="")
    print(f", with 1000 thresholds as scikit-learn: {abs(fine - right) < 0.01}")
PYTHON
