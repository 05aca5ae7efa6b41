"""The text classifier without Spark: the same as fastText by its own files, whatever the order of rows and the number of workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkml_algos.algorithms.blazingtext.classifier import training
from sparkml_algos.algorithms.blazingtext.classifier.model_file import from_file, to_file
from sparkml_algos.algorithms.blazingtext.classifier.prediction import load
from sparkml_algos.algorithms.blazingtext.classifier.training import BLAZING_TEXT_CLASSIFIER
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.formats import fasttext
from sparkml_algos.kernels import SWITCH
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads

GOLDEN = Path(__file__).parents[1] / "formats" / "fasttext"
SETTINGS = {
    **{"mode": "supervised", "buckets": 1000, "early_stopping": False, "epochs": 10, "learning_rate": 0.5, "min_count": 1},
    **{"min_epochs": 1, "patience": 2, "vector_dim": 8, "word_ngrams": 2, "k": 1},
}
TOPICS = [
    ["ball", "goal", "team", "match", "coach", "score"],
    ["law", "vote", "party", "house", "minister", "speech"],
    ["cell", "gene", "atom", "theory", "star", "proof"],
]


def texts(rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Words of a topic among words of all, sorted by topic."""
    random = np.random.default_rng(seed)
    topics = np.sort(random.integers(0, len(TOPICS), rows))
    words = [
        " ".join([*random.choice(TOPICS[topic], 4), *random.choice(np.ravel(TOPICS), 3), *random.choice(["the", "of", "a"], 5)])
        for topic in topics
    ]
    return words, [f"topic {topic}" for topic in topics]


TEXTS, LABELS = texts(600)
OTHER_TEXTS, OTHER_LABELS = texts(300, seed=1)


def fitted(rows: Any = TEXTS, label: Any = LABELS, **options: Any) -> Artifact:
    settings = {**SETTINGS, **{name: options.pop(name) for name in set(options) & set(SETTINGS)}}
    return train_arrays(BLAZING_TEXT_CLASSIFIER, settings, text=rows, label=label, **options)


def predicted(model: Artifact, asked: list[str], **settings: Any) -> Any:
    return load(model, Hyperparameters(**{**SETTINGS, **settings}), "cpu")(Batch(text=pa.array(asked, pa.string())))


def accuracy(model: Artifact, **settings: Any) -> float:
    return np.mean(np.array(predicted(model, OTHER_TEXTS, **settings)["predicted_label"].to_pylist()) == OTHER_LABELS)


@pytest.fixture(params=["numba", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numba":
        pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setenv(SWITCH, "1" if request.param == "numba" else "0")
    return request.param


@pytest.mark.parametrize("name", ["supervised", "bigrams"])
def test_a_model_of_fasttext_predicts_what_it_predicts_in_fasttext(name: str, way: str) -> None:
    answers = json.loads((GOLDEN / "predicted.json").read_text())
    model, settings = from_file(fasttext.read_model(GOLDEN / f"{name}.bin"))
    found = predicted(model, answers["asked"], **settings, k=2)
    for row, wanted in enumerate(answers["predicted"][name]):
        probability = dict(zip(found["label"][row].to_pylist(), found["prob"][row].tolist(), strict=True))
        if wanted:  # fastText has no answer where it knows no word
            assert probability == pytest.approx(wanted, abs=5e-5)
        else:
            assert probability == pytest.approx({"__label__sport": 0.5, "__label__politics": 0.5})


@pytest.mark.parametrize("name", ["supervised", "bigrams"])
def test_a_model_of_fasttext_is_written_as_it_was_read(name: str) -> None:
    whole = fasttext.read_model(GOLDEN / f"{name}.bin")
    model, settings = from_file(whole)
    again = to_file(model, Hyperparameters(**{**SETTINGS, **settings}))
    assert again.words == whole.words and again.labels == whole.labels and again.tokens == whole.tokens
    assert fasttext.to_bytes(again)[-16:] == fasttext.to_bytes(whole)[-16:]
    np.testing.assert_array_equal(fasttext.read_model(fasttext.to_bytes(again)).input, whole.input)


def test_fasttext_predicts_by_a_model_of_ours_what_we_predict(tmp_path: Path) -> None:
    reference = pytest.importorskip("fasttext", reason="fastText is not installed")
    model = fitted(word_ngrams=3)
    fasttext.write_model(to_file(model, Hyperparameters(**{**SETTINGS, "word_ngrams": 3})), tmp_path / "model.bin")
    theirs = reference.load_model(str(tmp_path / "model.bin"))
    ours = predicted(model, OTHER_TEXTS, word_ngrams=3, k=3)
    for row, text in enumerate(OTHER_TEXTS):
        wanted = {label: share for share, label in theirs.f.predict(f"{text}\n", 3, 0.0, "strict")}
        found = dict(zip(ours["label"][row].to_pylist(), ours["prob"][row].tolist(), strict=True))
        assert found == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": fasttext.SKIPGRAM}, "no classes of texts"),
        ({"loss": fasttext.ONE_VS_ALL}, "trained with one-vs-all"),
        ({"maxn": 4}, "character n-grams"),
    ],
)
def test_models_of_other_kinds_are_refused_with_the_reason(change: dict[str, int], message: str) -> None:
    whole = fasttext.read_model(GOLDEN / "bigrams.bin")
    settings = fasttext.Settings(**{**vars(whole.settings), **change})
    with pytest.raises(ValueError, match=message):
        from_file(fasttext.FastTextModel(**{**vars(whole), "settings": settings}))


def test_rows_that_are_sorted_by_label_are_learned(way: str) -> None:
    model = fitted(epochs=10 if way == "numba" else 3)
    assert accuracy(model) > 0.93
    assert model.values["kernels"].startswith(way)


def test_a_training_with_the_same_seed_is_the_same() -> None:
    one, other = fitted(), fitted()
    np.testing.assert_array_equal(one.arrays["vectors"], other.arrays["vectors"])


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_several_workers_learn_as_well_as_one(workers: int) -> None:
    """Workers have very different numbers of rows, the last one has none, and each has the labels of few."""
    cuts = np.append(np.linspace(0, 1, workers) ** 2 * len(TEXTS), len(TEXTS)).astype(int)

    def work(communicator: Communicator) -> Artifact:
        own = slice(cuts[communicator.rank], cuts[communicator.rank + 1])
        return fitted(TEXTS[own], LABELS[own], communicator=communicator)

    model = in_threads(workers, work)[0]
    assert accuracy(model) > accuracy(fitted()) - 0.02
    alone = fitted()
    assert model.values["labels"] == alone.values["labels"] and model.values["tokens"] == alone.values["tokens"]
    np.testing.assert_array_equal(model.arrays["words/text"], alone.arrays["words/text"])
    np.testing.assert_array_equal(model.arrays["kept"], alone.arrays["kept"])


def test_workers_that_have_all_rows_count_them_once() -> None:
    model = in_threads(2, lambda communicator: fitted(communicator=communicator, replicated=True))[0]
    assert accuracy(model) > 0.93
    np.testing.assert_array_equal(model.arrays["words/counts"], fitted().arrays["words/counts"])


def test_labels_may_stand_in_the_text(way: str) -> None:
    marked = [f"__label__{label.replace(' ', '')} {text}" for text, label in zip(TEXTS, LABELS, strict=True)]
    model = fitted(marked, None, epochs=3)
    assert set(model.values["labels"]) == {"topic0", "topic1", "topic2"}
    found = predicted(model, OTHER_TEXTS)["predicted_label"].to_pylist()
    assert np.mean(np.array(found) == [label.replace(" ", "") for label in OTHER_LABELS]) > 0.9


def test_a_text_may_have_several_labels_in_column_and_text() -> None:
    rows = ["a b __label__right", "c d"] * 50
    model = fitted(rows, [["left", "first"], ["second"]] * 50, epochs=30)
    found = predicted(model, ["a b", "c d"], k=4)
    best = dict(zip(found["label"][0].to_pylist(), found["prob"][0].tolist(), strict=True))
    assert min(best[f"__label__{label}"] for label in ("left", "first", "right")) > 0.2
    assert found["label"][1].to_pylist()[0] == "__label__second"


def test_numbers_are_labels_without_a_point() -> None:
    assert set(fitted(["a", "b"] * 20, [1.0, 2.5] * 20).values["labels"]) == {"1", "2.5"}


def test_rare_words_have_no_vector_but_their_n_grams_do() -> None:
    model = fitted([*TEXTS, "onlyonce the"], [*LABELS, "topic 0"], min_count=2)
    assert b"onlyonce" not in model.arrays["words/text"].tobytes()
    assert len(model.arrays["vectors"]) == len(model.arrays["words/counts"]) + len(model.arrays["kept"]) + 1


def test_without_n_grams_there_are_vectors_of_words_alone() -> None:
    model = fitted(word_ngrams=1)
    assert not len(model.arrays["kept"]) and accuracy(model, word_ngrams=1) > 0.9


def with_validation(**options: Any) -> Artifact:
    validation = np.array([False] * len(TEXTS) + [True] * len(OTHER_TEXTS))
    return fitted([*TEXTS, *OTHER_TEXTS], [*LABELS, *OTHER_LABELS], validation=validation, **options)


def test_early_stopping_keeps_the_epoch_with_the_best_accuracy() -> None:
    model = with_validation(early_stopping=True, epochs=40, patience=3, min_epochs=4)
    history = [epoch["validation:accuracy"] for epoch in model.values["history"]]
    assert 4 <= len(history) < 40
    assert model.values["epoch"] == 1 + int(np.argmax(history))
    assert model.values["validation:accuracy"] == pytest.approx(max(history)) == pytest.approx(accuracy(model))


def test_training_runs_for_at_least_min_epochs() -> None:
    assert len(with_validation(early_stopping=True, epochs=12, patience=1, min_epochs=9).values["history"]) >= 9


def test_the_last_epoch_is_kept_without_early_stopping() -> None:
    model = with_validation(epochs=4)
    assert model.values["epoch"] == 4 and len(model.values["history"]) == 4


def test_early_stopping_needs_rows_to_validate_on() -> None:
    with pytest.raises(InvalidRows, match="early_stopping=True needs rows to validate on"):
        fitted(early_stopping=True)
    with pytest.raises(InvalidRows, match="no row is marked for validation"):
        fitted(early_stopping=True, validation=np.zeros(len(TEXTS), bool))


def test_labels_that_training_has_not_seen_count_as_wrong() -> None:
    rows, labels = ["a", "b"] * 30 + ["a", "a"], ["x", "y"] * 30 + ["x", "unseen"]
    model = fitted(rows, labels, validation=np.array([False] * 60 + [True] * 2))
    assert model.values["validation:accuracy"] == 0.5


def test_a_training_goes_on_from_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = with_validation(early_stopping=True, epochs=4)

    def fails_in_the_third(self: Any, epoch: int) -> dict[str, float]:
        if epoch == 2:
            raise RuntimeError("lost")
        return trained(self, epoch)

    trained = training._Training.epoch
    with monkeypatch.context() as patched:
        patched.setattr(training._Training, "epoch", fails_in_the_third)
        with pytest.raises(RuntimeError, match="lost"):
            with_validation(early_stopping=True, epochs=4, checkpoint_dir=str(tmp_path))
    resumed = with_validation(early_stopping=True, epochs=4, checkpoint_dir=str(tmp_path))
    np.testing.assert_array_equal(resumed.arrays["vectors"], whole.arrays["vectors"])
    assert [epoch["train:loss"] for epoch in resumed.values["history"]] == [epoch["train:loss"] for epoch in whole.values["history"]]


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_rows_that_do_not_fit_in_memory_are_learned(mode: str) -> None:
    assert accuracy(fitted(input_mode=mode, max_shard_bytes=5000)) > 0.9


def test_a_text_without_label_is_an_error_that_shows_it() -> None:
    with pytest.raises(InvalidRows, match="'no label here' has no label: name a labelCol"):
        fitted(["__label__x some", "no label here"], None)
    with pytest.raises(InvalidRows, match="'second' has no label: labelCol has none"):
        fitted(["first", "second"], [["x"], []])


def test_nulls_and_empty_labels_are_errors_that_name_the_column() -> None:
    with pytest.raises(InvalidRows, match="text column 'text' is null or has a null among its words in row 1"):
        fitted(["a", None], ["x", "y"])
    with pytest.raises(InvalidRows, match="label column 'label', label 0, is an empty string in row 1"):
        fitted(["a", "b"], ["x", ""])


def test_words_that_are_all_too_rare_are_an_error() -> None:
    with pytest.raises(InvalidRows, match="no word occurs min_count=50 times"):
        fitted(["a", "b"], ["x", "y"], min_count=50)


def test_empty_texts_are_trained_on_and_predicted() -> None:
    model = fitted(["", "a"] * 30, ["nothing", "something"] * 30)
    assert predicted(model, ["", "a"])["predicted_label"].to_pylist() == ["nothing", "something"]


def test_a_text_of_which_nothing_is_known_has_equal_probabilities() -> None:
    model, settings = from_file(fasttext.read_model(GOLDEN / "supervised.bin"))
    model.arrays["words/counts"] = model.arrays["words/counts"].copy()
    probability = predicted(model, ["", "zzz"], **{**settings, "word_ngrams": 1})["probability"]
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)


def test_no_rows_are_predicted_as_no_rows() -> None:
    found = predicted(fitted(epochs=1), [])
    assert found["probability"].shape == (0, 3) and len(found["label"]) == 0 and len(found["predicted_label"]) == 0
