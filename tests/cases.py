"""The algorithms the generic checks run over: what to fit, on what, and how to tell whether two models are the same."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos import (
    LDA,
    PCA,
    BlazingTextClassifier,
    BlazingTextClassifierModel,
    BlazingTextWord2Vec,
    BlazingTextWord2VecModel,
    DeepAR,
    DeepARModel,
    FactorizationMachinesBinaryClassifier,
    FactorizationMachinesBinaryClassifierModel,
    FactorizationMachinesRegressor,
    FactorizationMachinesRegressorModel,
    ImageClassifier,
    ImageClassifierModel,
    IPInsights,
    IPInsightsModel,
    KMeans,
    KMeansModel,
    KNNClassifier,
    KNNClassifierModel,
    KNNRegressor,
    KNNRegressorModel,
    LDAModel,
    LinearLearnerBinaryClassifier,
    LinearLearnerBinaryClassifierModel,
    LinearLearnerMultiClassClassifier,
    LinearLearnerMultiClassClassifierModel,
    LinearLearnerRegressor,
    LinearLearnerRegressorModel,
    NeuralTopicModel,
    NeuralTopicModelModel,
    Object2Vec,
    Object2VecModel,
    ObjectDetector,
    ObjectDetectorModel,
    PCAModel,
    RandomCutForest,
    RandomCutForestModel,
    SemanticSegmenter,
    SemanticSegmenterModel,
    Seq2Seq,
    Seq2SeqModel,
    XGBoostClassificationModel,
    XGBoostClassifier,
    XGBoostRanker,
    XGBoostRankerModel,
    XGBoostRegressionModel,
    XGBoostRegressor,
)
from sparkml_algos.algorithms.blazingtext.classifier.prediction import load as load_texts
from sparkml_algos.algorithms.ip_insights.prediction import load as load_pairs
from sparkml_algos.algorithms.xgboost.prediction import load as load_trees
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.images.decoding import decode_mask, encode_png
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.identities import Name
from sparkml_algos.rows.images import Image
from sparkml_algos.rows.kinds import Kind, Text
from tests import averaging
from tests.averaging import Averaging, AveragingModel
from tests.datasets import blobs, grid, in_order
from tests.toys import pictures, words

ROWS, BLOB = blobs(240, grid(4, features=3), seed=1)
# The same for algorithms that learn from counts.
COUNTS = np.abs(ROWS.round())
# The same as words, and as bytes.
TOKENS = [[f"{name}{value:.0f}" for name, value in zip("abc", row, strict=True) if value > 1] for row in ROWS.round().tolist()]
IMAGES = [row.tobytes() for row in ROWS]
# And as pictures, of 8 x 8 pixels of a colour, each somewhat brighter than the one to its left.
PICTURES = [
    encode_png((np.clip(row * 12 + 60, 0, 200) + np.arange(8)[:, None] * 4).astype(np.uint8)[None].repeat(8, axis=0)) for row in ROWS
]
# And the classes of their pixels, of which the lower ones have that of the blob.
MASKS = [encode_png(np.repeat([0, 1 + blob], 4)[:, None].repeat(8, axis=1).astype(np.uint8)) for blob in BLOB]
# And as texts.
TEXTS = [" ".join(words) for words in TOKENS]
# The same as pairs of an entity and an address: every blob has a network of its own, which differs from any other in 16 of its 24 bits.
NETWORKS = ["15.51.85", "240.51.170", "15.204.170", "240.204.85"]
ENTITIES = [f"user {blob}" for blob in BLOB]
ADDRESSES = [f"{NETWORKS[blob]}.{index % 251}" for index, blob in enumerate(BLOB)]
# And as pairs of token sequences.
TOKEN_IDS = [[int(value) % 9 for value in row[: 1 + index % 3]] for index, row in enumerate(COUNTS)]
# And as series that begin on one day.
SERIES = ROWS[:, :1] + ROWS[:, 2:] * (np.arange(310) % 3).astype(np.float32)
OTHER_TOKEN_IDS = [[int(blob), index % 9] for index, blob in enumerate(BLOB)]


@dataclass(frozen=True)
class Case:
    """An algorithm under the generic checks.

    Parameters
    ----------
    estimator, model : type
    settings : dict
        Constructor keywords for a fit on `rows`, four well separated blobs of three features. Labels for it are the columns ``target``,
        ``half`` (0 or 1) and ``blob`` (0 to 3); ``few`` numbers groups of four. One model must come out however the rows are spread.
    essence : callable
        The numbers that make a model, comparable between models.
    grid : tuple
        A hyperparameter and two values of it.
    center : callable, optional
        The numbers of a model of a single row that are that row, where it has such.
    passes : int
        How often such a fit reads the rows.
    checks_framework : bool
        Whether what is the same for all algorithms is checked with this one.
    is_sibling : bool
        Whether another case runs the same functions with other hyperparameters; what depends on shared machinery alone is then not
        checked again.
    takes_replicas : bool
        Whether every worker may get every row; else that must be refused.
    tolerance : float
        By how much what is scored may differ with the rows beside a row, where that is computed with 32 bits.
    prediction : module, optional
        With the predictor of a model that is not one of the package.
    """

    estimator: type[AlgorithmEstimator]
    model: type[AlgorithmModel]
    settings: dict[str, Any]
    essence: Callable[[AlgorithmModel], np.ndarray]
    grid: tuple[str, list[Any]]
    center: Callable[[AlgorithmModel], np.ndarray] | None = None
    passes: int = 1
    checks_framework: bool = False
    is_sibling: bool = False
    takes_replicas: bool = True
    tolerance: float = 0.0
    prediction: ModuleType | None = None

    def make(self, **settings: Any) -> AlgorithmEstimator:
        return self.estimator(**{**self.settings, **settings})

    @property
    def rows(self) -> np.ndarray:
        """What the algorithm is fitted on: `ROWS`, or `COUNTS` where it takes nothing else."""
        return COUNTS if self.takes_counts else ROWS

    @property
    def takes_features(self) -> bool:
        """Whether its rows are vectors of features."""
        return "features" in self.roles

    @property
    def main_column(self) -> str:
        """Param that names the first column it reads."""
        return next(iter(self.roles.values()))

    @property
    def columns(self) -> dict[str, Any]:
        """What scoring reads, by role, in the order of the rows."""
        known = {"features": self.rows, "tokens": TOKENS, "image": IMAGES, "entity": ENTITIES, "ip": ADDRESSES}
        known |= {"in0": TOKEN_IDS, "in1": OTHER_TOKEN_IDS, "start": ["2024-01-01"] * len(ROWS), "target": SERIES, "source": ENTITIES}
        known |= {"image": PICTURES} if isinstance(self.kinds.get("image"), Image) else {}
        known["text"] = TEXTS if isinstance(self.kinds.get("text"), Text) else TOKENS
        return {field.role: known[field.role] for field in self.estimator.algorithm().fields if field.scoring and field.role in known}

    @property
    def kinds(self) -> dict[str, Kind]:
        """Of each column, what its values are, by role."""
        return {field.role: field.kind for field in self.estimator.algorithm().fields}

    @property
    def roles(self) -> dict[str, str]:
        """Of each column that training reads, the Param that names it."""
        return {field.role: field.param for field in self.estimator.algorithm().fields if field.training}

    @property
    def takes_counts(self) -> bool:
        """Whether features must be counts."""
        return any(getattr(field.kind, "counts", False) for field in self.estimator.algorithm().fields)

    @property
    def takes_missing_values(self) -> bool:
        """Whether features may be missing."""
        return any(getattr(field.kind, "missing_values", False) for field in self.estimator.algorithm().fields)

    @property
    def output(self) -> str:
        """Param that names the first output column."""
        return self.model.outputs[0].param

    @property
    def two_epochs(self) -> dict[str, Any]:
        """Settings for two epochs where their number is a hyperparameter."""
        return {"epochs": 2} if "epochs" in self.estimator.declared else {}

    def __str__(self) -> str:
        return self.estimator.__name__


def _linear(model: AlgorithmModel) -> np.ndarray:
    return np.column_stack([model.artifact.arrays["weights"], model.artifact.arrays["bias"]])


def _stored(model: AlgorithmModel) -> np.ndarray:
    return np.column_stack([model.rows, model.labels])


# Plain gradient descent: Adam's division by the size of a gradient turns rounding errors of one near 0 into visible ones.
_LINEAR = {"num_models": 1, "epochs": 2, "optimizer": "sgd"}
# gamma keeps nodes from being split for a rounding error.
_TREES = {"num_round": 1, "max_depth": 2, "gamma": 0.01, "nthread": 1}


def _margins(model: AlgorithmModel) -> np.ndarray:
    return load_trees(model.artifact, Hyperparameters(missing="nan"), "cpu")(Batch(features=ROWS)).margin


_WD = ("wd", [0.0, 1.0])


def _machine(model: AlgorithmModel) -> np.ndarray:
    return np.column_stack([model.linear, model.factors, np.full(len(model.linear), model.bias)])


# Few steps: Adam makes visible differences of rounding errors, and more of them with every step.
_MACHINE = {"num_factors": 2, "epochs": 2, "factors_lr": 0.01, "factors_init_sigma": 0.01, "min_steps": 1}


def _goes_together(model: AlgorithmModel) -> np.ndarray:
    """Which of four entities go with the networks of which, by the dot product: what negative samples, which are others on every worker,
    leave of a model."""
    score = load_pairs(model.artifact, Hyperparameters(**model.hyperparameters()), "cpu")
    entities = Name().arrays([f"user {blob}" for blob in range(4)])[""].to_numpy()
    addresses = [int(ipaddress.ip_address(f"{network}.100")) for network in NETWORKS]
    pairs = Batch(entity=np.repeat(entities, 4), ip=np.tile(addresses, 4))
    return (score(pairs)["dot_product"] > 0).reshape(4, 4).astype(float)


def _class_of_texts(model: AlgorithmModel) -> np.ndarray:
    """Of each blob, whether most of its texts are told from others: the order in which texts come, and so the rest, depends on where they
    are."""
    score = load_texts(model.artifact, Hyperparameters(**model.hyperparameters()), "cpu")
    found = np.array(score(Batch(text=pa.array(TEXTS)))["predicted_label"].to_pylist(), float)
    return np.bincount(BLOB, found == BLOB) > 0.7 * np.bincount(BLOB)


def flat(value: Any) -> np.ndarray:
    """An output as one row of numbers, texts or pixels."""
    if isinstance(value, bytes | bytearray):
        return decode_mask(bytes(value)).ravel()
    return np.ravel(value.toArray() if hasattr(value, "toArray") else value)


CASES = [
    Case(
        KMeans,
        KMeansModel,
        {"k": 4},
        lambda model: in_order(model.cluster_centers),
        ("k", [2, 4]),
        lambda model: model.cluster_centers,
        checks_framework=True,
    ),
    Case(
        PCA,
        PCAModel,
        {"num_components": 2},
        lambda model: np.vstack([model.components, model.mean]),
        ("num_components", [3, 2]),
        lambda model: model.mean,
    ),
    Case(LDA, LDAModel, {"num_topics": 2, "refinements": 2}, lambda model: in_order(model.topics), ("num_topics", [3, 2]), passes=4),
    Case(
        NeuralTopicModel,
        NeuralTopicModelModel,
        # Plain gradient descent for the same reason as above.
        {"num_topics": 2, "epochs": 2, "mini_batch_size": 1000, "optimizer": "sgd", "learning_rate": 0.05},
        lambda model: model.topics,
        ("num_topics", [3, 2]),
    ),
    Case(
        Averaging,
        AveragingModel,
        {},
        lambda model: model.mean,
        ("scale", [1.0, 2.0]),
        lambda model: model.mean,
        checks_framework=True,
        prediction=averaging,
    ),
    Case(
        words.Words,
        words.WordsModel,
        {"textCol": "a name", "ownerCol": "blob"},
        lambda model: model.artifact.arrays["counts"] / model.artifact.arrays["counts"].sum(),
        ("size", [2, 1000]),
        checks_framework=True,
        prediction=words,
    ),
    Case(
        pictures.Pictures,
        pictures.PicturesModel,
        {},
        lambda model: model.artifact.arrays["boxes"][:, :-1] / np.maximum(model.artifact.arrays["boxes"][:, -1:], 1),
        ("scale", [2.0, 1.0]),
        checks_framework=True,
        prediction=pictures,
    ),
    Case(
        LinearLearnerBinaryClassifier,
        LinearLearnerBinaryClassifierModel,
        {**_LINEAR, "labelCol": "half"},
        _linear,
        _WD,
    ),
    Case(
        LinearLearnerRegressor,
        LinearLearnerRegressorModel,
        {**_LINEAR, "labelCol": "target"},
        _linear,
        _WD,
        is_sibling=True,
    ),
    Case(
        LinearLearnerMultiClassClassifier,
        LinearLearnerMultiClassClassifierModel,
        {**_LINEAR, "labelCol": "blob", "num_classes": 4},
        _linear,
        _WD,
        is_sibling=True,
    ),
    Case(
        FactorizationMachinesRegressor,
        FactorizationMachinesRegressorModel,
        {**_MACHINE, "labelCol": "target"},
        _machine,
        ("linear_lr", [0.001, 0.01]),
    ),
    Case(
        FactorizationMachinesBinaryClassifier,
        FactorizationMachinesBinaryClassifierModel,
        {**_MACHINE, "labelCol": "half"},
        _machine,
        ("linear_lr", [0.001, 0.01]),
        is_sibling=True,
    ),
    Case(
        KNNClassifier,
        KNNClassifierModel,
        {"k": 3, "sample_size": 1000, "labelCol": "blob"},
        _stored,
        ("k", [1, 3]),
        lambda model: model.rows,
    ),
    Case(
        KNNRegressor,
        KNNRegressorModel,
        {"k": 3, "sample_size": 1000, "labelCol": "target"},
        _stored,
        ("k", [1, 3]),
        lambda model: model.rows,
        is_sibling=True,
    ),
    Case(
        RandomCutForest,
        RandomCutForestModel,
        # As many rows for each tree as make up all of them.
        {"num_trees": 60},
        lambda model: np.column_stack([model.forest.cut, model.forest.dimension]),
        ("num_samples_per_tree", [2, 4]),
        takes_replicas=False,
    ),
    Case(
        BlazingTextClassifier,
        BlazingTextClassifierModel,
        {"vector_dim": 8, "buckets": 100, "min_count": 1, "epochs": 20, "learning_rate": 0.5, "textCol": "tokens", "labelCol": "blob"},
        _class_of_texts,
        ("epochs", [1, 30]),
    ),
    Case(
        Object2Vec,
        Object2VecModel,
        {
            **{"enc0_network": "pooled_embedding", "enc0_max_seq_len": 5, "enc0_vocab_size": 9, "enc0_token_embedding_dim": 4},
            **{"enc_dim": 4, "mlp_dim": 4, "epochs": 2, "mini_batch_size": 1000, "optimizer": "sgd", "learning_rate": 0.1},
            "labelCol": "half",
        },
        lambda model: model.artifact.arrays["network/top.0.weight"],
        ("learning_rate", [0.1, 0.05]),
    ),
    Case(
        DeepAR,
        DeepARModel,
        {
            **{"time_freq": "D", "context_length": 2, "prediction_length": 100, "epochs": 2, "mini_batch_size": 1000},
            **{"num_cells": 2, "num_layers": 1, "num_samples": 2, "learning_rate": 0.1, "targetCol": "series"},
        },
        # Windows are drawn on each worker; what they are measured in depends on all series, however they are spread.
        lambda model: np.array([*model.artifact.values["scaling"].values(), model.value("num_cells")]),
        ("num_cells", [2, 3]),
    ),
    Case(
        BlazingTextWord2Vec,
        BlazingTextWord2VecModel,
        {
            **{"mode": "batch_skipgram", "vector_dim": 4, "min_count": 1, "epochs": 2, "sampling_threshold": 1.0},
            **{"textCol": "tokens", "vectorCol": "of words"},
        },
        # The vectors depend on the order of the rows, and so on how they are spread; which words there are does not.
        lambda model: np.append(model.counts, model.value("vector_dim")).astype(float),
        ("vector_dim", [2, 3]),
        checks_framework=True,
    ),
    Case(
        IPInsights,
        IPInsightsModel,
        # Addresses of other rows are those of the worker's own, which may all be of one blob: negatives at random alone.
        {
            "num_entity_vectors": 60,
            "vector_dim": 16,
            "epochs": 10,
            "mini_batch_size": 6,
            "learning_rate": 0.03,
            "random_negative_sampling_rate": 3,
            "shuffled_negative_sampling_rate": 0,
        },
        _goes_together,
        ("num_ip_encoder_layers", [0, 1]),
        checks_framework=True,
    ),
    Case(
        ImageClassifier,
        ImageClassifierModel,
        # Plain gradient descent, and all rows in a mini-batch, for the same reasons as above.
        {
            **{"num_layers": 20, "image_shape": "3,8,8", "num_classes": 4, "epochs": 2, "mini_batch_size": 1000},
            **{"momentum": 0.0, "learning_rate": 0.01, "imageCol": "picture", "labelCol": "blob"},
        },
        lambda model: model.artifact.arrays["network/fc.bias"],
        ("learning_rate", [0.01, 0.005]),
        tolerance=1e-5,
    ),
    Case(
        ObjectDetector,
        ObjectDetectorModel,
        # What is seen of an image is drawn on each worker, so models differ with how rows are spread. Of each image one box is found.
        {
            **{"num_classes": 4, "base_width": 0.01, "image_shape": 32, "use_pretrained_model": 0, "epochs": 2, "mini_batch_size": 60},
            **{"learning_rate": 0.01, "nms_topk": 1, "score_threshold": 0.0, "imageCol": "picture", "boxesCol": "objects"},
        },
        lambda model: np.array([model.numClasses, model.value("learning_rate")]),
        ("learning_rate", [0.02, 0.01]),
        tolerance=1e-4,
    ),
    Case(
        SemanticSegmenter,
        SemanticSegmenterModel,
        {
            **{"small_backbone": True, "use_pretrained_model": False, "base_size": 17, "crop_size": 17, "mini_batch_size": 1000},
            **{"learning_rate": 0.1, "epochs": 1, "imageCol": "picture"},
        },
        # Crops are drawn on each worker; how many classes there are depends on all masks, however they are spread.
        lambda model: np.array([model.numClasses, model.value("learning_rate")]),
        ("learning_rate", [0.1, 0.05]),
    ),
    Case(
        Seq2Seq,
        Seq2SeqModel,
        # Plain gradient descent, and all rows in a mini-batch, for the same reasons as above.
        {
            **{"num_embed_source": 4, "num_embed_target": 4, "rnn_num_hidden": 4, "batch_size": 1000, "max_num_batches": 2},
            **{"optimizer_type": "sgd", "learning_rate": 0.1, "checkpoint_frequency_num_batches": 1},
            **{"sourceCol": "entity", "targetCol": "entity"},
        },
        lambda model: model.artifact.arrays["network/output.bias"],
        ("learning_rate", [0.1, 0.05]),
        passes=2,
    ),
    Case(
        XGBoostClassifier,
        XGBoostClassificationModel,
        {**_TREES, "labelCol": "half"},
        _margins,
        ("eta", [0.5, 0.1]),
        checks_framework=True,
    ),
    Case(
        XGBoostRegressor,
        XGBoostRegressionModel,
        {**_TREES, "labelCol": "target"},
        _margins,
        ("eta", [0.5, 0.1]),
        is_sibling=True,
    ),
    Case(
        XGBoostRanker,
        XGBoostRankerModel,
        {**_TREES, "labelCol": "half", "groupCol": "few"},
        _margins,
        ("eta", [0.5, 0.1]),
        is_sibling=True,
    ),
]
