"""Experiments that are kept: what was tried, what came of it, and what led to what, in an MLflow tracking store.

Nothing is recorded, and MLflow is not imported, before the first of these is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkml_algos.tracking.automatic import autolog
    from sparkml_algos.tracking.cards import ModelCard, card_versions, load_card
    from sparkml_algos.tracking.comparing import Comparison, compare, report
    from sparkml_algos.tracking.experiment import Experiment, list_experiments, list_runs
    from sparkml_algos.tracking.lineage import Answer, Edge, Entity, Lineage
    from sparkml_algos.tracking.models import load_model, load_pyfunc, save_model, spark_udf
    from sparkml_algos.tracking.provenance import Fingerprint, fingerprint
    from sparkml_algos.tracking.reading import MetricSummary
    from sparkml_algos.tracking.registry import ModelVersion, model_versions, register_model, set_approval
    from sparkml_algos.tracking.run import Run, load_run
    from sparkml_algos.tracking.searching import Filter, NestedFilter, SearchExpression, SearchResult, property_names, search
    from sparkml_algos.tracking.store import get_tracking_uri, set_tracking_uri

_MODULES = {
    "automatic": ["autolog"],
    "cards": ["ModelCard", "card_versions", "load_card"],
    "comparing": ["Comparison", "compare", "report"],
    "experiment": ["Experiment", "list_experiments", "list_runs"],
    "lineage": ["Answer", "Edge", "Entity", "Lineage"],
    "models": ["load_model", "load_pyfunc", "save_model", "spark_udf"],
    "provenance": ["Fingerprint", "fingerprint"],
    "reading": ["MetricSummary"],
    "registry": ["ModelVersion", "model_versions", "register_model", "set_approval"],
    "run": ["Run", "load_run"],
    "searching": ["Filter", "NestedFilter", "SearchExpression", "SearchResult", "property_names", "search"],
    "store": ["get_tracking_uri", "set_tracking_uri"],
}
_LATER = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "Answer",
    "Comparison",
    "Edge",
    "Entity",
    "Experiment",
    "Filter",
    "Fingerprint",
    "Lineage",
    "MetricSummary",
    "ModelCard",
    "ModelVersion",
    "NestedFilter",
    "Run",
    "SearchExpression",
    "SearchResult",
    "autolog",
    "card_versions",
    "compare",
    "fingerprint",
    "get_tracking_uri",
    "list_experiments",
    "list_runs",
    "load_card",
    "load_model",
    "load_pyfunc",
    "load_run",
    "model_versions",
    "property_names",
    "register_model",
    "report",
    "save_model",
    "search",
    "set_approval",
    "set_tracking_uri",
    "spark_udf",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return __all__
