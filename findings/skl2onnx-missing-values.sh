#!/usr/bin/env bash
# skl2onnx 1.20.0: trees that were trained with missing values send them the other way as ONNX.
#
# Guess:  what scikit-learn's trees and forests have learnt of NaN is in the file, for a node of ONNX has an attribute for it, or the
#         conversion is refused, as that of histogram boosting is.
# Seen:   every NaN goes to the right, as nothing is said about it. Rows without NaN are predicted as before; of those with one a quarter
#         gets another class, and of forests that are right for all of their training rows one is right for 86 %, one for 82 %.
# So:     impute before the trees, in the pipeline.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6

seen_as 'DecisionTreeClassifier: another class: rows without NaN False, a tenth of the others True; right for 87 %: True, exported False
ExtraTreesClassifier: another class: rows without NaN False, a tenth of the others True; right for 87 %: True, exported False
RandomForestClassifier: another class: rows without NaN False, a tenth of the others True; right for 87 %: True, exported False
Pipeline: another class: rows without NaN False, a tenth of the others False; right for 87 %: True, exported True' <<'PYTHON'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

random = np.random.default_rng(0)
rows = random.normal(size=(1000, 4)).astype(np.float32)
labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
rows[random.random(rows.shape) < 0.2] = np.nan
missing = np.isnan(rows).any(axis=1)
forest = RandomForestClassifier(n_estimators=20, random_state=0)
for model in (
    DecisionTreeClassifier(max_depth=6, random_state=0),
    ExtraTreesClassifier(n_estimators=20, random_state=0),
    forest,
    make_pipeline(SimpleImputer(), forest),
):
    model.fit(rows, labels)
    onnx = to_onnx(model, rows[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    exported, expected = session.run(None, {"X": rows})[0], model.predict(rows)
    other = exported != expected
    name = type(model).__name__
    print(f"{name}: another class: rows without NaN {other[~missing].any()}, a tenth of the others {other[missing].mean() > 0.1}", end="")
    print(f"; right for 87 %: {np.mean(expected == labels) > 0.87}, exported {np.mean(exported == labels) > 0.87}")
PYTHON
