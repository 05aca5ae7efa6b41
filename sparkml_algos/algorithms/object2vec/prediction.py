"""What a model of Object2Vec says of pairs, and how it encodes one side; no Spark here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.algorithms.object2vec.settings import BILSTM, SOFTMAX, settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Predictor

if TYPE_CHECKING:
    from sparkml_algos.algorithms.object2vec.network import Object2VecNetwork

# Tokens that are encoded at a time, padding included.
TOKENS = 1 << 15


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model.

    Of batches with both inputs it gives ``scores``, shape (rows, classes) the probabilities or (rows, 1) the number, and
    ``predicted_label``, shape (rows,); of such with one alone ``embeddings``, shape (rows, enc_dim).
    """
    network = network_of(artifact, hyperparameters, device)
    mean, unit = artifact.values["label_mean"], artifact.values["label_unit"]
    is_classifier = hyperparameters.output_layer == SOFTMAX

    def predictor(batch: Batch) -> Mapping[str, Any]:
        if batch.in1 is None:
            return {"embeddings": encodings(network, batch.in0, 0, device)}
        if batch.in0 is None:
            return {"embeddings": encodings(network, batch.in1, 1, device)}
        scores = _joined(batch, lambda part: _scores(network, part, is_classifier, device))
        if is_classifier:
            return {"scores": scores, "predicted_label": scores.argmax(1).astype(np.float64)}
        scores = scores * unit + mean
        return {"scores": scores, "predicted_label": scores[:, 0]}

    return predictor


def network_of(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Object2VecNetwork:
    """The network of a model, ready to predict. It computes with 64 bits, and what it finds is rounded to 32, so that this does not depend
    on the rows beside a row."""
    from sparkml_algos.algorithms.object2vec.network import Object2VecNetwork
    from sparkml_algos.networks.state import loaded

    return loaded(lambda: Object2VecNetwork(settings_of(hyperparameters)), artifact, device).precise()


def encodings(network: Object2VecNetwork, tokens: Ragged, side: int, device: str) -> np.ndarray:
    """Encodings of sequences of one side.

    Parameters
    ----------
    network : Object2VecNetwork
    tokens : Ragged
    side : int
    device : str

    Returns
    -------
    ndarray of float32, shape (rows, enc_dim)
    """
    from sparkml_algos.algorithms.object2vec.network import Sequences

    def encode(part: Batch) -> np.ndarray:
        return network.encode(Sequences.of(part.tokens, device), side).float().numpy(force=True)

    return _joined(Batch(tokens=tokens), encode)


def _scores(network: Object2VecNetwork, batch: Batch, is_classifier: bool, device: str) -> np.ndarray:
    from sparkml_algos.algorithms.object2vec.network import Sequences

    scores = network(Sequences.of(batch.in0, device), Sequences.of(batch.in1, device))
    return (scores.softmax(1) if is_classifier else scores).float().double().numpy(force=True)


def _joined(batch: Batch, compute: Callable[[Batch], np.ndarray]) -> np.ndarray:
    """What is computed of the rows of a batch, so many at a time that their tokens have room."""
    return np.concatenate([compute(part) for part in _parts(batch)])


def _parts(batch: Batch) -> Iterator[Batch]:
    longest = max(int(column.lengths.max(initial=1)) for column in batch.columns.values() if isinstance(column, Ragged))
    step = max(1, TOKENS // longest)
    for start in range(0, max(len(batch), 1), step):
        yield batch.take(slice(start, start + step))


def program(artifact: Artifact, hyperparameters: Hyperparameters) -> tuple[Any, list[str], list[str]]:
    """The network as a program of tensors: what computes, and the names of its inputs and outputs.

    Raises
    ------
    ValueError
        Of a recurrent encoder, which reads lists as long as they are.
    """
    if BILSTM in (side.network for side in settings_of(hyperparameters).sides):
        raise ValueError(f"the encoder {BILSTM!r} reads each list as long as it is, which a program of torch.export does not; write .onnx")
    from sparkml_algos.algorithms.object2vec.network import PairProgram

    mean, unit = artifact.values["label_mean"], artifact.values["label_unit"]
    is_classifier = hyperparameters.output_layer == SOFTMAX

    def finish(scores: Any) -> Any:
        return scores.softmax(1) if is_classifier else scores * unit + mean

    return PairProgram(network_of(artifact, hyperparameters, "cpu"), finish), ["in0", "in1"], ["scores"]
