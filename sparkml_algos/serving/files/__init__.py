"""Batch inference on files as the service does it: split, filter, score, join, filter, assemble; a file in, a file out."""

from sparkml_algos.serving.files.folder import transform_file, transform_folder
from sparkml_algos.serving.files.transform import Transform

__all__ = ["Transform", "transform_file", "transform_folder"]
