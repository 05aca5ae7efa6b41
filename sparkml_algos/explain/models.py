"""What `explain` of a Model is, by what the model reads."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from sparkml_algos.explain.attribution import explain
from sparkml_algos.explain.images import explain_images
from sparkml_algos.explain.series import explain_series
from sparkml_algos.explain.text import explain_text


def explained(model: Any, dataset: DataFrame, **settings: Any) -> DataFrame:
    """The rows with attributions: of texts, series and images those of their parts, else of features.

    Parameters
    ----------
    model : AlgorithmModel
    dataset : DataFrame
    **settings
        Of `explain`, `explain_text`, `explain_series` or `explain_images`.

    Returns
    -------
    DataFrame
    """
    roles = {field.role for field in model.fields() if field.scoring}
    if "image" in roles:
        return explain_images(model, dataset, **settings)
    if "text" in roles:
        return explain_text(model, dataset, **settings).dataframe
    if "target" in roles:
        return explain_series(model, dataset, **settings).dataframe
    return explain(model, dataset, **settings).dataframe
