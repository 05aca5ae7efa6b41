#!/usr/bin/env bash
# xgboost 3.2.0: with reg:pseudohubererror the prediction for labels of about 1000 is one and the same number, half a billion.
#
# Guess:  50 rounds leave an error well below the deviation of the labels, as with reg:squarederror (here 3 % of it) and
#         reg:absoluteerror (6 %); a robust loss should be no worse.
# Seen:   the score that training starts from is a single step of Newton's method from 0. Where labels are far from 0 for the loss's
#         scale, which is 1 by default, the second derivative there is nearly 0 and the step is 500,000 times too long. From there no
#         tree finds a split, again for want of a second derivative. With base_score given, predictions stay at that.
# So:     bring labels to mean 0 and deviation 1 before, or give base_score=1000, their mean (then 15 %). huber_slope=240, their deviation,
#         is not enough: all predictions are 12395.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install xgboost-cpu==3.2.0 numpy==2.4.6

seen_as 'reg:squarederror: error below a tenth of the deviation: True, different predictions: many
reg:pseudohubererror: error below a tenth of the deviation: False, different predictions: 1, more than 100000 times the largest label: True
reg:pseudohubererror with base_score=0.5: error below a tenth of the deviation: False, different predictions: 1
reg:pseudohubererror of labels / 1000: error below a tenth of the deviation: True, different predictions: many' <<'PYTHON'
import numpy as np
import xgboost as xgb

random = np.random.default_rng(0)
rows = random.normal(size=(1000, 3)).astype(np.float32)
labels = 1000 + 100 * (rows @ [1, 2, -1])


def trained(name, labels, **settings):
    booster = xgb.train(settings, xgb.DMatrix(rows, labels), 50)
    predicted = booster.predict(xgb.DMatrix(rows))
    small = bool(np.sqrt(((predicted - labels) ** 2).mean()) < labels.std() / 10)
    count = len(np.unique(predicted))
    far = ", more than 100000 times the largest label: True" if predicted.max() > 100_000 * labels.max() else ""
    print(f"{name}: error below a tenth of the deviation: {small}, different predictions: {count if count < 10 else 'many'}{far}")


trained("reg:squarederror", labels, objective="reg:squarederror")
trained("reg:pseudohubererror", labels, objective="reg:pseudohubererror")
trained("reg:pseudohubererror with base_score=0.5", labels, objective="reg:pseudohubererror", base_score=0.5)
trained("reg:pseudohubererror of labels / 1000", labels / 1000, objective="reg:pseudohubererror")
PYTHON
