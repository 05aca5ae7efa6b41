"""The algorithm that the README shows is one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

README = Path(__file__).parents[1] / "README.md"


def test_the_algorithm_of_the_readme_is_fitted_and_scores(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "class FarFromMean(" in block)
    # In a notebook, functions travel to the workers as code; so they do from a module that these cannot import.
    (tmp_path / "far_from_mean.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    spark.sparkContext.addPyFile(str(tmp_path / "far_from_mean.py"))
    import far_from_mean

    rows = np.random.default_rng(0).normal(size=(50, 3))
    frame = spark.createDataFrame([(row.tolist(),) for row in rows], "features array<double>").withColumn("w", F.lit(2.0))
    model = far_from_mean.FarFromMean(norm=1, num_workers=2, weightCol="w").fit(frame)
    found = model.transform(frame).toPandas()
    expected = np.abs(np.stack(found.features) - rows.mean(axis=0)).sum(axis=1)
    np.testing.assert_allclose(found.score, expected, rtol=1e-5)
    assert "norm : one of 1, 2, default 2" in far_from_mean.FarFromMean.__doc__
    sys.modules.pop("far_from_mean")
