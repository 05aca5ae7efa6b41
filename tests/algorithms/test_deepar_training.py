"""DeepAR on arrays: windows against slow ones, distributions against SciPy's, paths, what it learns, resumed, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats as st
import torch

from sparkml_algos.algorithms.deepar import metrics
from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.algorithms.deepar.network import DeepARLearner
from sparkml_algos.algorithms.deepar.params import DeepARParams
from sparkml_algos.algorithms.deepar.prediction import load, withheld
from sparkml_algos.algorithms.deepar.training import DEEPAR
from sparkml_algos.algorithms.deepar.windows import Inputs, Shape, Table, drawn_windows, weights_of
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.networks.likelihoods import LIKELIHOODS, Randomness
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads

HOUR = Frequency("H")
START = np.datetime64("2024-01-01T00:00:00", "us")
RANDOM = np.random.default_rng(0)


def ragged(lists):
    return Ragged(np.concatenate([np.asarray(one, np.float32) for one in lists]), np.cumsum([0, *map(len, lists)]))


def seasonal(series, steps=90, noise=1.0, seed=0):
    """Series with a period of 12 hours, levels of their own and normal noise in proportion."""
    random = np.random.default_rng(seed)
    levels = random.uniform(5, 50, series)[:, None]
    shape = 1 + 0.5 * np.sin(2 * np.pi * np.arange(steps) / 12)
    return (levels * (shape + 0.1 * noise * random.standard_normal((series, steps)))).astype(np.float32)


SERIES = seasonal(24)


def settings(**given):
    defaults = {name: param.default for name, param in DeepARParams.declared.items() if isinstance(param, Hyperparameter)}
    small = {"time_freq": "H", "context_length": 12, "prediction_length": 6, "epochs": 2, "num_cells": 6, "num_layers": 2}
    return {**defaults, **small, "mini_batch_size": 32, "num_samples": 20, **given}


def columns(series, **more):
    return {"start": np.full(len(series), START), "target": ragged(series), **more}


def fit(options, series=SERIES, communicator=None, plan=None, **more):
    return train_arrays(DEEPAR, options, communicator=communicator, **columns(series, **more), **(plan or {}))


def forecaster(artifact, options):
    return load(artifact, Hyperparameters(**options), "cpu")


class TestFrequency:
    @pytest.mark.parametrize("text", ["H", "5min", "D", "2W", "M", "15min"])
    def test_is_read_and_written(self, text):
        assert str(Frequency.parse(text)) == text

    @pytest.mark.parametrize("text", ["", "h", "0H", "1.5H", "S", "5 min", "-1D"])
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(ValueError, match="time_freq must be"):
            Frequency.parse(text)

    def test_lags_are_the_last_steps_and_those_around_cycles_of_the_calendar(self):
        hourly, daily, five = (Frequency.parse(text).lags for text in ("H", "D", "5min"))
        assert hourly[:7] == tuple(range(1, 8)) and {23, 24, 25, 48, 72, 168, 336} <= set(hourly)
        assert {7, 14, 21, 28, 364} <= set(daily)
        assert {12, 288, 2016} <= set(five) and list(five) == sorted(set(five))

    def test_months_are_those_of_the_calendar(self):
        start = np.array(["2024-01-31T06:00"], "datetime64[us]")
        found = Frequency.parse("M").times(start[:, None], np.array([[1, 2, 13, -1]]))
        assert (
            found[0].astype("datetime64[m]").tolist()
            == np.array(["2024-02-29T06:00", "2024-03-31T06:00", "2025-02-28T06:00", "2023-12-31T06:00"], "datetime64[m]").tolist()
        )

    @pytest.mark.parametrize(
        ("start", "later"),
        [
            ("2023-04-30T12:00", ["2023-05-31T12:00", "2024-02-29T12:00", "2023-02-28T12:00"]),
            ("2023-02-28T00:00", ["2023-03-31T00:00", "2023-12-31T00:00", "2022-12-31T00:00"]),
            ("2024-02-28T00:00", ["2024-03-28T00:00", "2024-12-28T00:00", "2023-12-28T00:00"]),
            ("2023-01-30T00:00", ["2023-02-28T00:00", "2023-11-30T00:00", "2022-11-30T00:00"]),
        ],
    )
    def test_ends_of_months_are_followed_by_ends_of_months(self, start, later):
        found = Frequency.parse("M").times(np.array([[start]], "datetime64[us]"), np.array([[1, 10, -2]]))
        assert found[0].tolist() == np.array(later, "datetime64[us]").tolist()

    def test_the_calendar_tells_places_in_cycles(self):
        # A Wednesday, the 71st day of its year.
        found = HOUR.calendar(np.array(["2024-03-13T06:00"], "datetime64[us]"), np.array([[0]]))[:, 0, 0]
        shares = [6 / 24, 2 / 7, 12 / 31, 72 / 366]
        np.testing.assert_allclose(found, [f(2 * np.pi * share) for share in shares for f in (np.sin, np.cos)], atol=1e-6)

    @pytest.mark.parametrize(("text", "season"), [("H", 24), ("15min", 96), ("D", 7), ("2W", 26), ("5D", 1), ("M", 12)])
    def test_seasons(self, text, season):
        assert Frequency.parse(text).season == season


class TestWindows:
    SHAPE = Shape(HOUR, 4, 3)
    LISTS = ([1.0, np.nan, 3.0, 4.0, np.nan, np.nan, 7.0, 8.0], [np.nan, 2.0, 3.0, 4.0])

    def table(self, **more):
        return Table(Batch(**columns(self.LISTS, **more)))

    def test_show_what_a_slow_look_shows(self):
        found = self.table().windows(np.array([0, 1, 0]), np.array([5, 1, 8]), self.SHAPE)
        inputs = Inputs.of(found, self.SHAPE, typical=1.0)
        for row, (series, cut) in enumerate([(0, 5), (1, 1), (0, 8)]):
            values = self.LISTS[series]

            def known(step, values=values):
                return 0 <= step < len(values) and not np.isnan(values[step])

            def carried(step, values=values):
                return next((values[back] for back in range(step, -1, -1) if known(back)), 0.0) if 0 <= step < len(values) else 0.0

            context = [abs(values[step]) for step in range(cut - 4, cut) if known(step)]
            scale = np.mean(context) if context else 1.0
            assert inputs.scale[row] == pytest.approx(scale)
            for place, step in enumerate(range(cut - 4, cut + 3)):
                assert inputs.observed[place, row] == known(step)
                assert inputs.steps[place, 0, row] == known(step - 1)
                lagged = [carried(step - lag) / scale for lag in HOUR.lags]
                np.testing.assert_allclose(inputs.steps[place, 1 : 1 + len(lagged), row], lagged, rtol=1e-6)

    def test_a_context_without_values_has_the_scale_of_the_series_or_what_is_typical(self):
        zeros = [0.0] * 20
        table = Table(Batch(**columns([[6.0] * 4 + [np.nan] * 16, zeros])))
        windows = table.windows(np.array([0, 1]), np.array([17, 17]), self.SHAPE)
        assert Inputs.of(windows, self.SHAPE, typical=2.5).scale.tolist() == [6.0, 2.5]

    def test_dynamic_features_are_those_of_the_steps(self):
        features = Ragged(np.arange(24, dtype=np.float32).reshape(12, 2), np.array([0, 8, 12]))
        found = self.table(dynamic_feat=features).windows(np.array([0, 1]), np.array([5, 1]), self.SHAPE)
        np.testing.assert_array_equal(found.dynamic_feat[0], features[0][1:8])
        np.testing.assert_array_equal(found.dynamic_feat[1], [[0, 0]] * 3 + features[1].tolist())

    def test_long_series_do_not_drown_short_ones(self):
        lengths = np.array([400, 100, 2, 100])
        weights = weights_of(lengths, 3)
        series, cuts = drawn_windows(lengths, weights, 400, self.SHAPE, np.random.default_rng(0))
        assert np.abs(np.bincount(series, minlength=4) - [200, 100, 0, 100]).max() <= 1
        assert (cuts >= 1).all() and (cuts + 3 <= lengths[series]).all()
        assert cuts[series == 0].max() > 390 and cuts[series == 0].min() < 10


class TestLikelihoods:
    SCALE = np.array([2.0, 0.5, 10.0])

    def said(self, likelihood):
        return torch.tensor(np.random.default_rng(1).standard_normal((LIKELIHOODS[likelihood].parameters, 4, 3)))

    def law(self, likelihood, said):
        """SciPy's distribution of what is said, in the user's units."""
        soft = [np.logaddexp(0, one.numpy()) for one in said]
        plain = [one.numpy() for one in said]
        if likelihood == "student-T":
            return st.t(2 + soft[2], plain[0] * self.SCALE, (soft[1] + 1e-6) * self.SCALE)
        if likelihood == "gaussian":
            return st.norm(plain[0] * self.SCALE, (soft[1] + 1e-6) * self.SCALE)
        if likelihood == "negative-binomial":
            mean, size = (soft[0] + 1e-6) * self.SCALE, np.sqrt(self.SCALE) / (soft[1] + 1e-6)
            return st.nbinom(size, size / (size + mean))
        middle, strength = 1 / (1 + np.exp(-plain[0])), soft[1] + 1e-6
        return st.beta(middle * strength + 1e-6, (1 - middle) * strength + 1e-6)

    def target(self, likelihood):
        random = np.random.default_rng(2)
        if likelihood == "negative-binomial":
            return random.integers(0, 9, (4, 3)).astype(np.float64)
        return random.uniform(0.05, 0.95, (4, 3)) if likelihood == "beta" else random.normal(size=(4, 3)) * self.SCALE

    @pytest.mark.parametrize("likelihood", ["student-T", "gaussian", "negative-binomial", "beta"])
    def test_cost_what_scipy_says(self, likelihood):
        said, target = self.said(likelihood), self.target(likelihood)
        law = self.law(likelihood, said)
        expected = -(law.logpmf if likelihood == "negative-binomial" else law.logpdf)(target)
        found = LIKELIHOODS[likelihood].cost(said.unbind(0), torch.tensor(target), torch.tensor(self.SCALE))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("likelihood", ["student-T", "gaussian", "negative-binomial", "beta"])
    def test_draw_what_they_say(self, likelihood):
        said = self.said(likelihood)[:, 0, 0]
        paths = said[:, None].repeat(1, 20_000)
        found = (
            LIKELIHOODS[likelihood]
            .draw(paths.unbind(0), torch.full((20_000,), 2.0).double(), Randomness([torch.Generator().manual_seed(0)], 20_000))
            .numpy()
        )
        law = self.law(likelihood, self.said(likelihood))
        for share in (0.1, 0.5, 0.9):
            # Of counts the probability jumps.
            value = law.ppf(share)[0, 0]
            assert (found <= value + 1e-9).mean() == pytest.approx(law.cdf(value)[0, 0], abs=0.015)

    def test_a_point_costs_its_distance_in_units_of_the_scale(self):
        said, target = torch.tensor([[1.0, 2.0]]), torch.tensor([4.0, 4.0])
        cost = LIKELIHOODS["deterministic-L1"].cost([said[0]], target, torch.tensor([2.0, 1.0]))
        assert cost.tolist() == [1.0, 2.0]


class TestMetrics:
    def test_are_those_of_a_slow_look(self):
        random = np.random.default_rng(0)
        history = ragged([random.uniform(1, 5, 30), np.full(30, 2.0)])
        paths, actual = random.uniform(0, 6, (2, 50, 3)), random.uniform(0, 6, (2, 3))
        actual[0, 1] = np.nan
        found = metrics.metrics(metrics.sums(paths, actual, history, 4, [0.1, 0.5]))
        pairs = [(series, step) for series in range(2) for step in range(3) if not np.isnan(actual[series, step])]
        total = sum(actual[pair] for pair in pairs)
        median, mean = np.median(paths, 1), paths.mean(1)
        assert found["RMSE"] == pytest.approx(np.sqrt(np.mean([(mean[pair] - actual[pair]) ** 2 for pair in pairs])))
        assert found["ND"] == pytest.approx(sum(abs(median[pair] - actual[pair]) for pair in pairs) / total)
        losses = []
        for level in (0.1, 0.5):
            off = [(actual[pair], np.quantile(paths[pair[0], :, pair[1]], level, method="weibull")) for pair in pairs]
            losses.append(2 * sum((1 - level) * (q - y) if q > y else level * (y - q) for y, q in off) / total)
        assert found["mean_wQuantileLoss"] == pytest.approx(np.mean(losses))
        parts = [[abs(median[p] - actual[p]) * 200 / (median[p] + actual[p]) for p in pairs if p[0] == series] for series in range(2)]
        assert found["sMAPE"] == pytest.approx(np.mean([np.mean(part) for part in parts]))
        naive = np.abs(history[0][4:] - history[0][:-4]).mean()
        # The second series never changes.
        assert found["MASE"] == pytest.approx(np.mean([abs(median[p] - actual[p]) for p in pairs if p[0] == 0]) / naive, rel=1e-5)

    def test_what_is_withheld_is_the_end_of_series_that_have_more(self):
        batch = Batch(**columns([[1.0, 2, 3, 4, 5], [1.0, 2, 3], [6.0, 7, 8, 9]]))
        history, actual = withheld(batch, 3)
        assert [one.tolist() for one in history.target] == [[1, 2], [6]]
        assert actual.tolist() == [[3, 4, 5], [7, 8, 9]]


@pytest.fixture(scope="module")
def artifact():
    return fit(TestPaths.OPTIONS)


class TestPaths:
    OPTIONS = settings(num_samples=30)

    def test_do_not_depend_on_the_series_beside(self, artifact):
        batch = Batch(**columns(SERIES))
        together = forecaster(artifact, self.OPTIONS).paths(batch, 30)
        for part in (slice(3, 4), slice(5, 12)):
            np.testing.assert_array_equal(forecaster(artifact, self.OPTIONS).paths(batch.take(part), 30), together[part])

    def test_are_those_of_a_step_by_step_run_of_the_network(self, artifact):
        """With one path, its values put into the series are given to the whole network; what it then says has drawn them."""
        options = {**self.OPTIONS, "likelihood": "deterministic-L1", "num_layers": 2}
        point = fit(options)
        predictor = forecaster(point, options)
        found = predictor.paths(Batch(**columns(SERIES[:4])), 1)[:, 0]
        longer = [np.concatenate([one, path]) for one, path in zip(SERIES[:4], found, strict=True)]
        windows = Table(Batch(**columns(longer))).windows(np.arange(4), np.full(4, SERIES.shape[1]), predictor.shape)
        inputs = Inputs.of(windows, predictor.shape, typical=1.0)
        network, scaling = predictor._sampler._wide, point.values["scaling"]
        scale = (np.log(inputs.scale) - scaling["log_mean"]) / scaling["log_unit"]
        with torch.no_grad():
            said = network(torch.from_numpy(inputs.steps).double(), torch.from_numpy(scale), None, [None, None])
        np.testing.assert_allclose(said[0, 12:].numpy().T * inputs.scale[:, None], found, rtol=1e-4)

    def test_outputs_are_named_and_start_after_the_series(self, artifact):
        predictor = forecaster(artifact, self.OPTIONS)
        found = predictor(Batch(**columns(SERIES[:2])))
        paths = predictor.paths(Batch(**columns(SERIES[:2])), 30)
        assert found["forecast_start"].to_pylist()[0] == (START + np.timedelta64(90, "h")).item()
        np.testing.assert_allclose(found["mean"], paths.mean(1))
        quantiles = np.array(found["quantiles"].to_pylist())
        assert quantiles.shape == (2, 9, 6) and (np.diff(quantiles, axis=1) >= 0).all()
        np.testing.assert_array_equal(np.array(found["samples"].to_pylist()), paths)

    @pytest.mark.parametrize("target", [[], [np.nan] * 5, [4.0]], ids=["nothing", "missing", "one"])
    def test_a_series_that_has_hardly_begun_is_forecast(self, artifact, target):
        batch = Batch(start=np.array([START]), target=Ragged(np.array(target, np.float32), np.array([0, len(target)])))
        assert np.isfinite(forecaster(artifact, self.OPTIONS).paths(batch, 5)).all()

    def test_of_no_series_there_are_none(self, artifact):
        found = forecaster(artifact, self.OPTIONS)(
            Batch(start=np.empty(0, "datetime64[us]"), target=Ragged(np.empty(0, np.float32), np.zeros(1, int)))
        )
        assert len(found["mean"]) == len(found["quantiles"]) == len(found["forecast_start"]) == 0


class TestLearning:
    def test_the_band_of_forecasts_holds_as_many_values_as_it_says(self):
        options = settings(prediction_length=12, epochs=8, num_cells=20, learning_rate=0.01, mini_batch_size=64, likelihood="gaussian")
        options |= {"num_layers": 1, "dropout_rate": 0.0, "context_length": 24}
        artifact = fit(options, seasonal(250, steps=96))
        test = seasonal(1000, steps=72, seed=1)
        history, actual = withheld(Batch(**columns(test)), 12)
        paths = forecaster(artifact, options).paths(history, 49)
        low, high = metrics.quantiles(paths, [0.1, 0.9]).transpose(1, 0, 2)
        assert ((low <= actual) & (actual <= high)).mean() == pytest.approx(0.8, abs=0.03)
        found = metrics.metrics(metrics.sums(paths, actual, history.target, 12, [0.5]))
        # The noise alone costs 0.08 of the mean.
        assert found["ND"] < 0.095

    @pytest.mark.parametrize("likelihood", ["student-T", "negative-binomial", "beta", "deterministic-L1"])
    def test_every_likelihood_learns_the_season(self, likelihood):
        series = seasonal(24, noise=0.3)
        series = {"negative-binomial": np.round(series), "beta": series / 100}.get(likelihood, series)
        options = settings(
            likelihood=likelihood, epochs=10, num_cells=12, context_length=24, learning_rate=0.02, num_layers=1, prediction_length=12
        )
        artifact = fit(options, series)
        history, actual = withheld(Batch(**columns(series)), 12)
        paths = forecaster(artifact, options).paths(history, 30)
        found = metrics.metrics(metrics.sums(paths, actual, history.target, 12, []))
        level = np.abs(history.target.values.reshape(24, -1).mean(1)[:, None] - actual).sum() / actual.sum()
        assert found["ND"] < 0.6 * level

    def test_categories_and_dynamic_features_are_learned_from(self):
        random = np.random.default_rng(0)
        cat = random.integers(0, 2, (40, 1))
        promo = (random.random((40, 72)) < 0.3).astype(np.float32)
        series = 10 + 10 * cat * promo[:, :60] + 0.1 * random.standard_normal((40, 60))
        options = settings(epochs=12, num_cells=12, num_layers=1, learning_rate=0.02, prediction_length=6)
        features = Ragged(promo[:, :60].reshape(-1, 1), np.arange(0, 40 * 60 + 1, 60))
        artifact = fit(options, series, cat=cat, dynamic_feat=features)
        ahead = Ragged(promo[:, :66].reshape(-1, 1), np.arange(0, 40 * 66 + 1, 66))
        mean = forecaster(artifact, options).paths(Batch(**columns(series, cat=cat, dynamic_feat=ahead)), 20).mean(1)
        expected = 10 + 10 * cat * promo[:, 60:66]
        assert np.abs(mean - expected).mean() < 2
        assert artifact.values["network"]["cardinality"] == [2] and artifact.values["dynamic"] == 1

    def test_ends_early_in_its_best_state(self):
        options = settings(epochs=30, learning_rate=0.3, early_stopping_patience=1)
        marked = np.arange(len(SERIES)) % 4 == 0
        artifact = fit(options, validation=marked)
        history = [entry["validation:loss"] for entry in artifact.values["history"]]
        assert len(history) < 30 and artifact.values["epoch"] == int(np.argmin(history)) + 1
        assert artifact.values["validation:loss"] == min(history)

    def test_matrices_may_be_multiplied_with_16_bits(self):
        marked = np.arange(len(SERIES)) % 4 == 0
        expected, found = (fit(settings(), validation=marked, plan={"mixed_precision": mixed}) for mixed in (False, True))
        assert found.values["validation:loss"] == pytest.approx(expected.values["validation:loss"], rel=0.02)
        assert {array.dtype for array in found.arrays.values()} == {np.dtype(np.float32)}

    def test_missing_steps_cost_nothing(self, monkeypatch):
        holes, loss, of, missing = SERIES.copy(), DeepARLearner.loss, Inputs.of, []
        holes[RANDOM.random(holes.shape) < 0.3] = np.nan

        def elsewhere(*args, **kwargs):
            inputs = of(*args, **kwargs)
            missing.append(np.count_nonzero(~inputs.observed))
            return dataclasses.replace(inputs, target=np.where(inputs.observed, inputs.target, np.float32(1e3)))

        def compared(learner, batch, draws):
            found = loss(learner, batch, draws)
            with monkeypatch.context() as patched:
                patched.setattr(Inputs, "of", elsewhere)
                assert torch.equal(loss(learner, batch, draws)["loss"], found["loss"])
            steps = np.prod(of(batch, learner._shape, typical=1.0, is_scaled=True).observed.shape)
            assert learner.weight(batch) == steps - missing[-1]
            return found

        monkeypatch.setattr(DeepARLearner, "loss", compared)
        fit(settings(epochs=1, dropout_rate=0.0), holes)
        assert sum(missing) > 100


class Lost(Exception):
    """The worker is."""


@pytest.mark.parametrize("more", [{}, {"max_shard_bytes": 1}], ids=["memory", "spilled"])
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(tmp_path, monkeypatch, more):
    options = settings(epochs=4, dropout_rate=0.3)
    expected, save = fit(options, plan=more), checkpoint.CheckpointStore.save

    def save_and_lose(store, epoch, state):
        save(store, epoch, state)
        if epoch == 2:
            raise Lost

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
        with pytest.raises(Lost):
            fit(options, plan={**more, "checkpoint_dir": str(tmp_path)})
    found = fit(options, plan={**more, "checkpoint_dir": str(tmp_path)})
    assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3, 4]
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


@pytest.mark.parametrize("ends", [[12], [0, 20]], ids=str)
def test_several_workers_learn_as_well_as_one(ends):
    options = settings(epochs=6, num_cells=12, num_layers=1, learning_rate=0.02)
    parts = [slice(start, end) for start, end in zip([0, *ends], [*ends, len(SERIES)], strict=True)]
    history, actual = withheld(Batch(**columns(SERIES)), 6)

    def error(artifact):
        paths = forecaster(artifact, options).paths(history, 50)
        return metrics.metrics(metrics.sums(paths, actual, history.target, 12, []))["ND"]

    def train(communicator):
        part = SERIES[parts[communicator.rank]]
        given = columns(part) if len(part) else {"start": np.empty(0, "datetime64[us]"), "target": []}
        return train_arrays(DEEPAR, options, communicator=communicator, **given)

    several = in_threads(len(parts), train)[0]
    assert error(several) < 1.15 * error(fit(options))


class TestRefused:
    def test_series_that_are_all_shorter_than_a_horizon(self):
        with pytest.raises(InvalidRows, match="no series is as long as prediction_length=100: the longest target has 90 steps"):
            fit(settings(prediction_length=100))

    def test_too_few_observations(self):
        with pytest.raises(InvalidRows, match="have 180 observations in all, at least 300"):
            fit(settings(), SERIES[:2])

    @pytest.mark.parametrize(
        ("likelihood", "value", "message"),
        [
            ("beta", 1.5, "target column 'target', step 3, is 1.5, expected a number from 0 to 1 with likelihood='beta'"),
            ("negative-binomial", 0.5, "step 3, is 0.5, expected a whole number from 0 with likelihood='negative-binomial'"),
        ],
    )
    def test_values_that_a_likelihood_does_not_have(self, likelihood, value, message):
        series = np.zeros((5, 90), np.float32)
        series[2, 3] = value
        with pytest.raises(InvalidRows, match=message):
            fit(settings(likelihood=likelihood), series)

    def test_dynamic_features_of_another_length_than_the_target(self):
        features = Ragged(np.zeros((24 * 90 - 1, 1), np.float32), np.append(np.arange(0, 24 * 90, 90), 24 * 90 - 1))
        with pytest.raises(InvalidRows, match="dynamic_feat has 89 steps, expected the target's 90, in row 23"):
            fit(settings(), dynamic_feat=features)

    def test_dynamic_features_that_do_not_reach_over_the_horizon(self):
        features = Ragged(np.zeros((24 * 90, 1), np.float32), np.arange(0, 24 * 90 + 1, 90))
        artifact = fit(settings(epochs=1), dynamic_feat=features)
        with pytest.raises(InvalidRows, match="dynamic_feat has 90 steps, expected the target's 90 and 6 more"):
            forecaster(artifact, settings()).paths(Batch(**columns(SERIES, dynamic_feat=features)), 5)
        with pytest.raises(InvalidRows, match="trained with dynamic_feat"):
            forecaster(artifact, settings()).paths(Batch(**columns(SERIES)), 5)

    @pytest.mark.parametrize("given", [{"cardinality": [2]}, {"cardinality": "auto"}])
    def test_categories_beyond_what_was_said_or_different_in_number(self, given):
        cat = [[row % 3] for row in range(24)]
        if given["cardinality"] == [2]:
            message = r"category 0, is 2, expected a whole number from 0 to 1 \(cardinality=\[2\]\), in row 2"
        else:
            cat[5], message = [0, 1], "cat column 'cat' has 2 categories, expected 1, in row 5"
        with pytest.raises(InvalidRows, match=message):
            fit(settings(**given), cat=cat)
