#!/usr/bin/env bash
# faiss 1.15.1: an IVFFlat index of 100 rows, asked for 10 neighbours, gives fewer, and fills up with row -1 at distance 3.4e38.
#
# Guess:  10 neighbours, for there are 100 rows: the nearest lists are scanned until there are enough.
# Seen:   exactly nprobe lists are scanned, one by default. Rows of -1 index an array from its end, so labels[neighbours] takes the last
#         row's label as often as something is missing, and a mean of distances is infinite for most uses. Training itself is content with
#         2 rows a list (a line on standard error asks for more).
# So:     raise nprobe or lower nlist where lists are short, and mask -1.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install faiss-cpu==1.15.1 numpy==2.4.6

seen_as 'nprobe=1: all 10 neighbours for 0 of 100 rows, labels of the missing ones taken from row 99: True, distance 3.4e+38
nprobe=50: all 10 neighbours for 100 of 100 rows' <<'PYTHON'
import faiss
import numpy as np

random = np.random.default_rng(0)
rows = random.normal(size=(100, 8)).astype(np.float32)
labels = np.arange(100)
index = faiss.IndexIVFFlat(faiss.IndexFlatL2(8), 8, 50)
index.train(rows)
index.add(rows)
for index.nprobe in (1, 50):
    distances, found = index.search(rows, 10)
    missing = found < 0
    print(f"nprobe={index.nprobe}: all 10 neighbours for {int((~missing).all(axis=1).sum())} of 100 rows", end="")
    if missing.any():
        wrong = bool((labels[found][missing] == 99).all())
        print(f", labels of the missing ones taken from row 99: {wrong}, distance {distances[missing].max():.2g}", end="")
    print()
PYTHON
