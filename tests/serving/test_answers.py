"""Every saved model answers in every content type what `transform` computed, in the service's shapes."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.formats import Column, RecordBatch, recordio_protobuf
from sparkml_algos.formats.content_types import CSV, IMAGES, JSON, JSON_LINES, RECORDIO_PROTOBUF, ContentType
from sparkml_algos.serving.answers import answer_of
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.servable import ServedModel, load_servable
from sparkml_algos.serving.values import values_of
from tests.saved.expected import SAVED
from tests.serving.serving import MIRRORING, MODELS, OF_IDS, OF_IMAGES, TRANSFORMED, assert_equal, body_of, objects_of, saved_rows

SERVED: dict[str, ServedModel] = {}

#: Fields of an answer, in their order, by class.
FIELDS = {
    "BlazingTextClassifierModel": ["label", "prob"],
    "BlazingTextWord2VecModel": ["word", "vector"],
    "DeepARModel": ["mean", "quantiles"],
    "FactorizationMachinesBinaryClassifierModel": ["score", "predicted_label"],
    "FactorizationMachinesRegressorModel": ["score"],
    "IPInsightsModel": ["dot_product"],
    "ImageClassifierModel": ["prediction"],
    "KMeansModel": ["closest_cluster", "distance_to_cluster"],
    "KNNClassifierModel": ["predicted_label"],
    "KNNRegressorModel": ["predicted_label"],
    "LDAModel": ["topic_mixture"],
    "LinearLearnerBinaryClassifierModel": ["score", "predicted_label"],
    "LinearLearnerMultiClassClassifierModel": ["score", "predicted_label"],
    "LinearLearnerRegressorModel": ["score"],
    "NeuralTopicModelModel": ["topic_weights"],
    "Object2VecModel": ["scores"],
    "ObjectDetectorModel": ["prediction"],
    "PCAModel": ["projection"],
    "RandomCutForestModel": ["score"],
    "SemanticSegmenterModel": ["mask"],
    "Seq2SeqModel": ["target"],
    "XGBoostClassificationModel": ["score"],
    "XGBoostRankerModel": ["score"],
    "XGBoostRegressionModel": ["score"],
}


def served(name: str) -> ServedModel:
    if name not in SERVED:
        SERVED[name] = load_servable(SAVED / name)
    return SERVED[name]


def answered(model: ServedModel, body: bytes, content_type: str, accept: str) -> bytes:
    kind = ContentType.parse(content_type)
    wanted = model.response_type(kind, ContentType.parse(accept))
    request = model.decode(body, kind)
    return model.respond(request, [model.score(work.columns, work.variant) for work in model.work(request, wanted)], wanted)


def test_every_model_is_known() -> None:
    assert list(FIELDS) == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_what_transform_computed_in_every_content_type(name: str) -> None:
    model, instances = served(name), saved_rows(name)
    outputs = json.loads((SAVED / f"{name}.json").read_text())["outputs"]
    for content_type in model.requests:
        if name in OF_IDS and content_type == RECORDIO_PROTOBUF:
            continue
        accept = content_type if name in MIRRORING else JSON
        if content_type in IMAGES:
            found = [json.loads(answered(model, one["image"], content_type, JSON_LINES)) for one in instances]
        else:
            found = objects_of(name, answered(model, body_of(instances, content_type), content_type, accept), accept)
        assert [list(one) for one in found] == [FIELDS[name]] * len(instances)
        for field in FIELDS[name]:
            if field not in ("label", "word", "quantiles"):
                assert_equal([one[field] for one in found], TRANSFORMED[field](outputs), 2e-6, f"{content_type} {field}")


@pytest.mark.parametrize("name", [name for name in MODELS if name not in (*MIRRORING, *OF_IMAGES)])
def test_every_response_format_says_the_same(name: str) -> None:
    model, instances = served(name), saved_rows(name)
    body = body_of(instances, JSON)
    expected = objects_of(name, answered(model, body, JSON, JSON))
    lines = answered(model, body, JSON, JSON_LINES)
    assert [json.loads(line) for line in lines.splitlines()] == expected
    if RECORDIO_PROTOBUF in model.responses:
        records = recordio_protobuf.decode(answered(model, body, JSON, RECORDIO_PROTOBUF))
        assert len(records) == len(expected) and not records.features and list(records.labels) == FIELDS[name]
        for field, column in records.labels.items():
            values = np.array([one[field] for one in expected], np.float32)
            np.testing.assert_array_equal(np.asarray(column.values).reshape(values.shape), values)
    if CSV in model.responses:
        cells = [[float(cell) for cell in line.split(",")] for line in answered(model, body, JSON, CSV).decode().splitlines()]
        assert cells == [list(one.values()) for one in expected]


def test_a_json_answer_to_an_image_is_the_bare_list() -> None:
    model, instances = served("ImageClassifierModel"), saved_rows("ImageClassifierModel")
    for one in instances:
        bare, line = (json.loads(answered(model, one["image"], "image/png", accept)) for accept in (JSON, JSON_LINES))
        assert line == {"prediction": bare} and sum(bare) == pytest.approx(1)


def test_what_is_found_in_an_image_is_one_object_or_annotations() -> None:
    model, instances = served("ObjectDetectorModel"), saved_rows("ObjectDetectorModel")
    for one in instances:
        bare, line, notes = (
            json.loads(answered(model, one["image"], "image/jpeg", accept)) for accept in (JSON, JSON_LINES, f"{JSON};annotation=1")
        )
        assert bare == line and list(bare) == ["prediction"] and len(bare["prediction"]) == 1
        assert notes["image_size"] == [{"width": 8, "height": 8, "depth": 3}]
        (note,), ((number, score, xmin, ymin, _, _),) = notes["annotations"], bare["prediction"]
        assert list(note) == ["class_id", "score", "left", "top", "width", "height"]
        assert [note["class_id"], note["score"], note["left"], note["top"]] == pytest.approx([number, score, 8 * xmin, 8 * ymin])


def test_translations_show_their_attention_where_that_is_asked_for() -> None:
    model, shown = served("Seq2SeqModel"), {"configuration": {"attention_matrix": "true"}}
    instances = [{"data": "user 1"}, {"data": "user 2", **shown}]
    for instance in instances:
        found = json.loads(answered(model, json.dumps({"instances": [instance]}).encode(), JSON, JSON))["predictions"]
        assert list(found[0]) == (["target", "matrix"] if "configuration" in instance else ["target"])
    both = json.loads(answered(model, json.dumps({"instances": instances}).encode(), JSON, JSON))["predictions"]
    assert [list(one) for one in both] == [["target"], ["target", "matrix"]] and np.shape(both[1]["matrix"]) == (2, 2)
    lines = answered(model, b"".join(json.dumps(one).encode() + b"\n" for one in instances), JSON_LINES, JSON_LINES)
    assert [json.loads(line) for line in lines.splitlines()] == both
    every = json.loads(answered(model, json.dumps({"instances": instances, **shown}).encode(), JSON, JSON))["predictions"]
    assert [list(one) for one in every] == [["target", "matrix"]] * 2
    for wrong in ({"attention_matrix": "perhaps"}, {"beam_size": 3}, 5):
        with pytest.raises(ValueError, match="the configuration must be like"):
            answered(model, json.dumps({"instances": [{"data": "user 1", "configuration": wrong}]}).encode(), JSON, JSON)


def test_translations_of_ids_are_ids_among_the_features() -> None:
    model = served("Seq2SeqModel")
    of_ids = [json.loads(answered(model, json.dumps({"instances": [{"source": row}]}).encode(), JSON, JSON)) for row in ([4, 5], [4, 6, 7])]
    sources = Ragged(np.array([4, 5, 4, 6, 7], np.int32), np.array([0, 2, 5]))
    body = recordio_protobuf.encode(RecordBatch(2, {"source": Column.of(sources)}, {}, uid=["a", "b"]))
    records = recordio_protobuf.decode(answered(model, body, RECORDIO_PROTOBUF, RECORDIO_PROTOBUF))
    targets = records.features["target"].values
    assert not records.labels and list(records.uid) == ["a", "b"]
    assert [list(row) for row in targets] == [one["predictions"][0]["target"] for one in of_ids]


def test_uid_and_metadata_of_records_come_back() -> None:
    from sparkml_algos.formats.columns import Column, RecordBatch

    values = Column.of(np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    batch = RecordBatch(2, {"values": values}, uid=["a", None], metadata=["m", "n"])
    found = recordio_protobuf.decode(answered(served("KMeansModel"), recordio_protobuf.encode(batch), RECORDIO_PROTOBUF, RECORDIO_PROTOBUF))
    assert list(found.uid) == ["a", None] and list(found.metadata) == ["m", "n"]


def test_sparse_and_dense_instances_may_be_mixed() -> None:
    sparse = {"data": {"features": {"keys": [1], "shape": [3], "values": [2.0]}}}
    one, other = json.loads(
        answered(served("KMeansModel"), json.dumps({"instances": [sparse, {"features": [0, 2, 0]}]}).encode(), JSON, JSON)
    )["predictions"]
    assert one == pytest.approx(other)


# --------------------------------------------------------------------------------------------------- single algorithms


def test_neighbors_are_told_where_they_are_asked_for() -> None:
    body = body_of(saved_rows("KNNClassifierModel"), JSON)
    found = objects_of("KNNClassifierModel", answered(served("KNNClassifierModel"), body, JSON, f"{JSON}; verbose=true"))
    assert [list(one) for one in found] == [["predicted_label", "distances", "labels"]] * len(found)
    assert all(len(one["labels"]) == 3 and one["distances"] == sorted(one["distances"]) for one in found)
    records = recordio_protobuf.decode(answered(served("KNNClassifierModel"), body, JSON, f"{RECORDIO_PROTOBUF}; verbose=true"))
    assert set(records.labels) == {"predicted_label", "distances", "labels"}


def test_embeddings_of_entities_and_addresses() -> None:
    body = b'{"instances": [{"features": ["user 1", "10.0.1.2"]}, {"data": {"features": {"values": ["user 1", "10.0.1.2"]}}}]}'
    one, other = objects_of("", answered(served("IPInsightsModel"), body, JSON, f"{JSON};verbose=True"))
    assert one == other and len(one["entity_embedding"]) == len(one["ip_embedding"]) == 4
    assert one["dot_product"] == pytest.approx(np.dot(one["entity_embedding"], one["ip_embedding"]), abs=1e-6)


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (b'{"instances": ["1 2 3", "4 5"], "configuration": {"k": 2}}', [2, 2]),
        (b'{"instances": ["1 2 3", {"source": "4 5", "k": 3}]}', [1, 3]),
        (b'{"instances": [{"text": "4 5", "configuration": {"k": 2}}], "configuration": {"k": 1}}', [2]),
        (b'{"instances": ["1 2 3"], "configuration": {"k": 99}}', [3]),
    ],
)
def test_texts_have_as_many_labels_as_asked(body: bytes, counts: list[int]) -> None:
    found = objects_of("BlazingTextClassifierModel", answered(served("BlazingTextClassifierModel"), body, JSON, JSON))
    assert [len(one["label"]) for one in found] == [len(one["prob"]) for one in found] == counts
    assert all(label.startswith("__label__") for one in found for label in one["label"])
    assert all(one["prob"] == sorted(one["prob"], reverse=True) for one in found)


@pytest.mark.parametrize("k", [0, -1, True, "2", 1.5, [1]])
def test_a_wrong_number_of_labels_is_refused(k: object) -> None:
    with pytest.raises(ValueError, match="configuration"):
        served("BlazingTextClassifierModel").decode(json.dumps({"instances": ["1"], "configuration": {"k": k}}).encode(), ContentType(JSON))


def test_forecasts_have_the_quantiles_of_the_model_and_no_others() -> None:
    instance = {"start": "2024-01-01", "target": [1, None, "NaN", 3]}
    (found,) = objects_of("", answered(served("DeepARModel"), json.dumps({"instances": [instance]}).encode(), JSON, JSON))
    assert list(found) == ["mean", "quantiles"] and next(iter(found["quantiles"])) == "0.1"
    assert all(len(values) == len(found["mean"]) for values in found["quantiles"].values())
    with pytest.raises(ValueError, match="set them on the model"):
        served("DeepARModel").decode(json.dumps({"instances": [instance], "configuration": {"num_samples": 5}}).encode(), ContentType(JSON))


def test_words_come_back_with_their_vectors_and_accept_is_ignored() -> None:
    model = served("BlazingTextWord2VecModel")
    lines = b'{"source": "3.0"}\n{"source": "4.0"}\n'
    found = [json.loads(line) for line in answered(model, lines, JSON_LINES, JSON).splitlines()]
    assert [one["word"] for one in found] == ["3.0", "4.0"] and all(len(one["vector"]) == 4 for one in found)
    assert json.loads(answered(model, b'{"instances": ["3.0"]}', JSON, JSON_LINES)) == found[:1]


def test_pairs_are_scored_and_single_inputs_encoded_at_their_places() -> None:
    body = json.dumps({"instances": [{"in0": [1]}, {"in0": [1], "in1": [2]}, {"in1": [2]}, {"in0": [3], "in1": [4]}]}).encode()
    found = objects_of("", answered(served("Object2VecModel"), body, JSON, JSON))
    assert [list(one) for one in found] == [["embeddings"], ["scores"], ["embeddings"], ["scores"]]
    alone = objects_of("", answered(served("Object2VecModel"), b'{"instances": [{"in0": [1], "in1": [2]}]}', JSON, JSON))
    assert alone[0]["scores"] == found[1]["scores"]


def test_sequences_may_be_cut_elsewhere_than_the_model_does() -> None:
    model = served("Object2VecModel")
    whole, cut = (
        objects_of("", answered(model, b'{"instances": [{"in0": [1, 2]}]}', f"{JSON}; infer_max_seqlens={n},1", JSON)) for n in (2, 1)
    )
    only_first = objects_of("", answered(model, b'{"instances": [{"in0": [1]}]}', JSON, JSON))
    assert cut == only_first != whole
    with pytest.raises(ValueError, match="infer_max_seqlens must be 2 whole numbers"):
        model.decode(b'{"instances": []}', ContentType(JSON, {"infer_max_seqlens": "0,1"}))


def test_xgboost_answers_selectable_keys() -> None:
    keys = ("predicted_label", "labels", "probability", "probabilities", "raw_score", "raw_scores", "predicted_score")
    model = load_servable(SAVED / "XGBoostClassificationModel", Options(outputs=keys))
    body = body_of(saved_rows("XGBoostClassificationModel"), JSON)
    found = objects_of("", answered(model, body, JSON, JSON))
    for one in found:
        assert list(one) == list(keys) and one["labels"] == [0, 1] and one["predicted_score"] is None
        assert one["probabilities"][1] == one["probability"] and one["raw_scores"][1] == one["raw_score"]
        assert one["predicted_label"] == float(one["probability"] > 0.5)
    first = answered(model, body, JSON, CSV).decode().splitlines()[0]
    assert first.startswith(f'{found[0]["predicted_label"]},"[0, 1]",{found[0]["probability"]},"[') and first.endswith(",nan")
    with pytest.raises(ValueError, match="'votes' is not one of the keys"):
        load_servable(SAVED / "XGBoostClassificationModel", Options(outputs=("votes",)))
    with pytest.raises(ValueError, match="only XGBoost answers selectable keys"):
        load_servable(SAVED / "KMeansModel", Options(outputs=("probability",)))


@pytest.mark.parametrize(
    ("objective", "expected"),
    [("binary:logistic", 0.75), ("binary:logitraw", 1.5), ("binary:hinge", 1.0), ("multi:softmax", 1.0), ("multi:softprob", [0.25, 0.75]),
     ("reg:squarederror", 1.0)],
)  # fmt: skip
def test_xgboost_scores_as_the_library_does(objective: str, expected: object) -> None:
    outputs = {"prediction": np.array([1.0]), "raw": np.array([[-1.5, 1.5]]), "probability": np.array([[0.25, 0.75]])}
    answer = answer_of("sparkml_algos.XGBoostClassificationModel", SimpleNamespace(objective=objective))
    assert answer.columns(outputs, False)["score"].tolist() == [expected]


def test_missing_cells_of_csv_are_missing_to_trees_alone() -> None:
    assert answered(served("XGBoostClassificationModel"), b"1,,3\n", CSV, CSV)
    with pytest.raises(ValueError, match="column 2 is not a number"):
        served("KMeansModel").decode(b"1,,3\n", ContentType(CSV))


def test_libsvm_counts_features_as_told() -> None:
    one = answered(load_servable(SAVED / "XGBoostRegressionModel", Options(index_base=1)), b"1:1 2:2 3:3\n", "text/libsvm", CSV)
    assert one == answered(served("XGBoostRegressionModel"), b"5 0:1 1:2 2:3\n", "text/libsvm", CSV)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), [[1.0, None], [None, 2.0]]),
        (pa.array([[[1.0, math.nan]], None, [None]]), [[[1.0, None]], None, [None]]),
        (pa.array([{"a": -math.inf, "b": [1.0]}]), [{"a": None, "b": [1.0]}]),
        (pa.array([None, "x"]), [None, "x"]),
        (pa.array([], pa.float64()), []),
    ],
)
def test_what_is_no_number_is_null_in_columns_of_every_form(column, wanted):
    assert values_of(column) == wanted


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_forecast_beyond_all_numbers_is_null():
    served = load_servable(SAVED / "DeepARModel")
    body = json.dumps({"instances": [{"start": "2024-01-01", "target": [3e38, -3e38] * 4}]}).encode()
    request = served.decode(body, ContentType(JSON))
    found = [served.score(work.columns, work.variant) for work in served.work(request, ContentType(JSON))]
    (answer,) = json.loads(served.respond(request, found, ContentType(JSON)))["predictions"]
    assert any(None in part for part in answer["quantiles"].values())
