"""Batch inference on files as the service does it: split, filter, score, join, filter, assemble; a file in, a file out."""

from sparkml_algos.serving.files.transform import Transform, transform_file, transform_folder

__all__ = ["Transform", "transform_file", "transform_folder"]
