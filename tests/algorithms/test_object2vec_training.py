"""Object2Vec on arrays: its encoders against slow ones, its steps on any number of workers, resumed, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.algorithms.object2vec.network import Object2VecNetwork, Sequences
from sparkml_algos.algorithms.object2vec.params import Object2VecParams
from sparkml_algos.algorithms.object2vec.prediction import load
from sparkml_algos.algorithms.object2vec.sampling import with_negatives
from sparkml_algos.algorithms.object2vec.settings import settings_of
from sparkml_algos.algorithms.object2vec.training import OBJECT2VEC
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.networks.state import built, put_state
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads, process_gang

SIZE, ROWS = 20, 120
ENCODERS = ["pooled_embedding", "hcnn", "bilstm"]
RANDOM = np.random.default_rng(0)
FIRST = [RANDOM.integers(0, SIZE, length).tolist() for length in RANDOM.integers(1, 8, ROWS)]
SECOND = [RANDOM.integers(0, SIZE, length).tolist() for length in RANDOM.integers(1, 5, ROWS)]
# Whether the pair shares a token, and how many.
SHARED = np.array([len(set(one) & set(other)) for one, other in zip(FIRST, SECOND, strict=True)], np.float32)
ALIKE = (SHARED > 0).astype(np.float32)


def settings(**given):
    small = {"enc0_vocab_size": SIZE, "enc0_max_seq_len": 10, "enc0_token_embedding_dim": 6, "enc_dim": 8, "mlp_dim": 5, "epochs": 2}
    defaults = {name: param.default for name, param in Object2VecParams.declared.items()}
    stopping = {"early_stopping_patience": 5, "early_stopping_tolerance": 1e-6}
    return {**defaults, **small, **stopping, "mini_batch_size": 40, **given}


def fit(options, label=ALIKE, part=slice(None), communicator=None, **plan):
    columns = {"in0": FIRST[part], "in1": SECOND[part], "label": label[part]}
    return train_arrays(OBJECT2VEC, options, communicator=communicator, **columns, **plan)


def fit_part(communicator, parts, options, label=ALIKE):
    return fit(options, label, parts[communicator.rank], communicator)


def ragged(lists):
    return Ragged(np.concatenate([np.asarray(one, np.int64) for one in lists]), np.cumsum([0, *map(len, lists)]))


def predicted(artifact, options, first=FIRST, second=SECOND):
    return load(artifact, Hyperparameters(**options), "cpu")(Batch(in0=ragged(first), in1=ragged(second)))


def network_of(**given):
    return built(lambda: Object2VecNetwork(settings_of(Hyperparameters(**settings(**given)))), 1).eval()


def sequences(lists):
    return Sequences.of(ragged(lists), "cpu")


class TestEncoders:
    @torch.no_grad()
    def test_a_pooled_encoding_is_the_mean_of_the_token_embeddings(self):
        network = network_of(enc0_network="pooled_embedding", enc0_token_embedding_dim=8)
        table = network.table(1).weight
        expected = torch.stack([table[one].mean(0) for one in SECOND])
        torch.testing.assert_close(network.encode(sequences(SECOND), 1), expected)

    @torch.no_grad()
    def test_a_mean_of_another_length_is_projected(self):
        network = network_of(enc0_network="pooled_embedding")
        mean = torch.stack([network.table(0).weight[one].mean(0) for one in FIRST])
        torch.testing.assert_close(network.encode(sequences(FIRST), 0), network.encoders[0].projection(mean))

    @pytest.mark.parametrize("storage", ["dense", "row_sparse"])
    def test_single_tokens_are_encoded_and_learned_beside_lists_as_they_are_alone(self, storage):
        network = network_of(enc0_network="pooled_embedding", enc0_token_embedding_dim=8, token_embedding_storage_type=storage)
        ones, weight = [[3], [7], [3], [0]], network.table(0).weight
        found = []
        for lists in (ones, [*ones, [1, 2]]):
            weight.grad = None
            encodings = network.encode(sequences(lists), 0)[: len(ones)]
            (encodings * torch.arange(32.0).view(4, 8)).sum().backward()
            found.append((encodings.detach(), weight.grad.to_dense()))
        torch.testing.assert_close(*found, rtol=0, atol=0)
        torch.testing.assert_close(found[0][0], weight.detach()[[3, 7, 3, 0]], rtol=0, atol=0)

    @torch.no_grad()
    def test_an_hcnn_joins_the_maxima_of_each_layer(self):
        network = network_of(enc0_network="hcnn", enc_dim=10)
        assert [layer.out_channels for layer in network.encoders[0].layers] == [3, 3, 2, 2]
        expected = []
        for one in FIRST:
            hidden, found = network.table(0).weight[one].T[None], []
            for layer in network.encoders[0].layers:
                hidden = torch.relu(layer(hidden))
                found.append(hidden[0].amax(1))
            expected.append(torch.cat(found))
        torch.testing.assert_close(network.encode(sequences(FIRST), 0), torch.stack(expected))

    @torch.no_grad()
    def test_a_bilstm_takes_the_maxima_of_its_last_layer(self):
        network = network_of(enc0_network="bilstm", enc0_layers=2)
        expected = [network.encoders[0].layers(network.table(0).weight[one][None])[0][0].amax(0) for one in FIRST]
        torch.testing.assert_close(network.encode(sequences(FIRST), 0), torch.stack(expected))

    @pytest.mark.parametrize("encoder", ["hcnn", "bilstm"])
    @torch.no_grad()
    def test_buckets_change_no_encoding(self, encoder):
        plain, bucketed = (network_of(enc0_network=encoder, bucket_width=width) for width in (0, 2))
        torch.testing.assert_close(bucketed.encode(sequences(FIRST), 0), plain.encode(sequences(FIRST), 0))

    @torch.no_grad()
    def test_the_comparators_are_joined_in_their_order(self):
        network = network_of(enc0_network="pooled_embedding", mlp_layers=0, comparator_list=["abs_diff", "hadamard"])
        one, other = network.encode(sequences(FIRST), 0), network.encode(sequences(SECOND), 1)
        expected = network.top(torch.cat([(one - other).abs(), one * other], dim=1))
        torch.testing.assert_close(network(sequences(FIRST), sequences(SECOND)), expected)

    def test_tied_sides_have_one_table_but_encoders_of_their_own(self):
        network = network_of(tied_token_embedding_weight=True)
        assert network.table(0) is network.table(1) and len(network.tables) == 1
        first, second = (encoder.layers[0].weight for encoder in network.encoders)
        assert first.shape == second.shape and not torch.equal(first, second)

    def test_sides_may_be_unlike(self):
        network = network_of(
            enc0_network="bilstm", enc1_network="pooled_embedding", enc1_vocab_size=7, enc1_max_seq_len=1, enc1_token_embedding_dim=4
        )
        assert network.table(1).weight.shape == (7, 4)
        assert network(sequences(FIRST), sequences([[6]] * ROWS)).shape == (ROWS, 2)


class TestSteps:
    @pytest.mark.parametrize("storage", ["dense", "row_sparse"])
    @pytest.mark.parametrize("encoder", ENCODERS)
    @pytest.mark.parametrize("ends", [[60], [0, 100]], ids=str)
    def test_a_step_of_several_workers_is_that_of_one(self, ends, encoder, storage):
        # Of plain gradient descent a step is the gradient.
        options = settings(
            enc0_network=encoder, token_embedding_storage_type=storage, epochs=1, mini_batch_size=ROWS, optimizer="sgd", learning_rate=1.0
        )
        parts = [slice(start, end) for start, end in zip([0, *ends], [*ends, ROWS], strict=True)]
        expected = fit(options)
        found = in_threads(len(parts), lambda communicator: fit_part(communicator, parts, options))[0]
        assert set(found.arrays) == set(expected.arrays)
        for name, array in expected.arrays.items():
            np.testing.assert_allclose(found.arrays[name], array, atol=1e-5, err_msg=name)

    @pytest.mark.parametrize("workers", [2, 3])
    def test_an_epoch_of_several_processes_is_that_of_one(self, workers):
        options = settings(output_layer="mean_squared_error", epochs=1, mini_batch_size=ROWS)
        parts = [slice(ROWS * rank // workers, ROWS * (rank + 1) // workers) for rank in range(workers)]
        expected = fit(options, SHARED)
        found = process_gang(workers)(fit_part, parts, options, SHARED)[0]
        assert found.values["label_mean"] == pytest.approx(expected.values["label_mean"], rel=1e-6)
        for name, array in expected.arrays.items():
            np.testing.assert_allclose(found.arrays[name], array, atol=1e-3, err_msg=name)

    @pytest.mark.parametrize("storage", ["dense", "row_sparse"])
    def test_are_those_of_a_plain_torch_loop(self, storage):
        options = settings(
            enc0_network="pooled_embedding", mini_batch_size=ROWS, epochs=5, token_embedding_storage_type=storage, learning_rate=0.01
        )
        network = built(lambda: Object2VecNetwork(settings_of(Hyperparameters(**{**options, "token_embedding_storage_type": "dense"}))), 0)
        optimizer, found = torch.optim.Adam(network.parameters(), lr=0.01), fit(options)
        for _ in range(found.values["epoch"]):  # whose loss was the smallest
            loss = nn.functional.cross_entropy(network(sequences(FIRST), sequences(SECOND)), torch.from_numpy(ALIKE).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for name, tensor in network.state_dict().items():
            np.testing.assert_allclose(found.arrays[f"network/{name}"], tensor.numpy(), atol=1e-4, err_msg=name)
        assert found.values["train:cross_entropy"] == pytest.approx(loss.item(), rel=1e-4)


class Lost(Exception):
    """The worker is."""


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(encoder, tmp_path, monkeypatch):
    options = settings(
        enc0_network=encoder, epochs=4, dropout=0.3, negative_sampling_rate=2, bucket_width=2, token_embedding_storage_type="row_sparse"
    )
    expected, save = fit(options), checkpoint.CheckpointStore.save

    def save_and_lose(store, epoch, state):
        save(store, epoch, state)
        if epoch == 2:
            raise Lost

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
        with pytest.raises(Lost):
            fit(options, checkpoint_dir=str(tmp_path))
    found = fit(options, checkpoint_dir=str(tmp_path))
    assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3, 4]
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


class TestLearning:
    @pytest.mark.parametrize("encoder", ENCODERS)
    def test_every_encoder_learns_the_pairs(self, encoder):
        options = settings(
            enc0_network=encoder,
            epochs=60,
            enc_dim=16,
            learning_rate=0.02,
            tied_token_embedding_weight=True,
            mlp_activation="relu",
            mlp_dim=16,
        )
        artifact = fit(options)
        found = predicted(artifact, options)
        assert found["scores"].shape == (ROWS, 2) and np.allclose(found["scores"].sum(1), 1)
        assert (found["predicted_label"] == ALIKE).mean() > 0.9
        assert artifact.values["train:accuracy"] > 0.85

    def test_numbers_are_learned_and_told_in_their_own_unit(self):
        options = settings(
            enc0_network="pooled_embedding", output_layer="mean_squared_error", epochs=100, learning_rate=0.02, mlp_activation="relu"
        )
        label = 1000 * SHARED + 5000
        artifact = fit(options, label)
        found = predicted(artifact, options)
        error = np.mean((found["predicted_label"] - label) ** 2)
        assert error < 0.4 * label.var() and np.array_equal(found["scores"][:, 0], found["predicted_label"])
        assert artifact.values["train:mean_squared_error"] == pytest.approx(error, rel=0.5)

    def test_training_ends_when_nothing_is_gained_and_the_best_epoch_is_served(self):
        marked = np.arange(ROWS) % 3 == 0
        options = settings(enc0_network="pooled_embedding", epochs=50, learning_rate=0.05, early_stopping_patience=2)
        artifact = fit(options, validation=marked)
        history = artifact.values["history"]
        losses = [entry["validation:cross_entropy"] for entry in history]
        assert len(history) < 50 and artifact.values["epoch"] == 1 + int(np.argmin(losses))
        assert artifact.values["validation:cross_entropy"] == min(losses)

    def test_weights_count(self):
        options = settings(enc0_network="pooled_embedding", mini_batch_size=2 * ROWS, optimizer="sgd", learning_rate=0.1)
        twice = {"in0": FIRST + FIRST, "in1": SECOND + SECOND, "label": np.tile(ALIKE, 2)}
        expected = train_arrays(OBJECT2VEC, options, **twice)
        found = fit(options, weight=np.full(ROWS, 2, np.float32))
        for name, array in expected.arrays.items():
            np.testing.assert_allclose(found.arrays[name], array, atol=1e-5)


class TestPrediction:
    @pytest.mark.parametrize("tied", [False, True])
    @pytest.mark.parametrize("encoder", ENCODERS)
    def test_a_model_tells_what_its_network_does_whatever_rows_are_beside_a_row(self, encoder, tied):
        options = settings(enc0_network=encoder, tied_token_embedding_weight=tied, epochs=1)
        artifact = fit(options)
        network = built(lambda: Object2VecNetwork(settings_of(Hyperparameters(**options))), 1).eval()
        with torch.no_grad():
            put_state(network, artifact)
            expected = network(sequences(FIRST), sequences(SECOND)).softmax(1)
        together = predicted(artifact, options)["scores"]
        np.testing.assert_allclose(together, expected, atol=1e-6)
        alone = [predicted(artifact, options, [one], [other])["scores"][0] for one, other in zip(FIRST, SECOND, strict=True)]
        assert np.array_equal(together, alone)

    def test_of_no_rows_there_are_no_predictions(self):
        options = settings(epochs=1)
        nothing = Ragged(np.empty(0, np.int64), np.zeros(1, np.int64))
        predict = load(fit(options), Hyperparameters(**options), "cpu")
        assert predict(Batch(in0=nothing, in1=nothing))["scores"].shape == (0, 2)
        assert predict(Batch(in1=nothing))["embeddings"].shape == (0, 8)


class TestNegatives:
    def drawn(self, batch, rate):
        found = with_negatives(batch, rate, np.random.default_rng(0))
        return found, found.take(slice(len(batch), None))

    def test_of_each_positive_pair_so_many_of_its_first_input_with_other_second_ones(self):
        batch = Batch(in0=ragged(FIRST), in1=ragged([[row] for row in range(ROWS)]), label=np.ones(ROWS, np.float32))
        found, new = self.drawn(batch, 3)
        assert len(new) == 3 * ROWS and not new.label.any() and (found.label[:ROWS] == 1).all()
        for place, first in enumerate(new.in0):
            assert first.tolist() == FIRST[place % ROWS]
            assert new.in1[place].tolist() != [place % ROWS]
        assert len({(place % ROWS, tuple(second)) for place, second in enumerate(new.in1)}) == 3 * ROWS

    def test_negative_pairs_stay_and_yield_none_and_the_pair_itself_is_never_drawn(self):
        batch = Batch(in0=ragged([[1], [2], [3]]), in1=ragged([[5], [5], [6]]), label=np.array([1, 1, 0], np.float32))
        _, new = self.drawn(batch, 9)
        assert sorted((int(one[0]), int(other[0])) for one, other in zip(new.in0, new.in1, strict=True)) == [(1, 6), (2, 6)]

    def test_of_a_single_row_there_are_none(self):
        batch = Batch(in0=ragged([[1]]), in1=ragged([[5]]), label=np.ones(1, np.float32))
        assert with_negatives(batch, 2, np.random.default_rng(0)) is batch

    def test_what_belongs_together_is_learned_from_positive_pairs_alone(self):
        users = [[row % SIZE] for row in range(ROWS)]
        films = [[(row % SIZE) // 5] for row in range(ROWS)]
        options = settings(enc0_network="pooled_embedding", negative_sampling_rate=2, epochs=40, learning_rate=0.02, mlp_activation="relu")
        artifact = train_arrays(OBJECT2VEC, options, in0=users, in1=films, label=np.ones(ROWS))
        everyone = [[user] for user in range(SIZE)]
        scores = [predicted(artifact, options, everyone, [[film]] * SIZE)["scores"][:, 1] for film in range(4)]
        assert (np.argmax(scores, axis=0) == np.arange(SIZE) // 5).all()


class Known:
    """Vectors known before, as a training takes them."""

    def __init__(self, frozen):
        self.frozen = frozen

    def parts(self):
        from sparkml_algos.algorithms.object2vec.pretrained import Part

        return [Part(0, np.array([3, 5]), np.array([[1.0] * 6, [2.0] * 6], np.float32), self.frozen)]


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
def test_known_vectors_are_the_start_and_stay_where_they_are_frozen(frozen, storage):
    options = settings(token_embedding_storage_type=storage)
    found = fit({**options, "pretrained": Known(frozen)}).arrays["network/tables.0.weight"]
    at_start = built(lambda: Object2VecNetwork(settings_of(Hyperparameters(**options))), 0).table(0).weight.detach().numpy().copy()
    at_start[[3, 5]] = [[1.0], [2.0]]
    assert np.array_equal(found, at_start) == frozen
    np.testing.assert_allclose(found, at_start, atol=0.05)


class TestBadRows:
    @pytest.mark.parametrize(("first", "message"), [
        ([[1], [2, SIZE]], r"in0 column 'in0', token 1, is 20, expected a token id from 0 to 19 \(enc0_vocab_size=20\), in row 1"),
        ([[1], [-1]], r"in0 column 'in0', token 0, is -1, expected a token id from 0"),
        ([[1], []], "in0 column 'in0' is empty, expected at least one token id, in row 1"),
        ([[1], [1, None]], "in0 column 'in0', token 1, is null in row 1"),
    ])  # fmt: skip
    def test_are_named(self, first, message):
        with pytest.raises(InvalidRows, match=message):
            train_arrays(OBJECT2VEC, settings(), in0=first, in1=[[1], [2]], label=np.zeros(2))

    def test_pairs_of_which_one_side_lacks_rows_are_refused(self):
        with pytest.raises(ValueError, match="columns differ in their number of rows: in0 2, in1 1"):
            train_arrays(OBJECT2VEC, settings(), in0=[[1], [2]], in1=[[1]])

    def test_classes_that_there_are_not_are_refused(self):
        with pytest.raises(InvalidRows, match=r"label column 'label' is 2, expected 0 or 1 \(or raise num_classes"):
            train_arrays(OBJECT2VEC, settings(), in0=[[1]], in1=[[1]], label=[2])

    def test_what_is_longer_than_is_read_is_cut(self):
        options = settings(enc0_max_seq_len=2)
        cut = train_arrays(OBJECT2VEC, options, in0=[one[:2] for one in FIRST], in1=[one[:2] for one in SECOND], label=ALIKE)
        for name, array in fit(options).arrays.items():
            assert np.array_equal(array, cut.arrays[name])
