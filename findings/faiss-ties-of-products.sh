#!/usr/bin/env bash
# faiss 1.15.1: by inner product the nearest of equal rows is another one for each number of neighbours that is asked for.
#
# Guess:  the first of 5 neighbours is the one that is found when a single one is asked for; of equal rows it is the one that was added
#         first, as it is by distance.
# Seen:   by distance that is so. By inner product the first k of the equal rows are found and listed from the last to the first: row 0 for
#         k=1, row 1 for k=2, row 4 for k=5. Texts come more than once, with labels that differ: that of the nearest depends on how
#         many more are looked at.
# So:     sort the neighbours by product and row, and ask for more than are needed where many rows are equal; or keep each row once.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install faiss-cpu==1.15.1 numpy==2.4.6

seen_as 'L2, Flat: nearest of k = 1, 2, 5, 10: 0 0 0 0
L2, IVF2,Flat: nearest of k = 1, 2, 5, 10: 0 0 0 0
inner product, Flat: nearest of k = 1, 2, 5, 10: 0 1 4 4
inner product, IVF2,Flat: nearest of k = 1, 2, 5, 10: 0 1 4 4' <<'PYTHON'
import faiss
import numpy as np

rows = np.repeat(np.random.default_rng(0).normal(size=(20, 8)), 5, axis=0).astype(np.float32)
faiss.normalize_L2(rows)
for name, metric in (("L2", faiss.METRIC_L2), ("inner product", faiss.METRIC_INNER_PRODUCT)):
    for kind in ("Flat", "IVF2,Flat"):
        index = faiss.index_factory(8, kind, metric)
        index.train(rows)
        index.add(rows)
        if kind != "Flat":
            index.nprobe = 2
        print(f"{name}, {kind}: nearest of k = 1, 2, 5, 10:", *(index.search(rows[:1], k)[1][0, 0] for k in (1, 2, 5, 10)))
PYTHON
