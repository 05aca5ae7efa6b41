"""Vocabularies that are given: by the user, or as the service's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pyspark.sql import SparkSession

from sparkml_algos.algorithms.seq2seq.params import ROLES
from sparkml_algos.algorithms.seq2seq.words import put_words
from sparkml_algos.arrays.artifact import Artifact

#: The service's files, of source and target.
FILES = ("vocab.src.json", "vocab.trg.json")


def artifact_of(source: object, target: object) -> Artifact:
    """Words of both sides, as `words.put_words` keeps them.

    Parameters
    ----------
    source, target : VocabularyModel, mapping of str to int, or sequence of str
        Of each side a vocabulary, the ids of its words, or its words in the order of their ids.

    Raises
    ------
    ValueError
        If one is none of these, its ids are not all numbers from 0 on, or it lacks a reserved word.
    """
    found = Artifact()
    for role, given in zip(ROLES, (source, target), strict=True):
        put_words(found, role, _in_order(given, f"the vocabulary of the {role}"))
    return found


def read_files(spark: SparkSession, folder: str) -> Artifact:
    """The words in the service's files, maps of words to ids.

    Raises
    ------
    ValueError
        If a file is none, or lacks a reserved word.
    """
    found = Artifact()
    for role, name in zip(ROLES, FILES, strict=True):
        path = f"{folder.rstrip('/')}/{name}"
        try:
            ids = json.loads("".join(row.value for row in spark.read.text(path, wholetext=True).collect()))
        except json.JSONDecodeError as error:
            raise ValueError(f"vocab_dir: {path} is no JSON: {error}") from None
        if not isinstance(ids, dict):
            raise ValueError(f"vocab_dir: {path} is no map of words to ids")
        try:
            put_words(found, role, _in_order(ids, path))
        except ValueError as error:
            raise ValueError(f"vocab_dir: {error}") from None
    return found


def _in_order(given: object, what: str) -> list[str]:
    """Words in the order of their ids."""
    words: object = getattr(given, "words", given)
    if isinstance(words, Mapping):
        if sorted(words.values()) != list(range(len(words))):
            raise ValueError(f"{what} must map words to all ids from 0 on, each once")
        words = sorted(words, key=words.__getitem__)
    if not isinstance(words, Sequence) or isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{what} must be a VocabularyModel, a map of words to ids, or words in the order of their ids, got {given!r}")
    return list(words)
