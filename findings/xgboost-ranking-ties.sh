#!/usr/bin/env bash
# xgboost 3.2.0: ndcg and map of rows with equal scores depend on the order of the rows; a ranker that knows nothing can have 1.
#
# Guess:  equal scores count as any order of them on average, as in scikit-learn's ndcg_score and in xgboost's own auc.
# Seen:   they count in the order of the file. Groups with their relevant rows first, as logs sorted by clicks come, have ndcg and map 1
#         before the first tree, those with them last 0.36 and 0.16. Trees of a few leaves give many rows the same score, so this goes on:
#         after ten rounds on features that say nothing ndcg is 0.68 or 0.52, where scikit-learn has 0.58 for both. It falls as trees part
#         the rows that were equal, so that early stopping of sorted rows keeps two rounds.
# So:     shuffle the rows within their groups before training and evaluation.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6

seen_as 'first: no tree: ndcg 1.00, map 1.00, auc 0.50; ten: ndcg above 0.65: True, below 0.55: False, scikit-learn about 0.58: True
last: no tree: ndcg 0.36, map 0.16, auc 0.50; ten: ndcg above 0.65: False, below 0.55: True, scikit-learn about 0.58: True
rounds that are kept of sorted rows: less than 4: True' <<'PYTHON'
import numpy as np
import xgboost
from sklearn.metrics import ndcg_score

features = np.random.default_rng(0).integers(0, 3, size=(2000, 2)).astype(float)
settings = {"objective": "rank:ndcg", "eval_metric": ["map", "auc", "ndcg"], "max_depth": 2, "learning_rate": 0.1, "nthread": 1}
for name, places in (("first", [0, 1]), ("last", [8, 9])):
    relevances = np.zeros((200, 10))
    relevances[:, places] = 1
    rows = xgboost.DMatrix(features, relevances.ravel(), group=[10] * 200)
    said = xgboost.train(settings, rows, 0).eval(rows).split("\t")[1:]
    map_, auc, ndcg = (float(figure.split(":")[1]) for figure in said)
    print(f"{name}: no tree: ndcg {ndcg:.2f}, map {map_:.2f}, auc {auc:.2f}", end="; ")
    rounds = {}
    booster = xgboost.train(settings, rows, 10, evals=[(rows, "rows")], evals_result=rounds, verbose_eval=False)
    ndcg, right = rounds["rows"]["ndcg"][-1], ndcg_score(relevances, booster.predict(rows).reshape(200, 10))
    print(f"ten: ndcg above 0.65: {ndcg > 0.65}, below 0.55: {ndcg < 0.55}, scikit-learn about 0.58: {abs(right - 0.58) < 0.02}")
    if name == "first":
        kept = int(np.argmax(rounds["rows"]["ndcg"])) + 1
print("rounds that are kept of sorted rows: less than 4:", kept < 4)
PYTHON
