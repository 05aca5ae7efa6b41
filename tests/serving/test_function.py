"""What MLflow's `python_function` is of saved models, without Spark and without MLflow."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest

from sparkml_algos.serving.pyfunc import PythonFunction
from tests.saved.expected import SAVED
from tests.serving.serving import MODELS, picture

#: What only Spark makes of them.
ON_SPARK_ALONE = {"RandomCutForestModel": {"alarm"}}


def frame_of(rows: list[dict]) -> pd.DataFrame:
    """The rows that saved models were asked about, with the columns of text and the images that `tests.saved.save` made of them."""
    made = [
        {
            **row,
            "words": [str(float(value)) for value in row["features"]],
            "text": " ".join(f"{value:.0f}" for value in row["features"]),
            "entity": f"user {row['id'] % 7}",
            "ip": f"10.0.{row['id'] % 7}.{row['id'] % 50}",
            "day": "2024-01-01",
            "picture": picture(row)["image"],
        }
        for row in rows
    ]
    return pd.DataFrame(made)


def flat(value: object) -> list:
    """All numbers and texts of a cell, in their order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | np.ndarray):
        return [one for part in value for one in flat(part)]
    return [value]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_what_transform_computed(name):
    saved = json.loads((SAVED / f"{name}.json").read_text())
    found = PythonFunction(SAVED / name).predict(frame_of(saved["rows"]))
    assert len(found) == len(saved["rows"]) and set(saved["outputs"]) - set(found) == ON_SPARK_ALONE.get(name, set())
    for column in set(saved["outputs"]) & set(found):
        for cell, wanted in zip(found[column], saved["outputs"][column], strict=True):
            for got, value in zip(flat(cell), flat(wanted), strict=True):
                assert got == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5, abs=1e-6)), column


@pytest.mark.parametrize("form", [bytes, bytearray, lambda png: base64.b64encode(png).decode()], ids=["bytes", "bytearray", "base64"])
def test_an_image_is_bytes_as_in_spark_or_base64(form):
    pytest.importorskip("torch")
    images = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    images.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file, "PNG")
    found = PythonFunction(SAVED / "ImageClassifierModel").predict(pd.DataFrame({"picture": [form(file.getvalue())] * 2}))
    assert list(found["prediction"]) == [2.0, 2.0]
    np.testing.assert_allclose(found["probability"].iloc[0].sum(), 1, rtol=1e-6)
