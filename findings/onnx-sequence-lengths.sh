#!/usr/bin/env bash
# onnx 1.23.2: the reference evaluator has no regard for the lengths of sequences in LSTM, GRU and RNN.
#
# Guess:  sequence_lens is an input of these operators, and the evaluator is what exports are compared with; what it does not know it
#         refuses.
# Seen:   it takes the lengths and runs through the padding, so the last state of a short sequence is that after its padding, or, backwards,
#         that of a run which began with it. onnxruntime has that of the sequence alone. A right export looks wrong beside the evaluator, and
#         one that forgets its lengths looks right.
# So:     compare with the library and onnxruntime; with the evaluator only sequences of full length.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

seen_as 'LSTM forward: whole sequence equal: True, short one as alone: onnxruntime True, evaluator False
LSTM reverse: whole sequence equal: True, short one as alone: onnxruntime True, evaluator False
GRU forward: whole sequence equal: True, short one as alone: onnxruntime True, evaluator False
GRU reverse: whole sequence equal: True, short one as alone: onnxruntime True, evaluator False
RNN forward: whole sequence equal: True, short one as alone: onnxruntime True, evaluator False
RNN reverse: whole sequence equal: True, short one as alone: onnxruntime True, evaluator False' <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator

random = np.random.default_rng(0)
STEPS, INPUTS, HIDDEN = 5, 3, 2
sequences = random.normal(size=(STEPS, 2, INPUTS)).astype(np.float32)


def last_states(operator, gates, direction, sequences, lengths):
    weights = np.random.default_rng(1)
    inputs = {"X": sequences, "W": weights.normal(size=(1, gates * HIDDEN, INPUTS)), "R": weights.normal(size=(1, gates * HIDDEN, HIDDEN))}
    inputs = {name: one.astype(np.float32) for name, one in inputs.items()} | {"lengths": np.int32(lengths)}
    node = helper.make_node(operator, ["X", "W", "R", "", "lengths"], ["Y", "last"], hidden_size=HIDDEN, direction=direction)
    kinds = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape) for name, one in inputs.items()]
    graph = helper.make_graph([node], "states", kinds, [ValueInfoProto(name="last")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(one.run(None, inputs)[0])[0] for one in (session, ReferenceEvaluator(model))]


for operator, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    for direction in ("forward", "reverse"):
        ours, theirs = last_states(operator, gates, direction, sequences, [STEPS, 2])
        alone, _ = last_states(operator, gates, direction, sequences[:2], [2, 2])
        same = [np.allclose(one[1], alone[1], atol=1e-6) for one in (ours, theirs)]
        whole = np.allclose(ours[0], theirs[0], atol=1e-6)
        print(f"{operator} {direction}: whole sequence equal: {whole}, short one as alone: onnxruntime {same[0]}, evaluator {same[1]}")
PYTHON
