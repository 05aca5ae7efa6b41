#!/usr/bin/env bash
# pyarrow 26.0.1: a CSV file of one column comes back without the rows that were null.
#
# Guess:  read_csv reads what write_csv writes: as many rows, a null as a null in a column of numbers.
# Seen:   a null is written as nothing, which in a file of one column is an empty line, and read_csv passes over empty lines. Labels or
#         predictions in a file of their own are fewer than the rows that they belong to, and the later ones stand beside wrong rows. With a
#         second column the row stays. pandas writes "" there, and reads empty lines as little.
# So:     ParseOptions(ignore_empty_lines=False), where the null comes back, or a second column, such as the row's number.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6

seen_as 'one column: [1, 0]
ignore_empty_lines=False: [1, None, 0]
two columns: [1, None, 0]
pandas: [1.0, nan, 0.0]' <<'PYTHON'
import io

import pandas as pd
import pyarrow as pa
from pyarrow import csv

labels = pa.array([1, None, 0])


def back(table, **options):
    sink = io.BytesIO()
    csv.write_csv(table, sink)
    return csv.read_csv(io.BytesIO(sink.getvalue()), **options)["label"].to_pylist()


print("one column:", back(pa.table({"label": labels})))
print("ignore_empty_lines=False:", back(pa.table({"label": labels}), parse_options=csv.ParseOptions(ignore_empty_lines=False)))
print("two columns:", back(pa.table({"label": labels, "row": [1, 2, 3]})))
print("pandas:", pd.read_csv(io.StringIO(pd.DataFrame({"label": labels.to_pylist()}).to_csv(index=False)))["label"].tolist())
PYTHON
