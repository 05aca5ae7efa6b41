"""What MLflow's `python_function` is of saved models, without Spark and without MLflow."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sparkml_algos.serving.pyfunc import PythonFunction

SAVED = Path(__file__).parents[1] / "saved"


@pytest.mark.parametrize("form", [bytes, bytearray, lambda png: base64.b64encode(png).decode()], ids=["bytes", "bytearray", "base64"])
def test_an_image_is_bytes_as_in_spark_or_base64(form):
    pytest.importorskip("torch")
    images = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    images.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file, "PNG")
    found = PythonFunction(SAVED / "ImageClassifierModel").predict(pd.DataFrame({"picture": [form(file.getvalue())] * 2}))
    assert list(found["prediction"]) == [2.0, 2.0]
    np.testing.assert_allclose(found["probability"].iloc[0].sum(), 1, rtol=1e-6)
