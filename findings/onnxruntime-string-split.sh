#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2.
#
# Guess:  without a delimiter the operator StringSplit parts texts at any whitespace, for that is what the operator's text says ("split on
#         consecutive whitespace"), and what the reference evaluator of onnx does.
# Seen:   onnxruntime parts them at blanks alone. Words with a tab or the end of a line between them stay one word, so a classifier of texts
#         counts other words than where it was trained.
# So:     replace other whitespace by blanks before, or refuse such texts.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

seen_as "reference    [2, 2, 2, 2]
onnxruntime  [2, 1, 1, 2]" <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

texts = helper.make_tensor_value_info("texts", TensorProto.STRING, [None])
words = helper.make_tensor_value_info("words", TensorProto.STRING, [None, None])
counts = helper.make_tensor_value_info("counts", TensorProto.INT64, [None])
graph = helper.make_graph([helper.make_node("StringSplit", ["texts"], ["words", "counts"])], "split", [texts], [words, counts])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
given = {"texts": np.array(["two words", "two\twords", "two\nwords", " two  words "], object)}
print("reference   ", [int(count) for count in ReferenceEvaluator(model).run(["counts"], given)[0]])
print("onnxruntime ", onnxruntime.InferenceSession(model.SerializeToString()).run(["counts"], given)[0].tolist())
PYTHON
