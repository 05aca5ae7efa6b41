#!/usr/bin/env bash
# datasketches 5.2.0: a quantile sketch of whole numbers takes an array of large ones for others, some of them negative.
#
# Guess:  kll_ints_sketch refuses what it cannot hold, in an array as one by one: a number of 40 bits alone is a TypeError.
# Seen:   an array is cast to 32 bits without a check: milliseconds since 1970 become numbers of either sign, and fractions are cut off.
#         Their count is right, quantiles, smallest and largest are not. numpy's whole numbers are arrays of 64 bits, so nothing looks
#         wrong.
# So:     kll_doubles_sketch, which is exact to 2**53; or look at the array's range first. The sketches of req and quantiles do the same.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install datasketches==5.2.0 numpy==2.4.6

seen_as 'kll_ints_sketch: one by one TypeError, array: 3 values from -807049216 to 1948310528, fractions: 0
req_ints_sketch: one by one TypeError, array: 3 values from -807049216 to 1948310528, fractions: 0
quantiles_ints_sketch: one by one TypeError, array: 3 values from -807049216 to 1948310528, fractions: 0
kll_doubles_sketch: 3 values from 1700000000000 to 1800000000005' <<'PYTHON'
import datasketches
import numpy as np

times = np.array([1_700_000_000_000, 1_750_000_000_000, 1_800_000_000_005])
for name in ("kll_ints_sketch", "req_ints_sketch", "quantiles_ints_sketch"):
    alone, together, fractions = (getattr(datasketches, name)(128) for _ in range(3))
    try:
        alone.update(int(times[0]))
        one_by_one = alone.get_max_value()
    except TypeError as error:
        one_by_one = type(error).__name__
    together.update(times)
    fractions.update(np.array([0.2, 0.9]))
    print(f"{name}: one by one {one_by_one}, array: {together.n} values from {together.get_min_value()}", end=" ")
    print(f"to {together.get_max_value()}, fractions: {fractions.get_max_value()}")
doubles = datasketches.kll_doubles_sketch(128)
doubles.update(times)
print(f"kll_doubles_sketch: {doubles.n} values from {doubles.get_min_value():.0f} to {doubles.get_max_value():.0f}")
PYTHON
