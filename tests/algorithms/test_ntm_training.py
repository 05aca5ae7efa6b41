"""The neural topic model on arrays: against the formulas, against torch's own operations, and against itself on other paths."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import kstest

from sparkml_algos import NeuralTopicModel
from sparkml_algos.algorithms.ntm.measures import expected_words, topics_of
from sparkml_algos.algorithms.ntm.network import Documents, TopicLearner, _CrossEntropy, kl_weight
from sparkml_algos.algorithms.ntm.noise import document_keys, normals, uniforms
from sparkml_algos.algorithms.ntm.prediction import TopicPredictor, load, network_of
from sparkml_algos.algorithms.ntm.training import NEURAL_TOPIC_MODEL
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.arrays.topics import top_words
from sparkml_algos.networks.state import built
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads
from tests.predicting import predicted

# Everything on, and one mini-batch of all documents an epoch, which so is the same on any number of workers.
WHOLE = {"num_topics": 4, "mini_batch_size": 10_000, "optimizer": "sgd", "learning_rate": 0.1, "batch_norm": True}


def settings(**hyperparameters: Any) -> Hyperparameters:
    return Hyperparameters(**NeuralTopicModel(**{"num_topics": 4, **hyperparameters}).hyperparameters())


def fit(rows: Any, **options: Any) -> Artifact:
    own = {name: value for name, value in options.items() if isinstance(NeuralTopicModel.declared.get(name), Hyperparameter)}
    plan = {name: value for name, value in options.items() if name not in own}
    return train_arrays(NEURAL_TOPIC_MODEL, vars(settings(**own)), rows, **plan)


@cache
def corpus(documents: int = 2000, num_topics: int = 4, vocabulary: int = 100) -> tuple[sp.csr_matrix, np.ndarray]:
    """Documents of 20 to 80 words, mostly of one topic, and the topics."""
    random = np.random.default_rng(7)
    beta = random.dirichlet(np.full(vocabulary, 0.1), num_topics)
    words = random.dirichlet(np.full(num_topics, 0.2), documents) @ beta
    return sp.csr_matrix(random.multinomial(random.integers(20, 80, documents), words), dtype=np.float32), beta


def network(**hyperparameters: Any) -> torch.nn.Module:
    """A network as it is at the start of a training, with weights that are large enough to matter."""
    found = built(lambda: network_of(settings(**hyperparameters), 30), 1).double()
    for parameter in found.parameters():
        parameter.data.mul_(3)
    return found.eval()


def assert_same(found: Artifact, expected: Artifact, **tolerance: float) -> None:
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, **{"rtol": 1e-5, "atol": 1e-6, **tolerance}, err_msg=name)


# ----------------------------------------------------------------------------------------------------------------- network


def dense(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_costs_are_those_of_the_formulas(activation: str) -> None:
    module = network(encoder_layers=[7, 5], encoder_layers_activation=activation, normalize_latent=False, prior_variance=2.5)
    arrays = dense(module)
    counts = corpus(vocabulary=30)[0][:9].toarray().astype(np.float64)
    noise = np.random.default_rng(0).normal(size=(9, 4))
    act = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[activation]
    hidden = act(np.log1p(counts) @ arrays["encoder.words.weight"] + arrays["encoder.bias"])
    hidden = act(hidden @ arrays["encoder.rest.1.weight"].T + arrays["encoder.rest.1.bias"])
    mean, log_variance = (hidden @ arrays[f"encoder.{part}.weight"].T + arrays[f"encoder.{part}.bias"] for part in ("mean", "log_variance"))
    latent = np.exp(mean + noise * np.exp(log_variance / 2))
    logits = latent / latent.sum(1, keepdims=True) @ arrays["decoder.weight"].T + arrays["decoder.bias"]
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    kl = 0.5 * (np.exp(log_variance) / 2.5 + mean**2 / 2.5 - 1 - log_variance + np.log(2.5)).sum(1)
    documents = Documents.of(sp.csr_matrix(counts), dtype=np.float64)
    with torch.no_grad():
        reconstruction, divergence = module(documents, documents, torch.from_numpy(noise))
    np.testing.assert_allclose(reconstruction.numpy(), -(counts * logs).sum(1))
    np.testing.assert_allclose(divergence.numpy(), kl)


def test_sparse_cross_entropy_is_torchs_of_dense_counts_and_so_is_its_gradient() -> None:
    counts = corpus(vocabulary=30)[0][:6].toarray()
    counts[2] = 0
    documents = Documents.of(counts, dtype=np.float64)
    logits = torch.randn(6, 30, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(6, dtype=torch.float64)
    found = _CrossEntropy.apply(logits, documents.rows, documents.words, documents.counts)
    (gradient,) = torch.autograd.grad(found @ weight, logits)
    expected = -(torch.from_numpy(counts) * torch.log_softmax(logits, 1)).sum(1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected @ weight, logits)[0])


def test_auto_layers_are_three_and_two_times_the_topics() -> None:
    shapes = {name: array.shape for name, array in dense(network()).items()}
    assert shapes["encoder.words.weight"] == (30, 12) and shapes["encoder.mean.weight"] == (4, 8) and shapes["decoder.weight"] == (30, 4)


# ------------------------------------------------------------------------------------------------------------------- noise


def test_noise_is_normal_and_independent_between_documents_topics_and_steps() -> None:
    rows = corpus()[0]
    first, second = (normals(document_keys(rows, [0, 1, step]), 50) for step in (0, 1))
    assert kstest(first.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(first, rowvar=False) - np.eye(50)).max() < 0.12
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
    shares = uniforms(document_keys(rows, [3]), np.arange(rows.shape[0]))
    assert kstest(shares, "uniform").pvalue > 1e-3 and shares.min() > 0 and shares.max() < 1


def test_noise_is_that_of_the_document_wherever_it_is() -> None:
    rows = corpus()[0]
    keys = document_keys(rows, [5])
    assert np.array_equal(document_keys(rows[100:].toarray(), [5]), keys[100:])
    assert len(np.unique(keys)) == rows.shape[0] and not np.isin(document_keys(rows, [6]), keys).any()


# ---------------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("options", [{}, {"optimizer": "adam", "learning_rate": 0.01}], ids=str)
def test_planted_topics_are_recovered(options: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(4, 0.1), 2000)
    rows = random.multinomial(random.integers(20, 80, 2000), shares @ np.kron(np.eye(4), np.full(10, 0.1))).astype(np.float32)
    artifact = fit(rows, mini_batch_size=64, **options)
    found, expected = topics_of(artifact), expected_words(artifact, np.eye(4))
    subjects = found.reshape(4, 4, 10).sum(axis=2)
    assert sorted(subjects.argmax(axis=1)) == [0, 1, 2, 3]
    assert [sorted(first // 10) for first in top_words(found, 10)] == [[subject] * 10 for subject in subjects.argmax(axis=1)]
    assert expected.reshape(4, 4, 10).sum(axis=2).max(axis=1).min() > 0.9
    np.testing.assert_allclose([found.sum(axis=1), expected.sum(axis=1)], 1)
    weights = predicted(load, artifact, rows, settings(**options))["topic_weights"][:, np.argsort(subjects.argmax(axis=1))]
    assert (weights.argmax(axis=1) == shares.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "adadelta", "rmsprop"])
def test_every_optimizer_lowers_the_loss(optimizer: str) -> None:
    options = {"optimizer": optimizer, "learning_rate": 0.3 if optimizer == "sgd" else 0.01, "kl_warm_up": 0, "mini_batch_size": 64}
    history = fit(corpus()[0][:512], epochs=6, **options).values["history"]
    assert history[-1]["train:total_loss"] < history[0]["train:total_loss"] - 0.5


def test_metrics_are_the_loss_its_parts_and_perplexity() -> None:
    rows = corpus()[0][:300]
    marks = np.arange(300) % 3 == 0
    found = fit(rows, epochs=3, validation=marks).values
    words = rows[np.flatnonzero(marks)].sum() / 100
    for entry in found["history"]:
        assert entry["validation:total_loss"] == pytest.approx(entry["validation:reconstruction"] + entry["validation:kl"])
        assert entry["validation:perplexity"] == pytest.approx(np.exp(entry["validation:total_loss"] / words))
        assert {"train:total_loss", "train:perplexity"} <= set(entry)


@pytest.mark.parametrize("kl_warm_up", [0.0, 0.5])
def test_the_best_epoch_is_served_of_those_with_the_whole_loss(kl_warm_up: float) -> None:
    rows = corpus()[0][:300]
    marks = np.arange(300) % 3 == 0
    options = {"kl_warm_up": kl_warm_up, "epochs": 8, "num_patience_epochs": 9, "optimizer": "adam", "learning_rate": 0.3}
    found = fit(rows, validation=marks, **options).values
    best = min(found["history"][3 if kl_warm_up else 0 :], key=lambda entry: entry["validation:total_loss"])
    assert found["epoch"] == best["epoch"] and found["validation:total_loss"] == best["validation:total_loss"]


def test_the_loss_of_validation_is_that_of_the_model_on_these_rows() -> None:
    rows, options = corpus()[0][:300], {"epochs": 2, "batch_norm": True}
    marks, weight = np.arange(300) % 3 == 0, 1.0 + np.arange(300) % 2
    artifact = fit(rows, validation=marks, weight=weight, **options)
    costs = TopicPredictor(artifact, settings(**options)).costs(Batch(features=rows[np.flatnonzero(marks)], weight=weight[marks]))
    assert artifact.values["validation:total_loss"] == pytest.approx((costs[0] + costs[1]) / costs[3], rel=1e-5)
    assert costs[3] == weight[marks].sum()


@pytest.mark.parametrize("cuts", [[1000], [100, 1500], [0, 700]], ids=["two", "uneven", "empty"])
def test_the_gradient_of_a_step_is_that_of_one_worker_noise_included(cuts: list[int]) -> None:
    rows = corpus()[0]
    options = {**WHOLE, "epochs": 1, "learning_rate": 1.0}
    start = dense(built(lambda: network_of(settings(**options), 100), 0))
    expected = fit(rows, **options)

    def share(communicator: Any) -> Artifact:
        first, last = ([0, *cuts, rows.shape[0]][communicator.rank + end] for end in (0, 1))
        return fit(rows[first:last], communicator=communicator, **options)

    found = in_threads(len(cuts) + 1, share)[0]
    moved = [name for name, array in start.items() if np.abs(expected.arrays[f"network/{name}"] - array).max() > 1e-3]
    assert {"decoder.weight", "encoder.words.weight", "encoder.mean.weight"} <= set(moved)
    assert_same(found, expected, rtol=0, atol=1e-5)


def test_after_more_steps_two_and_three_workers_have_the_model_of_one() -> None:
    rows, options = corpus()[0], {**WHOLE, "epochs": 10}
    expected = fit(rows, **options)
    for workers in (2, 3):
        parts = np.array_split(np.arange(rows.shape[0]), workers)
        found = in_threads(workers, lambda one, parts=parts: fit(rows[parts[one.rank]], communicator=one, **options))[0]
        assert_same(found, expected, rtol=0, atol=1e-3)


def test_copies_of_all_documents_on_every_worker_change_nothing() -> None:
    rows, options = corpus()[0][:500], {**WHOLE, "epochs": 3, "normalize_latent": False, "batch_norm": False}
    found = in_threads(2, lambda one: fit(rows, communicator=one, replicated=True, **options))[0]
    assert_same(found, fit(rows, **options), rtol=1e-4)


def test_dense_documents_give_what_sparse_ones_give() -> None:
    rows, options = corpus()[0][:300], {**WHOLE, "epochs": 3}
    one, other = (fit(part, **options) for part in (rows, rows.toarray()))
    assert_same(one, other)
    both = [predicted(load, one, part, settings(**options))["topic_weights"] for part in (rows, rows.toarray())]
    assert np.array_equal(*both)


def test_a_weight_of_two_counts_as_two_documents() -> None:
    rows, options = corpus()[0][:300], {**WHOLE, "epochs": 3, "batch_norm": False, "normalize_latent": False}
    twice = np.arange(300) % 3 == 0
    expected = fit(sp.vstack([rows, rows[np.flatnonzero(twice)]]), **options)
    assert_same(fit(rows, weight=1.0 + twice, **options), expected, rtol=1e-4)


def test_documents_without_words_teach_nothing() -> None:
    rows, options = corpus()[0][:300], {**WHOLE, "epochs": 3}
    assert_same(fit(sp.vstack([rows, sp.csr_matrix((100, 100), dtype=np.float32)]), **options), fit(rows, **options))


class Lost(Exception):
    """The worker is."""


@pytest.mark.parametrize("lost_after", [1, 4])
def test_a_training_that_is_resumed_is_the_undisturbed_one_to_the_bit(
    lost_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = corpus()[0][:600]
    options = {"epochs": 6, "mini_batch_size": 100, "batch_norm": True, "sub_sample": 0.7, "validation": np.arange(600) % 5 == 0}
    expected = fit(rows, **options)
    save = checkpoint.CheckpointStore.save

    def save_and_lose(store: checkpoint.CheckpointStore, epoch: int, state: Artifact) -> None:
        save(store, epoch, state)
        if epoch == lost_after:
            raise Lost

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
        with pytest.raises(Lost):
            fit(rows, checkpoint_dir=str(tmp_path), **options)
    found = fit(rows, checkpoint_dir=str(tmp_path), **options)
    assert [entry["epoch"] for entry in found.values["history"]] == [entry["epoch"] for entry in expected.values["history"]]
    for name, array in expected.arrays.items():
        assert np.array_equal(found.arrays[name], array), name


def test_training_stops_where_it_gains_less_than_the_tolerance_within_the_patience() -> None:
    rows = corpus()[0][:300]
    options = {"epochs": 12, "optimizer": "sgd", "learning_rate": 1e-5, "kl_warm_up": 0, "tolerance": 0.1}
    assert len(fit(rows, num_patience_epochs=4, **options).values["history"]) == 5
    assert len(fit(rows, num_patience_epochs=13, **options).values["history"]) == 12


def test_a_share_of_the_documents_is_drawn_anew_for_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, drawn = corpus()[0], []
    monkeypatch.setattr(TopicLearner, "weight", lambda self, batch: drawn.append(batch.features.sum(axis=1)) or len(batch))
    fit(rows, epochs=2, sub_sample=0.25, mini_batch_size=100)
    # Five mini-batches an epoch, each a quarter of 400 documents.
    assert len(drawn) == 10 and all(60 < len(one) < 140 for one in drawn)
    assert not np.array_equal(np.sort(np.concatenate(drawn[:5]).ravel()), np.sort(np.concatenate(drawn[5:]).ravel()))


def test_gradients_are_rescaled_and_then_clipped() -> None:
    rows, options = corpus()[0][:300], {**WHOLE, "epochs": 1, "learning_rate": 1.0}
    start = dense(built(lambda: network_of(settings(**options), 100), 0))["decoder.weight"]
    whole, half, clipped = (
        fit(rows, **options, **more).arrays["network/decoder.weight"] - start
        for more in ({}, {"rescale_gradient": 0.5}, {"rescale_gradient": 0.5, "clip_gradient": 1e-3})
    )
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)
    np.testing.assert_allclose(clipped, np.clip(half, -1e-3, 1e-3), atol=1e-6)
    assert np.abs(half).max() > 2e-3


def test_the_divergence_comes_in_over_the_first_epochs() -> None:
    assert [kl_weight(4.0, epoch) for epoch in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert kl_weight(0.0, 0) == kl_weight(0.5, 0) == 1
    rows, options = corpus()[0][:300], {**WHOLE, "epochs": 4}
    late, whole = (fit(rows, kl_warm_up=share, **options).values["history"] for share in (1.0, 0.0))
    # The first step is made from the same start.
    assert late[0]["train:kl"] == whole[0]["train:kl"]
    assert late[-1]["train:kl"] > whole[-1]["train:kl"]


def test_words_that_are_hidden_are_hidden_from_the_encoder_alone() -> None:
    rows, options = corpus()[0][:300], {**WHOLE, "epochs": 1}
    plain, hidden = (fit(rows, **options, word_dropout=share) for share in (0.0, 0.5))
    assert plain.values["train:reconstruction"] != hidden.values["train:reconstruction"]
    assert not np.array_equal(plain.arrays["network/encoder.words.weight"], hidden.arrays["network/encoder.words.weight"])
    nothing_seen = fit(rows, **options, word_dropout=0.9999)
    moved = nothing_seen.arrays["network/decoder.weight"] - dense(built(lambda: network_of(settings(), 100), 0))["decoder.weight"]
    assert np.abs(moved).max() > 1e-4


# ----------------------------------------------------------------------------------------------------------------- scoring


def test_weights_of_topics_are_those_of_the_mean_whatever_else_is_in_the_batch() -> None:
    rows = corpus()[0][:300]
    artifact, known = fit(rows, epochs=2), settings()
    together = predicted(load, artifact, rows, known)["topic_weights"]
    alone = np.concatenate([predicted(load, artifact, rows[i : i + 1], known)["topic_weights"] for i in range(50)])
    assert together.dtype == np.float32 and np.array_equal(together[:50], alone)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)


def test_a_document_without_words_has_equal_weights_of_all_topics() -> None:
    rows = corpus()[0][:300]
    found = predicted(load, fit(rows, epochs=1), sp.vstack([rows[:2], sp.csr_matrix((1, 100))]).tocsr(), settings())["topic_weights"]
    assert found[2].tolist() == [0.25] * 4 and np.ptp(found[0]) > 0


@pytest.mark.parametrize("bad", [-1.0, 0.5])
def test_what_is_not_a_count_is_refused(bad: float) -> None:
    rows = np.array([[1, 2, 3], [4, bad, 0]], np.float32)
    with pytest.raises(InvalidRows, match=rf"element 1, is {bad:g}, expected a count \(a whole number from 0\), in row 1 of worker 0's"):
        fit(rows)


def test_documents_must_have_words_somewhere() -> None:
    with pytest.raises(InvalidRows, match=r"epoch 1 had no document with a word to train on: the dataset has none$"):
        fit(np.zeros((5, 3), np.float32))
    held = np.arange(300) < 20
    with pytest.raises(InvalidRows, match="there is nothing to validate on: the rows that are marked for validation count for nothing"):
        fit(corpus()[0][:300].multiply(~held[:, None]).tocsr(), validation=held)
    with pytest.raises(InvalidRows, match=r"the dataset has none, or sub_sample=1e-09 has drawn none"):
        fit(np.ones((5, 3), np.float32), sub_sample=1e-9)
