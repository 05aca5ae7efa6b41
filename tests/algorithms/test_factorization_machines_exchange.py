"""Several workers that make several steps of a factorization machine between two exchanges."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import log_loss

from sparkml_algos import FactorizationMachinesBinaryClassifier, kernels
from sparkml_algos.algorithms.factorization_machines import machine
from sparkml_algos.algorithms.factorization_machines.exchange import Ways, merge_memory
from sparkml_algos.algorithms.factorization_machines.machine import EXCHANGES_PER_EPOCH, STEPS_APART, Machine
from sparkml_algos.algorithms.factorization_machines.prediction import load
from sparkml_algos.algorithms.factorization_machines.training import FACTORIZATION_MACHINES
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads

FIELDS, VALUES = 8, 2500


def clicks(rows: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Rows of a one in each field, the first values of a field more often, and whether what they pull to is more than nothing."""
    random = np.random.default_rng(1)
    pull = random.standard_normal(FIELDS * VALUES)
    columns = (VALUES * random.random((rows, FIELDS)) ** 4).astype(np.int32) + VALUES * np.arange(FIELDS, dtype=np.int32)
    ends = np.arange(0, columns.size + 1, FIELDS)
    found = sp.csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), ends), shape=(rows, FIELDS * VALUES))
    return found, (found @ pull > 0).astype(np.float32)


ROWS, LABEL = clicks(12_000)
TRAIN, TEST = slice(0, 10_000), slice(10_000, None)


def settings(**own) -> dict:
    learned = {"num_factors": 6, "mini_batch_size": 200, "epochs": 3, "linear_lr": 0.02, "factors_lr": 0.002, "min_steps": 1}
    return FactorizationMachinesBinaryClassifier(**{**learned, **own}).hyperparameters()


def train(communicator: Communicator, options: dict | None = None, **own) -> Artifact:
    """With every so manieth row on each worker."""
    part = slice(communicator.rank, None, communicator.size)
    rows, label = ROWS[TRAIN][part], LABEL[TRAIN][part]
    return train_arrays(FACTORIZATION_MACHINES, settings(**own), rows, label=label, communicator=communicator, **options or {})


def loss(artifact: Artifact) -> float:
    found = load(artifact, Hyperparameters(**settings()), "cpu")(Batch(features=ROWS[TEST]))
    return log_loss(LABEL[TEST], found["probability"][:, 1])


def numbers(artifact: Artifact) -> np.ndarray:
    return np.concatenate([artifact.arrays[name].ravel() for name in ("bias", "linear", "factors")])


@pytest.fixture(autouse=True)
def wide_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of these tests count as wide, in less time than those that are."""
    monkeypatch.setattr(machine, "WIDE_TABLE", 1 << 17)


@pytest.fixture(scope="module")
def alone() -> Artifact:
    return train(SingleProcess())


@pytest.mark.parametrize("workers", [2, 5])
def test_quality_does_not_depend_on_the_number_of_workers(alone: Artifact, workers: int) -> None:
    found = in_threads(workers, train)[0]
    assert loss(alone) < 0.62 and loss(found) < loss(alone) + 0.01


def test_rows_of_a_worker_stand_for_the_whole_mini_batch_however_few_they_are() -> None:
    def trained(**own) -> np.ndarray:
        def train_part(communicator: Communicator) -> Artifact:
            part = [slice(0, 2_500), slice(2_500, 10_000)][communicator.rank]  # of each mini-batch 50 and 150 rows
            return train_arrays(FACTORIZATION_MACHINES, settings(epochs=1, **own), ROWS[part], label=LABEL[part], communicator=communicator)

        return numbers(in_threads(2, train_part)[0])

    # Bounds tell: steps of Adam hardly depend on the size of gradients.
    by_weight, by_factor = trained(clip_gradient=1e-3), trained(clip_gradient=1e-3, rescale_grad=1 / 200)
    np.testing.assert_allclose(by_factor, by_weight, atol=1e-4)


def test_large_tables_are_exchanged_after_several_steps_and_small_ones_after_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    update = Machine.update

    def watch(self, sums, progress):
        seen.append(self.steps_apart)
        update(self, sums, progress)

    monkeypatch.setattr(Machine, "update", watch)
    in_threads(2, lambda communicator: train(communicator, epochs=1))  # of 50 mini-batches
    in_threads(2, lambda communicator: train(communicator, epochs=1, mini_batch_size=10))
    assert set(seen) == {50 // EXCHANGES_PER_EPOCH, STEPS_APART}
    seen.clear()
    in_threads(2, lambda communicator: train(communicator, epochs=1, num_factors=1))  # 20,000 features: 60,000 numbers
    train(SingleProcess(), epochs=1, exchange_every=7)
    assert set(seen) == {1}
    seen.clear()
    in_threads(2, lambda communicator: train(communicator, epochs=1, num_factors=1, exchange_every=7))
    assert set(seen) == {7}


@pytest.mark.parametrize("way", ["compiled", "NumPy"])
def test_a_training_cut_off_in_the_middle_ends_where_it_would_have(tmp_path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "NumPy":
        monkeypatch.setenv(kernels.SWITCH, "0")
    expected, end_epoch = in_threads(3, train), Machine.end_epoch
    options = {"checkpoint_dir": str(tmp_path)}

    def fail_in_third_epoch(self, progress):
        if progress.epoch == 2:
            raise InterruptedError
        return end_epoch(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Machine, "end_epoch", fail_in_third_epoch)
        with pytest.raises(InterruptedError):
            in_threads(3, lambda communicator: train(communicator, options))
    found = in_threads(3, lambda communicator: train(communicator, options))
    np.testing.assert_array_equal(numbers(found[0]), numbers(expected[0]))


def test_a_checkpoint_serves_other_numbers_of_workers_and_of_steps_apart(tmp_path, alone: Artifact) -> None:
    options = {"checkpoint_dir": str(tmp_path)}
    end_epoch = Machine.end_epoch
    for workers, last in ((3, 0), (2, 1), (1, 3)):
        with pytest.MonkeyPatch.context() as patch:

            def fail(self, progress, last=last):
                if progress.epoch == last + 1:
                    raise InterruptedError
                return end_epoch(self, progress)

            patch.setattr(Machine, "end_epoch", fail)
            try:
                found = in_threads(workers, lambda communicator: train(communicator, options))
            except InterruptedError:
                continue
    assert len(found[0].values["history"]) == 3 and loss(found[0]) < loss(alone) + 0.02


def test_kernels_and_numpy_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = in_threads(2, lambda communicator: train(communicator, epochs=1, exchange_every=5))[0]
    monkeypatch.setenv(kernels.SWITCH, "0")
    plain = in_threads(2, lambda communicator: train(communicator, epochs=1, exchange_every=5))[0]
    assert plain.values["kernels"] == "numpy"
    np.testing.assert_allclose(numbers(compiled), numbers(plain), rtol=1e-2, atol=2e-4)


def exchanged(communicator: Communicator, plan: list[list[list[int]]], weights: list[float], way: float = 1.0) -> np.ndarray:
    """The table after some steps in each of which a worker moves rows by `way`; `plan` has rows by worker and step."""
    bias, table = np.zeros(1, np.float32), np.zeros((7, 2), np.float32)
    ways = Ways(bias, table, communicator, compiled=False)
    for _ in range(2):
        before = table.copy()
        for rows in plan[communicator.rank]:
            ids = np.array(rows, np.int32)
            if len(ids):
                ways.note(ids, weights[communicator.rank])
                table[ids] += way
                bias += way
            ways.steps += 1
        ways.exchange()
    return np.append(table[:, 0] - before[:, 0], bias)


def test_a_row_moves_by_as_many_steps_as_touch_it_in_the_mean_direction() -> None:
    # Row 1 is moved by one worker in one step of two, row 2 by both in all, row 6 by nobody.
    found = in_threads(2, lambda communicator: exchanged(communicator, [[[1, 2], [2]], [[2], [2, 3]]], [1.0, 1.0]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0][:7], [0, 1, 2, 1, 0, 0, 0])
    assert found[0][-1] == 4  # of two exchanges


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.skipif(not kernels.available(), reason="needs numba"))])
def test_ways_begin_where_a_table_was_put_by_others(compiled: bool) -> None:
    bias, table, ids = np.zeros(1, np.float32), np.zeros((5, 2), np.float32), np.array([1, 3], np.int32)
    ways = Ways(bias, table, SingleProcess(), compiled)
    ways.note(ids, 1.0)
    table[...] = 7  # of a checkpoint
    ways.begin()
    for _ in range(2):
        ways.note(ids, 1.0)
        table[ids] += 1
        ways.steps = 1
        ways.exchange()
    assert table[:, 0].tolist() == [7, 9, 7, 9, 7]


def test_workers_weigh_what_their_rows_weigh_and_those_without_rows_nothing() -> None:
    def on(communicator):
        return exchanged(communicator, [[[2], [2]], [[2], [2]], [[], []]], [3.0, 1.0, 1.0], way=(1.0, -1.0, 0.0)[communicator.rank])

    np.testing.assert_allclose(in_threads(3, on)[1][:4], [0, 0, 1, 0])


def test_memory_is_the_mean_and_the_largest_mean_square() -> None:
    def on(communicator):
        mean, square = np.array([1.0, 2.0, 3.0], np.float32), np.array([4.0, 5.0, 6.0], np.float32)
        if communicator.rank == 1:
            mean, square = -3 * mean, np.array([3.0, 7.0, 6.0], np.float32)
        merge_memory(mean, square, communicator)
        return mean, square

    for mean, square in in_threads(2, on):
        assert mean.tolist() == [-1, -2, -3] and square.tolist() == [4, 7, 6]
