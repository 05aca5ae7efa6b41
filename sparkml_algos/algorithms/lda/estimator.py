"""Latent Dirichlet allocation: documents as mixtures of topics, topics as distributions over words.

    θ ~ Dirichlet(α);   for each word of a document: z ~ Multinomial(θ), w ~ Multinomial(β_z)

References
----------
D. Blei, A. Ng, M. Jordan, "Latent Dirichlet allocation", JMLR 3 (2003). A. Anandkumar et al., "A spectral algorithm for latent Dirichlet
allocation", NIPS 2012. A. Asuncion et al., "On smoothing and inference for topic models", UAI 2009.
"""

from __future__ import annotations

import functools

import numpy as np
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.lda.params import LDAParams
from sparkml_algos.algorithms.lda.prediction import MixturePredictor
from sparkml_algos.algorithms.lda.training import LDA_ALGORITHM
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.core.topics import HasTopics
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.algorithm import Algorithm


class LDA(AlgorithmEstimator["LDAModel"], LDAParams):
    """Topics of documents, by moments, on the executors of a Spark cluster.

    Rows are documents: how often each word of the vocabulary occurs, whole numbers from 0, as `CountVectorizer` gives them.

    {parameters}

    Notes
    -----
    A pass costs O(non-zeros · topics / workers), that of the third moment O((documents / workers + vocabulary) · topics³), a run of
    alternating least squares O(topics⁴) per iteration; the workers share the runs. A worker holds a few arrays of vocabulary · topics
    numbers and of topics³. There are five passes, two where the vocabulary has no more than 256 words, and one per refinement.

    The model is the same on any number of workers, up to rounding. `mini_batch_size`, which the service wants to be the number of
    documents, bounds the memory a step takes and does not change the model. The third moment is decomposed into 256 components at most;
    topics beyond that start at random.

    The service keeps the spectral topics; ``refinements=0`` does too. Refined ones predict the words of new documents much better.

    Documents of less than three words have no part in the third moment. A row of weight w counts as w documents. It trains on
    CPUs; `use_gpu` is refused.

    Examples
    --------
    >>> from sparkml_algos import LDA
    >>> model = LDA(num_topics=50).fit(documents)  # doctest: +SKIP
    >>> model.describe_topics(10, vocabulary=count_vectorizer_model.vocabulary).show()  # doctest: +SKIP
    >>> model.transform(documents).select("topicDistribution").show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return LDA_ALGORITHM

    @staticmethod
    def model_class() -> type[LDAModel]:
        return LDAModel


class LDAModel(HasTopics, AlgorithmModel, LDAParams):
    """Topics found by `LDA`, those with the largest share of the documents first.

    `transform` appends ``topicDistribution``, a Vector of num_topics shares of sum 1: the most likely mixture of the document's words under
    the prior, found by gradient steps; of a document without words, the mean of the prior.
    """

    outputs = (Output("topic_mixture", "vector", "topicDistributionCol"),)

    @staticmethod
    def algorithm() -> Algorithm:
        return LDA_ALGORITHM

    @property
    def topics(self) -> np.ndarray:
        """Probability of each word in each topic, shape (num_topics, vocabulary), float64."""
        return self.artifact.arrays["beta"]

    @property
    def alpha(self) -> np.ndarray:
        """Parameters of the Dirichlet prior of the mixtures, shape (num_topics,), of sum alpha0."""
        return self.artifact.arrays["alpha"]

    def estimatedDocConcentration(self) -> np.ndarray:
        """The same as `alpha`, by MLlib's name."""
        return self.alpha

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Per-word log-likelihood of documents under their inferred mixtures, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:pwll``: Σ c_w log Σ_k θ_k β_kw over all words of all documents, over their number; the larger the better. θ is inferred
            from the same words, so it flatters models of many topics.

        Raises
        ------
        ValueError
            If the dataset has no words.
        """
        total, words = self._likelihood(dataset)
        return {"test:pwll": total / words}

    @evaluation
    def logLikelihood(self, dataset: DataFrame) -> float:
        """Log-likelihood of the words of documents, Σ c_w log Σ_k θ_k β_kw, each document under its most likely mixture θ.

        MLlib's method of this name gives a lower bound of the likelihood with mixtures averaged out and, as part of it, what prior and
        topics are worth. The figures are not comparable: this one is larger, and the more so the more topics there are.

        Parameters
        ----------
        dataset : DataFrame

        Raises
        ------
        ValueError
            If the dataset has no words.
        """
        return self._likelihood(dataset)[0]

    @evaluation
    def logPerplexity(self, dataset: DataFrame) -> float:
        """−`logLikelihood` per word, as MLlib relates the two; the smaller the better. It is −``test:pwll`` of `evaluate`.

        Parameters
        ----------
        dataset : DataFrame

        Raises
        ------
        ValueError
            If the dataset has no words.
        """
        total, words = self._likelihood(dataset)
        return -total / words

    def isDistributed(self) -> bool:
        """False: the topics are arrays on the driver, as in MLlib's `LocalLDAModel`."""
        return False

    def _likelihood(self, dataset: DataFrame) -> tuple[float, float]:
        """Log-likelihood of the words of all documents, and how many there are."""
        predictor = Opened(ship(self.artifact, dataset.sparkSession), MixturePredictor)
        total, words = sum_over_batches(dataset, self, functools.partial(_likelihood, predictor))["likelihood"]
        if not words:
            raise ValueError("the documents to evaluate on have no words")
        return float(total), float(words)


def _likelihood(predictor: Opened[MixturePredictor], batch: Batch) -> Sums:
    """What a batch adds to the likelihood."""
    return {"likelihood": predictor.get().likelihood(batch)}
