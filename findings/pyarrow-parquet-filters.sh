#!/usr/bin/env bash
# pyarrow 26.0.1: filters on reading Parquet find no zero in a column of zeros, and no NaN, where the same filters on the table find them.
#
# Guess:  filters= saves reading and gives what Table.filter gives of the whole; and "not in" one value is the same as "!=".
# Seen:   ("a", "in", [0.0]) finds nothing where the smallest value of a row group is 0, for the file's statistics call that -0.0, and a
#         list tells the two apart; "==" finds them. Row groups are left out by statistics that know nothing of NaN: of 1 and NaN is_nan
#         finds nothing, nor does a != a or "!=" 1. And where a value is null "!=" leaves its row out, while "not in" has it.
# So:     ("a", "==", 0.0) alone or with others by |; floats of Parquet that may be NaN are filtered after reading; ask for nulls by
#         is_null.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyarrow==26.0.1

seen_as '[0.0, 0.0] in [0.0]: file 0, table 2
[0.0, 0.0] == 0.0: file 2, table 2
[0.0, -1.0] in [0.0]: file 1, table 1
[1.0, nan] is NaN: file 0, table 1
[1.0, nan] a != a: file 0, table 1
[1.0, nan] != 1.0: file 0, table 1
[1.0, 2.0, nan] is NaN: file 1, table 1
[1.0, 2.0, nan] not (a <= 2.0): file 0, table 1
[1, 2, None] != 1: file 1, table 1
[1, 2, None] not in [1]: file 2, table 2' <<'PYTHON'
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

nan = float("nan")
a = pc.field("a")
for values, name, condition in (
    ([0.0, 0.0], "in [0.0]", [("a", "in", [0.0])]),
    ([0.0, 0.0], "== 0.0", [("a", "==", 0.0)]),
    ([0.0, -1.0], "in [0.0]", [("a", "in", [0.0])]),
    ([1.0, nan], "is NaN", pc.is_nan(a)),
    ([1.0, nan], "a != a", a != a),
    ([1.0, nan], "!= 1.0", [("a", "!=", 1.0)]),
    ([1.0, 2.0, nan], "is NaN", pc.is_nan(a)),
    ([1.0, 2.0, nan], "not (a <= 2.0)", ~(a <= 2.0)),
    ([1, 2, None], "!= 1", [("a", "!=", 1)]),
    ([1, 2, None], "not in [1]", [("a", "not in", [1])]),
):
    table = pa.table({"a": values})
    pq.write_table(table, "rows.parquet")
    expression = condition if isinstance(condition, pc.Expression) else pq.filters_to_expression(condition)
    print(f"{values} {name}: file {pq.read_table('rows.parquet', filters=condition).num_rows}, table {table.filter(expression).num_rows}")
PYTHON
