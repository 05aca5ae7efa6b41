"""Sequence to sequence: Estimator and Model.

An encoder reads the source x, a decoder tells the words of the target y one after the other, and both learn to make

    P(y | x) = Π P(yₜ | y₁ … yₜ₋₁, x)

large, by the cross entropy of each word.

References
----------
D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015. M.-T. Luong, H. Pham,
C. Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015. J. Gehring, M. Auli, D. Grangier, D. Yarats,
Y. Dauphin, "Convolutional sequence to sequence learning", ICML 2017. F. Hieber et al., "Sockeye: a toolkit for neural machine translation",
2017.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.algorithms.seq2seq.measures import judged, load_judge
from sparkml_algos.algorithms.seq2seq.params import ROLES, Seq2SeqParams
from sparkml_algos.algorithms.seq2seq.settings import contradictions
from sparkml_algos.algorithms.seq2seq.training import SEQ2SEQ
from sparkml_algos.algorithms.seq2seq.vocabularies import FILES, artifact_of, read_files
from sparkml_algos.algorithms.seq2seq.words import words_of
from sparkml_algos.arrays import bleu
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.core.aggregation import sum_over_batches
from sparkml_algos.core.columns import find, is_ids
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.inputs import input_problems
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ShippedArtifact, ship
from sparkml_algos.training.algorithm import Algorithm


class Seq2Seq(AlgorithmEstimator["Seq2SeqModel"], Seq2SeqParams, NetworkParams):
    """Learns to turn sequences of words into others, such as sentences into their translations, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Source and target are words: a string is parted at blanks, so texts are tokenised before; arrays of words are taken as they are. Words
    that are not in the vocabulary are read as ``<unk>``. A vocabulary has the reserved words ``<pad>``, ``<unk>``, ``<s>`` and ``</s>``;
    the last two, between which a target stands, are added here. Vocabularies are counted on the rows for training, unless
    `setVocabularies` or `vocab_dir` gives them, which rows of ids need.

    Training is by updates: every `checkpoint_frequency_num_batches` of them the network is judged on the rows that `validationIndicatorCol`
    marks, and the model is the state that was the best by `optimized_metric`. Where no rows are marked, the mini-batches since the last
    checkpoint are what is judged on, each before its update. Without `max_num_epochs` and `max_num_batches` training goes on for as long as
    it gains.

    A step costs what its words, padding included, cost in encoder and decoder, and for each target word a product with the whole target
    vocabulary, (words of the vocabulary) · (hidden units); and one exchange of all parameters. The gradient is that of the mean over the
    target words of a mini-batch, of all workers together. `bucketing_enabled` changes which pairs are in a mini-batch, and saves padding.
    With several workers make mini-batches large: the number of steps is what limits them.

    Where the specification is silent: the decoder starts at tanh(W h) of the encoder state h that `rnn_decoder_state_init` names, ``last``
    being the ends of both directions. An output layer's input is tanh(W [s; context]), which `rnn_input_feeding` gives to the next step
    too. A convolutional decoder attends by ``dot`` in every layer. Of finished translations the one with the largest mean logarithm of its
    words' probabilities is chosen; none has more words than twice the deviation above what the ratio of lengths in training lets expect.

    Examples
    --------
    >>> from sparkml_algos import Seq2Seq
    >>> learner = Seq2Seq(
    ...     sourceCol="en", targetCol="de", validationIndicatorCol="held", num_embed_source=256, num_embed_target=256, rnn_num_hidden=256,
    ...     rnn_decoder_hidden_dropout=0.3, learning_rate=0.001, checkpoint_frequency_num_batches=450,
    ... )
    >>> model = learner.fit(pairs)  # doctest: +SKIP
    >>> model.transform(sentences).select("en", "prediction").show()  # doctest: +SKIP
    """

    _vocabularies: Artifact | None = None

    @staticmethod
    def algorithm() -> Algorithm:
        return SEQ2SEQ

    @staticmethod
    def model_class() -> type[Seq2SeqModel]:
        return Seq2SeqModel

    def setVocabularies(self, source: object, target: object) -> Seq2Seq:
        """Take these vocabularies, `fit` after `fit`, instead of counting words; they are saved with the Estimator.

        Parameters
        ----------
        source, target : VocabularyModel, mapping of str to int, or sequence of str
            Of each side what `Vocabulary` has fitted, the ids of words, all from 0 on, or words in the order of their ids; with the words
            ``<pad>``, ``<unk>``, ``<s>`` and ``</s>``.

        Returns
        -------
        Seq2Seq
            This Estimator.

        Raises
        ------
        ValueError
            If one is none of these, or lacks a reserved word.
        """
        self._vocabularies = artifact_of(source, target)
        return self

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        settings = self.hyperparameters()
        known = self._vocabularies
        if self.value("vocab_dir"):
            known = read_files(session, self.value("vocab_dir"))
        if known is not None:
            settings["vocabularies"] = ShippedArtifact(known, session, "vocabularies")
        return settings

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if problems:
            return problems
        problems = contradictions(Hyperparameters(**self.hyperparameters()), bool(self.value("validationIndicatorCol")))
        if self.value("vocab_dir") and self._vocabularies is not None:
            problems.append("vocab_dir and setVocabularies are both given; leave one out")
        if not self.value("vocab_dir") and self._vocabularies is None:
            problems += [
                f"{role}Col: column {name!r} has ids of words, which need a vocabulary: set vocab_dir, or call setVocabularies"
                for role, name in ((role, self.value(f"{role}Col")) for role in ROLES)
                if is_ids(find(dataset, name).type)
            ]
        if self.value("compile"):
            problems.append(
                "compile=True is of no use: what is computed of a sentence would be compiled anew for each length; leave it out"
            )
        return problems

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        return self._vocabularies, {}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        self._vocabularies = artifact


class Seq2SeqModel(HasSummary, AlgorithmModel, Seq2SeqParams):
    """An encoder and a decoder.

    `transform` appends ``prediction``, the translation in the form of its source: a string of words with blanks between them, an array of
    words, or an array of their ids (array<int>); and, where `attentionCol` names a column, how much each of its words looks at each word of
    the source (array<array<double>>).
    """

    outputs = (Output("target", "string", "predictionCol"), Output("matrix", "array<array<double>>", "attentionCol"))

    @staticmethod
    def algorithm() -> Algorithm:
        return SEQ2SEQ

    @property
    def source_vocabulary(self) -> list[str]:
        """Words of the source in the order of their ids."""
        return words_of(self.artifact, "source")

    @property
    def target_vocabulary(self) -> list[str]:
        """Words of the target in the order of their ids."""
        return words_of(self.artifact, "target")

    @property
    def served_checkpoint(self) -> int:
        """The checkpoint, counted from 1, whose state this model is: the one that was the best by `optimized_metric`."""
        return self.artifact.values["epoch"]

    def objective_metric(self) -> str:
        return self.value("training_metric")

    def write_vocabularies(self, folder: str | Path) -> None:
        """Write ``vocab.src.json`` and ``vocab.trg.json`` as the service reads them, maps of words to ids, into a local folder, which is
        made if it is not there."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for role, name in zip(ROLES, FILES, strict=True):
            ids = {word: place for place, word in enumerate(words_of(self.artifact, role))}
            (Path(folder) / name).write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")

    def _transform(self, dataset: DataFrame) -> DataFrame:
        outputs = self.own_outputs()
        fields = [field for field in self.fields() if field.scoring]
        if not input_problems(dataset, self, fields):
            outputs = [_in_form_of(output, find(dataset, self.value("sourceCol")).type) for output in outputs]
        return self._append(dataset, outputs)

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on pairs.

        Parameters
        ----------
        dataset : DataFrame
            With source and target.

        Returns
        -------
        dict of str to float
            ``test:bleu``, of the predictions against the targets, word for word, from 0 to 100 (see `arrays.bleu`); ``test:perplexity`` =
            exp(mean cross entropy of a target's words, that of its end among them) and ``test:accuracy``, the share of these words that is
            the most probable one after those before it.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        make = functools.partial(load_judge, hyperparameters=Hyperparameters(**self.hyperparameters()), device="cpu")
        judge = Opened(ship(self.artifact, dataset.sparkSession), make)
        totals = sum_over_batches(dataset, self, functools.partial(judged, judge))
        words = totals["words"]
        return {
            "test:bleu": bleu.bleu(totals["bleu"]),
            "test:perplexity": float(np.exp(min(700.0, totals["cross_entropy"] / words))),
            "test:accuracy": float(totals["accuracy"] / words),
        }


def _in_form_of(output: Output, source: Any) -> Output:
    """The output for a source of a type."""
    if output.field != "target":
        return output
    if is_ids(source):
        return Output("ids", "array<int>", output.param)
    return Output("words", "array<string>", output.param) if source.typeName() == "array" else output
