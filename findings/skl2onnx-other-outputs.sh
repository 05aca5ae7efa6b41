#!/usr/bin/env bash
# skl2onnx 1.20.0: six kinds of models whose ONNX file gives something else, each for a reason of its own, without a word.
#
# Guess:  what to_onnx takes gives what transform, predict, predict_proba and decision_function give, to 1e-4; what it cannot convert it
#         refuses, as it does some twenty kinds.
# Seen:   the score of the second class of a support vector classifier is minus its decision: an area under the curve of 0.96 becomes
#         0.04 (labels are right). Normalizer(norm="max") divides by the largest value, not by the largest absolute one, so negative rows
#         change their sign. SimpleImputer(add_indicator=True) has no indicators. modified_huber: probabilities are right, labels are the
#         first of those with the largest probability, which is often a tie, where scikit-learn takes the largest decision. Isotonic
#         calibration has steps where scikit-learn interpolates. Bagging of support vectors over some of the columns gives as many
#         rows as there are estimators.
# So:     compare every export with its model, all of its outputs.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6

seen_as 'SVC: labels equal: True, area under the curve 0.96, exported 0.04
Normalizer: [[-1.0, 0.5, 0.0, 0.25], [-0.25, -0.5, -1.0, -0.25]], exported [[-2.0, 1.0, 0.0, 0.5], [1.0, 2.0, 4.0, 1.0]]
SimpleImputer: 8 columns, exported 4
modified_huber: probabilities equal: True, another label for more than 3 % of the rows: True
isotonic calibration: more than 0.001 off for more than a tenth of the rows: True
bagging of 7: 300 rows, exported 7' <<'PYTHON'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC, LinearSVC

random = np.random.default_rng(0)
rows = random.normal(size=(300, 4)).astype(np.float32)
score = rows[:, 0] + rows[:, 1] * rows[:, 2]
two, three = (score > 0).astype(int), np.digitize(score, [-0.7, 0.7])


asked = (2 * random.normal(size=(300, 4))).astype(np.float32)


def exported(model, rows=asked):
    options = {"zipmap": False} if hasattr(model, "predict") else None
    session = onnxruntime.InferenceSession(to_onnx(model, rows[:1], options=options).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": rows})


actual = asked[:, 0] + asked[:, 1] * asked[:, 2] > 0
model = SVC().fit(rows, two)
labels, scores = exported(model)
print(f"SVC: labels equal: {np.array_equal(labels, model.predict(asked))}, ", end="")
print(f"area under the curve {roc_auc_score(actual, model.decision_function(asked)):.2f}, exported {roc_auc_score(actual, scores[:, 1]):.2f}")

one = np.float32([[-4, 2, 0, 1], [-1, -2, -4, -1]])
print(f"Normalizer: {Normalizer(norm='max').fit_transform(one).tolist()}, exported {exported(Normalizer(norm='max').fit(one), one)[0].tolist()}")

holes = np.where(random.random(rows.shape) < 0.1, np.float32(np.nan), rows)
model = SimpleImputer(add_indicator=True).fit(holes)
print(f"SimpleImputer: {model.transform(holes).shape[1]} columns, exported {exported(model, holes)[0].shape[1]}")

model = SGDClassifier(loss="modified_huber", random_state=0).fit(rows, three)
labels, chances = exported(model)
print(f"modified_huber: probabilities equal: {np.allclose(chances, model.predict_proba(asked), atol=1e-4)}, ", end="")
print(f"another label for more than 3 % of the rows: {np.mean(labels != model.predict(asked)) > 0.03}")

model = CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", cv=3).fit(rows, two)
difference = abs(exported(model)[1] - model.predict_proba(asked))[:, 1]
print(f"isotonic calibration: more than 0.001 off for more than a tenth of the rows: {np.mean(difference > 0.001) > 0.1}")

model = BaggingClassifier(SVC(), n_estimators=7, max_features=2, random_state=0).fit(rows, two)
print(f"bagging of 7: {len(model.predict(asked))} rows, exported {len(exported(model)[0])}")
PYTHON
