#!/usr/bin/env bash
# river 0.26.1: a good model makes DDM raise an alarm at each of its errors; ADWIN does not see a change in small numbers.
#
# Guess:  DDM, "99 % of confidence", gives an alarm or two in 50,000 rows of an error rate that stays the same, more of them the more errors
#         there are. ADWIN finds a shift of three deviations as fast in numbers of a thousandth.
# Seen:   errors of one in 1,000: all 52 of them are alarms, or half of them; of one in 5, none. DDM compares with the lowest rate it has
#         seen, which is 0 when no error came in the first 30 rows, and after each alarm it starts anew. ADWIN's bound has a part that does
#         not scale, for numbers within 0 to 1: a shift is found after 15 rows, in numbers of a hundredth after 1,000, in those of a
#         thousandth not at all. An error measured in another unit is another detector.
# So:     DDM(warm_start=…) of several times the rows between two errors; for ADWIN divide by the spread of a quiet time.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install river==0.26.1 numpy==2.4.6

seen_as 'DDM, errors 0.2, no change: alarms for more than a third of the errors: False False False
DDM, errors 0.001, no change: alarms for more than a third of the errors: True True True
DDM, errors 0.001, warm_start 10000: alarms for more than a third of the errors: False False False
ADWIN, shift of 3 deviations, numbers times 1: within 100 rows: True, within 2000: True
ADWIN, shift of 3 deviations, numbers times 0.01: within 100 rows: False, within 2000: True
ADWIN, shift of 3 deviations, numbers times 0.001: within 100 rows: False, within 2000: False
ADWIN, shift of 3 deviations, numbers times 1000: within 100 rows: True, within 2000: True' <<'PYTHON'
import numpy as np
from river.drift import ADWIN
from river.drift.binary import DDM


def alarms(detector, values):
    found = []
    for row, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(row)
    return found


for rate, name, options in ((0.2, "", {}), (0.001, "", {}), (0.001, ", warm_start 10000", {"warm_start": 10_000})):
    print(f"DDM, errors {rate}{name or ', no change'}: alarms for more than a third of the errors:", end="")
    for seed in range(3):
        errors = np.random.default_rng(seed).random(50_000) < rate
        print("", len(alarms(DDM(**options), errors.tolist())) > errors.sum() / 3, end="")
    print()
values = 0.33 * np.random.default_rng(0).normal(size=4000)
values[2000:] += 1
for scale in (1, 0.01, 0.001, 1000):
    rows = [row - 2000 for row in alarms(ADWIN(), (scale * values).tolist()) if row >= 2000]
    first = rows[0] if rows else np.inf
    print(f"ADWIN, shift of 3 deviations, numbers times {scale}: within 100 rows: {first < 100}, within 2000: {first < 2000}")
PYTHON
