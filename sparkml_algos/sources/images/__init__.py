"""Labelled images as DataFrames: image RecordIO, folders with a ``.lst`` file and augmented manifests, read and written.

They are functions, not data sources, so they are the same on every Spark and through Spark Connect. A DataFrame has the columns ``image``,
the bytes of a file, and ``label``, in one of these forms:

==========  ==================================================================================================================
number      double: the number of a class
numbers     array<float>: a 0 or 1 for each class, or ids of classes
boxes       array<struct<class_id, left, top, width, height: float>>: of a RecordIO or a ``.lst`` file as fractions of the image
mask        binary: a file with a label for each pixel (manifests alone)
text        string: the label as it is (manifests alone)
==========  ==================================================================================================================
"""

from sparkml_algos.sources.images.reading import read_image_list, read_image_recordio, read_manifest
from sparkml_algos.sources.images.writing import write_image_list, write_image_recordio, write_manifest

__all__ = ["read_image_list", "read_image_recordio", "read_manifest", "write_image_list", "write_image_recordio", "write_manifest"]
