"""Graphs answer what models do, of every algorithm and of the settings that lead elsewhere in its arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost as xgb
from onnx import numpy_helper

from sparkml_algos import serving
from sparkml_algos.algorithms.knn.index import build
from sparkml_algos.algorithms.knn.params import COSINE, INNER_PRODUCT, L2
from sparkml_algos.algorithms.knn.reduction import make_reduction, reduce
from sparkml_algos.algorithms.object2vec.settings import settings_of
from sparkml_algos.algorithms.random_cut_forest.forest import grow
from sparkml_algos.algorithms.xgboost.artifact import booster_artifact
from sparkml_algos.algorithms.xgboost.objectives import BINARY, CLASSIFICATION, RANKING, REGRESSION
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.saved import read_metadata
from sparkml_algos.export import CannotExport, Report, export
from sparkml_algos.export.algorithms import REFUSED, TRANSLATIONS
from sparkml_algos.export.algorithms.linear import LinearRegressor
from sparkml_algos.export.algorithms.segmentation import OF_PIXELS
from sparkml_algos.export.translation import EXACT, SINGLE
from sparkml_algos.networks.state import built, state_of, to_artifact
from tests.export.models import features_of, of, random, saved_as
from tests.saved.expected import SAVED
from tests.serving.serving import MODELS

#: Why a model that is kept for the tests is not exported as it is.
NOT_AS_SAVED = {
    "BlazingTextClassifierModel": "word_ngrams=2",
    "BlazingTextWord2VecModel": "subwords=True",
    "DeepARModel": "at random",
    "Seq2SeqModel": "search",
}


def exact(path: Path, folder: Path, **options: Any) -> Report:
    """A graph of a model, whose numbers differ in the last digits alone."""
    report = export(path, folder / "model.onnx", **options)
    assert report.rows >= 8 and report.differing == 0 and report.largest <= report.tolerance
    return report


def test_every_model_is_exported_or_refused_with_a_reason() -> None:
    assert set(MODELS) <= {*TRANSLATIONS, *REFUSED}
    assert not set(TRANSLATIONS) & set(REFUSED)


@pytest.mark.parametrize("name", [name for name in MODELS if name in TRANSLATIONS and name not in NOT_AS_SAVED])
def test_graphs_of_saved_models_answer_what_these_do(name: str, tmp_path: Path) -> None:
    report = exact(SAVED / name, tmp_path)
    assert report.model == name and report.bytes == (tmp_path / "model.onnx").stat().st_size
    assert report.tolerance in (EXACT, SINGLE, OF_PIXELS)
    single = export(SAVED / name, tmp_path / "single.onnx", precision="float32")
    assert single.largest <= SINGLE


@pytest.mark.parametrize("name", NOT_AS_SAVED)
def test_what_no_graph_is_equal_to_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    with pytest.raises(CannotExport, match=NOT_AS_SAVED[name]):
        export(SAVED / name, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_answers_by_the_names_of_the_model(tmp_path: Path) -> None:
    exact(SAVED / "KMeansModel", tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    rows = random().normal(5, 3, size=(50, 3)).astype(np.float32)
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, {"features": rows}), strict=True))
    ours = serving.load(SAVED / "KMeansModel")(features=rows)
    assert set(found) == set(ours)
    assert np.array_equal(found["closest_cluster"], ours["closest_cluster"])
    np.testing.assert_allclose(found["distance_to_cluster"], ours["distance_to_cluster"], rtol=1e-6)
    assert session.get_modelmeta().custom_metadata_map["class"] == "KMeansModel"


def test_a_graph_that_is_not_equal_is_refused_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = LinearRegressor.outputs
    monkeypatch.setattr(
        LinearRegressor,
        "outputs",
        lambda self, graph, inputs: {"score": graph("Add", right(self, graph, inputs)["score"], graph.reals(1e-3))},
    )
    with pytest.raises(CannotExport, match="not equal to it: numbers differ by up to 0"):
        export(SAVED / "LinearLearnerRegressorModel", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------------------- centres


def test_ties_and_equal_centres_are_settled_as_by_the_model(tmp_path: Path) -> None:
    centers = np.array([[0, 0], [2, 0], [2, 0], [0, 2], [2, 2], [1, 1]], np.float64)
    path = saved_as(tmp_path / "model", "KMeansModel", Artifact({"centers": centers}), facts=features_of(2), k=6)
    grid = np.array([[x / 2, y / 2] for x in range(-4, 9) for y in range(-4, 9)], np.float32)
    assert exact(path, tmp_path, rows=grid).rows == len(grid)


def test_centres_far_from_the_origin_are_told_apart(tmp_path: Path) -> None:
    centers = 1e6 + random().normal(size=(40, 5))
    path = saved_as(tmp_path / "model", "KMeansModel", Artifact({"centers": centers}), facts=features_of(5), k=40)
    exact(path, tmp_path)


@pytest.mark.parametrize("metric", [L2, INNER_PRODUCT, COSINE])
@pytest.mark.parametrize("kind", [None, "sign", "fjlt"])
def test_neighbours_by_every_metric_and_reduction(metric: str, kind: str | None, tmp_path: Path) -> None:
    given = random().normal(size=(300, 12)).astype(np.float32)
    given[100:150] = given[:50]  # ties
    reduction = make_reduction(kind, 12, 8, 1, 3) if kind else None
    settings = {"k": 5, "index_type": "faiss.Flat", "index_metric": metric}
    labels = (np.arange(300) % 3).astype(np.float32)
    sample = Artifact({"rows": reduce(given, reduction), "labels": labels}, {"seed": 3, "reduction": reduction, "classes": 3})
    artifact = build(sample, Hyperparameters(**settings))
    path = saved_as(tmp_path / "model", "KNNClassifierModel", artifact, facts=features_of(12), **settings)
    # Rows of reductions are summed up with 32 bits, those of the graph with 64.
    report = export(path, tmp_path / "model.onnx", rows=random().normal(size=(200, 12)).astype(np.float32))
    assert report.differing == 0 and report.largest <= EXACT


def test_thresholds_of_neighbours_count(tmp_path: Path) -> None:
    kept = of("KNNClassifierModel")
    artifact = Artifact({**kept.arrays, "thresholds": np.array([0.5, 0.0, 0.7])}, kept.values)
    exact(saved_as(tmp_path / "model", "KNNClassifierModel", artifact), tmp_path)


@pytest.mark.parametrize("kind", ["faiss.IVFFlat", "faiss.IVFPQ"])
def test_an_index_that_looks_at_some_rows_is_refused(kind: str, tmp_path: Path) -> None:
    path = saved_as(tmp_path / "model", "KNNRegressorModel", index_type=kind)
    with pytest.raises((CannotExport, KeyError), match=r"train with index_type='faiss.Flat'|index|centroids"):
        export(path, tmp_path / "model.onnx")


# ----------------------------------------------------------------------------------------------------------------------- linear


@pytest.mark.parametrize("thresholds", [None, [0.2, 0.0, 0.9]])
def test_linear_models_of_many_classes(thresholds: list[float] | None, tmp_path: Path) -> None:
    arrays = {"weights": random().normal(size=(3, 9)), "bias": random().normal(size=3)}
    if thresholds:
        arrays["thresholds"] = np.array(thresholds)
    path = saved_as(
        tmp_path / "model", "LinearLearnerMultiClassClassifierModel", Artifact(arrays, of("LinearLearnerMultiClassClassifierModel").values),
        facts=features_of(9),
    )  # fmt: skip
    report = exact(path, tmp_path)
    assert {one.output for one in report.differences} == {"predicted_label", "raw", "probability"}


def test_components_of_many_features_are_equal_to_the_digits_that_ours_has(tmp_path: Path) -> None:
    components = np.linalg.qr(random().normal(size=(784, 20)))[0].T
    arrays = {"components": components, "mean": random().random(784), "explained_variance": np.full(20, 50.0)}
    path = saved_as(tmp_path / "model", "PCAModel", Artifact(arrays), facts=features_of(784), num_components=20)
    assert EXACT < exact(path, tmp_path).largest < SINGLE


def test_hinge_loss_knows_no_probability(tmp_path: Path) -> None:
    report = exact(saved_as(tmp_path / "model", "LinearLearnerBinaryClassifierModel", loss="hinge_loss"), tmp_path)
    assert {one.output for one in report.differences} == {"predicted_label", "raw"}


# ------------------------------------------------------------------------------------------------------------------------ trees

ROWS = random().normal(size=(600, 4)).astype(np.float32)
SCORE = ROWS @ np.array([1, 2, -1, 0.5], np.float32)
LABELS = {
    **dict.fromkeys(["binary:logistic", "binary:logitraw", "binary:hinge", "reg:logistic", "rank:map"], (SCORE > 0).astype(float)),
    **dict.fromkeys(["multi:softprob", "multi:softmax", "rank:pairwise", "rank:ndcg"], np.digitize(SCORE, [-1, 1]).astype(float)),
    **dict.fromkeys(["reg:gamma", "reg:tweedie", "reg:squaredlogerror", "survival:cox", "survival:aft"], np.exp(SCORE / 3)),
    "count:poisson": np.round(np.exp(SCORE / 3)),
}
HOLES = np.where(random().random(ROWS.shape) < 0.1, np.float32(np.nan), ROWS)


def grown(objective: str, rows: np.ndarray = HOLES, rounds: int = 20, **settings: Any) -> Artifact:
    data = xgb.DMatrix(rows, LABELS.get(objective, SCORE))
    if objective.startswith("rank:"):
        data.set_group([20] * 30)
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", LABELS[objective])
        data.set_float_info("label_upper_bound", LABELS[objective])
    classes = {"num_class": 3} if objective.startswith("multi:") else {}
    booster = xgb.train({"objective": objective, "nthread": 1, "max_depth": 4, **classes, **settings}, data, rounds)
    return booster_artifact(bytes(booster.save_raw("ubj")), {})


def of_trees(folder: Path, artifact: Artifact, **settings: Any) -> Path:
    objective = artifact.values["objective"]
    kind = "Classification" if objective in CLASSIFICATION else "Ranker" if objective in RANKING else "Regression"
    settings = {"objective": objective, "num_class": artifact.values["num_class"] or None, **settings}
    return saved_as(folder / "model", f"XGBoost{kind}Model", artifact, facts=features_of(4), **settings)


@pytest.mark.parametrize("objective", [one for one in [*CLASSIFICATION, *REGRESSION, *RANKING] if one != "reg:linear"])
def test_every_objective_of_trees(objective: str, tmp_path: Path) -> None:
    exact(of_trees(tmp_path, grown(objective)), tmp_path)


BOOSTERS: dict[str, dict[str, Any]] = {
    "dropout": {"booster": "dart", "rate_drop": 0.5, "objective": "binary:logistic", "base_score": 0.2},
    "dropout of many classes": {"booster": "dart", "rate_drop": 0.5, "objective": "multi:softprob"},
    "linear": {"booster": "gblinear", "objective": "reg:squarederror"},
    "linear of two classes": {"booster": "gblinear", "objective": "binary:logistic", "base_score": 0.3},
    "linear of many classes": {"booster": "gblinear", "objective": "multi:softprob"},
    "several trees a round": {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.5, "rounds": 3},
    "without a split": {"objective": "reg:squarederror", "gamma": 1e9, "rounds": 1},
    "never missing in training": {"objective": "reg:squarederror", "rows": ROWS},
    "many": {"objective": "reg:squarederror", "rounds": 300, "eta": 0.05},
}


@pytest.mark.parametrize("kind", BOOSTERS)
def test_every_kind_of_booster(kind: str, tmp_path: Path) -> None:
    exact(of_trees(tmp_path, grown(**BOOSTERS[kind])), tmp_path)


def test_a_number_that_stands_for_missing_values(tmp_path: Path) -> None:
    exact(of_trees(tmp_path, grown("reg:squarederror"), missing=-0.25), tmp_path)


@pytest.mark.parametrize("objective", BINARY)
def test_a_threshold_of_two_classes(objective: str, tmp_path: Path) -> None:
    artifact = grown(objective)
    exact(of_trees(tmp_path, Artifact(artifact.arrays, {**artifact.values, "raw_threshold": 0.4})), tmp_path)


def test_a_start_from_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotExport, match="baseMarginCol is set"):
        export(of_trees(tmp_path, grown("reg:squarederror"), baseMarginCol="margin"), tmp_path / "model.onnx")


def test_xgboosts_own_file_is_the_booster(tmp_path: Path) -> None:
    path = of_trees(tmp_path, grown("binary:logistic"))
    for suffix in ("ubj", "json"):
        report = export(path, tmp_path / f"model.{suffix}")
        booster = xgb.Booster(model_file=str(report.path))
        ours = serving.load(path)(features=ROWS)["probability"][:, 1]
        np.testing.assert_allclose(booster.predict(xgb.DMatrix(ROWS)), ours, rtol=1e-6)
    with pytest.raises(CannotExport, match="a format of xgboost"):
        export(SAVED / "KMeansModel", tmp_path / "centers.ubj")


# ----------------------------------------------------------------------------------------------------------------------- forests


def test_a_forest_of_large_trees_with_equal_points(tmp_path: Path) -> None:
    points = random().normal(size=(20, 64, 3)).astype(np.float32)
    points[:, 40:] = points[:, :1]
    forest = grow(points, random().random((20, 63, 2)))
    path = saved_as(tmp_path / "model", "RandomCutForestModel", forest.to_artifact(), facts=features_of(3))
    assert exact(path, tmp_path).largest < 1e-5


# ------------------------------------------------------------------------------------------------------------- topics and pairs


@pytest.mark.parametrize("settings", [
    {"batch_norm": True, "normalize_latent": True, "encoder_layers_activation": "relu"},
    {"encoder_layers": [7, 6, 5], "batch_norm": True, "encoder_layers_activation": "tanh"},
    {"encoder_layers": [4], "normalize_latent": False},
])  # fmt: skip
def test_encoders_of_topics(settings: dict[str, Any], tmp_path: Path) -> None:
    from sparkml_algos.algorithms.ntm.prediction import network_of

    metadata = read_metadata(SAVED / "NeuralTopicModelModel")
    given = Hyperparameters(**{**metadata["defaultParamMap"], **metadata["paramMap"], **settings, "num_topics": 3})
    network = built(lambda: network_of(given, 30), 1)
    import torch

    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                buffer.normal_()
    artifact = to_artifact(state_of(network))
    path = saved_as(tmp_path / "model", "NeuralTopicModelModel", artifact, facts=features_of(30), **settings, num_topics=3)
    exact(path, tmp_path)
    program = export(path, tmp_path / "model.pt2")
    assert program.largest <= EXACT and program.rows > 100


ENCODERS = {
    "pooled": {"enc0_network": "pooled_embedding", "enc0_token_embedding_dim": 6},
    "pooled without a projection": {"enc0_network": "pooled_embedding", "enc0_token_embedding_dim": 10},
    "convolutions": {"enc0_network": "hcnn", "enc0_layers": 3, "enc0_cnn_filter_width": 3, "enc0_token_embedding_dim": 6},
    "convolutions of even width": {"enc0_network": "hcnn", "enc0_layers": 2, "enc0_cnn_filter_width": 4, "enc0_token_embedding_dim": 6},
    "recurrent": {"enc0_network": "bilstm", "enc0_layers": 2, "enc0_token_embedding_dim": 6},
}
TOPS = {
    "classes": {"output_layer": "softmax", "num_classes": 3, "comparator_list": ["hadamard", "concat", "abs_diff"], "mlp_layers": 2},
    "numbers": {
        "output_layer": "mean_squared_error",
        "comparator_list": ["abs_diff"],
        "mlp_layers": 0,
        "tied_token_embedding_weight": True,
    },
}


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_pairs_with_every_encoder(encoder: str, top: str, tmp_path: Path) -> None:
    from sparkml_algos.algorithms.object2vec.network import Object2VecNetwork

    metadata = read_metadata(SAVED / "Object2VecModel")
    common = {"enc_dim": 10, "enc0_vocab_size": 40, "enc0_max_seq_len": 9, "enc1_network": "enc0", "mlp_dim": 5, "mlp_activation": "tanh"}
    settings = {**common, **ENCODERS[encoder], **TOPS[top]}
    network = built(
        lambda: Object2VecNetwork(settings_of(Hyperparameters(**{**metadata["defaultParamMap"], **metadata["paramMap"], **settings}))), 1
    )
    artifact = Artifact(to_artifact(state_of(network)).arrays, {**of("Object2VecModel").values, "label_mean": 2.0, "label_unit": 3.0})
    report = exact(saved_as(tmp_path / "model", "Object2VecModel", artifact, **settings), tmp_path)
    assert report.largest < (EXACT if "pooled" in encoder else 1e-5)
    if ENCODERS[encoder]["enc0_network"] == "bilstm":
        with pytest.raises(CannotExport, match="as long as it is"):
            export(tmp_path / "model", tmp_path / "model.pt2")
    else:
        assert export(tmp_path / "model", tmp_path / "model.pt2").largest <= report.tolerance


def test_addresses_of_which_some_are_missing(tmp_path: Path) -> None:
    path = saved_as(tmp_path / "model", "IPInsightsModel", invalid_ip="missing")
    rows = {"entity": ["anna", "bert", "-", "ünï"] * 30, "ip": ["1.2.3.4", "255.255.255.255", "no address", "0.0.0.0"] * 30}
    report = exact(path, tmp_path, rows={name: np.array(values) for name, values in rows.items()})
    assert report.rows == 120
    assert export(path, tmp_path / "model.pt2").largest <= EXACT


# ------------------------------------------------------------------------------------------------------------------------ texts


def test_texts_of_all_blanks_ends_and_unknown_words(tmp_path: Path) -> None:
    kept = of("BlazingTextClassifierModel")
    artifact = Artifact({**kept.arrays, "kept": np.empty(0, np.int32)}, kept.values)
    path = saved_as(tmp_path / "model", "BlazingTextClassifierModel", artifact, word_ngrams=1)
    words = [word for word in ("1", "2", "3", "5", "8", "12") if word]
    texts = [" ".join(words), "", "   ", "zzz", "1\t2\n3", " 1  2 ", "1 2 </s> 3", "__label__0 1 2", "Ünï 1", "1\x0b2\x0c3\r5\x001"] * 12
    assert exact(path, tmp_path, rows={"text": np.array(texts)}).rows == 120


def test_texts_of_several_words_together_are_refused(tmp_path: Path) -> None:
    path = saved_as(tmp_path / "model", "BlazingTextClassifierModel", word_ngrams=3)
    with pytest.raises(CannotExport, match="word_ngrams=3"):
        export(path, tmp_path / "model.onnx")


def test_vectors_of_words_without_subwords(tmp_path: Path) -> None:
    exact(saved_as(tmp_path / "model", "BlazingTextWord2VecModel", subwords=False), tmp_path)


# ------------------------------------------------------------------------------------------------------------------- precisions


def test_weights_of_16_and_8_bits_say_what_they_change(tmp_path: Path) -> None:
    centers = random().normal(size=(10, 200))
    path = saved_as(tmp_path / "model", "KMeansModel", Artifact({"centers": centers}), facts=features_of(200), k=10)
    sizes = {}
    for precision in ("float64", "float32", "float16", "int8"):
        report = export(path, tmp_path / f"{precision}.onnx", precision=precision)
        sizes[precision] = report.bytes
        ours, theirs = report.quality["mean squared distance"]
        assert abs(theirs / ours - 1) < 0.02 and "mean squared distance" in str(report)
    assert sizes["float16"] < 0.6 * sizes["float32"] < 0.4 * sizes["float64"]


def test_labels_tell_the_quality_of_both(tmp_path: Path) -> None:
    arrays = {"weights": random().normal(size=(3, 40)), "bias": np.zeros(3)}
    path = saved_as(
        tmp_path / "model", "LinearLearnerMultiClassClassifierModel", Artifact(arrays, of("LinearLearnerMultiClassClassifierModel").values),
        facts=features_of(40),
    )  # fmt: skip
    rows = random().normal(size=(500, 40)).astype(np.float32)
    label = (rows @ arrays["weights"].T + random().normal(size=(500, 3))).argmax(axis=1)
    report = export(path, tmp_path / "model.onnx", precision="int8", rows={"features": rows, "label": label})
    ours, theirs = report.quality["accuracy"]
    assert 0.6 < ours < 1 and abs(ours - theirs) < 0.05 and report.tolerance is None
    assert 0 < report.largest < 0.5
    [weights] = [one for one in map(numpy_helper.to_array, onnx.load(tmp_path / "model.onnx").graph.initializer) if one.shape == (40, 3)]
    # Seven bits, for pairs of products of eight overflow on some processors.
    assert weights.dtype == np.int8 and 60 < np.abs(weights.astype(int)).max() <= 64


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_trees_keep_the_digits_of_their_thresholds(precision: str, tmp_path: Path) -> None:
    with pytest.raises(CannotExport, match="what it decides by has more digits"):
        export(SAVED / "XGBoostRegressionModel", tmp_path / "model.onnx", precision=precision)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must end with one of"):
        export(SAVED / "KMeansModel", tmp_path / "model.pkl")
    with pytest.raises(ValueError, match="precision must be one of"):
        export(SAVED / "KMeansModel", tmp_path / "model.onnx", precision="bfloat16")
    with pytest.raises(CannotExport, match="no fitted model"):
        export(SAVED / "KMeans", tmp_path / "model.onnx")
    with pytest.raises(FileNotFoundError):
        export(tmp_path, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="widths are of the columns of a pipeline"):
        export(SAVED / "KMeansModel", tmp_path / "model.onnx", widths={"a": 3})
