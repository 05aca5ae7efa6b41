"""The neural topic model: documents as mixtures of topics, found by a variational autoencoder.

    μ, σ = encoder(x);   h = μ + σ∘ε, ε ~ N(0, I);   θ = softmax(h);   p(w) = softmax(R·θ + b)_w

and the loss of a document is −Σ_w x_w log p(w) + KL(N(μ, σ²) ‖ N(0, prior)).

References
----------
Y. Miao, L. Yu, P. Blunsom, "Neural variational inference for text processing", ICML 2016. A. Srivastava, C. Sutton, "Autoencoding
variational inference for topic models", ICLR 2017 (a prior like a Dirichlet's). D. Card, C. Tan, N. Smith, "Neural models for documents
with metadata", ACL 2018 (a bias of the words' shares). Q. Zhu et al., "A batch normalized inference network keeps the KL vanishing away",
ACL 2020. S. Bowman et al., "Generating sentences from a continuous space", CoNLL 2016 (warm-up, words that are hidden).
"""

from __future__ import annotations

import functools

import numpy as np
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.ntm.measures import expected_words, measures, topics_of
from sparkml_algos.algorithms.ntm.params import NeuralTopicModelParams
from sparkml_algos.algorithms.ntm.prediction import TopicPredictor
from sparkml_algos.algorithms.ntm.training import NEURAL_TOPIC_MODEL
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.core.topics import HasTopics
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.algorithm import Algorithm


class NeuralTopicModel(AlgorithmEstimator, NeuralTopicModelParams, NetworkParams):
    """Topics of documents by a variational autoencoder, on the executors of a Spark cluster.

    Rows are documents: how often each word of the vocabulary occurs, whole numbers from 0, as `CountVectorizer` gives them.

    {parameters}

    Notes
    -----
    Trained as in the paper (``prior_variance=1, normalize_latent=False, kl_warm_up=0, word_dropout=0``) the network uses few of its topics,
    and these have the same words. What differs by default:

    * the mean of the latent vector and its log-variance are normalised over the mini-batch, so that the divergence cannot silence a topic;
    * the prior is wide, as that of few topics per document is, so that these can have large weights;
    * the divergence comes in over the first half of the epochs, by when topics have parted;
    * the encoder sees half of the words of a document, another half each time, and so learns to tell from them which others there are;
    * the decoder's bias starts at the logarithms of the words' shares in all documents, so that R has what a topic adds to them.

    `transform` and `evaluate` hide nothing. The encoder reads log(1 + count).

    A pass costs O(documents · vocabulary · topics / workers) for the decoder and O(non-zeros · first layer / workers) for the encoder,
    whose first layer multiplies sparse rows as such. The step of a mini-batch is the same on any number of workers, up to rounding, for
    its noise depends on seed, step and document alone. With several workers large mini-batches divide the cost of their exchange:
    ``mini_batch_size=1024, optimizer="adam", learning_rate=0.01``.

    Documents without words take no part. A row of weight w counts as w documents. Each epoch draws the share `sub_sample` of the rows anew.

    Examples
    --------
    >>> from sparkml_algos import NeuralTopicModel
    >>> model = NeuralTopicModel(num_topics=50).fit(documents)  # doctest: +SKIP
    >>> model.describe_topics(10, vocabulary=count_vectorizer_model.vocabulary).show()  # doctest: +SKIP
    >>> model.transform(documents).select("topicDistribution").show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return NEURAL_TOPIC_MODEL

    @staticmethod
    def model_class() -> type[NeuralTopicModelModel]:
        return NeuralTopicModelModel


class NeuralTopicModelModel(HasTopics, AlgorithmModel, NeuralTopicModelParams):
    """Topics found by `NeuralTopicModel`.

    `transform` appends ``topicDistribution``, a Vector of num_topics weights of sum 1: what the encoder makes of the document's words,
    without noise; of a document without words, equal weights, which is the mean of the prior.
    """

    outputs = (Output("topic_weights", "vector", "topicDistributionCol"),)

    @staticmethod
    def algorithm() -> Algorithm:
        return NEURAL_TOPIC_MODEL

    @property
    def topics(self) -> np.ndarray:
        """What each topic adds to the words that all documents have: softmax of the columns of R, which rank the words of a topic; shape
        (num_topics, vocabulary), float64, rows of sum 1."""
        return topics_of(self.artifact)

    def expected_words(self, topic_weights: np.ndarray) -> np.ndarray:
        """Probability of each word in documents of these topics, softmax(R·θ + b).

        Parameters
        ----------
        topic_weights : ndarray, shape (documents, num_topics)
            Such as the values of ``topicDistribution``.

        Returns
        -------
        ndarray, shape (documents, vocabulary)
            float64, rows of sum 1.
        """
        return expected_words(self.artifact, np.asarray(topic_weights, np.float64))

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """The training's loss on documents, without what training hides of them, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:total_loss``, the mean over documents with words of ``test:reconstruction``, −Σ c_w log p(w), and ``test:kl``, the
            divergence of the latent distribution from the prior; and ``test:perplexity``, exp(total loss per word), an upper bound of that
            of the words. The noise depends on the documents alone, so that the figures are the same every time.

        Raises
        ------
        ValueError
            If the dataset has no words.
        """
        make = functools.partial(TopicPredictor, hyperparameters=Hyperparameters(**self.hyperparameters()))
        predictor = Opened(ship(self.artifact, dataset.sparkSession), make)
        totals = sum_over_batches(dataset, self, functools.partial(_costs, predictor))["costs"]
        if not totals[2]:
            raise ValueError("the documents to evaluate on have no words")
        return measures(totals, "test")


def _costs(predictor: Opened[TopicPredictor], batch: Batch) -> Sums:
    """What a batch adds to the costs."""
    return {"costs": predictor.get().costs(batch)}
