#!/usr/bin/env bash
# smclarify 0.5: a report on labels 0.0 and 1.0, or on a few rows of 0 and 1, finds no bias at all, whatever there is.
#
# Guess:  LabelColumn(…, [1]) says that 1 is the label that is positive; where no label is, it is an error, as it is for predictions.
# Seen:   whether [1] is a value or a threshold is guessed from the column: floats are continuous, and so are whole numbers, also as text,
#         with fewer than 20 rows to a value, so for 0 and 1 it is up to 40 rows. Positive is then what is above 1, which is nothing: every
#         measure is 0.0, the report of perfect fairness. A null among the labels makes floats of them; one segment of a table may have 40
#         rows where the next has 48. Booleans are right.
# So:     labels as booleans or words; or positive [0.5] for floats. Distrust a report in which all is 0.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install smclarify==0.5 pandas==2.3.3 numpy==2.4.6

seen_as '40 rows, bool: DPL -0.50, KS 0.50
40 rows, int: DPL 0.00, KS 0.00
40 rows, str: DPL 0.00, KS 0.00
40 rows, float: DPL 0.00, KS 0.00
48 rows, bool: DPL -0.50, KS 0.50
48 rows, int: DPL -0.50, KS 0.50
48 rows, str: DPL -0.50, KS 0.50
48 rows, float: DPL 0.00, KS 0.00
8000 rows, bool: DPL -0.50, KS 0.50
8000 rows, int: DPL -0.50, KS 0.50
8000 rows, str: DPL -0.50, KS 0.50
8000 rows, float: DPL 0.00, KS 0.00' <<'PYTHON'
import pandas as pd
from smclarify.bias.report import FacetColumn, LabelColumn, StageType, bias_report

eight = pd.DataFrame({"group": list("aaaabbbb"), "label": [1, 1, 1, 1, 1, 0, 0, 1]})
for times in (5, 6, 1000):
    rows = pd.concat([eight] * times, ignore_index=True)
    for kind, positive in ((bool, True), (int, 1), (str, "1"), (float, 1.0)):
        label = LabelColumn("label", rows["label"].astype(kind), [positive])
        [facet] = bias_report(rows[["group"]], FacetColumn("group", ["a"]), label, StageType.PRE_TRAINING, metrics=["DPL", "KS"])
        figures = ", ".join(f"{metric['name']} {metric['value']:.2f}" for metric in facet["metrics"])
        print(f"{len(rows)} rows, {kind.__name__}: {figures}")
PYTHON
