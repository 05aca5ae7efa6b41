"""Settings that are trained in one go get what each gets alone, whatever hyperparameter they differ in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters, InvalidParams
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.images import Image
from sparkml_algos.training.run import Alone, TrainingPlan, train
from tests.cases import ADDRESSES, CASES, ENTITIES, IMAGES, MASKS, OTHER_TOKEN_IDS, PICTURES, ROWS, SERIES, TEXTS, TOKEN_IDS, TOKENS, Case

RANDOM = np.random.default_rng(0)
BLOB = np.repeat(np.arange(4), len(ROWS) // 4)
LABELS = {"target": ROWS @ [1.0, -2.0, 0.5], "half": BLOB % 2, "blob": BLOB}
# What training cannot take with the settings and rows at hand, so that no value differs from the default.
FIXED = {"feature_dim", "num_classes", "classes", "num_training_samples", "multi_label"}


def columns(case: Case) -> dict[str, Any]:
    """What training reads, by role."""
    known = {
        "features": case.rows,
        "tokens": TOKENS,
        "image": PICTURES if isinstance(case.kinds.get("image"), Image) else IMAGES,
        "mask": MASKS,
        "boxes": [np.array([[label, 0.1, 0.2, 0.3, 0.4]]) for label in BLOB % 3],
        "text": TEXTS,
        "label": LABELS.get(case.settings.get("labelCol")),
        "group": np.repeat(np.arange(len(ROWS) // 4), 4),
        "validation": np.arange(len(ROWS)) % 5 == 0,
        "owner": BLOB.astype(str),
        "entity": ENTITIES,
        "ip": ADDRESSES,
        "source": ENTITIES,
        "start": ["2024-01-01"] * len(ROWS),
        "target": ENTITIES if "source" in case.roles else SERIES,
        "in0": TOKEN_IDS,
        "in1": OTHER_TOKEN_IDS,
    }
    return {role: known[role] for role in case.roles if known.get(role) is not None}


def candidates(param: Hyperparameter, value: Any) -> list[Any]:
    """Values to try in place of another."""
    if param.choices:
        return [choice for choice in param.choices if choice != value]
    if param.type is bool:
        return [not value]
    if param.type in (int, float):
        middle = value if isinstance(value, int | float) and value else 1
        found = [middle * 0.5, middle * 2, middle + 1, 1, 2, 0.5, 0]
        return [param.type(number) for number in found if number != value and param.type(number) == number]
    return []


def another(case: Case, name: str) -> dict[str, Any] | None:
    """The settings of a case with another value of a hyperparameter, if there is one that goes with them."""
    base = case.make().hyperparameters()
    values = case.grid[1] if name == case.grid[0] else candidates(case.estimator.declared[name], base[name])
    for value in values:
        try:
            changed = case.make(**{name: value})
        except InvalidParams:
            continue
        if not changed.problems() and changed.hyperparameters() != base:
            return changed.hyperparameters()
    return None


def models(case: Case, *settings: dict[str, Any]) -> list[Artifact]:
    """What one training gives for each of the settings."""
    given = columns(case)
    fields = case.estimator.algorithm().fields_for(Hyperparameters(**settings[0]))
    fields = [field for field in fields if field.training and field.role in given]
    decoder = Decoder([Source(field, [field.role]) for field in fields])
    plan = TrainingPlan(case.estimator.algorithm(), settings, decoder, seed=3)
    found = dict(train(plan, Alone(), record_batches(fields, given, 100)))
    return [found[f"model/{i}"] for i in range(len(settings))]


def content(artifact: Artifact) -> dict[str, Any]:
    """Numbers and values without what tells how training went."""
    return {"values": {key: value for key, value in artifact.values.items() if key != "history"}, **artifact.arrays}


OTHERS = [
    pytest.param(case, changed, id=f"{case}-{name}")
    for case in CASES
    if not case.is_sibling
    for name, param in case.estimator.declared.items()
    if isinstance(param, Hyperparameter) and name not in FIXED
    for changed in [another(case, name)]
    if changed
]


@pytest.mark.parametrize(("case", "changed"), OTHERS)
def test_a_second_setting_is_trained_as_it_is_alone(case: Case, changed: dict[str, Any]) -> None:
    together = content(models(case, case.make().hyperparameters(), changed)[1])
    alone = content(models(case, changed)[0])
    assert together.keys() == alone.keys()
    for key, wanted in alone.items():
        np.testing.assert_equal(together[key], wanted, err_msg=key)
