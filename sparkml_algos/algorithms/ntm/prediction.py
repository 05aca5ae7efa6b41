"""What the network says of documents: the weights of their topics, and how well it expects their words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.ntm.measures import WEIGHTS, have_words
from sparkml_algos.algorithms.ntm.noise import EVALUATION, document_keys, normals
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

if TYPE_CHECKING:
    from sparkml_algos.algorithms.ntm.network import TopicNetwork

# Documents whose words are all predicted at once.
BLOCK_DOCUMENTS = 256


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> TopicPredictor:
    """A predictor of ``topic_weights`` (documents, topics), rows of sum 1.

    Parameters
    ----------
    artifact : Artifact
        From `training.train`.
    hyperparameters : Hyperparameters
        Of the training.
    device : str
        Where the network computes.
    """
    return TopicPredictor(artifact, hyperparameters, device)


def network_of(hyperparameters: Hyperparameters, vocabulary: int) -> TopicNetwork:
    """A network of these sizes, with weights as they are at the start of a training."""
    from sparkml_algos.algorithms.ntm.network import TopicNetwork

    topics = hyperparameters.num_topics
    auto = hyperparameters.encoder_layers == "auto"
    return TopicNetwork(
        vocabulary,
        topics,
        [3 * topics, 2 * topics] if auto else hyperparameters.encoder_layers,
        hyperparameters.encoder_layers_activation,
        hyperparameters.batch_norm,
        hyperparameters.normalize_latent,
        hyperparameters.prior_variance,
    )


class TopicPredictor:
    """Encodes the documents of a batch.

    Of a document without words the topics are those of the mean of the prior, all of one weight.
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters, device: str = "cpu") -> None:
        from sparkml_algos.networks.state import loaded

        self._device, self._num_topics = device, hyperparameters.num_topics
        vocabulary = len(artifact.arrays[WEIGHTS])
        # In 64 bits, rounded to 32 at the end: the weights of a document do not depend on which others are in its batch, as the last bit
        # of a matrix product does.
        self._network = loaded(lambda: network_of(hyperparameters, vocabulary), artifact, device).double()

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        from sparkml_algos.algorithms.ntm.network import Documents

        documents = Documents.of(batch.features, self._device, np.float64)
        weights = self._network.topics(documents).numpy(force=True).astype(np.float32)
        weights[~have_words(batch.features)] = 1 / self._num_topics
        return {"topic_weights": weights}

    def costs(self, batch: Batch) -> np.ndarray:
        """Reconstruction loss, divergence, words and number of the documents of a batch that have words, summed with their weights; shape
        (4,), float64."""
        from sparkml_algos.algorithms.ntm.network import Documents
        from sparkml_algos.networks.state import to_tensor

        rows, found = sp.csr_matrix(batch.features), np.zeros(4)
        weights = batch.weights * have_words(rows)
        for start in range(0, rows.shape[0], BLOCK_DOCUMENTS):
            part, weight = rows[start : start + BLOCK_DOCUMENTS], weights[start : start + BLOCK_DOCUMENTS]
            documents = Documents.of(part, self._device, np.float64)
            noise = normals(document_keys(part, EVALUATION), self._num_topics).astype(np.float64)
            reconstruction, divergence = self._network(documents, documents, to_tensor(noise, self._device))
            words = np.asarray(part.sum(axis=1, dtype=np.float64)).ravel()
            parts = [reconstruction.numpy(force=True), divergence.numpy(force=True), words, np.ones(len(words))]
            found += np.array(parts) @ weight
        return found


def program(artifact: Artifact, hyperparameters: Hyperparameters) -> tuple[Any, list[str], list[str]]:
    """The encoder as a program of tensors: what computes, and the names of its inputs and outputs."""
    from sparkml_algos.algorithms.ntm.network import DenseTopics

    return DenseTopics(TopicPredictor(artifact, hyperparameters)._network), ["features"], ["topic_weights"]
