#!/usr/bin/env bash
# onnxruntime 1.32.0: ReduceMax, ReduceMin, ArgMax and ArgMin pass over NaN, unless it comes first.
#
# Guess:  a row with NaN has the largest value NaN, and that is where ArgMax points, as in numpy, in the reference evaluator of onnx, and as with
#         onnxruntime's own Max and TopK.
# Seen:   NaN in the first place is the result; anywhere else it is left out. So the largest value of a sequence hides that a step has come to
#         nothing, and of the same scores ArgMax and TopK name different classes.
# So:     test scores with IsNaN, or take TopK with k=1.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

seen_as '[nan, 1, 3] ReduceMax nan as the evaluator
[nan, 1, 3] ReduceMin nan as the evaluator
[nan, 1, 3] ArgMax 0 as the evaluator
[nan, 1, 3] ArgMin 0 as the evaluator
[nan, 1, 3] TopK 0 as the evaluator
[1, nan, 3] ReduceMax 3.0 evaluator nan
[1, nan, 3] ReduceMin 1.0 evaluator nan
[1, nan, 3] ArgMax 2 evaluator 1
[1, nan, 3] ArgMin 0 evaluator 1
[1, nan, 3] TopK 1 as the evaluator
[1, 3, nan] ReduceMax 3.0 evaluator nan
[1, 3, nan] ReduceMin 1.0 evaluator nan
[1, 3, nan] ArgMax 1 evaluator 2
[1, 3, nan] ArgMin 0 evaluator 2
[1, 3, nan] TopK 2 as the evaluator' <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator


def results(operator, row, **attributes):
    """As onnxruntime and as onnx has them, the last output."""
    inputs = {"row": np.float32(row), **({"count": np.array([1])} if operator == "TopK" else {})}
    kinds = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape) for name, one in inputs.items()]
    outputs = ["values", "places"] if operator == "TopK" else ["result"]
    node = helper.make_node(operator, list(inputs), outputs, **attributes)
    graph = helper.make_graph([node], "row", kinds, [ValueInfoProto(name=name) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.ravel(one.run(None, inputs)[-1])[0].item() for one in (session, ReferenceEvaluator(model))]


nan = float("nan")
for row in ([nan, 1, 3], [1, nan, 3], [1, 3, nan]):
    for name in ("ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "TopK"):
        ours, theirs = results(name, row, **({"axis": 0} if name.startswith("Arg") else {}))
        print(row, name, ours, "as the evaluator" if str(ours) == str(theirs) else f"evaluator {theirs}")
PYTHON
