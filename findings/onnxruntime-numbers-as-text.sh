#!/usr/bin/env bash
# onnxruntime 1.32.0: Cast from numbers to text keeps 8 digits, also of 64-bit numbers: a thousand different identifiers become 11 texts.
#
# Guess:  the text of a number reads back as the same number, as in Python, in Spark and in the reference evaluator of onnx.
# Seen:   8 digits of any number. 64-bit whole numbers above 100 million, such as identifiers and seconds since 1970, become texts like
#         1.2345679e+08, which look up the wrong category or none; of random 32-bit numbers one in 200 reads back as its neighbour.
# So:     cast to int64 first; where a fraction counts, compare numbers instead of texts.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

seen_as "123456789: ['1.2345679e+08'] ['123456789.0'] ['123456789'] ['123456789']
1000 identifiers: 11 1000 texts
32-bit numbers, all read back: False True" <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def texts(numbers):
    """As onnxruntime and as onnx has them."""
    kind = helper.np_dtype_to_tensor_dtype(numbers.dtype)
    node = helper.make_node("Cast", ["numbers"], ["texts"], to=TensorProto.STRING)
    ends = [helper.make_tensor_value_info(name, one, [None]) for name, one in (("numbers", kind), ("texts", TensorProto.STRING))]
    model = helper.make_model(helper.make_graph([node], "texts", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"numbers": numbers})[0], ReferenceEvaluator(model).run(None, {"numbers": numbers})[0]


identifiers = np.arange(1_700_000_000.0, 1_700_001_000.0)
print("123456789:", *texts(np.array([123456789.0])), *texts(np.array([123456789])))
print(f"{len(identifiers)} identifiers:", *(len(set(one)) for one in texts(identifiers)), "texts")
numbers = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
ours, theirs = (np.array([float(one) for one in found], np.float32) for found in texts(numbers))
print(f"32-bit numbers, all read back: {np.array_equal(ours, numbers)} {np.array_equal(theirs, numbers)}")
PYTHON
