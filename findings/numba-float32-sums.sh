#!/usr/bin/env bash
# numba 0.68.1: within a compiled function the mean of 33 million 32-bit ones is 0.5, and the variance of as many threes is 1.
#
# Guess:  numpy's functions in compiled code give what numpy gives, to a few units of the last digit: numpy adds 32-bit numbers in pairs, so
#         their sum stays good to 7 digits.
# Seen:   sum, mean, var and std add one number after the other in 32 bits. Above 2**24 adding 1 has no effect, so the sum of ones stops
#         there; the mean of ten million times 0.1 is 0.109, for near a million 0.1 counts as an eighth. float64 is right, and so is a loop
#         of one's own over the same numbers with a sum that begins as 0.0, for that is 64 bits.
# So:     np.sum(values.astype(np.float64)) or such a loop; compare mean and var of large arrays with numpy's once.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install numba==0.68.1 numpy==2.4.6

seen_as 'ones: numpy 1.0, numba 0.5, float64 1.0, own loop 1.0
threes: variance: numpy 0.0, numba above 0.9: True
tenths: numpy 0.100, numba 0.109, own loop 0.100' <<'PYTHON'
import numba
import numpy as np


@numba.njit
def mean(values):
    return np.mean(values)


@numba.njit
def variance(values):
    return np.var(values)


@numba.njit
def loop(values):
    total = 0.0
    for value in values:
        total += value
    return total / values.size


ones = np.ones(2**25, dtype=np.float32)
print(f"ones: numpy {ones.mean()}, numba {mean(ones)}, float64 {mean(ones.astype(np.float64))}, own loop {loop(ones)}")
print(f"threes: variance: numpy {np.var(3 * ones)}, numba above 0.9: {variance(3 * ones) > 0.9}")
tenths = np.full(10_000_000, 0.1, dtype=np.float32)
print(f"tenths: numpy {tenths.mean():.3f}, numba {mean(tenths):.3f}, own loop {loop(tenths):.3f}")
PYTHON
