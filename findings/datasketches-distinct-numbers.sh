#!/usr/bin/env bash
# datasketches 5.2.0: a thousand different 32-bit numbers of numpy are one distinct value, a thousand prices as Decimal are ten.
#
# Guess:  a sketch of distinct values counts what Python holds equal as one and all else apart; what it cannot take, it refuses.
# Seen:   what is neither int, float nor str becomes an int by cutting off its fraction: float32, float16, Decimal. Of numbers between 0 and
#         1 one is left. And 1 and 1.0 are two, so a column of whole numbers and the same one after a null has turned it into floats have
#         twice as many together. All three sketches (HLL, theta, CPC) do so; a quantile sketch of doubles takes the same numbers as they
#         are.
# So:     float(value) for all that may have a fraction, and one type for a column in all sketches that are to be united.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install datasketches==5.2.0 numpy==2.4.6

seen_as 'hll_sketch: float64 about 1000: True, float32 1, Decimal 10, 1 and 1.0 2
update_theta_sketch: float64 about 1000: True, float32 1, Decimal 10, 1 and 1.0 2
cpc_sketch: float64 about 1000: True, float32 1, Decimal 10, 1 and 1.0 2
kll_doubles_sketch: largest of 0.25 as float32, Decimal: 0.25 0.25' <<'PYTHON'
from decimal import Decimal

import datasketches
import numpy as np

numbers = np.random.default_rng(0).random(1000)
prices = [Decimal(cents) / 100 for cents in range(1000)]


def distinct(sketch, values):
    for value in values:
        sketch.update(value)
    return round(sketch.get_estimate())


for name, new in (
    ("hll_sketch", lambda: datasketches.hll_sketch(12)),
    ("update_theta_sketch", datasketches.update_theta_sketch),
    ("cpc_sketch", lambda: datasketches.cpc_sketch(12)),
):
    wide, narrow = distinct(new(), numbers), distinct(new(), numbers.astype(np.float32))
    print(f"{name}: float64 about 1000: {abs(wide - 1000) < 50}, float32 {narrow}", end="")
    print(f", Decimal {distinct(new(), prices)}, 1 and 1.0 {distinct(new(), [1, 1.0])}")

largest = []
for value in (np.float32(0.25), Decimal("0.25")):
    quantiles = datasketches.kll_doubles_sketch(200)
    quantiles.update(value)
    largest.append(quantiles.get_max_value())
print("kll_doubles_sketch: largest of 0.25 as float32, Decimal:", *largest)
PYTHON
