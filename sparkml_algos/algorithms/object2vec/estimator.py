"""Object2Vec: Estimator and Model.

Two inputs, each one token or a sequence of tokens, are encoded, z₀ and z₁; what compares the encodings, [z₀∘z₁, z₀, z₁, |z₀−z₁|], goes
through a few layers to the classes or the number that the pair is labelled with. What is learned of either input serves by itself as its
embedding.

References
----------
L. Wu, A. Fisch, S. Chopra, K. Adams, A. Bordes, J. Weston, "StarSpace: embed all the things!", AAAI 2018. A. Conneau, D. Kiela, H. Schwenk,
L. Barrault, A. Bordes, "Supervised learning of universal sentence representations from natural language inference data", EMNLP 2017 (the
encoders and what compares them).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.algorithms.object2vec.params import ROLES, Object2VecParams
from sparkml_algos.algorithms.object2vec.prediction import encodings, network_of
from sparkml_algos.algorithms.object2vec.pretrained import Pretrained, known_vectors, read_files
from sparkml_algos.algorithms.object2vec.settings import LIKE_FIRST, SOFTMAX, SQUARED_ERROR, side_of
from sparkml_algos.algorithms.object2vec.training import OBJECT2VEC
from sparkml_algos.arrays import neighbors
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.training.algorithm import Algorithm


class Object2Vec(AlgorithmEstimator, Object2VecParams, NetworkParams):
    """Embeddings of pairs of tokens or sequences from which their relation can be told, trained on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    A step costs what the tokens of its mini-batch cost to encode, and an exchange of all parameters but those of tables that are
    ``row_sparse``, of which the rows of these tokens alone are exchanged and moved. Make mini-batches large with several workers: their
    number of steps is what limits them. `bucket_width` and `token_embedding_storage_type` change what a step costs, not what it does, but
    that tokens which a ``row_sparse`` step does not meet neither decay nor go on by momentum.

    Where the specification is silent: ``pooled_embedding`` is the mean, followed by a linear layer to `enc_dim` numbers where
    ``token_embedding_dim`` is another. ``hcnn`` joins the maxima over the sequence of each layer's `enc_dim` / layers filters, ``bilstm``
    takes the maxima of the `enc_dim` units of its last layer. `dropout` acts on token embeddings (on their mean, of a pooled encoder),
    between the layers of a ``bilstm``, and after each layer on top. Token embeddings start normal with deviation 0.3. Numbers are learned
    in standard deviations from their mean. A negative pair is the first input of a pair with the second one of another in its mini-batch;
    rows of label 0 stay and yield none. The rate of the loss' fall that early stopping asks for is relative. The model is the state of the
    epoch whose loss was the smallest, on rows that `validationIndicatorCol` marks where there are such. Any `optimizer` goes with
    ``row_sparse``, and `bucket_width` too.

    Pretrained token embeddings come from files of the service's form (`auxiliary_dir`) or from a DataFrame (`setPretrained`).

    Examples
    --------
    >>> from sparkml_algos import Object2Vec
    >>> learner = Object2Vec(
    ...     enc0_network="pooled_embedding", enc0_max_seq_len=1, enc0_vocab_size=944, in0Col="user",
    ...     enc1_network="pooled_embedding", enc1_max_seq_len=1, enc1_vocab_size=1683, in1Col="film",
    ...     enc_dim=300, output_layer="mean_squared_error", labelCol="rating",
    ... )
    >>> model = learner.fit(ratings)  # doctest: +SKIP
    >>> model.encode(films, side=1).select("film", "embedding")  # doctest: +SKIP
    >>> model.similar([50], 5, side=1).show()  # doctest: +SKIP
    """

    _pretrained: Artifact | None = None

    @staticmethod
    def algorithm() -> Algorithm:
        return OBJECT2VEC

    @staticmethod
    def model_class() -> type[Object2VecModel]:
        return Object2VecModel

    def setPretrained(self, side: int, vectors: DataFrame, ids: Mapping[str, int] | None = None) -> Object2Vec:
        """Let token embeddings start with vectors that are known, `fit` after `fit`; they are collected now, and saved with the Estimator.

        Parameters
        ----------
        side : int
            0 or 1. Of side 1 with ``enc1_network="enc0"``, and of both where embeddings are tied, those of side 0 count.
        vectors : DataFrame
            With the columns ``word``, or ``id``, and ``vector``: a Vector or an array of as many numbers as token embeddings have. So
            MLlib's ``Word2VecModel.getVectors()`` gives them.
        ids : mapping of str to int, optional
            Of the words, as `VocabularyModel.ids`; needed where these are words. Vectors of other words are left out.

        Returns
        -------
        Object2Vec
            This Estimator.

        Raises
        ------
        ValueError
            If there is no such side, a column is missing, a vector is of another length than the others or has a value that is no finite
            number, or no vector is of a known word.
        """
        if side not in (0, 1):
            raise ValueError(f"side must be 0 or 1, got {side!r}")
        found = known_vectors(vectors, ids)
        kept = {} if self._pretrained is None else self._pretrained.arrays
        self._pretrained = Artifact({**kept, f"{side}/ids": found[0], f"{side}/vectors": found[1]})
        return self

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if problems:
            return problems
        if self.value("enc1_network") == LIKE_FIRST:
            given = [name for name in self.declared if name.startswith("enc1_") and self.isSet(name)]
            differ = [name for name in given if name != "enc1_network" and self.value(name) != self.value(name.replace("enc1", "enc0"))]
            problems += [
                f"{name} has no effect with enc1_network='enc0', which takes encoder 0's settings: name the network, or leave it out"
                for name in differ
            ]
        settings = Hyperparameters(**self.hyperparameters())
        for side in (0, 1):
            problems += self._pretrained_problems(side, side_of(settings, side).dim, side_of(settings, side).vocab_size)
        return problems

    def _pretrained_problems(self, side: int, dim: int, vocab_size: int) -> list[str]:
        """What does not fit of the vectors that `setPretrained` was given."""
        arrays = {} if self._pretrained is None else self._pretrained.arrays
        if f"{side}/ids" not in arrays:
            return []
        enc, found = f"enc{side}", []
        if self.value(f"{enc}_pretrained_embedding_file"):
            found.append(f"{enc}_pretrained_embedding_file and setPretrained({side}, …) are both given; leave one out")
        length, largest = arrays[f"{side}/vectors"].shape[1], int(arrays[f"{side}/ids"].max())
        if length != dim:
            found.append(f"{enc}_token_embedding_dim is {dim}, but the pretrained vectors have {length} numbers")
        if largest >= vocab_size:
            found.append(f"{enc}_vocab_size is {vocab_size}, but a pretrained vector is of token {largest}")
        return found

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        settings = self.hyperparameters()
        known = read_files(session, Hyperparameters(**settings))
        known.arrays.update({} if self._pretrained is None else self._pretrained.arrays)
        if known.arrays:
            settings["pretrained"] = Pretrained.of(ship(known, session), known, Hyperparameters(**settings))
        return settings

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        return self._pretrained, {}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        self._pretrained = artifact


class Object2VecModel(HasSummary, AlgorithmModel, Object2VecParams):
    """Two encoders and what compares them.

    `transform` appends ``prediction`` (double: the class, or the number) and, of a classifier, ``probability`` (vector). `encode` and
    `similar` use one encoder alone.
    """

    outputs = (Output("predicted_label", "double", "predictionCol"), Output("scores", "vector", "probabilityCol"))
    _side: int | None = None

    @staticmethod
    def algorithm() -> Algorithm:
        return OBJECT2VEC

    @property
    def numClasses(self) -> int | None:
        """Number of classes; None of a model of numbers."""
        return self.value("num_classes") if self.value("output_layer") == SOFTMAX else None

    @property
    def served_epoch(self) -> int:
        """The epoch, counted from 1, whose state this model is: the one whose loss was the smallest."""
        return self.artifact.values["epoch"]

    def own_outputs(self) -> Sequence[Output]:
        outputs = super().own_outputs()
        return outputs if self.numClasses else [output for output in outputs if output.param != "probabilityCol"]

    def fields(self) -> list[Field]:
        fields = super().fields()
        return fields if self._side is None else [field for field in fields if field.role == ROLES[self._side]]

    def objective_metric(self) -> str:
        return "cross_entropy" if self.numClasses else SQUARED_ERROR

    def encode(self, dataset: DataFrame, side: int) -> DataFrame:
        """Append the encodings of one input; the other one's column need not be there.

        Parameters
        ----------
        dataset : DataFrame
            With the column of the input, `in0Col` or `in1Col`.
        side : int
            0 or 1.

        Returns
        -------
        DataFrame
            The dataset with the column ``embedding`` (vector of enc_dim numbers, Param `embeddingCol`).

        Raises
        ------
        ValueError
            If there is no such side, or the column does not fit.
        """
        encoder = self.copy()
        encoder._side = _checked(side)
        return encoder._append(dataset, [Output("embeddings", "vector", "embeddingCol")])

    def similar(self, ids: int | Sequence[int], n: int = 10, side: int = 0) -> DataFrame:
        """The tokens whose encodings are most like those of given ones, by cosine, found by exact search on the driver.

        Parameters
        ----------
        ids : int or sequence of int
        n : int
        side : int
            0 or 1: whose tokens these are.

        Returns
        -------
        DataFrame
            ``id``, ``neighbor`` and ``similarity`` (double, the cosine), for each id its `n` neighbours, the most similar first; the id
            itself is none of them.

        Raises
        ------
        ValueError
            If there is no such side or id, or there are not that many other tokens.
        """
        size = side_of(Hyperparameters(**self.hyperparameters()), _checked(side)).vocab_size
        asked = np.atleast_1d(np.asarray(ids, np.int64))
        if not len(asked) or asked.min() < 0 or asked.max() >= size:
            raise ValueError(f"ids must be token ids of side {side}, from 0 to {size - 1}, got {ids!r}")
        if not 1 <= n < size:
            raise ValueError(f"n must be from 1 to {size - 1}, of {size} tokens the others than the one asked for, got {n!r}")
        vectors = self.token_encodings(side)
        found, distances = neighbors.search(neighbors.Rows(vectors, neighbors.half_squares(vectors), is_l2=False), vectors[asked], n + 1)
        rows = []
        for token, places, products in zip(asked.tolist(), found.tolist(), distances.tolist(), strict=True):
            others = [(token, place, -product) for place, product in zip(places, products, strict=True) if place != token]
            rows += others[:n]
        return type(self).read().sparkSession.createDataFrame(rows, "id long, neighbor long, similarity double")

    def token_encodings(self, side: int) -> np.ndarray:
        """Encodings of each token of a side by itself, of length 1, shape (vocab_size, enc_dim), float32; computed anew for each model."""
        known = vars(self).setdefault("_token_encodings", {})
        if known.get(_checked(side), (None,))[0] is not self.artifact:
            settings = Hyperparameters(**self.hyperparameters())
            size = side_of(settings, side).vocab_size
            tokens = Ragged(np.arange(size), np.arange(size + 1))
            vectors = encodings(network_of(self.artifact, settings, "cpu"), tokens, side, "cpu")
            known[side] = self.artifact, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return known[side][1]

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with both inputs and the label, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:accuracy`` and ``test:cross_entropy``, or ``test:mean_squared_error``.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        make = functools.partial(OBJECT2VEC.load, hyperparameters=Hyperparameters(**self.hyperparameters()), device="cpu")
        predictor = Opened(ship(self.artifact, dataset.sparkSession), make)
        totals = sum_over_batches(dataset, self, functools.partial(_errors, predictor, self.value("output_layer")))
        return {f"test:{name}": float(total / totals["weight"]) for name, total in totals.items() if name != "weight"}


def _errors(predictor: Opened[Predictor], output_layer: str, batch: Batch) -> Sums:
    """What a batch adds to the metrics of a model."""
    found, weights = predictor.get()(batch), batch.weights
    totals = {"weight": weights.sum()}
    if output_layer == SQUARED_ERROR:
        return {**totals, SQUARED_ERROR: weights @ (found["predicted_label"] - batch.label) ** 2}
    own = found["scores"][np.arange(len(batch)), batch.label.astype(np.int64)]
    hits = found["predicted_label"] == batch.label
    return {**totals, "accuracy": weights @ hits, "cross_entropy": -weights @ np.log(np.maximum(own, 1e-300))}


def _checked(side: int) -> int:
    if side not in (0, 1):
        raise ValueError(f"side must be 0 or 1, got {side!r}")
    return side
