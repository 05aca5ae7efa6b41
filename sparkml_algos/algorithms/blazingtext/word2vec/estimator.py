"""BlazingText's word vectors: Estimator and Model.

    minimise  −log σ(u_o · v_c) − Σ log σ(−u_n · v_c)

over pairs of a word c and a word o near it, and negative samples n that are drawn in proportion to the 3/4th power of their frequency.

References
----------
T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, "Distributed representations of words and phrases and their compositionality", NIPS
2013. P. Bojanowski, E. Grave, A. Joulin, T. Mikolov, "Enriching word vectors with subword information", TACL 5, 2017. S. Gupta,
V. Khare, "BlazingText: scaling and accelerating word2vec using multiple GPUs", MLHPC 2017. S. Ji, N. Satish, S. Li, P. Dubey,
"Parallelizing word2vec in shared and distributed memory", IEEE TPDS 30, 2019.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords
from sparkml_algos.algorithms.blazingtext.word2vec.pairs import pairs_of, read_pairs
from sparkml_algos.algorithms.blazingtext.word2vec.params import CBOW, BlazingTextWord2VecParams
from sparkml_algos.algorithms.blazingtext.word2vec.prediction import WordVectors
from sparkml_algos.algorithms.blazingtext.word2vec.similarity import Pair, agreement
from sparkml_algos.algorithms.blazingtext.word2vec.training import WORD2VEC
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.formats import fasttext
from sparkml_algos.training.algorithm import Algorithm


class BlazingTextWord2Vec(AlgorithmEstimator["BlazingTextWord2VecModel"], BlazingTextWord2VecParams):
    """Vectors of words, close to each other where the words stand among the same words, trained on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    A text is a row, and no window reaches from one into another; words are taken as they come, so that lower case, where it is wanted, is
    to be made before. Words of equal frequency have ids in the order of their bytes.

    A worker holds four bytes for each word of its texts and, of each vector, the one of the word and the one by which others predict it;
    with several workers both twice. Its time is O(words · window_size · (1 + negative_samples) · vector_dim · epochs), with as many
    threads as Spark gives a task CPUs (``spark.task.cpus``); where numba is installed (the extra ``fast``) steps are compiled, else NumPy
    makes them, slower by far: `training_summary.kernels` says which.

    Several workers train apart and bring their vectors together, those of frequent words after every 50,000 words of each, the rarer ones
    the less often, all of them after 800,000 and at the end of an epoch. The sum of their movements is damped where they have moved a
    word's vector so often that each alone went much of the way. With `subwords` one worker trains: nearly every word moves the vectors of
    n-grams, whose exchange takes the time that a second worker saves.

    In skipgram and cbow a word with `subwords` is the mean of a vector of its own and those of its n-grams, as in fastText. Only buckets in
    which an n-gram of a known word falls take memory.

    Examples
    --------
    >>> from sparkml_algos import BlazingTextWord2Vec
    >>> learner = BlazingTextWord2Vec(mode="batch_skipgram", vector_dim=100, textCol="review")
    >>> model = learner.fit(reviews)  # doctest: +SKIP
    >>> model.findSynonyms("terrible", 5).show()  # doctest: +SKIP
    """

    _pairs: list[list[Pair]] | None = None

    @staticmethod
    def algorithm() -> Algorithm:
        return WORD2VEC

    @staticmethod
    def model_class() -> type[BlazingTextWord2VecModel]:
        return BlazingTextWord2VecModel

    def setWordPairs(self, pairs: DataFrame) -> BlazingTextWord2Vec:
        """Let `evaluation` score the vectors on these pairs; they are collected now, and saved with the Estimator.

        Parameters
        ----------
        pairs : DataFrame
            With the columns ``word1``, ``word2`` and ``score``, the larger the more similar, and perhaps ``set``, whose values tell several
            sets apart.

        Returns
        -------
        BlazingTextWord2Vec
            This Estimator.

        Raises
        ------
        ValueError
            If a column is missing, there is no row, or a value is null.
        """
        self._pairs = pairs_of(pairs)
        return self

    def only_one_worker(self) -> str | None:
        if not self.value("subwords"):
            return None
        why = "the exchange of n-grams takes what a second one saves"
        return f"subwords=True trains on one worker, for {why}; give it more CPUs (spark.task.cpus)"

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if not problems and self._pairs and self.value("word_pairs_path"):
            problems.append("word_pairs_path and setWordPairs are both given; leave one out")
        if not problems and not self.value("evaluation") and (self._pairs or self.value("word_pairs_path")):
            problems.append("pairs of words are given, but evaluation=False; leave one out")
        return problems

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        settings, path = self.hyperparameters(), self.value("word_pairs_path")
        pairs = read_pairs(session, path) if path else self._pairs
        return {**settings, "word_pairs": pairs} if pairs else settings

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        return None, {"word_pairs": self._pairs} if self._pairs else {}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        self._pairs = [[tuple(pair) for pair in pairs] for pairs in facts["word_pairs"]] if "word_pairs" in facts else None


class BlazingTextWord2VecModel(HasSummary, AlgorithmModel, BlazingTextWord2VecParams):
    """Vectors of words.

    `transform` appends ``vector`` (vector): of a text, or an array of words, the mean of the vectors of those words that have one, so of a
    single word its vector; 0 where none has. A word that is not known has one where the model has subwords, and one of its n-grams is one
    of a known word.
    """

    outputs = (Output("vector", "vector", "vectorCol"),)

    @staticmethod
    def algorithm() -> Algorithm:
        return WORD2VEC

    def objective_metric(self) -> str:
        return "loss"

    @property
    def words(self) -> list[str]:
        """The known words, the most frequent first."""
        return self._vectors().words.words.to_pylist()

    @property
    def counts(self) -> np.ndarray:
        """How often each occurs in the training texts, shape (words,), int64."""
        return self.artifact.arrays["words/counts"]

    @property
    def word_vectors(self) -> np.ndarray:
        """Their vectors, shape (words, vector_dim), float32."""
        return self._vectors().of_vocabulary()

    def vectors(self) -> DataFrame:
        """The known words and their vectors: ``word`` (string), ``vector`` (vector)."""
        rows = zip(self.words, self.word_vectors.tolist(), strict=True)
        frame = type(self).read().sparkSession.createDataFrame(list(rows), "word string, vector array<double>")
        return frame.select("word", array_to_vector("vector").alias("vector"))

    getVectors = vectors

    def find_synonyms(self, word: str | Sequence[float] | np.ndarray, num: int = 10) -> DataFrame:
        """The known words whose vectors are the most like that of a word, by cosine.

        Parameters
        ----------
        word : str or vector
            A word, which is none of those found, or any vector of `vector_dim` numbers.
        num : int

        Returns
        -------
        DataFrame
            ``word`` and ``similarity`` (double, the cosine), the most similar first.

        Raises
        ------
        ValueError
            If the word has no vector, or the vector is of another length.
        """
        left_out = [word] if isinstance(word, str) else []
        return self._nearest(self._vector(word), left_out, num)

    findSynonyms = find_synonyms

    def analogy(self, a: str, b: str, c: str, num: int = 10) -> DataFrame:
        """What is to `c` as `b` is to `a`: the known words whose vectors are the most like b − a + c, of vectors of length 1.

        Parameters
        ----------
        a, b, c : str
            Such as man, king, woman; none of them is among those found.
        num : int

        Returns
        -------
        DataFrame
            ``word`` and ``similarity`` (double, the cosine), the most similar first.

        Raises
        ------
        ValueError
            If a word has no vector.
        """
        first, second, third = (_of_length_1(self._vector(word)) for word in (a, b, c))
        return self._nearest(second - first + third, [a, b, c], num)

    def mean_rho(self, pairs: DataFrame) -> dict[str, float | int]:
        """How the cosines of pairs of words agree with scores of their similarity.

        Parameters
        ----------
        pairs : DataFrame
            As of `BlazingTextWord2Vec.setWordPairs`.

        Returns
        -------
        dict
            ``mean_rho``, the rank correlation (Spearman), the mean over the sets; ``pairs``, how many were compared; ``missing_words``, how
            many words have no vector, whose pairs are left out.
        """
        vectors = self._vectors()
        return agreement(pairs_of(pairs), lambda words: vectors.of_words(words)[0]).to_values()

    def write_vectors(self, folder: str) -> None:
        """Write ``vectors.txt`` and ``vectors.bin`` and, if the vectors were evaluated, ``eval.json``, in a local folder.

        The first is a line ``words vector_dim``, then a line for each word, most frequent first: the word and its numbers. The second is a
        model file of fastText, whose library gives the same vectors, also of unknown words where there are subwords.

        Parameters
        ----------
        folder : str
            Made if it is not there.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        fasttext.write_vectors(self.words, self.word_vectors, target / "vectors.txt")
        fasttext.write_model(self._fasttext(), target / "vectors.bin")
        if evaluated := self.artifact.values.get("evaluated"):
            (target / "eval.json").write_text(json.dumps(evaluated) + "\n")

    @classmethod
    def read_fasttext(cls, path: str, **params: Any) -> BlazingTextWord2VecModel:
        """The model of a file of fastText's library, such as ``vectors.bin``.

        Parameters
        ----------
        path : str
            A local file.
        **params
            Columns of the model.

        Raises
        ------
        ValueError
            If it is no such file, or has a classifier.
        """
        found = fasttext.read_model(path)
        settings = found.settings
        if settings.model == fasttext.SUPERVISED:
            raise ValueError(f"{path} is a classifier of texts; BlazingTextClassifierModel reads such")
        subwords = settings.maxn > 0 and settings.bucket > 0
        hyperparameters = {
            "mode": "cbow" if settings.model == fasttext.CBOW else "skipgram",
            "vector_dim": settings.dim,
            "window_size": settings.ws,
            "epochs": settings.epoch,
            "min_count": settings.min_count,
            "negative_samples": settings.neg,
            "sampling_threshold": settings.t,
            "subwords": subwords,
        }
        if subwords:
            hyperparameters |= {"buckets": settings.bucket, "min_char": settings.minn, "max_char": settings.maxn}
        model = cls(**params)
        model._set(**hyperparameters)
        words = CountedWords(pa.array(fasttext.as_words(found.words), pa.large_string()), found.word_counts)
        inputs, used = np.array(found.input), np.arange(settings.bucket if subwords else 0)
        if not subwords:
            inputs = inputs[: len(words)]
        arrays = {**words.to_arrays(), "inputs": inputs, "outputs": np.array(found.output), "buckets": used}
        model.artifact = Artifact(arrays, {"evaluated": {}})
        return model

    def _fasttext(self) -> fasttext.FastTextModel:
        value, arrays = self.value, self.artifact.arrays
        subwords = value("subwords")
        settings = fasttext.Settings(
            dim=value("vector_dim"),
            ws=value("window_size"),
            epoch=value("epochs"),
            min_count=value("min_count"),
            neg=value("negative_samples"),
            loss=fasttext.NEGATIVE_SAMPLING,
            model=fasttext.CBOW if value("mode") == CBOW else fasttext.SKIPGRAM,
            bucket=value("buckets") if subwords else 0,
            minn=value("min_char") if subwords else 0,
            maxn=value("max_char") if subwords else 0,
            t=value("sampling_threshold"),
        )
        return fasttext.FastTextModel(
            settings=settings,
            words=fasttext.as_bytes(self.words),
            word_counts=self.counts,
            labels=[],
            label_counts=np.empty(0, np.int64),
            tokens=int(self.counts.sum()),
            input=arrays["inputs"],
            output=arrays["outputs"],
            kept=arrays["buckets"] if subwords else None,
        )

    def _vectors(self) -> WordVectors:
        """Made anew for each artifact."""
        known = vars(self).get("_known_vectors")
        if known is None or known[0] is not self.artifact:
            known = self._known_vectors = self.artifact, WordVectors.of(self.artifact, Hyperparameters(**self.hyperparameters()))
        return known[1]

    def _vector(self, word: str | Sequence[float] | np.ndarray) -> np.ndarray:
        if not isinstance(word, str):
            vector = np.asarray(word.toArray() if hasattr(word, "toArray") else word, np.float64)
            if vector.shape != (self.value("vector_dim"),):
                raise ValueError(f"a vector of the model has {self.value('vector_dim')} numbers, got shape {vector.shape}")
            return vector
        vectors, is_known = self._vectors().of_words([word])
        if not is_known[0]:
            raise ValueError(f"{word!r} is not in the vocabulary of {len(self.counts)} words")
        return vectors[0].astype(np.float64)

    def _nearest(self, vector: np.ndarray, left_out: Sequence[str], num: int) -> DataFrame:
        if isinstance(num, bool) or not isinstance(num, int) or num < 1:
            raise ValueError(f"num must be an int >= 1, got {num!r}")
        vectors = self.word_vectors
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        cosines = vectors @ _of_length_1(vector).astype(np.float32) / np.where(lengths == 0, 1, lengths)
        cosines[[place for word in left_out if (place := self._vectors().words.ids.get(word)) is not None]] = -np.inf
        best = np.argsort(-cosines, kind="stable")[:num]
        words = self._vectors().words.words
        rows = [(words[place].as_py(), float(cosines[place])) for place in best.tolist() if np.isfinite(cosines[place])]
        return type(self).read().sparkSession.createDataFrame(rows, "word string, similarity double")


def _of_length_1(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector
