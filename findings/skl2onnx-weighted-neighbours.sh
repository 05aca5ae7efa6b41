#!/usr/bin/env bash
# skl2onnx 1.20.0: k-nearest neighbours with weights="distance" are exported as with weights="uniform", without a word.
#
# Guess:  the same predictions as scikit-learn's, but for NaN where a row is one of the training rows: a weight of 1/0.
# Seen:   the exported model gives the plain mean, or majority, of the neighbours, to 1e-6. A training row gets that too, where scikit-learn
#         gives its own label.
# So:     compare every export with its model; with weights="uniform" they agree.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6

seen_as 'weights=uniform, new rows: as scikit-learn: True, as the mean of the neighbours: True
weights=uniform, training rows: as scikit-learn: True, as the mean of the neighbours: True
weights=distance, new rows: as scikit-learn: False, as the mean of the neighbours: True
weights=distance, training rows: as scikit-learn: False, as the mean of the neighbours: True
classifier, weights=distance, training rows given another class than their own: more than 5' <<'PYTHON'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

random = np.random.default_rng(0)
rows, new = random.normal(size=(2, 200, 4)).astype(np.float32)
labels = (rows @ [1, 2, -1, 0.5]).astype(np.float32)


def exported(model, given):
    session = onnxruntime.InferenceSession(to_onnx(model, rows[:1]).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": given})[0].ravel()


for weights in ("uniform", "distance"):
    model = KNeighborsRegressor(5, weights=weights).fit(rows, labels)
    for name, given in (("new", new), ("training", rows)):
        predicted = exported(model, given)
        same = np.allclose(predicted, model.predict(given), atol=1e-4)
        mean = np.allclose(predicted, labels[model.kneighbors(given)[1]].mean(axis=1), atol=1e-4)
        print(f"weights={weights}, {name} rows: as scikit-learn: {same}, as the mean of the neighbours: {mean}")

classes = (labels > 0).astype(int)
model = KNeighborsClassifier(5, weights="distance").fit(rows, classes)
wrong = int((exported(model, rows) != classes).sum())
print(f"classifier, weights=distance, training rows given another class than their own: {'more than 5' if wrong > 5 else wrong}")
PYTHON
