"""The service's data formats: bytes to columns of arrays and back, without Spark."""

from sparkml_algos.formats.columns import Column, Ragged, RecordBatch
from sparkml_algos.formats.errors import FormatError

__all__ = ["Column", "FormatError", "Ragged", "RecordBatch"]
