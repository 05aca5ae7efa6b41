"""Graphs of pairs: IP Insights and Object2Vec. Nodes are written from the arrays of the networks, so that torch is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.algorithms.object2vec.settings import BILSTM, HCNN, POOLED, SOFTMAX, Side, settings_of
from sparkml_algos.export.decisions import largest
from sparkml_algos.export.graph import FLOAT32, FLOAT64, ROWS, Graph, Input
from sparkml_algos.export.translation import EXACT, SINGLE, Trained, Translation
from sparkml_algos.rows.identities import NO_ADDRESS

_ADDRESS_BITS = 32
# Torch's order of the gates, input, forget, content, output, in that of ONNX: input, output, forget, content.
_GATES = (0, 3, 1, 2)
_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "linear": "Identity"}


class Addresses(Translation):
    """``IPInsightsModel``. The graph takes entities as `rows.identities.Name` knows them, by their hash, and addresses as the number of
    their bits; -1 is none."""

    precisions = (FLOAT64, FLOAT32, "float16")

    def inputs(self) -> list[Input]:
        return [Input("entity", np.int64, (ROWS,)), Input("ip", np.int64, (ROWS,))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        slots = graph.constant(np.uint64(self.hyperparameters.num_entity_vectors))
        slot = graph.cast(graph("Mod", graph.cast(inputs["entity"], np.uint64), slots), np.int64)
        entity = graph("Gather", graph.weights(self._array("entities.weight")), slot, axis=0)
        powers = graph.constant(2 ** np.arange(_ADDRESS_BITS - 1, -1, -1, dtype=np.int64))
        bits = graph("Mod", graph("Div", graph.column(inputs["ip"]), powers), graph.constant(np.int64(2)))
        hidden = graph("Sub", graph("Mul", graph.real(bits), graph.reals(2)), graph.reals(1))
        layers = self.hyperparameters.num_ip_encoder_layers
        for layer in range(layers + 1):
            hidden = graph.affine(hidden, self._array(f"addresses.{2 * layer}.weight").T, self._array(f"addresses.{2 * layer}.bias"))
            hidden = graph("Relu", hidden) if layer < layers else hidden
        absent, nan = graph("Equal", inputs["ip"], graph.constant(np.int64(NO_ADDRESS))), graph.reals(np.nan)
        return {
            "dot_product": graph("Where", absent, nan, graph.sum(graph("Mul", entity, hidden), 1)),
            "entity_embedding": entity,
            "ip_embedding": graph("Where", graph.column(absent), nan, hidden),
        }

    def _array(self, name: str) -> np.ndarray:
        return self.artifact.arrays[f"network/{name}"].astype(np.float64)

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        octets = random.integers(256, size=(count, 4))
        entities = [f"user {number}" for number in random.integers(10 * count, size=count)]
        return {"entity": np.array(entities), "ip": np.array([".".join(map(str, row)) for row in octets.tolist()])}


class Pairs(Translation):
    """``Object2VecModel``. The graph takes the token ids of both inputs, -1 behind the end of a list."""

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        self._settings = settings_of(self.hyperparameters)
        self._is_classifier = self.hyperparameters.output_layer == SOFTMAX
        if self._is_classifier:
            self.decisions = ("predicted_label",)
        # Convolutions and recurrent layers of ONNX Runtime have 32 bits.
        pooled = all(side.network == POOLED for side in self._settings.sides)
        self.tolerance = EXACT if pooled else SINGLE

    def inputs(self) -> list[Input]:
        return [Input("in0", np.int64, (ROWS, "tokens0")), Input("in1", np.int64, (ROWS, "tokens1"))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        one, other = (self._encoded(graph, inputs[f"in{side}"], side) for side in range(2))
        compared = {
            "hadamard": lambda: graph("Mul", one, other),
            "concat": lambda: graph("Concat", one, other, axis=1),
            "abs_diff": lambda: graph("Abs", graph("Sub", one, other)),
        }
        hidden = graph("Concat", *(compared[name]() for name in self._settings.comparators), axis=1)
        for layer in range(self._settings.mlp_layers):
            hidden = self._dense(graph, hidden, f"top.{3 * layer}")
            hidden = graph(_ACTIVATIONS[self._settings.mlp_activation], hidden)
        scores = self._dense(graph, hidden, f"top.{3 * self._settings.mlp_layers}")
        if self._is_classifier:
            scores = graph("Softmax", scores, axis=1)
            return {"scores": scores, "predicted_label": largest(graph, scores)}
        values = self.artifact.values
        scores = graph("Add", graph("Mul", scores, graph.reals(values["label_unit"])), graph.reals(values["label_mean"]))
        return {"scores": scores, "predicted_label": graph("Squeeze", scores, graph.ints(1))}

    def _array(self, name: str) -> np.ndarray:
        return self.artifact.arrays[f"network/{name}"].astype(np.float64)

    def _dense(self, graph: Graph, hidden: str, name: str) -> str:
        return graph.affine(hidden, self._array(f"{name}.weight").T, self._array(f"{name}.bias"))

    def _encoded(self, graph: Graph, tokens: str, number: int) -> str:
        """Encodings of one side, shape (rows, enc_dim)."""
        side = self._settings.sides[number]
        tokens = graph("Slice", tokens, graph.ints(0), graph.ints(side.max_seq_len), graph.ints(1))
        is_token = graph("GreaterOrEqual", tokens, graph.constant(np.int64(0)))
        table = self._array(f"tables.{0 if self._settings.tied else number}.weight")
        ids = graph("Max", tokens, graph.constant(np.int64(0)))
        vectors = graph("Gather", graph.weights(table), ids, axis=0)
        mask = graph.column(graph.real(is_token), 2)
        vectors = graph("Mul", vectors, mask)
        if side.network == POOLED:
            mean = graph("Div", graph.sum(vectors, 1), graph.sum(mask, 1))
            name = f"encoders.{number}.projection"
            return self._dense(graph, mean, name) if f"network/{name}.weight" in self.artifact.arrays else mean
        vectors, mask = graph.cast(vectors, np.float32), graph.cast(mask, np.float32)
        encoded = {HCNN: self._convolved, BILSTM: self._recurrent}[side.network](graph, vectors, mask, number, side)
        return graph.real(encoded)

    def _convolved(self, graph: Graph, vectors: str, mask: str, number: int, side: Side) -> str:
        hidden, found = graph("Transpose", vectors, perm=[0, 2, 1]), []
        across = graph("Transpose", mask, perm=[0, 2, 1])
        for layer in range(side.layers):
            weight, bias = (self._array(f"encoders.{number}.layers.{layer}.{name}").astype(np.float32) for name in ("weight", "bias"))
            before = (weight.shape[2] - 1) // 2
            pads = [before, weight.shape[2] - 1 - before]
            hidden = graph("Relu", graph("Conv", hidden, graph.single(weight), graph.single(bias), pads=pads))
            hidden = graph("Mul", hidden, across)
            found.append(graph.reduced("ReduceMax", hidden, 2))
        return graph("Concat", *found, axis=1)

    def _recurrent(self, graph: Graph, vectors: str, mask: str, number: int, side: Side) -> str:
        hidden = graph("Transpose", vectors, perm=[1, 0, 2])
        lengths = graph.cast(graph("Squeeze", graph.sum(mask, 1), graph.ints(1)), np.int32)
        size = self._settings.enc_dim // 2
        for layer in range(side.layers):
            both = [self._cell(number, f"l{layer}{direction}", size) for direction in ("", "_reverse")]
            weights = (graph.single(np.stack(parts)) for parts in zip(*both, strict=True))
            states = graph.several("LSTM", hidden, *weights, lengths, outputs=3, direction="bidirectional", hidden_size=size)
            # (steps, directions, rows, size): both directions side by side.
            hidden = graph("Reshape", graph("Transpose", states[0], perm=[0, 2, 1, 3]), graph.ints(0, 0, 2 * size))
        last = graph("Transpose", hidden, perm=[1, 0, 2])
        outside = graph("Equal", mask, graph.constant(np.float32(0)))
        return graph.reduced("ReduceMax", graph("Where", outside, graph.constant(np.float32(-np.inf)), last), 1)

    def _cell(self, number: int, name: str, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights of the input and of the state, and biases, with the gates in the order of ONNX."""

        def ordered(part: str) -> np.ndarray:
            array = self._array(f"encoders.{number}.layers.{part}_{name}").astype(np.float32)
            return np.concatenate([array[gate * size : (gate + 1) * size] for gate in _GATES])

        return ordered("weight_ih"), ordered("weight_hh"), np.concatenate([ordered("bias_ih"), ordered("bias_hh")])

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Lists of all lengths that are read, and longer ones."""
        found = {}
        for role, side in zip(("in0", "in1"), self._settings.sides, strict=True):
            lengths = random.integers(1, min(side.max_seq_len, 60) + 2, size=count)
            found[role] = [random.integers(side.vocab_size, size=length).tolist() for length in lengths]
        return found
