#!/usr/bin/env bash
# xgboost 3.2.0.
#
# Guess:  with several classes each starts from a base score of its own, which is estimated from the labels and stored in the model, in
#         linear boosting as in that of trees. After a round that moves nothing the probabilities are then the shares of the classes.
# Seen:   the model stores one base score for each class, and trees start from them; gblinear starts every class from the first one, so all
#         classes are equally likely, and it has to learn the difference.
# So:     look at predictions and not at base_score; give gblinear more rounds where classes are of different size.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install xgboost-cpu==3.2.0 numpy==2.4.6

seen_as "classes   [0.7, 0.2, 0.1]
gbtree    3 base scores, predicts [0.7, 0.2, 0.1]
gblinear  3 base scores, predicts [0.333, 0.333, 0.333]" <<'PYTHON'
import json

import numpy as np
import xgboost

label = np.repeat([0, 1, 2], [700, 200, 100])
rows = xgboost.DMatrix(np.random.default_rng(0).normal(size=(1000, 3)), label)
print("classes  ", (np.bincount(label) / len(label)).tolist())
for booster in ("gbtree", "gblinear"):
    settings = {"objective": "multi:softprob", "num_class": 3, "booster": booster, "eta": 1e-9, "nthread": 1}
    model = xgboost.train(settings, rows, 1)
    scores = json.loads(json.loads(model.save_config())["learner"]["learner_model_param"]["base_score"].lower())
    print(f"{booster:8}  {len(scores)} base scores, predicts", [round(float(one), 3) for one in model.predict(rows)[0]])
PYTHON
