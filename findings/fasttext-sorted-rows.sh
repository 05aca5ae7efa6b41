#!/usr/bin/env bash
# fastText 0.9.2: the same lines in the order of their classes make a classifier that is wrong in a third of all cases, not in one of 70.
#
# Guess:  a few points less at most: training passes five times over the file, and shuffles as other libraries that learn by steps do.
# Seen:   accuracy 0.99 with the lines mixed, 0.63 sorted. Lines are read in the file's order in each pass, so that its last steps are all
#         of one class, and no option mixes them.
# So:     shuffle the file. What a table or a GROUP BY hands over is often sorted by its key.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install fasttext-wheel==0.9.2 numpy==1.26.4 setuptools==79.0.1

seen_as 'mixed: accuracy above 0.95: True
sorted by class: accuracy above 0.95: False, below 0.75: True' <<'PYTHON'
import fasttext
import numpy as np

CLASSES, WORDS = 4, 2000
random = np.random.default_rng(0)
# Half of a line's words are of its class, half are of no class.
words = 0.5 * random.dirichlet(np.full(WORDS, 0.05), size=CLASSES) + 0.5 * random.dirichlet(np.full(WORDS, 0.05))


def texts(count):
    return [(one % CLASSES, " ".join(f"w{word}" for word in random.choice(WORDS, 12, p=words[one % CLASSES]))) for one in range(count)]


def accuracy(lines):
    with open("lines.txt", "w") as file:
        file.writelines(f"__label__{label} {text}\n" for label, text in lines)
    model = fasttext.train_supervised("lines.txt", thread=1, verbose=0)
    return np.mean([model.predict(text)[0][0] == f"__label__{label}" for label, text in held_out])


lines, held_out = texts(4000), texts(1000)
mixed = accuracy([lines[at] for at in random.permutation(len(lines))])
ordered = accuracy(sorted(lines, key=lambda line: line[0]))
print(f"mixed: accuracy above 0.95: {mixed > 0.95}")
print(f"sorted by class: accuracy above 0.95: {ordered > 0.95}, below 0.75: {ordered < 0.75}")
PYTHON
