"""Which rows a run has read."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import DataFrame

from sparkml_algos.tracking import provenance, store
from sparkml_algos.tracking.lineage import CONTRIBUTED, DATA_SET, Lineage


def log_dataset(run: Any, dataset: DataFrame, name: str, context: str) -> str | None:
    """Keep a dataset of a run as MLflow has them, and in the lineage; its digest, if the run computes such."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sources = provenance.sources_of(dataset)
    found = provenance.fingerprint(dataset) if run.data_digest else None
    schema = provenance.schema_json(dataset)
    digest = found.digest if found else provenance.schema_hash(dataset)
    profile = {"rows": found.rows, "schema_hash": found.schema, "content_hash": found.content} if found else {}
    entity = Dataset(name, digest, "spark", json.dumps({"uris": sources}), schema, json.dumps({**profile, "uris": sources}))
    client = store.client_of(run.tracking_uri)
    client.log_inputs(run.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", context)])])
    if found is not None or sources:
        lineage = Lineage(run.tracking_uri)
        folders = {source.rpartition("/")[0] for source in sources}
        known = sources[0] if len(sources) == 1 else min(folders) if len(folders) == 1 or found is None and folders else None
        address = known or f"digest:{digest}"
        properties = {"digest": digest, "files": len(sources), **profile}
        lineage.associate(lineage.artifact(address, DATA_SET, name, properties=properties), lineage.run(run.run_id), CONTRIBUTED)
    return digest if found else None
