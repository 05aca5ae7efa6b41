#!/usr/bin/env bash
# LightGBM 4.7.0: a missing value in a feature that had none in training is taken for 0.
#
# Guess:  missing values are known by default; where training had none, one goes with most of the rows, or with unknown ones.
# Seen:   it goes where 0 goes. Of people from 20 to 80 who had all given their age, one who does not is a newborn child: the prediction is
#         that for the youngest, 102, where most have 5 to 8. A single missing value among 2,001 rows of training is enough for another
#         answer, 5. scikit-learn's histogram boosting takes the side of more rows, xgboost a direction of its own.
# So:     see that each feature that may be missing is so in some training rows, or refuse what was never missing.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install lightgbm==4.7.0 scikit-learn==1.9.1 numpy==2.4.6

seen_as 'LightGBM, none missing in training: age 20: 102, 50: 5, 80: 8, 0: 102, missing: 102
LightGBM, one missing in training: age 20: 102, 50: 5, 80: 8, 0: 102, missing: 5
scikit-learn, none missing in training: age 20: 102, 50: 5, 80: 8, 0: 102, missing: 5' <<'PYTHON'
import lightgbm
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

random = np.random.default_rng(0)
ages = random.uniform(20, 80, size=(2000, 1))
values = np.where(ages[:, 0] < 30, 100, 0) + 0.1 * ages[:, 0] + random.normal(size=2000)
asked = {"20": 20.0, "50": 50.0, "80": 80.0, "0": 0.0, "missing": np.nan}


def show(name, model, rows, labels):
    predicted = model.fit(rows, labels).predict(np.array(list(asked.values()))[:, None])
    print(f"{name} missing in training: age", ", ".join(f"{age}: {value:.0f}" for age, value in zip(asked, predicted)))


show("LightGBM, none", lightgbm.LGBMRegressor(verbose=-1, n_jobs=1), ages, values)
show("LightGBM, one", lightgbm.LGBMRegressor(verbose=-1, n_jobs=1), np.vstack([ages, [[np.nan]]]), np.append(values, 5.0))
show("scikit-learn, none", HistGradientBoostingRegressor(), ages, values)
PYTHON
