"""LDA on arrays against enumeration, against exact moments, against a slow search, and against itself on other paths."""

from __future__ import annotations

import itertools
import tempfile
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment, minimize

from sparkml_algos import LDA
from sparkml_algos.algorithms.lda import training
from sparkml_algos.algorithms.lda.decomposition import alternate, decompose, topics
from sparkml_algos.algorithms.lda.mixtures import Topics, mixtures
from sparkml_algos.algorithms.lda.moments import Triples, lengths, rates, times_pairs, whiten, whitened_third_moment
from sparkml_algos.algorithms.lda.prediction import load
from sparkml_algos.algorithms.lda.training import LDA_ALGORITHM
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import Alone, TrainingPlan, train, train_arrays
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads
from tests.predicting import predicted

TINY_CORPUS = np.array([[2, 1, 0, 0], [0, 0, 3, 1], [1, 1, 1, 1], [4, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 2, 2]])
WEIGHT = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 1.0, 0.25])


def settings(**hyperparameters) -> Hyperparameters:
    return Hyperparameters(**LDA(**hyperparameters).hyperparameters())


def fit(rows, **options) -> Artifact:
    own = {name: value for name, value in options.items() if isinstance(LDA.declared.get(name), Hyperparameter)}
    plan = {name: value for name, value in options.items() if name not in own}
    return train_arrays(LDA_ALGORITHM, LDA(**own).hyperparameters(), rows, **plan)


def assert_same(found: Artifact, expected: Artifact, **tolerance) -> None:
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, **{"rtol": 1e-5, "atol": 1e-7, **tolerance}, err_msg=name)


@cache
def corpus(num_topics: int = 6, vocabulary: int = 120, documents: int = 3000, alpha0: float = 1.0) -> tuple[sp.csr_matrix, np.ndarray]:
    """Documents of 20 to 80 words as the model makes them, and their topics."""
    random = np.random.default_rng(7)
    beta = random.dirichlet(np.full(vocabulary, 0.1), num_topics)
    alpha = alpha0 * random.dirichlet(np.full(num_topics, 10.0))
    words = random.dirichlet(alpha, documents) @ beta
    return sp.csr_matrix(random.multinomial(random.integers(20, 80, documents), words), dtype=np.float32), beta


def cosines(found: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Of each planted topic with the found one that it is paired with."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (planted, found)]
    table = unit[0] @ unit[1].T
    return table[linear_sum_assignment(-table)]


# ----------------------------------------------------------------------------------------------------------------- moments


def enumerated(words: int) -> np.ndarray:
    """Weighted mean, over documents that are long enough, of all ordered choices of so many distinct words; shape (4,) * words."""
    total, weights = np.zeros((4,) * words), 0.0
    for counts, weight in zip(TINY_CORPUS, WEIGHT, strict=True):
        document = np.repeat(np.arange(4), counts)
        choices = list(itertools.permutations(document, words))
        if choices:
            for choice in choices:
                total[tuple(choice)] += weight / len(choices)
            weights += weight
    return total / weights


def tiny(words: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """The tiny corpus and its rates as shares of all documents that are long enough."""
    counts = sp.csr_matrix(TINY_CORPUS, dtype=np.float64)
    return counts, rates(lengths(counts), WEIGHT, words) / WEIGHT[TINY_CORPUS.sum(axis=1) >= words].sum()


def test_first_and_second_moment_are_those_of_enumerated_words():
    counts, rate = tiny(1)
    np.testing.assert_allclose(counts.T @ rate, enumerated(1))
    np.testing.assert_allclose(times_pairs(*tiny(2), np.eye(4)), enumerated(2), atol=1e-15)


def test_third_moment_is_that_of_enumerated_words_as_the_whitening_sees_it():
    seen_by = np.random.default_rng(0).standard_normal((4, 3))
    triples = Triples(seen_by)
    counts, rate = tiny(3)
    triples.add(counts[:5], rate[:5])
    triples.add(counts[5:], rate[5:])
    expected = np.einsum("abc,ai,bj,ck->ijk", enumerated(3), seen_by, seen_by, seen_by)
    np.testing.assert_allclose(triples.total(), expected, atol=1e-14)


def exact_moments(alpha: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M1, E[x1⊗x2] and E[x1⊗x2⊗x3] of documents of the model, from the moments of the Dirichlet distribution."""
    a, eye = alpha, np.eye(len(alpha))
    total = a.sum()
    second = (np.outer(a, a) + np.diag(a)) / (total * (total + 1))
    third = np.einsum("i,j,k->ijk", a, a, a) + 2 * np.einsum("i,ij,ik->ijk", a, eye, eye)
    third += np.einsum("i,ij,k->ijk", a, eye, a) + np.einsum("i,ik,j->ijk", a, eye, a) + np.einsum("j,jk,i->ijk", a, eye, a)
    third /= total * (total + 1) * (total + 2)
    return a @ beta / total, beta.T @ second @ beta, np.einsum("ijk,ia,jb,kc->abc", third, beta, beta, beta)


@pytest.mark.parametrize("alpha0", [0.1, 1.0, 5.0])
def test_exact_moments_give_exactly_the_topics_and_their_alpha(alpha0):
    random = np.random.default_rng(1)
    alpha = alpha0 * np.array([0.4, 0.3, 0.2, 0.1])
    beta = random.dirichlet(np.full(12, 0.5), 4)
    mean, pairs, triples = exact_moments(alpha, beta)
    second = pairs - alpha0 / (alpha0 + 1) * np.outer(mean, mean)
    whitening, unwhitening = whiten(np.eye(12), second, 4)
    moment = np.einsum("abc,ai,bj,ck->ijk", triples, whitening, whitening, whitening)
    moment = whitened_third_moment(moment, whitening.T @ mean, alpha0)
    weights, vectors = decompose(moment, settings(num_topics=4, tol=1e-15), SingleProcess(), 0)
    found_alpha, found_beta = topics(weights, vectors, unwhitening, alpha0, 4)
    order = np.argsort(-found_alpha)
    np.testing.assert_allclose(found_alpha[order], alpha, rtol=1e-6)
    np.testing.assert_allclose(found_beta[order], beta, atol=1e-6)


def test_whitening_makes_the_second_moment_the_identity():
    counts = corpus()[0].astype(np.float64)
    image = times_pairs(counts, rates(lengths(counts), np.ones(counts.shape[0]), 2), np.eye(120)) / counts.shape[0]
    whitening, unwhitening = whiten(np.eye(120), image, 7)
    np.testing.assert_allclose(whitening.T @ image @ whitening, np.eye(7), atol=1e-8)
    np.testing.assert_allclose(unwhitening, np.linalg.pinv(whitening.T), atol=1e-8)


def test_directions_without_variance_are_not_whitened():
    square = np.diag([4.0, 1.0, 0.0, -1.0])
    whitening, unwhitening = whiten(np.eye(4), square, 4)
    np.testing.assert_allclose(np.abs(whitening), [[0.5, 0], [0, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(unwhitening, square @ whitening)


def test_power_iteration_finds_what_the_second_moment_itself_gives(monkeypatch):
    rows, _ = corpus()
    expected = fit(rows, num_topics=6, refinements=0)
    monkeypatch.setattr(training, "SMALL_VOCABULARY", 0)
    found = fit(rows, num_topics=6, refinements=0)
    assert len(found.values["history"]) == 5 and len(expected.values["history"]) == 2
    assert cosines(found.arrays["beta"], expected.arrays["beta"]).min() > 0.995


# ----------------------------------------------------------------------------------------------------------- decomposition


def orthogonal(width: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A symmetric tensor with orthonormal components, and these."""
    random = np.random.default_rng(3)
    vectors = np.linalg.qr(random.standard_normal((width, width)))[0]
    weights = random.uniform(1, 5, width)
    tensor = np.einsum("r,ir,jr,kr->ijk", weights, vectors, vectors, vectors)
    shaken = noise * random.standard_normal((width,) * 3)
    return tensor + sum(shaken.transpose(axes) for axes in itertools.permutations(range(3))) / 6, weights, vectors


def test_alternating_least_squares_recovers_an_orthogonal_tensor():
    tensor, weights, vectors = orthogonal(20)
    found_weights, found, error = alternate(tensor, settings(num_topics=1, tol=1e-14), np.random.default_rng(0))
    along = vectors.T @ found
    np.testing.assert_allclose(along.max(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(found_weights, weights[along.argmax(axis=0)], rtol=1e-6)
    assert error < 1e-12


def test_iterations_are_limited_and_end_at_the_tolerance():
    tensor, _, _ = orthogonal(20, noise=1.0)

    def error(**options):
        return alternate(tensor, settings(num_topics=1, **options), np.random.default_rng(0))[2]

    errors = [error(max_iterations=most) for most in (1, 3, 1000)]
    assert errors[0] > errors[1] > errors[2]
    assert error(tol=0.1) > errors[2]


def test_the_best_of_all_restarts_is_kept_whoever_has_made_it():
    tensor, _, _ = orthogonal(12, noise=2.0)
    runs = [alternate(tensor, settings(num_topics=1), np.random.default_rng([5, run])) for run in range(6)]
    best = min(runs, key=lambda run: run[2])
    assert best is not runs[0]
    for workers in (1, 2, 3):
        found = in_threads(workers, lambda communicator: decompose(tensor, settings(num_topics=1, max_restarts=6), communicator, 5))
        for weights, vectors in found:
            assert np.array_equal(weights, best[0]) and np.array_equal(vectors, best[1])
    only = decompose(tensor, settings(num_topics=1, max_restarts=1), SingleProcess(), 5)
    assert np.array_equal(only[0], runs[0][0])


def test_components_that_explain_most_of_the_second_moment_are_the_topics():
    weights = 2 * np.sqrt(2) / 3 / np.sqrt([0.3, 100.0, 0.2, 0.4])  # of topics with these alpha, where alpha0 is 1
    unwhitening = (np.eye(4) + 0.1) * [2.0, 1.0, 3.0, -4.0]
    alpha, beta = topics(weights, np.eye(4), unwhitening, 1.0, 4)
    np.testing.assert_allclose(alpha, [0.2, 0.3, 1.0])  # the last one is negative
    assert (beta.argmax(axis=1) == [2, 0, 1]).all()
    np.testing.assert_allclose(beta.sum(axis=1), 1)
    assert len(topics(weights, np.eye(4), unwhitening, 1.0, 2)[0]) == 2


# ---------------------------------------------------------------------------------------------------------------- mixtures


def objective(theta: np.ndarray, counts: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> float:
    seen = counts > 0
    return float(counts[seen] @ np.log(theta @ beta[:, seen]) + alpha @ np.log(theta))


def test_mixtures_are_those_of_a_slow_search():
    random = np.random.default_rng(0)
    beta, alpha = random.dirichlet(np.full(30, 0.3), 4), np.array([0.5, 0.3, 0.15, 0.05])
    counts = random.multinomial([3, 10, 40, 200], random.dirichlet(alpha, 4) @ beta)
    theta, probability = mixtures(sp.csr_matrix(counts), Topics.of(alpha, beta), 2000, 1e-7)
    for row, document in zip(theta.astype(np.float64), counts, strict=True):

        def loss(logits, document=document):
            shares = np.exp(logits - logits.max())
            return -objective(shares / shares.sum(), document, alpha, beta)

        best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
        shares = np.exp(best.x - best.x.max())
        np.testing.assert_allclose(row, shares / shares.sum(), atol=1e-4)
    rows, columns = counts.nonzero()
    np.testing.assert_allclose(probability, np.einsum("ij,ij->i", theta[rows], beta.T[columns]), rtol=1e-5)


def test_every_step_towards_a_mixture_makes_it_more_likely():
    rows, beta = corpus()
    alpha, document = np.full(6, 1 / 6), rows[0]
    path = [mixtures(document, Topics.of(alpha, beta + 1e-9), steps)[0][0].astype(np.float64) for steps in range(8)]
    values = [objective(theta, document.toarray()[0], alpha, beta + 1e-9) for theta in path]
    assert (np.diff(values) > 0).all()


def test_a_document_without_words_has_the_mean_of_the_prior():
    theta, _ = mixtures(sp.csr_matrix((2, 5)), Topics.of(np.array([3.0, 1.0]), np.full((2, 5), 0.2)), 50)
    np.testing.assert_allclose(theta, [[0.75, 0.25]] * 2)


def test_the_mixture_of_a_document_does_not_depend_on_the_others(monkeypatch):
    rows, beta = corpus()
    alpha = np.full(6, 1 / 6)
    together = mixtures(rows[:200], Topics.of(alpha, beta), 100, 1e-3)[0]
    alone = np.concatenate([mixtures(rows[i], Topics.of(alpha, beta), 100, 1e-3)[0] for i in range(200)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    monkeypatch.setattr("sparkml_algos.algorithms.lda.mixtures.WORDS_BLOCK", 600)
    np.testing.assert_allclose(mixtures(rows[:200], Topics.of(alpha, beta), 100, 1e-3)[0], together, atol=1e-6)


def test_words_that_no_topic_has_leave_a_mixture():
    beta = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    artifact = Artifact({"alpha": np.array([0.5, 0.5]), "beta": beta})
    found = predicted(load, artifact, np.array([[0, 0, 3], [0, 2, 1]], np.float32))["topic_mixture"]
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[1, 0] > 0.7


# ---------------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("refinements", [0, 5])
@pytest.mark.parametrize("alpha0", [0.3, 1.0])
def test_planted_topics_are_recovered(refinements, alpha0):
    rows, planted = corpus(alpha0=alpha0)
    found = fit(rows, num_topics=6, refinements=refinements, alpha0=alpha0).arrays
    assert cosines(found["beta"], planted).min() > 0.95
    np.testing.assert_allclose(found["beta"].sum(axis=1), 1)
    assert (found["beta"] > 0).all() and found["alpha"].sum() == pytest.approx(alpha0)
    assert (np.diff(found["alpha"]) <= 0).all()


def test_planted_topics_of_a_large_vocabulary_are_recovered():
    rows, planted = corpus(num_topics=10, vocabulary=1000, documents=4000)
    assert cosines(fit(rows, num_topics=10).arrays["beta"], planted).min() > 0.95


def test_a_refinement_is_a_step_of_expectation_maximisation():
    rows, _ = corpus()
    rows = rows[:300]
    start, refined = (fit(rows, num_topics=3, refinements=count, alpha0=2.0) for count in (0, 1))
    alpha, beta = start.arrays["alpha"], start.arrays["beta"]
    counts = rows.toarray().astype(np.float64)
    theta = np.tile(alpha / 2, (300, 1))
    for _ in range(training.REFINEMENT_STEPS):
        theta = (alpha + theta * (counts / (theta @ beta) @ beta.T)) / (2 + counts.sum(axis=1, keepdims=True))
    words = beta * (theta.T @ (counts / (theta @ beta))) + training.WORDS_BEFORE
    shares = theta.mean(axis=0)
    order = np.argsort(-shares)
    np.testing.assert_allclose(refined.arrays["alpha"], 2 * shares[order], rtol=1e-5)
    np.testing.assert_allclose(refined.arrays["beta"], (words / words.sum(axis=1, keepdims=True))[order], rtol=1e-4, atol=1e-8)
    assert refined.values["train:pwll"] == pytest.approx((counts * np.log(theta @ beta)).sum() / counts.sum(), rel=1e-6)


def test_refinements_make_the_documents_more_likely():
    history = fit(corpus()[0], num_topics=6, refinements=6).values["history"]
    assert [entry["epoch"] for entry in history] == list(range(1, 9))
    assert (np.diff([entry["train:pwll"] for entry in history[2:]]) > 0).all()


def test_alpha0_is_the_sum_of_the_prior_and_shapes_the_topics():
    rows, _ = corpus()
    few, many = (fit(rows, num_topics=6, alpha0=alpha0, refinements=0).arrays for alpha0 in (0.1, 10.0))
    assert few["alpha"].sum() == pytest.approx(0.1) and many["alpha"].sum() == pytest.approx(10.0)
    assert not np.allclose(np.sort(few["beta"], axis=0), np.sort(many["beta"], axis=0), atol=1e-3)
    peaks = [predicted(load, Artifact(found), rows[:100])["topic_mixture"].max(axis=1).mean() for found in (few, many)]
    assert peaks[0] > peaks[1]


def test_a_quarter_more_topics_are_computed():
    assert [training.num_components(settings(num_topics=count)) for count in (1, 4, 50, 1000)] == [2, 5, 63, 256]


def test_sparse_rows_give_what_dense_ones_give():
    rows, _ = corpus()
    one, other = (fit(part, num_topics=6) for part in (rows, rows.toarray()))
    assert_same(one, other)
    both = [predicted(load, one, part[:50])["topic_mixture"] for part in (rows, rows.toarray())]
    np.testing.assert_allclose(*both, atol=1e-6)


def test_a_weight_of_two_counts_as_two_documents():
    rows, _ = corpus()
    twice = np.arange(rows.shape[0]) % 3 == 0
    expected = fit(sp.vstack([rows, rows[np.flatnonzero(twice)]]), num_topics=4)
    assert_same(fit(rows, num_topics=4, weight=1.0 + twice), expected)


@pytest.mark.parametrize("cuts", [[1400], [100, 2000], [0, 700]], ids=["two", "uneven", "empty"])
@pytest.mark.parametrize("options", [{}, {"input_mode": "Pipe", "mini_batch_size": 700}], ids=["File", "Pipe"])
def test_any_split_gives_the_same_model(cuts, options, monkeypatch):
    monkeypatch.setattr(training, "SMALL_VOCABULARY", 0)
    rows, _ = corpus()
    expected = fit(rows, num_topics=6, max_restarts=4)

    def share(communicator):
        first, last = ([0, *cuts, rows.shape[0]][communicator.rank + end] for end in (0, 1))
        return fit(rows[first:last], communicator=communicator, num_topics=6, max_restarts=4, **options)

    assert_same(in_threads(len(cuts) + 1, share)[0], expected)


def test_copies_of_all_documents_on_every_worker_change_nothing():
    rows, _ = corpus()
    found = in_threads(2, lambda communicator: fit(rows, num_topics=6, communicator=communicator, replicated=True))
    assert_same(found[0], fit(rows, num_topics=6))


def test_spilled_rows_and_small_batches_change_nothing():
    rows, _ = corpus()
    assert_same(fit(rows, num_topics=4, max_shard_bytes=50_000, mini_batch_size=100), fit(rows, num_topics=4))


@pytest.mark.parametrize("lost_after", [1, 3, 5, 6])
def test_training_resumes_from_any_epoch(lost_after, monkeypatch):
    class Lost(Exception):
        pass

    def lose(progress):
        if progress["done"] == lost_after:
            raise Lost

    monkeypatch.setattr(training, "SMALL_VOCABULARY", 0)
    rows, options = corpus()[0][:500], {"num_topics": 4, "refinements": 2, "max_restarts": 2}
    with tempfile.TemporaryDirectory() as directory:
        plan = TrainingPlan(LDA_ALGORITHM, [LDA(**options).hyperparameters()], decoder_of(["features"]), checkpoint_dir=directory)
        worker = Alone()
        worker.report = lose
        with pytest.raises(Lost):
            dict(train(plan, worker, record_batches(rows)))
        resumed = dict(train(plan, Alone(), record_batches(rows)))["model/0"]
    assert_same(resumed, fit(rows, **options))


@pytest.mark.parametrize("refinements", [0, 3])
def test_there_are_as_many_topics_as_asked_for_even_where_the_documents_have_fewer(refinements):
    rows = np.array([[5, 1, 0], [0, 2, 4], [3, 0, 3]], np.float32)
    found = fit(rows, num_topics=7, refinements=refinements).arrays
    assert found["beta"].shape == (7, 3) and np.isfinite(found["beta"]).all() and (found["beta"] > 0).all()
    np.testing.assert_allclose(found["beta"].sum(axis=1), 1)
    assert (found["alpha"] > 0).all() and found["alpha"].sum() == pytest.approx(1)


def test_one_topic_is_the_mean_of_the_words():
    rows, _ = corpus()
    found = fit(rows, num_topics=1).arrays
    words = np.asarray(rows.sum(axis=0)).ravel()
    assert cosines(found["beta"], words[None])[0] > 0.999 and found["alpha"][0] == pytest.approx(1)


def test_documents_must_have_three_words_somewhere():
    with pytest.raises(InvalidRows, match="LDA learns from documents of at least three words; the dataset has none"):
        fit(np.array([[1, 1], [0, 2], [0, 0]], np.float32), num_topics=1)


@pytest.mark.parametrize("bad", [-1.0, 0.5])
def test_what_is_not_a_count_is_refused(bad):
    rows = np.array([[1, 2, 3], [4, bad, 0]], np.float32)
    with pytest.raises(InvalidRows, match=rf"element 1, is {bad:g}, expected a count \(a whole number from 0\), in row 1 of worker 0's"):
        fit(rows, num_topics=1)
