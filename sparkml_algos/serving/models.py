"""A predictor from a saved directory."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.formats.columns import RecordBatch
from sparkml_algos.formats.json_instances import Instances
from sparkml_algos.names import EXPORTS, current_name
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.kinds import Facts, InvalidRows
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.serving.requests import columns_of_instances, columns_of_records


@dataclass(frozen=True)
class SavedModel:
    """A fitted model that scores rows given as arrays.

    Attributes
    ----------
    name : str
        Of its class, such as ``sparkml_algos.KMeansModel``.
    fields : list of Field
        The columns it reads.
    facts : dict of str to dict
        By the role of a column, what training has found out about it, such as ``num_features``.
    hyperparameters : Hyperparameters
        Values of all Params, as attributes.
    """

    name: str
    fields: list[Field]
    facts: Mapping[str, Facts]
    hyperparameters: Hyperparameters
    _predictor: Predictor
    # By the roles of columns, those that read values and are afterwards as they were.
    _decoders: dict[tuple[str, ...], Decoder] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, features: Any = None, **columns: Any) -> Mapping[str, Any]:
        """Score rows.

        Parameters
        ----------
        features : ndarray or csr_matrix, shape (rows, features), optional
            Where the model has a field of this role.
        **columns
            Further columns by role; see `Kind.arrays` for what each kind takes.

        Returns
        -------
        mapping of str to array
            Outputs by the names of the service's responses, an entry a row, the very numbers that `transform` computes in Python.

        Raises
        ------
        InvalidRows
            If a row is not what the model takes.
        ValueError
            If a column is missing, unknown, or of another length than the others.
        """
        decoder, batch = self._read(features, **columns)
        with decoder.naming_rows(0):
            return self._predictor(batch)

    def batch(self, features: Any = None, **columns: Any) -> Batch:
        """Rows as the predictor takes them; parameters and what is raised are those of a call."""
        return self._read(features, **columns)[1]

    def of_batch(self, batch: Batch) -> Mapping[str, Any]:
        """The outputs for rows that `batch` has read."""
        return self._predictor(batch)

    def _read(self, features: Any = None, **columns: Any) -> tuple[Decoder, Batch]:
        given = {role: values for role, values in {"features": features, **columns}.items() if values is not None}
        roles = tuple(given)
        decoder = self._decoders.get(roles)
        if decoder is None:
            decoder = self._decoder(self._fields_of(roles))
            if decoder.knows_widths:
                self._decoders[roles] = decoder
        found = decoder.of_values(given)
        if found is not None:
            return decoder, found
        fields = self._fields_of(roles)
        decoder = self._decoder(fields)
        try:
            batches = [decoder(part) for part in record_batches(fields, given)]
        except (TypeError, OverflowError, UnicodeError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InvalidRows(f"a value of {', '.join(given)} cannot be read: {error}") from error
        return decoder, Batch.concat(batches) if batches else decoder.empty()

    def _fields_of(self, given: Collection[str]) -> list[Field]:
        """The fields of these roles."""
        known = {one.role for one in self.fields}
        missing = {one.role for one in self.fields if one.default is not None} - set(given)
        alone = {one.role for one in self.fields if one.alone}
        missing -= alone if alone & set(given) else set()
        if missing or set(given) - known:
            wrong = [f"no {role}" for role in sorted(missing)] + [f"unknown column {role!r}" for role in sorted(set(given) - known)]
            raise ValueError(f"{self.name} reads {', '.join(sorted(known))}: {', '.join(wrong)}")
        return [one for one in self.fields if one.role in given]

    def _decoder(self, fields: Sequence[Field]) -> Decoder:
        decoder = Decoder([Source(field, [field.role]) for field in fields])
        decoder.know(self.facts)
        return decoder

    def _of_nothing(self) -> Mapping[str, Any]:
        """Outputs for no row at all."""
        return self._predictor(self._decoder([field for field in self.fields if field.default is not None]).empty())

    def with_labels(self, k: int) -> SavedModel:
        """The same model, of texts, with another number of most probable labels.

        Parameters
        ----------
        k : int
        """
        return replace(self, _predictor=self._predictor.with_labels(k))  # type: ignore[attr-defined]

    def predict_instances(self, instances: Instances) -> Mapping[str, Any]:
        """Score the instances of a JSON request, as `formats.json_instances` decodes it."""
        return self(**columns_of_instances(self.fields, instances)) if len(instances) else self._of_nothing()

    def predict_records(self, records: RecordBatch) -> Mapping[str, Any]:
        """Score records of RecordIO-protobuf, as `formats.recordio_protobuf` decodes them."""
        return self(**columns_of_records(self.fields, records)) if len(records) else self._of_nothing()


def load(path: str | Path, *, device: str = "cpu", prediction: ModuleType | None = None) -> SavedModel:
    """Load a model from the local directory where it was saved.

    Parameters
    ----------
    path : str or Path
    device : str
        ``cpu``, or where the model is to compute, as torch calls it.
    prediction : module, optional
        Of a model whose class this package does not export: the module with its function ``load`` and the sequence ``FIELDS``; and with
        ``kinds``, if it is of `Algorithm`'s, where hyperparameters say what a column is.

    Returns
    -------
    SavedModel

    Raises
    ------
    FileNotFoundError
        If nothing was saved there.
    ValueError
        If it is not a model of this package.

    Examples
    --------
    >>> from sparkml_algos import serving
    >>> model = serving.load("/models/customers")  # doctest: +SKIP
    >>> model(features=rows)["closest_cluster"]  # doctest: +SKIP
    """
    metadata, artifact = read_local(path)
    return restored(metadata, artifact, str(path), device=device, prediction=prediction)


def restored(
    metadata: Mapping[str, Any],
    artifact: Artifact | None,
    path: str,
    *,
    device: str = "cpu",
    prediction: ModuleType | None = None,
) -> SavedModel:
    """A model from what was saved of it; `path` is for messages, and `load` tells the others.

    Raises
    ------
    ValueError
        If it is not a model of this package.
    """
    name = current_name(metadata["class"])
    if artifact is None:
        raise ValueError(f"{path} holds a {name}, which is no fitted model")
    if prediction is not None:
        declared, load_predictor = prediction, prediction.load
    elif exported := EXPORTS.get(name.rpartition(".")[2]):
        algorithm = exported.rpartition(".")[0]
        declared = importlib.import_module(f"{algorithm}.params")
        load_predictor = importlib.import_module(f"{algorithm}.prediction").load
    else:
        raise ValueError(f"{path} holds a {name}, which is not one of this package: name the module of its predictor in `prediction`")
    hyperparameters = Hyperparameters(**{**metadata["defaultParamMap"], **metadata["paramMap"]})
    facts = _facts(metadata["sparkml_algos"]["facts"])
    kinds = declared.kinds(hyperparameters) if hasattr(declared, "kinds") else {}
    scoring = [field.of(kinds.get(field.role, field.kind)) for field in declared.FIELDS if field.scoring]
    return SavedModel(name, scoring, facts, hyperparameters, load_predictor(artifact, hyperparameters, device))


def _facts(saved: Mapping[str, Any]) -> dict[str, Facts]:
    """What is known of the columns, also by models of the first versions, which knew the number of features only."""
    summary: Mapping[str, Any] = saved.get("training_summary") or {}
    if "num_features" in summary:
        return {"features": {"num_features": summary["num_features"]}}
    return dict(summary.get("facts", {}))
