"""Files on storage of any kind, by the names that Spark knows them by."""

from __future__ import annotations

from urllib.parse import quote, urlparse

import pyarrow.fs as fs

# What may stand in a URI as it is, for pyarrow; `?` begins settings of a store, such as ``?endpoint_override=…``.
_OF_URIS = "/:?&=+,;@!$'()*~[]"
# Hadoop's names of the same store.
_NAMES_OF_S3 = ("s3a", "s3n")


def resolve(path: str) -> tuple[fs.FileSystem, str]:
    """File system and path in it of a path or URI as Spark knows them: no character in it stands for another.

    Parameters
    ----------
    path : str
        A path of this machine, or a URI that pyarrow has a file system for: ``file``, ``hdfs``, ``s3`` (also ``s3a``, ``s3n``), ``gs``,
        ``abfs``.

    Returns
    -------
    tuple of pyarrow.fs.FileSystem and str
    """
    scheme = urlparse(path).scheme
    if not scheme:
        return fs.LocalFileSystem(), path
    rest = path[len(scheme) + 1 :]
    if scheme == "file":
        return fs.LocalFileSystem(), f"/{rest.removeprefix('//').partition('/')[2]}" if rest.startswith("//") else rest
    return fs.FileSystem.from_uri(f"{'s3' if scheme in _NAMES_OF_S3 else scheme}:{quote(rest, safe=_OF_URIS)}")
