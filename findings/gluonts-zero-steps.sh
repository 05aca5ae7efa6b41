#!/usr/bin/env bash
# GluonTS 0.17.0: steps of zero that are forecast as zero are left out of sMAPE, and whole series of them out of the mean of several.
#
# Guess:  a forecast of 0 for 0 has no error, so the step counts with 0, as it does in the squared and the absolute error; MAPE, which
#         divides by the value, leaves steps of zero out.
# Seen:   both leave them out. Of a series of sales with 8 zeros among 10 steps, all of which were foreseen, sMAPE is that of the two other steps;
#         and a series of zeros alone, foreseen, is not among the series whose mean is taken. The better a model foresees zeros, the fewer
#         steps count: sMAPE of a model that says 0.01 for each of them is 1.6, and that of one that says 0 is 0.1.
# So:     judge intermittent series by MASE, ND or quantile losses; sMAPE of two models with different zeros does not compare.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install gluonts==0.17.0 numpy==2.4.6 pandas==2.3.3 packaging==26.3

seen_as 'zeros forecast as 0: sMAPE 0.095, MAPE 0.100, ND 0.100
zeros forecast as 0.01: sMAPE 1.619, MAPE 0.100, ND 0.105
a steady series: sMAPE 0.053, MAPE 0.056, ND 0.053
and one of zeros: sMAPE 0.053, MAPE 0.056, ND 0.053' <<'PYTHON'
import numpy as np
import pandas as pd
from gluonts.evaluation import Evaluator
from gluonts.model.forecast import SampleForecast

DAYS = pd.period_range("2026-01-01", periods=40, freq="D")


def scores(series, forecasts):
    values = [pd.Series(np.array(one, float), index=DAYS) for one in series]
    samples = [SampleForecast(np.tile(np.array(one, float), (2, 1)), start_date=DAYS[30]) for one in forecasts]
    found, _ = Evaluator(num_workers=0)(values, samples)
    return ", ".join(f"{name} {found[name]:.3f}" for name in ("sMAPE", "MAPE", "ND"))


sales = [0, 0, 5, 0, 0, 0, 0, 0, 10, 0]
for small in (0, 0.01):
    print(f"zeros forecast as {small}:", scores([sales * 4], [[one * 1.1 or small for one in sales]]))
steady = [9, 10] * 20
print("a steady series:", scores([steady], [[10] * 10]))
print("and one of zeros:", scores([steady, [0] * 40], [[10] * 10, [0] * 10]))
PYTHON
