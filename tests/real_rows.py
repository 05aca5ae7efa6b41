"""Rows of the public datasets for every algorithm, and settings for a short training on them."""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import scipy.sparse as sp

import sparkml_algos as ours
from sparkml_algos.core.estimator import AlgorithmEstimator
from tests.datasets import DATA, MNIST, read_table

#: Values by the role of their column: ``features`` a matrix, in which NaN is missing, boxes arrays of class, left, top, width, height.
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """What is trained on what.

    Parameters
    ----------
    estimator : type
    columns : callable
        As many rows as asked for, or all there are.
    settings : dict
        Of the estimator; output columns that are not there by default are among them.
    """

    estimator: type[AlgorithmEstimator]
    columns: Callable[[int], Columns]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.estimator.__name__}-{self.columns.__name__}"

    @property
    def model(self) -> str:
        """Name of the class of its model."""
        return self.estimator.model_class().__name__

    @property
    def is_of_images(self) -> bool:
        return any(field.role == "image" for field in self.estimator.algorithm().fields)


def digits(rows: int) -> Columns:
    table = next(pq.ParquetFile(MNIST).iter_batches(rows, columns=["pixels", "label"]))
    return {"features": table["pixels"].flatten().to_numpy().reshape(rows, -1) / 255, "label": table["label"].to_numpy()}


def letters(rows: int) -> Columns:
    table = read_table("letter/letter.csv.gz", keep_default_na=False)[:rows]
    return {"features": table.drop(columns="letter").to_numpy(float), "label": table["letter"].map(ord) - ord("A")}


def calls(rows: int) -> Columns:
    table = read_table("bank_marketing/bank_full_no_divorced.csv.gz").sample(rows, random_state=0)
    return {"label": table.pop("y") == "yes", "features": pd.get_dummies(table).to_numpy(float)}


def districts(rows: int) -> Columns:
    """Of the first ones the bedrooms are not known."""
    table = read_table("california_housing/housing.csv.gz").drop(columns="ocean_proximity")
    known = table.dropna()
    table = pd.concat([table.drop(known.index)[: rows // 10], known.sample(rows - rows // 10, random_state=0)])
    return {"label": table.pop("median_house_value") / 1e5, "features": table.to_numpy(float)}


def complete_districts(rows: int) -> Columns:
    columns = districts(rows)
    known = ~np.isnan(columns["features"]).any(axis=1)
    return {"label": columns["label"][known], "features": columns["features"][known]}


def hours(rows: int) -> Columns:
    table = read_table("bike_sharing/hour.csv.gz")[:rows]
    features = table[["hr", "weekday", "temp", "hum", "windspeed"]].to_numpy(float)
    return {"features": features, "group": table["instant"] // 24, "label": table["cnt"] // 100}


def patients(rows: int) -> Columns:
    return {"features": read_table("anomaly_tabular/thyroid.csv.gz")[:rows].drop(columns="anomaly").to_numpy(float)}


def documents(rows: int) -> Columns:
    table = read_table("newsgroups20/bow_etm.csv.gz", nrows=100 * rows)
    table = table[table["doc"] < rows]
    return {"features": sp.csr_array((table["count"].astype(float), (table["doc"], table["term"])), shape=(rows, 3072))}


def ratings(rows: int) -> Columns:
    table = read_table("movielens_100k/ratings.csv.gz").sample(rows, random_state=0)
    places = np.stack([table["user_id"] - 1, 942 + table["item_id"]], axis=1).ravel()
    features = sp.csr_array((np.ones(2 * rows), places, np.arange(0, 2 * rows + 1, 2)), shape=(rows, 943 + 1682))
    return {"features": features, "label": table["rating"]}


def likes(rows: int) -> Columns:
    columns = ratings(rows)
    return {**columns, "label": columns["label"] > 3}


def stories(rows: int) -> Columns:
    table = read_table("reuters_r8/r8_train.csv.gz").sample(rows, random_state=0)
    return {"label": table["label"].tolist(), "text": table["text"].tolist()}


def translations(rows: int) -> Columns:
    sides = {"source": "en", "target": "de"}
    texts = {role: gzip.open(DATA / f"multi30k_en_de/train.{side}.gz", "rt").read().splitlines()[:rows] for role, side in sides.items()}
    return {role: [" ".join(re.findall(r"\w+", line.lower())) for line in lines] for role, lines in texts.items()}


def sentences(rows: int) -> Columns:
    table = read_table("sick2014/sick_train.csv.gz")[:rows]
    words = {name: table[f"sentence_{side}"].str.lower().str.split() for name, side in (("in0", "A"), ("in1", "B"))}
    ids = {word: place for place, word in enumerate(sorted({word for part in words.values() for row in part for word in row}))}
    lists = {name: [[ids[word] for word in row] for row in part] for name, part in words.items()}
    return {**lists, "label": pd.factorize(table["entailment_judgment"])[0]}


def visits(rows: int) -> Columns:
    table = read_table("ip_web_and_ssh/apache_semicomplete.csv.gz")[:rows]
    return {"entity": table["user_agent"].fillna("-").tolist(), "ip": table["ip"].tolist()}


def series(rows: int) -> Columns:
    table = read_table("m4_hourly/hourly_train_long.csv.gz").groupby("id", sort=False)["value"]
    targets = [values.tolist() for _, values in table][:rows]
    return {"start": ["2020-01-01 00:00:00"] * len(targets), "target": targets}


def photos(rows: int) -> Columns:
    table = read_table("cifar10_subset/index.csv.gz").sample(rows, random_state=0)
    return {"image": archived("cifar10_subset/cifar10_jpg.zip", table["path"]), "label": pd.factorize(table["class"])[0]}


def cells(rows: int) -> Columns:
    table = read_table("bccd/boxes.csv.gz").query("xmax > xmin and ymax > ymin")
    table = table.assign(number=pd.factorize(table["class"])[0], width=table["xmax"] - table["xmin"], height=table["ymax"] - table["ymin"])
    images = list(table.groupby("image"))[:rows]
    boxes = [part[["number", "xmin", "ymin", "width", "height"]].to_numpy(np.float32) for _, part in images]
    return {"image": archived("bccd/bccd_voc.zip", [f"BCCD/JPEGImages/{name}" for name, _ in images]), "boxes": boxes}


def streets(rows: int) -> Columns:
    with zipfile.ZipFile(DATA / "camvid_subset/camvid_subset.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("val/") and name.endswith(".png")][:rows]
    masks = [name.replace("val/", "valannot/") for name in names]
    return {"image": archived("camvid_subset/camvid_subset.zip", names), "mask": archived("camvid_subset/camvid_subset.zip", masks)}


def archived(path: str, names: Sequence[str]) -> list[bytes]:
    with zipfile.ZipFile(DATA / path) as archive:
        return [archive.read(name) for name in names]


_NEIGHBORS = {"k": 5, "sample_size": 100_000, "distancesCol": "distances", "neighborLabelsCol": "labels"}
_TREES = {"num_round": 10, "max_depth": 4}
_EMBEDDINGS = {"entityEmbeddingCol": "entity_embedding", "ipEmbeddingCol": "ip_embedding"}
_PAIRS = {"enc0_network": "hcnn", "enc0_max_seq_len": 30, "enc0_vocab_size": 3000, "enc0_token_embedding_dim": 16, "enc_dim": 16}
_WORDS = {"buckets": 10_000, "vector_dim": 16}
_SERIES = {"time_freq": "H", "context_length": 24, "prediction_length": 24, "num_samples": 50}
_TRANSLATIONS = {"num_embed_source": 32, "num_embed_target": 32, "rnn_num_hidden": 32, "batch_size": 50, "max_num_batches": 40}
_CELLS = {"num_classes": 3, "base_width": 0.1, "image_shape": 64, "use_pretrained_model": 0, "mini_batch_size": 12}
_STREETS = {"small_backbone": True, "use_pretrained_model": False, "base_size": 128, "crop_size": 64, "mini_batch_size": 6}
_TWO, _ONE = {"epochs": 2}, {"epochs": 1}

TASKS = [
    Task(ours.KMeans, digits, {"k": 10, "distanceCol": "how_far"}),
    Task(ours.PCA, digits, {"num_components": 20}),
    Task(ours.LDA, documents, {"num_topics": 10}),
    Task(ours.NeuralTopicModel, documents, {"num_topics": 10, **_TWO}),
    Task(ours.LinearLearnerRegressor, complete_districts, _TWO),
    Task(ours.LinearLearnerBinaryClassifier, calls, _TWO),
    Task(ours.LinearLearnerMultiClassClassifier, digits, {"num_classes": 10, **_TWO}),
    Task(ours.FactorizationMachinesRegressor, ratings, {"num_factors": 8, **_TWO}),
    Task(ours.FactorizationMachinesBinaryClassifier, likes, {"num_factors": 8, **_TWO}),
    Task(ours.KNNClassifier, letters, _NEIGHBORS),
    Task(ours.KNNRegressor, complete_districts, _NEIGHBORS),
    Task(ours.RandomCutForest, patients, {"num_trees": 50}),
    Task(ours.XGBoostClassifier, calls, {**_TREES, "objective": "binary:logistic"}),
    Task(ours.XGBoostClassifier, letters, {**_TREES, "objective": "multi:softprob", "num_class": 26}),
    Task(ours.XGBoostRegressor, districts, _TREES),
    Task(ours.XGBoostRanker, hours, {**_TREES, "groupCol": "group"}),
    Task(ours.IPInsights, visits, {"num_entity_vectors": 1000, "vector_dim": 16, **_EMBEDDINGS}),
    Task(ours.Object2Vec, sentences, {**_PAIRS, "mlp_dim": 16, "num_classes": 3, **_TWO}),
    Task(ours.BlazingTextWord2Vec, stories, {"mode": "skipgram", "subwords": True, **_WORDS}),
    Task(ours.BlazingTextClassifier, stories, {"labelCol": "label", "word_ngrams": 2, "bestLabelsCol": "best", **_WORDS}),
    Task(ours.DeepAR, series, {**_SERIES, **_TWO}),
    Task(ours.Seq2Seq, translations, {**_TRANSLATIONS, "attentionCol": "attention"}),
    Task(ours.ImageClassifier, photos, {"num_layers": 20, "image_shape": "3,32,32", "num_classes": 10, **_ONE}),
    Task(ours.ObjectDetector, cells, {**_CELLS, **_ONE}),
    Task(ours.SemanticSegmenter, streets, {**_STREETS, **_ONE}),
]
