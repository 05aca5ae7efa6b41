"""Object2Vec as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, Object2Vec, Object2VecModel, serving
from sparkml_algos.formats.json_instances import decode

USERS, FILMS, GROUPS = 40, 24, 4
ROWS = [(user, film, float(user % GROUPS == film % GROUPS)) for user in range(USERS) for film in range(FILMS)]


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    """Users and films of four groups, and whether they are of the same."""
    frame = spark.createDataFrame(ROWS, "user int, film long, label double")
    return frame.withColumn("film", F.array("film")).withColumn("id", F.col("user") * FILMS + F.col("film")[0]).repartition(3).cache()


def learner(**settings: object) -> Object2Vec:
    pooled = {"network": "pooled_embedding", "max_seq_len": 1, "token_embedding_dim": 8}
    sides = {f"enc{side}_{name}": value for side in (0, 1) for name, value in pooled.items()}
    sides |= {"in0Col": "user", "enc0_vocab_size": USERS, "in1Col": "film", "enc1_vocab_size": FILMS}
    layers = {"enc_dim": 8, "mlp_dim": 16, "mlp_activation": "relu"}
    return Object2Vec(**{**sides, **layers, "learning_rate": 0.02, "epochs": 12, "mini_batch_size": 64, "num_workers": 2, **settings})


@pytest.fixture(scope="module")
def model(data: DataFrame) -> Object2VecModel:
    return learner().fit(data)


@pytest.mark.generic
def test_classes_are_told_with_their_probabilities(data: DataFrame, model: Object2VecModel) -> None:
    scored = model.transform(data)
    assert scored.columns == [*data.columns, "prediction", "probability"]
    assert scored.schema["probability"].dataType == VectorUDT() and model.numClasses == 2
    rows = scored.collect()
    right = np.array([row.prediction == row.label for row in rows])
    own = np.array([row.probability[int(row.label)] for row in rows])
    metrics = model.evaluate(data)
    assert right.mean() > 0.97 and metrics["test:accuracy"] == pytest.approx(right.mean())
    assert metrics["test:cross_entropy"] == pytest.approx(-np.log(own).mean(), rel=1e-6)
    assert {"train:cross_entropy", "train:accuracy"} <= set(model.training_summary.metrics)
    assert model.summary.objectiveHistory[0] > model.summary.objectiveHistory[-1]


@pytest.mark.generic
def test_numbers_are_told_without_probabilities(data: DataFrame) -> None:
    numbers = data.withColumn("label", 3 + 2 * F.col("label"))
    model = learner(output_layer="mean_squared_error", validationIndicatorCol="held").fit(numbers.withColumn("held", F.col("id") % 5 == 0))
    scored = model.transform(numbers)
    assert scored.columns == [*numbers.columns, "prediction"] and model.numClasses is None
    error = np.mean([(row.prediction - row.label) ** 2 for row in scored.collect()])
    assert model.evaluate(numbers) == {"test:mean_squared_error": pytest.approx(error, rel=1e-6)}
    assert error < 0.3 and "validation:mean_squared_error" in model.training_summary.metrics


@pytest.mark.generic
def test_one_side_is_encoded_without_the_other(data: DataFrame, model: Object2VecModel) -> None:
    films = data.select("film").distinct()
    encoded = model.encode(films, side=1)
    assert encoded.columns == ["film", "embedding"] and encoded.schema["embedding"].dataType == VectorUDT()
    found = {row.film[0]: row.embedding.toArray() for row in encoded.collect()}
    vectors = model.token_encodings(1)
    for film, vector in found.items():
        np.testing.assert_allclose(vector / np.linalg.norm(vector), vectors[film], atol=1e-6)
    assert model.encode(data.select("user"), side=0).count() == data.count()
    with pytest.raises(ValueError, match="side must be 0 or 1, got 2"):
        model.encode(films, side=2)
    with pytest.raises(InvalidParams, match="in1Col='film' is not a column"):
        model.encode(data.select("user"), side=1)


@pytest.mark.generic
def test_similar_tokens_are_the_nearest_by_cosine(model: Object2VecModel) -> None:
    found = model.similar([3, 7], 5, side=1)
    assert found.dtypes == [("id", "bigint"), ("neighbor", "bigint"), ("similarity", "double")]
    vectors = model.token_encodings(1).astype(np.float64)
    for token in (3, 7):
        rows = found.where(F.col("id") == token).collect()
        cosines = vectors @ vectors[token]
        cosines[token] = -np.inf
        assert [row.neighbor for row in rows] == np.argsort(-cosines)[:5].tolist()
        np.testing.assert_allclose([row.similarity for row in rows], np.sort(cosines)[:-6:-1], atol=1e-6)
    assert {row.neighbor % GROUPS for row in model.similar(3, 5, side=1).collect()} == {3}
    with pytest.raises(ValueError, match=r"ids must be token ids of side 1, from 0 to 23, got \[24\]"):
        model.similar([24], side=1)
    with pytest.raises(ValueError, match="n must be from 1 to 23"):
        model.similar(0, 24, side=1)


def test_a_saved_model_serves_requests_of_pairs_and_of_one_side(data: DataFrame, model: Object2VecModel, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    served = serving.load(tmp_path / "model")

    def asked(*instances: object) -> dict[str, object]:
        return served.predict_instances(decode(json.dumps({"instances": instances}).encode()))

    scores = asked({"in0": [5], "in1": [1]}, {"in0": 5, "in1": 2})["scores"]
    expected = [model.transform(data.where(f"user = 5 AND film[0] = {film}")).first().probability.toArray() for film in (1, 2)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    encoded = model.encode(data.where("user = 5").limit(1), side=0).select(vector_to_array("embedding")).first()[0]
    np.testing.assert_allclose(asked({"in0": [5]})["embeddings"], [encoded], rtol=1e-5)
    assert asked({"in1": [1, 2]})["embeddings"].tolist() == asked({"in1": 1})["embeddings"].tolist()  # cut at one token
    with pytest.raises(ValueError, match="in1 column 'in1', token 0, is 24, expected a token id from 0 to 23"):
        served(in0=[[1]], in1=[[24]])
    with pytest.raises(ValueError, match=r"reads in0, in1: no in0, no in1"):
        served()


class TestPretrained:
    VECTORS = np.random.default_rng(0).normal(size=(USERS, 8)).astype(np.float32)

    def weights(self, model: Object2VecModel) -> np.ndarray:
        return model.artifact.arrays["network/tables.0.weight"]

    def test_a_dataframe_of_ids_is_where_training_starts_and_is_kept_where_it_is_frozen(self, spark: SparkSession, data: DataFrame) -> None:
        rows = [(token, vector.tolist()) for token, vector in enumerate(self.VECTORS)]
        vectors = spark.createDataFrame(rows, "id int, vector array<double>")
        one = learner(epochs=1).setPretrained(0, vectors)
        assert np.array_equal(self.weights(one.fit(data)), self.VECTORS)
        moved = self.weights(one.copy({one.enc0_freeze_pretrained_embedding: False}).fit(data))
        assert not np.array_equal(moved, self.VECTORS) and np.abs(moved - self.VECTORS).max() < 1

    def test_a_dataframe_of_words_is_joined_by_a_vocabulary_and_saved_with_the_estimator(
        self, spark: SparkSession, data: DataFrame, tmp_path: Path
    ) -> None:
        ids = {f"user{user}": user for user in range(USERS)}
        rows = [(word, Vectors.dense(self.VECTORS[user].tolist())) for word, user in ids.items() if user % 2]
        vectors = spark.createDataFrame([*rows, ("nobody", Vectors.dense([0.0] * 8))], ["word", "vector"])
        one = learner(epochs=1).setPretrained(0, vectors, ids)
        one.save(str(tmp_path / "estimator"))
        found = self.weights(Object2Vec.load(str(tmp_path / "estimator")).fit(data))
        assert np.array_equal(found[1::2], self.VECTORS[1::2]) and not np.array_equal(found[::2], self.VECTORS[::2])

    def test_files_of_the_service_s_form_are_read(self, data: DataFrame, tmp_path: Path) -> None:
        lines = [f"user{user} " + " ".join(map(str, vector.tolist())) for user, vector in enumerate(self.VECTORS)]
        (tmp_path / "vectors.txt").write_text(f"{USERS} 8\n" + "\n".join(lines) + "\n")
        (tmp_path / "vocab.json").write_text(json.dumps({f"user{user}": user for user in range(USERS)}))
        files = {"enc0_pretrained_embedding_file": "vectors.txt", "enc0_vocab_file": "vocab.json", "auxiliary_dir": str(tmp_path)}
        assert np.array_equal(self.weights(learner(epochs=1, **files).fit(data)), self.VECTORS)
        (tmp_path / "vectors.txt").write_text("\n".join([*lines, "user3 " + "0.5 " * 7 + "0,5"]) + "\n")
        message = "enc0_pretrained_embedding_file: vectors.txt: the pretrained vector of token 3 has a value that is no finite number"
        with pytest.raises(ValueError, match=message):
            learner(**files).fit(data)
        (tmp_path / "vocab.json").write_text("[1]")
        with pytest.raises(ValueError, match=r"vocab\.json is no JSON map of words to ids"):
            learner(**files).fit(data)

    def test_vectors_that_do_not_fit_are_refused(self, spark: SparkSession, data: DataFrame) -> None:
        short = spark.createDataFrame([(USERS, [1.0, 2.0])], "id int, vector array<float>")
        with pytest.raises(InvalidParams) as caught:
            learner().setPretrained(0, short).fit(data)
        assert caught.value.problems == [
            "enc0_token_embedding_dim is 8, but the pretrained vectors have 2 numbers",
            "enc0_vocab_size is 40, but a pretrained vector is of token 40",
        ]
        with pytest.raises(ValueError, match="no pretrained vector is of a token"):
            learner().setPretrained(0, short.selectExpr("'a' AS word", "vector"), {"b": 1})
        with pytest.raises(ValueError, match="need the columns 'id' and 'vector'; the dataset has word, vector; give the ids of its words"):
            learner().setPretrained(0, short.selectExpr("'a' AS word", "vector"))
        with pytest.raises(ValueError, match="differ in their length: 1, 2"):
            learner().setPretrained(0, short.union(spark.createDataFrame([(1, [1.0])], "id int, vector array<float>")))
        with pytest.raises(ValueError, match="the pretrained vector of token 1 has a value that is no finite number"):
            learner().setPretrained(0, spark.createDataFrame([(1, [float("nan")])], "id int, vector array<float>"))


@pytest.mark.parametrize(("expression", "message"), [
    ("IF(id = 7, NULL, film)", r"in1 column 'bad' is null in row"),
    ("IF(id = 7, array(1, NULL), film)", r"in1 column 'bad', token 1, is null in row"),
    ("IF(id = 7, array(), film)", r"in1 column 'bad' is empty, expected at least one token id, in row"),
    ("IF(id = 7, array(24), film)", r"in1 column 'bad', token 0, is 24, expected a token id from 0 to 23 \(enc1_vocab_size=24\), in row"),
    ("IF(id = 7, NULL, 1)", r"in1 column 'bad' is null in row"),
])  # fmt: skip
def test_bad_inputs_are_named(data: DataFrame, expression: str, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        learner(in1Col="bad").fit(data.withColumn("bad", F.expr(expression)))


@pytest.mark.parametrize(("settings", "problem"), [
    ({"enc1_network": "hcnn", "enc1_vocab_size": None}, "enc1_vocab_size must be given with enc1_network='hcnn', or leave that 'enc0'"),
    ({"enc1_network": "enc0"}, "enc1_vocab_size has no effect with enc1_network='enc0'"),
    ({"tied_token_embedding_weight": True}, "needs enc0_vocab_size and enc1_vocab_size to be equal, got 40 and 24"),
    ({"enc0_network": "bilstm", "enc_dim": 9}, "enc_dim must be even with a bilstm"),
    ({"comparator_list": ["concat", "concat"]}, "comparator_list names one more than once"),
    ({"enc0_pretrained_embedding_file": "a/b"}, "enc0_pretrained_embedding_file must be the name of a file"),
    ({"enc0_pretrained_embedding_file": "a"}, "enc0_vocab_file is required"),
    ({"in0Col": "label"}, "in0Col: column 'label' is double; it must be a whole number or an array of whole numbers"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused_before_any_job(data: DataFrame, settings: dict, problem: str) -> None:
    with pytest.raises(InvalidParams, match=problem):
        learner(**settings).fit(data)
