"""Classes of XGBoost on arrays: the loss where labels say it, probabilities at their ends, and thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.algorithms.xgboost.prediction import loaded
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.rows.kinds import InvalidRows
from tests.boosting import GROUP, HALF, HELD, ROWS, THIRD, alone, fit, outputs, same_trees
from tests.gang import process_gang

# ------------------------------------------------------------------------------------------------------ the loss that labels say


def test_labels_of_two_classes_have_the_logistic_loss_and_more_have_softmax():
    two, three = fit("classifier", HALF), fit("classifier", THIRD)
    same_trees(two, alone({"objective": "binary:logistic"}, HALF))
    same_trees(three, alone({"objective": "multi:softprob", "num_class": 3}, THIRD))
    assert (two.values["objective"], two.values["num_class"]) == ("binary:logistic", 0)
    assert (three.values["objective"], three.values["num_class"]) == ("multi:softprob", 3)
    assert "train:logloss" in two.values and "train:mlogloss" in three.values


def test_labels_that_are_all_0_are_of_two_classes():
    assert fit("classifier", np.zeros(2000)).values["objective"] == "binary:logistic"


@pytest.mark.parametrize(("classes", "objective"), [(2, "binary:logistic"), (3, "multi:softprob"), (5, "multi:softprob")])
def test_a_given_number_of_classes_says_the_loss(classes, objective):
    artifact = fit("classifier", HALF, num_class=classes)
    assert artifact.values["objective"] == objective
    assert outputs(artifact)["probability"].shape == (2000, classes)


def test_labels_beyond_a_given_number_of_classes_are_named():
    with pytest.raises(InvalidRows, match="label column 'label' is 2, expected 0 or 1, in row"):
        fit("classifier", THIRD, num_class=2)
    with pytest.raises(InvalidRows, match=r"label column 'label' is 0\.5, expected an integer from 0 to"):
        fit("classifier", THIRD / 2)


def test_the_largest_label_may_be_on_another_worker_or_among_rows_for_validation():
    label = np.where(GROUP == 1, 3, HALF).astype(np.float32)  # on worker 1 only
    found = process_gang(2)(deal_by_group, label, {})
    assert [artifact.values["num_class"] for artifact in found if artifact.values] == [4]
    assert fit("classifier", np.where(HELD, 2, HALF), validation=HELD).values["num_class"] == 3


def deal_by_group(communicator, label, options):
    mine = GROUP % communicator.size == communicator.rank
    return fit("classifier", label[mine], ROWS[mine], communicator, **options)


def test_numbers_that_can_hardly_be_classes_are_refused():
    with pytest.raises(InvalidRows, match=r"labels reach 2000, and there are 2000 rows: .* use XGBoostRegressor for numbers"):
        fit("classifier", np.append(HALF[:-1], 2000))


def test_settings_that_do_not_suit_the_loss_of_the_labels_are_refused():
    with pytest.raises(InvalidRows, match="labels of 3 classes make objective='multi:softprob': scale_pos_weight needs an objective of"):
        fit("classifier", THIRD, scale_pos_weight=3)
    same_trees(fit("classifier", HALF, scale_pos_weight=3), alone({"objective": "binary:logistic", "scale_pos_weight": 3}, HALF))
    with pytest.raises(InvalidRows, match="labels of 2 classes make objective='binary:logistic': base_score is a probability"):
        fit("classifier", HALF, base_score=1.5)


def test_a_model_that_training_starts_from_says_the_loss():
    initial = loaded(fit("classifier", THIRD, objective="multi:softmax", num_class=4, num_round=2))
    artifact = fit("classifier", HALF, initial_model=initial, num_round=1)
    assert (artifact.values["objective"], artifact.values["num_class"]) == ("multi:softmax", 4)
    assert loaded(artifact).num_boosted_rounds() == 3
    with pytest.raises(InvalidRows, match="initial_model was trained with 'reg:squarederror', which is not for classes"):
        fit("classifier", HALF, initial_model=alone({}, HALF))


# ---------------------------------------------------------------------------------------------------------------- probabilities


def scored_as(margin: list[float], **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of a booster without trees for rows that start from these scores."""
    values = fit("classifier", HALF, num_round=1, eta=0)
    artifact = Artifact({**values.arrays, **arrays}, values.values)
    return outputs(artifact, ROWS[: len(margin)], np.array(margin, np.float32))


def test_probabilities_of_large_scores_are_those_of_64_bits_and_raise_no_warning():
    margin = [0.0, 20.0, -20.0, 50.0, -50.0, 800.0, -800.0, 3e38, -3e38]
    with np.errstate(all="raise"):
        found = scored_as(margin)["probability"]
    small = [0.5, 1 / (1 + np.exp(20.0)), np.exp(-50.0), 0.0, 0.0]
    np.testing.assert_allclose(found[[0, 1, 3, 5, 7], 0], small, rtol=1e-15)
    np.testing.assert_array_equal(found[[1, 3, 5, 7]], found[[2, 4, 6, 8], ::-1])
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-15)


# ------------------------------------------------------------------------------------------------------------------- thresholds


def test_a_row_is_of_the_second_class_above_the_threshold():
    artifact = fit("classifier", HALF)
    probability = outputs(artifact)["probability"][:, 1]
    level = float(np.unique(probability)[-40:-38].mean())
    artifact.values["raw_threshold"] = float(np.log(level / (1 - level)))
    np.testing.assert_array_equal(outputs(artifact)["prediction"], probability > level)


def test_of_many_classes_the_one_that_is_most_probable_in_relation_to_its_threshold():
    artifact = fit("classifier", THIRD)
    found = outputs(artifact)
    probability, usual = found["probability"], found["prediction"]
    thresholds = np.array([0.2, 0.1, 0.7])
    artifact.arrays["thresholds"] = thresholds
    changed = outputs(artifact)["prediction"]
    np.testing.assert_array_equal(changed, (probability / thresholds).argmax(axis=1))
    assert (usual == probability.argmax(axis=1)).all() and (usual != changed).any()
