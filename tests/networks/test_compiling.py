"""Networks that are compiled: the same model, and the summary says what it cost and gained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparkml_algos import Seq2Seq
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.core.estimator import training_plan
from tests.cases import CASES
from tests.gang import in_threads
from tests.networks.test_learner import SHAPE, WHOLE, arrays, fit, parts_of, settings

NORM = {**SHAPE, "batch_norm": True}
NETWORKS = [case.estimator for case in CASES if "torch" in case.estimator.algorithm().libraries]


@pytest.mark.parametrize("estimator", NETWORKS, ids=lambda estimator: estimator.__name__)
def test_every_estimator_of_a_network_may_have_it_compiled(estimator):
    assert estimator().getCompile() is False and estimator(compile=True).getCompile() is True


@pytest.mark.parametrize("on", [False, True])
def test_workers_are_told_whether_to_compile(spark, on):
    rows = spark.createDataFrame([(["a"], ["b"])], "source array<string>, target array<string>")
    learner = Seq2Seq(compile=on)
    assert training_plan([learner], rows, learner.inputs(rows)).compile is on


@pytest.mark.slow
def test_a_compiled_network_learns_what_it_learns_without():
    options = settings({**NORM, "vocabulary": 50}, epochs=6, mini_batch_size=60)
    expected, found = fit(SingleProcess(), WHOLE, options), fit(SingleProcess(), WHOLE, options, compile=True)
    for name, array in arrays(found).items():
        np.testing.assert_allclose(array, expected.arrays[name], rtol=1e-3, atol=1e-4, err_msg=name)
    report = found.values["compile"]
    assert set(report) == {"seconds", "eager_step_seconds", "compiled_step_seconds"} and report["seconds"] > report["eager_step_seconds"]


class TestWithoutCompiler:
    """With what torch.compile gives replaced by the network itself, which is then timed against itself."""

    @pytest.fixture(autouse=True)
    def compile(self, monkeypatch):
        self.compiled = []
        monkeypatch.setattr(torch, "compile", lambda network: self.compiled.append(network) or network)

    @pytest.mark.parametrize("ends", [[], [100], [0]], ids=str)
    def test_steps_that_are_timed_are_made_once(self, ends):
        options, parts = settings({**NORM, "vocabulary": 50}, epochs=4, mini_batch_size=80), parts_of(ends)
        expected, found = (
            in_threads(len(parts), lambda communicator: fit(communicator, parts, options, compile=on))[0]  # noqa: B023 - done at once
            for on in (False, True)
        )
        assert self.compiled
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)

    def test_too_few_steps_tell_only_what_compiling_took(self):
        found = fit(SingleProcess(), WHOLE, settings(epochs=2), compile=True)
        assert set(found.values["compile"]) == {"seconds"}

    def test_no_network_is_compiled_unless_it_is_asked_for(self):
        assert "compile" not in fit(SingleProcess(), WHOLE, settings()).values and not self.compiled
