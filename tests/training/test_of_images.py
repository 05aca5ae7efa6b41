"""What the algorithms of images have in common means the same to each of them."""

from __future__ import annotations

import pytest

from sparkml_algos import ImageClassifier, ObjectDetector, SemanticSegmenter
from sparkml_algos.training.of_images import epochs_of

LEARNERS = [
    lambda **given: ImageClassifier(**given),
    lambda **given: ObjectDetector(**given),
    lambda **given: SemanticSegmenter(lr_scheduler="step", **given),
]


@pytest.mark.parametrize(("text", "epochs"), [(None, []), ("", []), (" ", []), ("3", [3]), ("10, 20 ,30", [10, 20, 30])])
def test_epochs_are_whole_numbers_with_commas_between(text: str | None, epochs: list[int]) -> None:
    assert epochs_of(text) == epochs


@pytest.mark.parametrize("text", ["a", "10,5", "10, 10", "0", "1;2", "-1", "1,", ",1", "1,,2", "9" * 10, "²"])
@pytest.mark.parametrize("learner", LEARNERS, ids=["classifier", "detector", "segmenter"])
def test_what_are_none_is_refused_by_each(learner: object, text: str) -> None:
    message = f"lr_scheduler_step must be epochs from 1 such as '10, 20', each larger than the one before, got {text!r}"
    assert learner(lr_scheduler_step=text).problems() == [message]
