"""Saved pipelines without Spark: stages of this package, and Spark's common ones as functions over arrays.

`pipeline.TRANSLATED` says which. A column of a frame is, of numbers, a float64 array (rows,), NaN where a value is null; of vectors, a
float64 array (rows, length) or a csr_matrix; of texts, a list of str or None; of words, a list of lists.
"""

from sparkml_algos.serving.pipelines.pipeline import ServedPipeline

__all__ = ["ServedPipeline"]
