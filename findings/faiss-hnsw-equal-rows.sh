#!/usr/bin/env bash
# faiss 1.15.1: rows that are equal, such as the vectors of empty texts, make an HNSW index lose the other rows.
#
# Guess:  a tenth of equal rows costs time, and which of them is found is chance; all other rows are found as before, almost each of them
#         its own nearest neighbour.
# Seen:   without equal rows 999 of 1,000 rows find themselves; with a tenth of zeros among them it is 9 of 10, where the zeros come first 4
#         of 10, and where the half of all are zeros and come last hardly any. Whoever comes to a row of the equal ones meets its equals
#         only. A search that is 16 times as wide (efSearch) helps little, noise of a thousandth on the equal rows helps entirely.
# So:     put each vector into the index once, with a list of its rows beside it; or leave empty texts out. An inverted index has no such
#         trouble.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install faiss-cpu==1.15.1 numpy==2.4.6

seen_as 'no equal rows: above 0.99: True
a tenth, mixed: above 0.93: False, with efSearch=256 above 0.95: False
a tenth, mixed, with noise: above 0.99: True
a tenth, mixed, IVFFlat: above 0.99: True
a tenth, first: above 0.6: False, with efSearch=256 above 0.6: False
a half, last: above 0.2: False, with efSearch=256 above 0.2: False' <<'PYTHON'
import faiss
import numpy as np

faiss.omp_set_num_threads(1)
random = np.random.default_rng(0)


def found(rows, asked, index, search=None):
    """The share of rows whose nearest neighbour is the row itself."""
    if not index.is_trained:
        index.train(rows)
    if not index.ntotal:
        index.add(rows)
    if search:
        index.hnsw.efSearch = search
    return np.mean(index.search(rows[asked], 1)[1][:, 0] == np.flatnonzero(asked))


def hnsw():
    return faiss.IndexHNSWFlat(16, 32)


def rows_of(count, equal):
    rows = random.normal(size=(count, 16)).astype(np.float32)
    rows[equal] = 0
    asked = np.ones(count, dtype=bool)
    asked[equal] = False
    return rows, asked


rows, asked = rows_of(10_000, [])
print("no equal rows: above 0.99:", found(rows, asked, hnsw()) > 0.99)
equal = random.choice(10_000, 1000, replace=False)
rows, asked = rows_of(10_000, equal)
index = hnsw()
print("a tenth, mixed: above 0.93:", found(rows, asked, index) > 0.93, end=", ")
print("with efSearch=256 above 0.95:", found(rows, asked, index, 256) > 0.95)
noise = rows.copy()
noise[equal] = 0.001 * random.normal(size=(1000, 16))
print("a tenth, mixed, with noise: above 0.99:", found(noise, asked, hnsw()) > 0.99)
inverted = faiss.IndexIVFFlat(faiss.IndexFlatL2(16), 16, 20)
print("a tenth, mixed, IVFFlat: above 0.99:", found(rows, asked, inverted) > 0.99)
for name, count, equal, bound in (("a tenth, first", 10_000, slice(0, 1000), 0.6), ("a half, last", 2000, slice(1000, 2000), 0.2)):
    rows, asked = rows_of(count, equal)
    index = hnsw()
    print(f"{name}: above {bound}: {found(rows, asked, index) > bound}, with efSearch=256", end=" ")
    print(f"above {bound}: {found(rows, asked, index, 256) > bound}")
PYTHON
