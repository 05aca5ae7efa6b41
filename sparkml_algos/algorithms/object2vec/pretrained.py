"""Token embeddings that are known before training: from files of the service's form, or from a DataFrame, on their way to the workers."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos.algorithms.object2vec.settings import LIKE_FIRST, side_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.columns import is_vector
from sparkml_algos.core.shared_artifacts import Shipment, digest_of

_PACKED = "ids binary, vectors binary, length int"


@dataclass(frozen=True)
class Part:
    """The known vectors of a side.

    Attributes
    ----------
    side : int
    ids : ndarray of int64, shape (known,)
    vectors : ndarray of float32, shape (known, dim)
    frozen : bool
    """

    side: int
    ids: np.ndarray
    vectors: np.ndarray
    frozen: bool


class Pretrained:
    """Known vectors among the settings of a training; as a text it is a number of its content, which tells trainings apart.

    Parameters
    ----------
    shipment : Shipment
        Of arrays ``side/ids`` and ``side/vectors``.
    digest : str
    sources : dict of int to int
        Of each table of token embeddings that has known vectors, the side that gives them.
    frozen : (bool, bool)
        By side, whether they stay as they are.
    """

    def __init__(self, shipment: Shipment, digest: str, sources: Mapping[int, int], frozen: tuple[bool, bool]) -> None:
        self._shipment, self._digest, self._sources, self._frozen = shipment, digest, dict(sources), frozen

    @classmethod
    def of(cls, shipment: Shipment, artifact: Artifact, hyperparameters: Hyperparameters) -> Pretrained:
        """Those of an artifact, which is shipped, as the settings use them."""
        given = {int(name.partition("/")[0]) for name in artifact.arrays}
        if hyperparameters.tied_token_embedding_weight:
            sources = {0: min(given)}
        elif hyperparameters.enc1_network == LIKE_FIRST:
            sources = {side: side if side in given else 0 for side in (0, 1) if given & {side, 0}}
        else:
            sources = {side: side for side in given}
        frozen = side_of(hyperparameters, 0).frozen, side_of(hyperparameters, 1).frozen
        return cls(shipment, digest_of(artifact), sources, frozen)

    def __repr__(self) -> str:
        return f"pretrained {self._digest}"

    def parts(self) -> list[Part]:
        """The vectors of each table that has such."""
        arrays = self._shipment.open().arrays
        return [
            Part(table, arrays[f"{source}/ids"], arrays[f"{source}/vectors"], self._frozen[source])
            for table, source in sorted(self._sources.items())
        ]


def read_files(spark: SparkSession, hyperparameters: Hyperparameters) -> Artifact:
    """The vectors in the files that the settings name, as arrays ``side/ids`` and ``side/vectors``.

    Raises
    ------
    ValueError
        If a file is not of its form, or no word of one is in the other.
    """
    arrays: dict[str, np.ndarray] = {}
    for number in (0, 1):
        side = side_of(hyperparameters, number)
        if not side.embedding_file or number and hyperparameters.enc1_network == LIKE_FIRST:
            continue
        folder = hyperparameters.auxiliary_dir.rstrip("/")
        ids = _read_ids(spark, f"{folder}/{side.vocab_file}")
        words = F.split(F.trim(F.col("value")), " ")
        lines = spark.read.text(f"{folder}/{side.embedding_file}").where(F.size(words) > 2)  # some begin with two numbers of their own
        numbers = lines.select(words[0].alias("word"), F.slice(words, 2, F.size(words) - 1).alias("numbers"))
        # What is no number becomes null, whatever the session makes of it elsewhere, and is refused by its token.
        vectors = numbers.selectExpr("word", "transform(numbers, number -> try_cast(number AS float)) AS vector")
        try:
            arrays[f"{number}/ids"], arrays[f"{number}/vectors"] = known_vectors(vectors, ids)
        except ValueError as error:
            raise ValueError(f"enc{number}_pretrained_embedding_file: {side.embedding_file}: {error}") from None
        largest, length = int(arrays[f"{number}/ids"].max()), arrays[f"{number}/vectors"].shape[1]
        if length != side.dim or largest >= side.vocab_size:
            raise ValueError(
                f"{side.embedding_file} has vectors of {length} numbers, of tokens up to {largest}; encoder {number} has "
                f"token_embedding_dim={side.dim} and vocab_size={side.vocab_size}"
            )
    return Artifact(arrays)


def known_vectors(vectors: DataFrame, ids: Mapping[str, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Ids and vectors of the rows of a DataFrame whose word has an id.

    Parameters
    ----------
    vectors : DataFrame
        With the columns ``word`` or ``id``, and ``vector``.
    ids : mapping of str to int, optional
        Of words.

    Returns
    -------
    (ndarray, ndarray)
        Shape (known,), int64, ascending, and (known, dim), float32.
    """
    name = "word" if ids is not None else "id"
    missing = [column for column in (name, "vector") if column not in vectors.columns]
    if missing:
        hint = "; give the ids of its words" if name == "id" and "word" in vectors.columns else ""
        raise ValueError(f"pretrained vectors need the columns {name!r} and 'vector'; the dataset has {', '.join(vectors.columns)}{hint}")
    vector = F.unwrap_udt("vector")["values"] if is_vector(vectors.schema["vector"].dataType) else F.col("vector")
    key = F.col(name).cast("string" if ids is not None else "long")
    rows = vectors.select(key.alias(name), vector.cast("array<float>").alias("vector"))
    ensure_importable(vectors.sparkSession, ALWAYS)
    parts = rows.mapInArrow(functools.partial(_packed, ids), _PACKED).collect()
    lengths = {part.length for part in parts}
    if not parts:
        raise ValueError("no pretrained vector is of a token: no word is in the vocabulary, or there are no rows")
    if len(lengths) > 1:
        raise ValueError(f"pretrained vectors differ in their length: {', '.join(map(str, sorted(lengths)))}")
    found = np.concatenate([np.frombuffer(part.ids, np.int64) for part in parts])
    values = np.concatenate([np.frombuffer(part.vectors, np.float32).reshape(-1, part.length) for part in parts])
    kept, first = np.unique(found, return_index=True)
    if kept[0] < 0:
        raise ValueError(f"a pretrained vector is of token {kept[0]}; ids are 0 or more")
    if not np.isfinite(values).all():
        token = found[np.flatnonzero(~np.isfinite(values).all(1))[0]]
        raise ValueError(f"the pretrained vector of token {token} has a value that is no finite number")
    return kept, values[first]


def _packed(ids: Mapping[str, int] | None, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The known rows of each batch as the bytes of two arrays, and the length of the vectors."""
    for batch in batches:
        keys = batch.column(0).to_pylist()
        tokens = [key if ids is None else ids.get(key) for key in keys]
        known = [place for place, token in enumerate(tokens) if token is not None and batch.column(1)[place].is_valid]
        by_length: dict[int, list[int]] = {}
        for place in known:
            by_length.setdefault(len(batch.column(1)[place]), []).append(place)
        for length, places in by_length.items():
            vectors = batch.column(1).take(pa.array(places)).flatten().to_numpy(zero_copy_only=False).astype(np.float32)
            kept = np.array([tokens[place] for place in places], np.int64)
            yield pa.RecordBatch.from_pydict(
                {
                    "ids": pa.array([kept.tobytes()], pa.binary()),
                    "vectors": pa.array([vectors.tobytes()], pa.binary()),
                    "length": pa.array([length], pa.int32()),
                }
            )


def _read_ids(spark: SparkSession, path: str) -> dict[str, int]:
    """The map of words to ids in a JSON file."""
    text = "\n".join(row.value for row in spark.read.text(path, wholetext=True).collect())
    try:
        ids = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON map of words to ids: {error}") from None
    if not isinstance(ids, dict) or any(isinstance(token, bool) or not isinstance(token, int) for token in ids.values()):
        raise ValueError(f"{path} is no JSON map of words to ids")
    return ids
