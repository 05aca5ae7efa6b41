"""Networks as programs of `torch.export`, which run where torch is, or what reads its format, without this package."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np

from sparkml_algos.export.graph import CannotExport
from sparkml_algos.export.translation import Trained

#: By class, the algorithm whose module of prediction has a function ``program(artifact, hyperparameters)``: it gives the network, and the
#: names of its inputs and outputs.
PROGRAMS: Mapping[str, str] = {
    "IPInsightsModel": "ip_insights",
    "NeuralTopicModelModel": "ntm",
    "Object2VecModel": "object2vec",
}


def program(trained: Trained, feeds: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, np.ndarray]]:
    """A network as a program, and what it answers.

    Parameters
    ----------
    trained : Trained
    feeds : mapping of str to ndarray
        Two rows or more, by the names of its inputs.

    Raises
    ------
    CannotExport
        If the model is no network, or its network takes what no tensor is.
    """
    if trained.name not in PROGRAMS:
        raise CannotExport(f".pt2 is of networks whose rows are tensors, {', '.join(sorted(PROGRAMS))}; {trained.name} is none")
    from sparkml_algos.networks.programs import exported

    module = importlib.import_module(f"sparkml_algos.algorithms.{PROGRAMS[trained.name]}.prediction")
    try:
        network, inputs, outputs = module.program(trained.artifact, trained.hyperparameters)
    except ValueError as error:
        raise CannotExport(str(error)) from None
    content, found = exported(network, [feeds[name] for name in inputs])
    return content, dict(zip(outputs, found, strict=True))
