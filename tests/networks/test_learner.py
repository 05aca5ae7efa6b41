"""Networks in the common loop: the steps of a plain torch loop, on any number of workers, resumed to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.networks.state import built
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads, process_gang
from tests.toys.perceptron import PERCEPTRON, Perceptron, PerceptronLearner

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(240, 6)).astype(np.float32) * 3
LABEL = (ROWS[:, :3].argmax(1)).astype(np.float32)
SHAPE = {"hidden": 16, "classes": 3}
EVERYTHING = {**SHAPE, "vocabulary": 50, "batch_norm": True, "dropout": 0.3}


def settings(shape=SHAPE, epochs=2, mini_batch_size=240, patience=0, **optimizer):
    optimizer = {"name": "sgd", "learning_rate": 0.05, **optimizer}
    return {"shape": shape, "optimizer": optimizer, "epochs": epochs, "mini_batch_size": mini_batch_size, "patience": patience}


def fit(communicator, parts, options, **plan):
    part = parts[communicator.rank]
    columns = {"features": ROWS[part], "label": LABEL[part]}
    return train_arrays(PERCEPTRON, options, communicator=communicator, **columns, **plan)


def arrays(artifact):
    return {name: array for name, array in artifact.arrays.items() if "num_batches" not in name}


def parts_of(ends):
    return [slice(start, end) for start, end in zip([0, *ends], [*ends, len(ROWS)], strict=True)]


WHOLE = [slice(None)]


class TestSteps:
    @pytest.mark.parametrize("shape", [SHAPE, {**SHAPE, "vocabulary": 50}, {**SHAPE, "batch_norm": True}], ids=["dense", "table", "norm"])
    @pytest.mark.parametrize("ends", [[120], [200], [0], [7, 30], [0, 240]], ids=str)
    def test_of_several_workers_are_those_of_one(self, ends, shape):
        options = settings(shape, epochs=5)
        expected = arrays(fit(SingleProcess(), WHOLE, options))
        parts = parts_of(ends)
        found = in_threads(len(parts), lambda communicator: fit(communicator, parts, options))[0]
        for name, array in arrays(found).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)

    @pytest.mark.parametrize("kind", ["tcp", "gloo"])
    def test_of_two_processes_are_those_of_one(self, kind):
        options = settings({**SHAPE, "vocabulary": 50, "batch_norm": True}, epochs=5)
        expected = arrays(fit(SingleProcess(), WHOLE, options))
        found = process_gang(2, kind)(fit, parts_of([100]), options)[0]
        for name, array in arrays(found).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)

    @pytest.mark.parametrize("name, plain", [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
    def test_of_one_worker_are_those_of_a_plain_torch_loop(self, name, plain):
        options = settings(name=name, epochs=20, learning_rate=0.02, weight_decay=0.01)
        network = built(lambda: Perceptron(ROWS.shape[1], **SHAPE), 0)
        optimizer = plain(network.parameters(), lr=0.02, weight_decay=0.01)
        for _ in range(20):
            loss = nn.functional.cross_entropy(network(torch.from_numpy(ROWS)), torch.from_numpy(LABEL).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = fit(SingleProcess(), WHOLE, options)
        for key, tensor in network.state_dict().items():
            np.testing.assert_allclose(found.arrays[f"network/{key}"], tensor.numpy(), rtol=1e-3, atol=1e-5)
        assert found.values["train:loss"] == pytest.approx(loss.item(), rel=1e-4)

    @pytest.mark.parametrize("name, plain", [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
    def test_of_64_bits_differ_from_those_of_a_plain_torch_loop_by_rounding_alone(self, name, plain):
        shape, epochs = {**SHAPE, "bits": 64}, 200
        network = built(lambda: Perceptron(ROWS.shape[1], **shape), 0)
        optimizer, losses = plain(network.parameters(), lr=0.02, weight_decay=0.01), []
        for _ in range(epochs):
            loss = nn.functional.cross_entropy(network(torch.from_numpy(ROWS)), torch.from_numpy(LABEL).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found = fit(SingleProcess(), WHOLE, settings(shape, name=name, epochs=epochs, learning_rate=0.02, weight_decay=0.01))
        assert losses[-1] < losses[0] / 2
        np.testing.assert_allclose([epoch["train:loss"] for epoch in found.values["history"]], losses, rtol=1e-10)


@pytest.mark.parametrize("shape", [SHAPE, {**SHAPE, "vocabulary": 50}], ids=["dense", "table"])
def test_what_the_last_step_has_made_of_a_network_is_looked_at(shape):
    with pytest.raises(FloatingPointError, match="the network has numbers that are not finite after epoch 1: lower learning_rate"):
        fit(SingleProcess(), WHOLE, settings(shape, epochs=1, learning_rate=1e38, rescale=1e6))


class TestRowsThatCountForNothing:
    def test_are_told_as_that_not_as_a_loss_that_is_no_number(self, monkeypatch):
        monkeypatch.setattr(PerceptronLearner, "weight", lambda learner, batch: 0.0)
        with pytest.raises(InvalidRows, match="epoch 1 had nothing to learn from: what it has seen of the rows counts for nothing"):
            fit(SingleProcess(), WHOLE, settings())

    def test_are_told_of_those_for_validation(self, monkeypatch):
        monkeypatch.setattr(PerceptronLearner, "weight", lambda learner, batch: float(len(batch) * learner.network.training))
        with pytest.raises(InvalidRows, match="there is nothing to validate on: the rows that are marked for validation count for nothing"):
            fit(SingleProcess(), WHOLE, settings(), validation=np.arange(len(ROWS)) % 4 == 0)


class TestMixedPrecision:
    def test_multiplies_with_16_bits_and_keeps_parameters_of_32(self):
        options = settings(epochs=3)
        expected, found = (fit(SingleProcess(), WHOLE, options, mixed_precision=mixed) for mixed in (False, True))
        apart = [np.abs(array - expected.arrays[name]).max() for name, array in found.arrays.items()]
        assert {array.dtype for array in found.arrays.values()} == {np.dtype(np.float32)}
        assert 1e-6 < max(apart) < 1e-2


class Lost(Exception):
    """The worker is."""


class TestResumed:
    def lose(self, monkeypatch, after):
        save = checkpoint.CheckpointStore.save

        def save_and_lose(store, epoch, state):
            save(store, epoch, state)
            if epoch == after:
                raise Lost

        monkeypatch.setattr(checkpoint.CheckpointStore, "save", save_and_lose)

    @pytest.mark.parametrize("name", ["adam", "adagrad", "sgd", "nag", "rmsprop", "adadelta"])
    def test_a_training_ends_as_if_it_had_not_been_cut_off(self, tmp_path, monkeypatch, name):
        options = settings(EVERYTHING, epochs=4, mini_batch_size=40, name=name)
        expected = fit(SingleProcess(), WHOLE, options)
        with monkeypatch.context() as patched:
            self.lose(patched, after=2)
            with pytest.raises(Lost):
                fit(SingleProcess(), WHOLE, options, checkpoint_dir=str(tmp_path))
        found = fit(SingleProcess(), WHOLE, options, checkpoint_dir=str(tmp_path))
        assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3, 4]
        for key, array in expected.arrays.items():
            np.testing.assert_array_equal(found.arrays[key], array, err_msg=key)

    def test_torch_draws_on_afterwards_as_if_nothing_had_been_trained(self):
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        fit(SingleProcess(), WHOLE, settings(EVERYTHING))
        torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
