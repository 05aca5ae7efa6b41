"""Models too large to come back are refused before training."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import train_arrays
from tests.cases import CASES, Case

FEATURES = 400
KNOWN = [case for case in CASES if case.estimator.algorithm().model_bytes]
# So many that other things take little beside them.
VECTORS = 10_000


def fit(case: Case, **plan):
    estimator = case.make()
    rows = np.random.default_rng(0).integers(0, 3, (60, FEATURES)).astype(np.float32)
    label = next((field.kind for field in estimator.fields() if field.role == "label"), None)
    columns = {"label": np.arange(60) % getattr(label, "classes", 2)} if label else {}
    settings = estimator.hyperparameters()
    if case.takes_features:
        columns, settings = {"features": rows, **columns}, {**settings, "feature_dim": FEATURES}
    else:
        columns, settings = {**case.columns, **columns}, {**settings, "num_entity_vectors": VECTORS}
    model = train_arrays(estimator.algorithm(), settings, **columns, **plan)
    return model, estimator.algorithm().model_bytes(type("Settings", (), settings), FEATURES)


@pytest.mark.parametrize("case", KNOWN, ids=str)
def test_the_size_that_is_foretold_is_that_of_the_model(case: Case) -> None:
    model, foretold = fit(case)
    assert sum(array.nbytes for array in model.arrays.values()) == pytest.approx(foretold, rel=0.05)


def test_a_model_that_the_driver_would_not_take_is_refused() -> None:
    with pytest.raises(InvalidRows, match=r"the model of 400 features would take 0.0 MiB, .* raise spark\.driver\.maxResultSize"):
        fit(KNOWN[0], max_model_bytes=1000)
    fit(KNOWN[0], max_model_bytes=1_000_000)
