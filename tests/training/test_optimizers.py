"""Optimizers and schedules against the formulas, torch, and the closed form of a proximal step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparkml_algos.training.optimizers import Adam, RmsProp, Sgd, StepDecay

RANDOM = np.random.default_rng(0)
START = RANDOM.normal(size=(5, 3))
GRADIENTS = RANDOM.normal(size=(20, 5, 3))


def after_all(optimizer_class, rate=0.1, l1=None, **options):
    """The parameters after all the gradients."""
    parameter = START.copy()
    optimizer = optimizer_class([parameter], **options)
    for gradient in GRADIENTS:
        optimizer.step([gradient.copy()], [rate], None if l1 is None else [l1])
    return parameter


def after_all_in_torch(make):
    parameter = torch.nn.Parameter(torch.from_numpy(START.copy()))
    optimizer = make([parameter])
    for gradient in GRADIENTS:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    return parameter.detach().numpy()


def test_a_step_with_decay_is_one_with_a_larger_gradient_and_tells_what_was_moved():
    rows, decay = np.array([1, 4]), np.array([0.1, 0.0, 0.5])
    with_decay, by_hand = START.copy(), START.copy()
    first, second = Adam([with_decay]), Adam([by_hand])
    for gradient in GRADIENTS:
        expected = gradient[rows] + decay * by_hand[rows]
        moved = first.step([gradient[rows]], [0.1], rows=[rows], decay=[decay])
        second.step([expected], [0.1], rows=[rows])
        np.testing.assert_array_equal(moved[0], with_decay[rows])
    np.testing.assert_allclose(with_decay, by_hand, rtol=1e-12)
    np.testing.assert_array_equal(with_decay[[0, 2, 3]], START[[0, 2, 3]])


class TestSteps:
    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_of_gradient_descent_are_those_of_torch(self, momentum):
        expected = after_all_in_torch(lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=momentum))
        np.testing.assert_allclose(after_all(Sgd, momentum=momentum), expected, rtol=1e-12)

    @pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.6), (0.0, 0.0)])
    def test_of_adam_are_those_of_torch(self, betas):
        expected = after_all_in_torch(lambda parameters: torch.optim.Adam(parameters, lr=0.1, betas=betas, eps=1e-8))
        np.testing.assert_allclose(after_all(Adam, beta_1=betas[0], beta_2=betas[1]), expected, rtol=1e-10)

    def test_of_rmsprop_are_those_of_torch(self):
        expected = after_all_in_torch(lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, alpha=0.9, eps=1e-8))
        np.testing.assert_allclose(after_all(RmsProp), expected, rtol=1e-10)

    @pytest.mark.parametrize("optimizer_class", [Sgd, Adam, RmsProp])
    def test_of_columns_with_rates_of_their_own_are_those_of_each_alone(self, optimizer_class):
        rates, l1 = np.array([0.01, 0.1, 0.3]), np.array([0.0, 0.2, 0.5])
        together = after_all(optimizer_class, rates, l1)
        for column in range(3):
            alone = after_all(optimizer_class, rates[column], l1[column])
            np.testing.assert_allclose(together[:, column], alone[:, column], rtol=1e-12)

    @pytest.mark.parametrize("optimizer_class", [Sgd, Adam, RmsProp])
    def test_of_some_rows_are_those_of_an_optimizer_of_these_alone(self, optimizer_class):
        options = {"momentum": 0.9} if optimizer_class is Sgd else {}
        whole, l1, chosen = START.astype(np.float32), [0.1], np.array([3, 1])
        alone = whole[chosen]
        optimizers = optimizer_class([whole], **options), optimizer_class([alone], **options)
        for gradient in GRADIENTS.astype(np.float32):
            optimizers[0].step([gradient[chosen]], [0.1], l1, rows=[chosen])
            optimizers[1].step([gradient[chosen]], [0.1], l1)
        np.testing.assert_array_equal(whole[chosen], alone)
        others = [0, 2, 4]
        np.testing.assert_array_equal(whole[others], START.astype(np.float32)[others])
        memory = [array for name, array in optimizers[0].state().items() if name != "optimizer/steps"]
        assert memory and all((array[others] == 0).all() and (array[chosen] != 0).any() for array in memory)

    @pytest.mark.parametrize("optimizer_class", [Sgd, Adam, RmsProp])
    def test_go_on_from_a_state_as_if_never_interrupted(self, optimizer_class):
        parameter = START.copy()
        first = optimizer_class([parameter])
        for gradient in GRADIENTS[:7]:
            first.step([gradient.copy()], [0.1])
        second = optimizer_class([parameter])
        second.restore({name: array.copy() for name, array in first.state().items()})
        for gradient in GRADIENTS[7:]:
            second.step([gradient.copy()], [0.1])
        np.testing.assert_array_equal(parameter, after_all(optimizer_class))


class TestL1:
    @pytest.mark.parametrize("optimizer_class", [Sgd, Adam, RmsProp])
    def test_leads_to_the_soft_threshold_of_the_unpenalised_minimum(self, optimizer_class):
        minimum, l1 = np.array([2.0, -1.0, 0.3, -0.2]), 0.5
        parameter = np.array([0.1, 0.1, 0.1, 0.1])
        optimizer = optimizer_class([parameter])
        for step in range(3000):
            optimizer.step([parameter - minimum], [0.05 * 0.998**step], [l1])
        np.testing.assert_allclose(parameter, [1.5, -0.5, 0, 0], atol=1e-3)
        assert (parameter[2:] == 0).all()


class TestStepDecay:
    rates = np.array([1.0, 0.001])

    def test_lowers_by_the_factor_every_so_many_steps(self):
        decay = StepDecay(every=10, factor=0.5)
        assert [decay.rate(self.rates, step, None)[0] for step in (0, 9, 10, 19, 20)] == [1, 1, 0.5, 0.5, 0.25]

    def test_never_goes_below_the_minimum_and_never_raises_a_rate(self):
        found = StepDecay(every=1, factor=0.1, minimum=0.01).rate(self.rates, 50, 100)
        assert found.tolist() == [0.01, 0.001]

    def test_left_to_itself_ends_at_a_fiftieth(self):
        decay = StepDecay()
        assert decay.rate(self.rates, 0, 1000)[0] == 1
        assert decay.rate(self.rates, 999, 1000)[0] == pytest.approx(0.02, rel=0.05)
        assert decay.rate(self.rates, 500, 1000)[0] == pytest.approx(0.02**0.5)

    def test_that_depends_on_a_length_not_known_yet_waits(self):
        assert StepDecay(every=10).rate(self.rates, 500, None)[0] == 1
