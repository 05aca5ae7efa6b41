"""BlazingText in mode supervised: Estimator and Model of a classifier of texts.

    h = mean of the vectors of a text's words and word n-grams,   p = softmax(W h),   minimise  the mean of −log p(label)

References
----------
A. Joulin, E. Grave, P. Bojanowski, T. Mikolov, "Bag of tricks for efficient text classification", EACL 2017.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.blazingtext.classifier.counting import Counted
from sparkml_algos.algorithms.blazingtext.classifier.model_file import from_file, to_file
from sparkml_algos.algorithms.blazingtext.classifier.params import BlazingTextClassifierParams
from sparkml_algos.algorithms.blazingtext.classifier.prediction import probabilities
from sparkml_algos.algorithms.blazingtext.classifier.training import BLAZING_TEXT_CLASSIFIER, hits, labels_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.formats.fasttext import read_model, write_model
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.algorithm import Algorithm


class BlazingTextClassifier(AlgorithmEstimator["BlazingTextClassifierModel"], BlazingTextClassifierParams):
    """Learns the labels of texts from their words and word n-grams, on the executors of a Spark cluster, as fastText does.

    {parameters}

    Notes
    -----
    Labels stand in the text, ``__label__sport __label__local the home team won``, or in `labelCol`; a text may have several, of which one
    is drawn for each step. A text ends with the token ``</s>``, as each line does for fastText, and what follows such a token is not read.
    Words are parted by blanks, tabs and ends of lines, and are taken as they are: `The` and `the` are two words, and `match.` is a third.

    Texts come in another order in every epoch, so it does not matter whether they are sorted by label. One worker makes a step for each
    text; its threads move the same vectors without waiting for each other. Several workers compute the steps for a window of texts, of all
    of them together, from the same vectors, and each makes all of these steps: what is learned does not depend on their number, but moving
    the vectors is every worker's work, and they exchange what they have found for each window: use one worker where its memory and disk
    hold the texts. With one worker of one thread, two trainings with the same `seed` are the same.

    A step costs O((words of the text) · word_ngrams · vector_dim + labels · vector_dim). A worker needs 4 · vector_dim bytes for each word
    and each bucket of n-grams that occurs; the model is as large, and travels to the driver.

    The inner loops are compiled by numba where it is installed (``pip install sparkml-algos[fast]``), otherwise NumPy runs them: see
    `training_summary.kernels`.

    Examples
    --------
    >>> from sparkml_algos import BlazingTextClassifier
    >>> classifier = BlazingTextClassifier(labelCol="topic", learning_rate=0.5, epochs=10)
    >>> model = classifier.fit(texts)  # doctest: +SKIP
    >>> model.transform(new_texts).select("text", "predicted_label").show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return BLAZING_TEXT_CLASSIFIER

    @staticmethod
    def model_class() -> type[BlazingTextClassifierModel]:
        return BlazingTextClassifierModel

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if not problems and self.value("early_stopping") and not self.value("validationIndicatorCol"):
            problems.append("early_stopping=True needs rows to validate on: name a validationIndicatorCol")
        return problems


class BlazingTextClassifierModel(HasSummary, AlgorithmModel, BlazingTextClassifierParams):
    """Vectors of words, word n-grams and labels.

    `transform` appends ``prediction`` (double, place of the most probable label in `labels`), ``predicted_label`` (string) and
    ``probability`` (vector); where `bestLabelsCol` and `bestProbabilitiesCol` are named, also the `k` most probable labels, as the service
    has them, and how probable they are. All labels are alike to a text of which no word and no n-gram is known.
    """

    outputs = (
        Output("prediction", "double", "predictionCol"),
        Output("predicted_label", "string", "predictedLabelCol"),
        Output("probability", "vector", "probabilityCol"),
        Output("label", "array<string>", "bestLabelsCol"),
        Output("prob", "array<double>", "bestProbabilitiesCol"),
    )

    @staticmethod
    def algorithm() -> Algorithm:
        return BLAZING_TEXT_CLASSIFIER

    def objective_metric(self) -> str:
        return "loss"

    @property
    def labels(self) -> list[str]:
        """Names of the labels, without ``__label__``: the more frequent in training, the earlier."""
        return list(self.artifact.values["labels"])

    @property
    def numClasses(self) -> int:
        """Number of labels."""
        return len(self.artifact.values["labels"])

    @property
    def words(self) -> list[str]:
        """Words that have a vector of their own: the more frequent in training, the earlier."""
        return Counted.of(self.artifact.arrays, self.artifact.values).words.words.to_pylist()

    @property
    def word_vectors(self) -> np.ndarray:
        """Their vectors, shape (words, vector_dim), float32."""
        return self.artifact.arrays["vectors"][: len(self.artifact.arrays["words/counts"])]

    @property
    def served_epoch(self) -> int | None:
        """The epoch, counted from 1, whose state this model is: with early stopping that of the best accuracy on rows for validation, else
        the last; None of a model that was read from a file."""
        return self.artifact.values.get("epoch")

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """``test:accuracy``: the share of texts whose most probable label is one of theirs.

        Labels that training has not seen count as wrong.

        Raises
        ------
        ValueError
            If the dataset is empty, or has a text without label or a null.
        """
        make = functools.partial(_Judge, hyperparameters=Hyperparameters(**self.hyperparameters()))
        totals = sum_over_batches(dataset, self, functools.partial(_hits, Opened(ship(self.artifact, dataset.sparkSession), make)))
        return {"test:accuracy": float(totals["hits"] / totals["rows"])}

    def write_fasttext(self, path: str | Path | BinaryIO) -> None:
        """Write the model as fastText's ``model.bin``, which predicts the same.

        The file has a row for each of `buckets` where `word_ngrams` is more than 1: 4 · vector_dim bytes each, zeros of those without an
        n-gram in training.

        Parameters
        ----------
        path : str, Path or binary file
            On the driver's disk; overwritten.
        """
        write_model(to_file(self.artifact, Hyperparameters(**self.hyperparameters())), path)

    @classmethod
    def read_fasttext(cls, path: str | Path | bytes | BinaryIO) -> BlazingTextClassifierModel:
        """A model from a supervised ``model.bin`` of fastText's or the service's.

        Parameters
        ----------
        path : str, Path, bytes or binary file

        Returns
        -------
        BlazingTextClassifierModel

        Raises
        ------
        ValueError
            If the file is no such model, is quantised, or was not trained with loss softmax on words and word n-grams alone.
        """
        artifact, hyperparameters = from_file(read_model(path))
        model = cls(**hyperparameters)
        model.artifact = artifact
        return model


class _Judge:
    """Counts the hits of a model."""

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        counted = Counted.of(artifact.arrays, artifact.values)
        self._encode = counted.encoder(hyperparameters.word_ngrams, hyperparameters.buckets)
        self._parameters = artifact.arrays["vectors"], artifact.arrays["outputs"]

    def __call__(self, batch: Batch) -> int:
        encoded = self._encode(batch.text)
        return hits(probabilities(encoded.features, *self._parameters).argmax(axis=1), labels_of(batch, encoded, self._encode))


def _hits(judge: Opened[_Judge], batch: Batch) -> Sums:
    """What a batch adds to the accuracy."""
    return {"hits": np.float64(judge.get()(batch)), "rows": np.float64(len(batch))}
