#!/usr/bin/env bash
# fastText 0.9.2: test_label says that the recall of every class is NaN and its F1 up to 2.
#
# Guess:  precision, recall and F1 of each class are those of the predictions, as test() gives them of all lines together, and at most 1.
# Seen:   precision is right. The lines of a class are not counted: recall is a share of none of them, NaN, and F1 is twice the hits over the
#         predictions, so it is twice the precision. A mean of F1 above 1 is noticed, the best of several models by it is the one that is
#         most precise, whatever it overlooks.
# So:     take predict and scikit-learn's classification_report.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install fasttext-wheel==0.9.2 numpy==1.26.4 setuptools==79.0.1

seen_as '__label__drink: precision, recall, F1 0.69 0.89 0.78 are said to be 0.69 nan 1.38
__label__write: precision, recall, F1 0.84 0.60 0.70 are said to be 0.84 nan 1.69' <<'PYTHON'
import fasttext
import numpy as np

random = np.random.default_rng(0)
lines = [(label, random.choice(["tea", "ink"], p=[0.9, 0.1] if label == "drink" else [0.4, 0.6])) for label in ["drink", "write"] * 500]
with open("lines.txt", "w") as file:
    file.writelines(f"__label__{label} {word}\n" for label, word in lines)
model = fasttext.train_supervised("lines.txt", thread=1, verbose=0)
actual = np.array([f"__label__{label}" for label, _ in lines])
found = np.array([model.predict(word)[0][0] for _, word in lines])
for label, scores in sorted(model.test_label("lines.txt").items()):
    hits = np.sum((actual == label) & (found == label))
    precision, recall = hits / np.sum(found == label), hits / np.sum(actual == label)
    right = (precision, recall, 2 * precision * recall / (precision + recall))
    said = (scores["precision"], scores["recall"], scores["f1score"])
    print(f"{label}: precision, recall, F1", *(f"{one:.2f}" for one in right), "are said to be", *(f"{one:.2f}" for one in said))
PYTHON
