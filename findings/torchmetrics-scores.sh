#!/usr/bin/env bash
# torchmetrics 1.9.0: the area under the ROC curve of scores from 0 to 100 is far below that of the same scores from 0 to 1.
#
# Guess:  the area depends on the order of the scores alone, as scikit-learn's does; and a metric that is fed row by row ends where one that
#         is fed all rows ends.
# Seen:   if a score is outside 0 to 1 all of its batch are taken for logits and go through the logistic function, where percentages above
#         17 are all 1 in 32 bits: 0.73 for 0.86. Accuracy has to guess by batch what it is given: of logits row by row those between 0 and
#         0.5 are taken for probabilities, and count for the other class.
# So:     scores within 0 to 1, by torch.sigmoid or a division, before they reach the metric. What is documented is the function, not what
#         it costs.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6 scikit-learn==1.9.1

seen_as 'probabilities: area as scikit-learn: True
percentages: area as scikit-learn: False, below 0.75: True
logits in batches of 4000: accuracy as scikit-learn: True
logits in batches of 1: accuracy as scikit-learn: False, below by more than 0.01: True' <<'PYTHON'
import numpy as np
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

random = np.random.default_rng(0)
labels = random.integers(0, 2, 4000)
logits = 2 * (random.normal(size=4000) + 1.5 * labels - 0.75)
probabilities = 1 / (1 + np.exp(-logits))


def computed(metric, scores, batch=4000):
    for start in range(0, 4000, batch):
        rows = slice(start, start + batch)
        metric.update(torch.tensor(scores[rows], dtype=torch.float32), torch.tensor(labels[rows]))
    return float(metric.compute())


right = roc_auc_score(labels, probabilities)
print("probabilities: area as scikit-learn:", abs(computed(BinaryAUROC(), probabilities) - right) < 0.001)
area = computed(BinaryAUROC(), 100 * probabilities)
print(f"percentages: area as scikit-learn: {abs(area - right) < 0.001}, below 0.75: {area < 0.75}")
right = accuracy_score(labels, logits > 0)
for batch in (4000, 1):
    accuracy = computed(BinaryAccuracy(), logits, batch)
    print(f"logits in batches of {batch}: accuracy as scikit-learn: {abs(accuracy - right) < 0.001}", end="")
    print(f", below by more than 0.01: {accuracy < right - 0.01}" if batch == 1 else "")
PYTHON
