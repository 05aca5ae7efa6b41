#!/usr/bin/env bash
# libsvm files, scikit-learn 1.9.1 and xgboost 3.2.0: which column index 1 is depends on who reads, and no one says so.
#
# Guess:  load_svmlight_file reads what dump_svmlight_file writes, both at their defaults; and a file of 3 features that begin at 1, as
#         Spark and LIBSVM itself write them, has 3 columns in xgboost too.
# Seen:   dump_svmlight_file begins at 0; load_svmlight_file takes a file without an index 0 to begin at 1. A first column of zeros is not
#         written, so it is lost, and all others move. xgboost takes index 1 for the second column: a first one of zeros is added.
# So:     name zero_based on both sides; add indexing_mode=1 to xgboost's path; compare the number of columns.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install scikit-learn==1.9.1 xgboost-cpu==3.2.0 numpy==2.4.6

seen_as 'written by scikit-learn: (2, 3), read by it: (2, 2)
with zero_based=True on both sides: (2, 3)
3 features from index 1, in xgboost: 4 columns, the first of zeros: True
with indexing_mode=1: 3 columns' <<'PYTHON'
import numpy as np
import xgboost as xgb
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

rows = np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 4.0]])
dump_svmlight_file(rows, [0, 1], "zero.libsvm")
print(f"written by scikit-learn: {rows.shape}, read by it: {load_svmlight_file('zero.libsvm')[0].shape}")
print(f"with zero_based=True on both sides: {load_svmlight_file('zero.libsvm', zero_based=True)[0].shape}")

dump_svmlight_file(rows + 1, [0, 1], "one.libsvm", zero_based=False)
read = xgb.DMatrix("one.libsvm?format=libsvm")
first = read.get_data().toarray()[:, 0]
print(f"3 features from index 1, in xgboost: {read.num_col()} columns, the first of zeros: {not first.any()}")
print(f"with indexing_mode=1: {xgb.DMatrix('one.libsvm?format=libsvm&indexing_mode=1').num_col()} columns")
PYTHON
