"""Models for the tests of the export: saved ones, some with other arrays or settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.saved import read_local
from tests.saved.expected import SAVED


def saved_as(folder: Path, name: str, artifact: Artifact | None = None, *, facts: Mapping[str, Any] | None = None, **settings: Any) -> Path:
    """A saved model like the one that is kept for the tests, with another artifact, other settings or facts about its columns."""
    metadata, kept = read_local(SAVED / name)
    artifact = kept if artifact is None else artifact
    metadata["paramMap"] |= settings
    summary = metadata["sparkml_algos"]["facts"].get("training_summary") or {}
    if facts is not None:
        summary = {**{key: value for key, value in summary.items() if key != "num_features"}, "facts": facts}
    metadata["sparkml_algos"]["facts"]["training_summary"] = summary
    for part in ("metadata", "data"):
        (folder / part).mkdir(parents=True)
    (folder / "metadata" / "part-0").write_text(json.dumps(metadata))
    pq.write_table(artifact.to_table(), folder / "data" / "part-0.parquet")
    return folder


def features_of(width: int) -> dict[str, Any]:
    """Facts about columns where features are so many."""
    return {"features": {"num_features": width}}


def of(name: str) -> Artifact:
    """The artifact of the model that is kept."""
    artifact = read_local(SAVED / name)[1]
    assert artifact is not None
    return artifact


def random() -> np.random.Generator:
    return np.random.default_rng(7)


def varied(make: Callable[[], Any], shape: tuple[int, int, int], seed: int = 1) -> dict[str, np.ndarray]:
    """Arrays of a network for images of a shape, (channels, height, width), as if it had been trained: its normalisations do something, and
    know what they are given."""
    import torch

    from sparkml_algos.networks.state import built, state_of, to_artifact

    def made() -> Any:
        network = make().train()
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.momentum = 1.0
                    # Little of each: where every block of many says as much as all before, what is rounded grows with each.
                    module.weight.uniform_(0.2, 0.6)
                    module.bias.normal_(0, 0.2)
            network(torch.randn(8, *shape))
        return network

    return to_artifact(state_of(built(made, seed))).arrays
