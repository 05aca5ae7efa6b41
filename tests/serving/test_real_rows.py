"""An endpoint answers to rows of the public datasets what `transform` appends to them, in every content type of a request.

Both read features as 32-bit floats and give the rows of a request, or of a record batch, to the same predictor: numbers are the same to
the last bit. Of images a request has one, where `transform` gives a network several at a time, and then its sums are made in another order;
the JVM has an order of its own, too, and so have the sums of a translation's attention, whose last digit differs between processes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, Row, SparkSession

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from sparkml_algos import serving
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.formats import Column, RecordBatch, recordio_protobuf
from sparkml_algos.formats.content_types import IMAGES, JSON, JSON_LINES, RECORDIO_PROTOBUF
from sparkml_algos.rows.boxes import BOX_PARTS
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.servable import load_servable
from tests.datasets import DATA
from tests.real_rows import TASKS, Columns, Task
from tests.saved.save import as_json
from tests.serving.serving import MIRRORING, MODELS, OF_IDS, TRANSFORMED, asked, assert_equal, body_of, objects_of, post

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA}, with the public datasets, is not there")]

#: Rows to train on, of these rows to ask about, of images both; and rows that are each a request.
ROWS, ASKED, IMAGES_ASKED, ALONE = 600, 200, 24, 5
#: What the rows beside a row may change of a number of such models, or of a single row of any, and what the JVM may.
TOGETHER, ON_JVM = 1e-5, 1e-5
SUMMED_OTHERWISE = ("ImageClassifierModel", "ObjectDetectorModel", "Seq2SeqModel")
#: Those that answer more where it is asked for; and what of it is no column of `transform`, for it says what was asked about.
VERBOSE = ("IPInsightsModel", "KNNClassifierModel", "KNNRegressorModel", "ObjectDetectorModel")
OF_THE_REQUEST = ("word", "image_size")
#: What an instance has besides its columns.
ASKS = {"Seq2SeqModel": {"configuration": {"attention_matrix": "true"}}}
#: What trees for many classes answer in place of the score.
OUTPUTS = ("predicted_label", "probabilities", "raw_scores")


def test_every_algorithm_is_asked() -> None:
    assert sorted({task.model for task in TASKS}) == MODELS


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_real_rows_are_answered_as_transform_does(task: Task, spark: SparkSession, tmp_path: Path) -> None:
    columns = task.columns(IMAGES_ASKED if task.is_of_images else ROWS)
    frame = frame_of(columns, spark)
    model = task.estimator(num_workers=1, seed=1, **task.settings).fit(frame)
    model.save(str(tmp_path / "model"))
    few = frame.limit(ASKED)
    appended = appended_to(few, model.copy().setScorer("python") if model.hasParam("scorer") else model)
    instances = instances_of(task, columns)[:ASKED]
    endpoint = Endpoint(model, tmp_path / "model")
    for content_type in endpoint.served.requests:
        tolerance = TOGETHER if task.model in SUMMED_OTHERWISE else 0.0
        assert_same(endpoint.answers(instances, content_type), appended, tolerance, content_type)
    content_type = JSON if JSON in endpoint.served.requests else IMAGES[0]
    alone = [endpoint.answers([instance], content_type)[0] for instance in instances[:ALONE]]
    assert_same(alone, {name: values[:ALONE] for name, values in appended.items()}, TOGETHER, "a row each")
    if model.scorer_for(few).name == "jvm":
        assert_same(endpoint.answers(instances, JSON), appended_to(few, model), ON_JVM, "the JVM")


class Endpoint:
    """A model that was saved, asked in this process.

    Parameters
    ----------
    model : AlgorithmModel
    path : Path
        Where it was saved.
    """

    def __init__(self, model: AlgorithmModel, path: Path) -> None:
        self._model, self._name = model, type(model).__name__
        has_classes = "objective" in model.declared and model.value("objective") == "multi:softprob"
        self.served = load_servable(path, Options(outputs=OUTPUTS if has_classes else ()))
        self._app = serving.app({"m": self.served})

    def answers(self, instances: list[dict[str, Any]], content_type: str) -> list[dict[str, Any]]:
        """An object for each instance, all of one request but where a request is an image."""
        if content_type == RECORDIO_PROTOBUF and self._name in OF_IDS:
            return self._translations(instances)
        accept = content_type if self._name in MIRRORING else JSON_LINES
        bodies = [body_of([one], content_type) for one in instances] if content_type in IMAGES else [body_of(instances, content_type)]
        verbose = ";verbose=true" if self._name in VERBOSE else ""
        found = [self._asked(body, content_type, accept + verbose) for body in bodies]
        return [one for body in found for one in objects_of(self._name, body, accept)]

    def _translations(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """By the ids of words."""
        places = {word: place for place, word in enumerate(self._model.source_vocabulary)}
        ids = [[places[word] for word in one["source"].split()] for one in instances]
        source = Ragged(np.concatenate(ids).astype(np.int32), np.cumsum([0, *map(len, ids)]))
        body = recordio_protobuf.encode(RecordBatch(len(ids), {"source": Column.of(source)}))
        found = recordio_protobuf.decode(self._asked(body, RECORDIO_PROTOBUF, RECORDIO_PROTOBUF)).features["target"].values
        return [{"target": " ".join(self._model.target_vocabulary[place] for place in row)} for row in found]

    def _asked(self, body: bytes, content_type: str, accept: str) -> bytes:
        (answer,) = asked(self._app, post(body, content_type, accept))
        assert answer.status_code == 200, answer.text
        return answer.content


def frame_of(columns: Columns, spark: SparkSession) -> DataFrame:
    """The columns in one partition, features as vectors."""
    as_spark = {"features": vectors, "boxes": lambda values: [[box(one) for one in row] for row in values]}
    values = [as_spark.get(role, plain)(values) for role, values in columns.items()]
    return spark.createDataFrame(list(zip(*values, strict=True)), list(columns)).coalesce(1)


def vectors(features: np.ndarray | sp.csr_array) -> list[Any]:
    if not sp.issparse(features):
        return list(map(Vectors.dense, features))
    parts = zip(features.indptr, features.indptr[1:], strict=False)
    return [Vectors.sparse(features.shape[1], features.indices[start:end], features.data[start:end]) for start, end in parts]


def box(numbers: np.ndarray) -> Row:
    return Row(**dict(zip(BOX_PARTS, (int(numbers[0]), *map(float, numbers[1:])), strict=True)))


def plain(values: Any) -> list[Any]:
    """As Python has them; labels, which may be truths, as numbers."""
    return values if isinstance(values, list) else np.asarray(values, float).tolist()


def instances_of(task: Task, columns: Columns) -> list[dict[str, Any]]:
    """What an endpoint is asked about rows."""
    roles = [field.role for field in task.estimator.algorithm().fields if field.scoring and field.role in columns]
    lists = [rows_of(columns[role]) if sp.issparse(columns[role]) else plain(columns[role]) for role in roles]
    return [{**dict(zip(roles, row, strict=True)), **ASKS.get(task.model, {})} for row in zip(*lists, strict=True)]


def rows_of(matrix: sp.csr_array) -> list[sp.csr_array]:
    return [matrix[[row]] for row in range(matrix.shape[0])]


def appended_to(frame: DataFrame, model: AlgorithmModel) -> dict[str, list[Any]]:
    """The columns that a model appends, as JSON has them."""
    scored = model.transform(frame)
    names = [name for name in scored.columns if name not in frame.columns]
    rows = scored.select(names).collect()
    return {name: [as_json(row[name]) for row in rows] for name in names}


def assert_same(found: list[dict[str, Any]], appended: dict[str, list[Any]], tolerance: float, what: str) -> None:
    """Each field of the answers is what was appended."""
    for name in found[0].keys() - set(OF_THE_REQUEST):
        assert_equal([one[name] for one in found], TRANSFORMED[name](appended), tolerance, f"{what}: {name}")
