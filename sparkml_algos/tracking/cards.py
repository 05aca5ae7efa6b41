"""Model cards: what a model is, what it is for, how it was trained and what it is worth, in versions that do not change."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from sparkml_algos.tracking import card_page, limits, store
from sparkml_algos.tracking.card_rules import MOST_POINTS, problems_of
from sparkml_algos.tracking.lineage import ASSOCIATED, MODEL_PACKAGE, Lineage
from sparkml_algos.tracking.registry import ModelVersion, model_versions
from sparkml_algos.tracking.run import Run, load_run
from sparkml_algos.tracking.store import PREFIX

Status = Literal["Draft", "PendingReview", "Approved", "Archived"]
STATUSES = ("Draft", "PendingReview", "Approved", "Archived")
_EXPERIMENT, _FILE, _CARD = "sparkml_algos.cards", "card.json", "ModelCard"
_NAME, _VERSION, _STATUS, _MODEL = (f"{PREFIX}{name}" for name in ("card", "card_version", "card_status", "card_model"))
_MOST_METRICS, _MOST_SETTINGS, _MOST_DATASETS, _MOST_TEXT = 50, 100, 15, 1024


@dataclass(frozen=True)
class ModelCard:
    """A model card.

    Parameters
    ----------
    name : str
        At most 120 characters, not told apart by case.
    content : mapping
        By section, the service's fields: ``model_overview``, ``intended_uses``, ``business_details``, ``training_details``,
        ``evaluation_details``, ``additional_information``.
    status : {"Draft", "PendingReview", "Approved", "Archived"}

    Attributes
    ----------
    version : int or None
        From 1; None before the card is saved.
    saved : datetime or None

    Raises
    ------
    ValueError
        Naming everything that a card may not have.

    Examples
    --------
    >>> from sparkml_algos.tracking import ModelCard
    >>> card = ModelCard("churn", {"intended_uses": {"purpose_of_model": "Whom to call.", "risk_rating": "Low"}})
    >>> card.edited(intended_uses={"risk_rating": "High"}).content["intended_uses"]["risk_rating"]
    'High'
    """

    name: str
    content: Mapping[str, Any]
    status: str = "Draft"
    version: int | None = field(default=None, compare=False)
    saved: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", limits.check_name(self.name, "name"))
        problems = problems_of(self.content)
        if self.status not in STATUSES:
            problems.append(f"status must be one of {', '.join(STATUSES)}, got {self.status!r}")
        if problems:
            raise ValueError("; ".join(problems))
        object.__setattr__(self, "content", json.loads(json.dumps(self.content)))  # nobody else's, and as it will be read

    @classmethod
    def of(cls, source: Run | ModelVersion, name: str | None = None, tracking_uri: str | None = None) -> ModelCard:
        """A card with what is known of a model: its run's Estimator, settings, rows and metrics.

        Parameters
        ----------
        source : Run or ModelVersion
        name : str, optional
            By default that of the registered model, or of the run.
        tracking_uri : str, optional
            Of a version.
        """
        if isinstance(source, ModelVersion):
            run = load_run(source.run_id, tracking_uri=tracking_uri) if source.run_id else None
            overview = {"model_id": source.uri, "model_name": source.name, "model_version": source.version}
        else:
            run, overview = source, {"model_id": f"runs:/{source.run_id}/model"}
        content: dict[str, Any] = {"model_overview": overview}
        if run is not None:
            content["model_overview"] |= _overview(run)
            content["training_details"] = {"training_job_details": _training(run)}
            if tested := _numbers(run.metrics, ("test:",)):
                data = [{**one, "type": "number"} for one in tested]
                content["evaluation_details"] = [{"name": "test", "metric_groups": [{"name": "metrics", "metric_data": data}]}]
        return cls(name or (source.name if isinstance(source, ModelVersion) else source.display_name), content)

    # -- to change: a card that was saved does not, but another one comes of it

    def edited(self, status: str | None = None, **sections: Any) -> ModelCard:
        """A card with other fields; saved, it is the next version.

        Parameters
        ----------
        status : str, optional
        **sections
            By name: fields that take the place of those of the same name, or the whole list of ``evaluation_details``.
        """
        content = dict(self.content)
        for name, fields in sections.items():
            both = isinstance(fields, Mapping) and isinstance(content.get(name), Mapping)
            content[name] = {**content[name], **fields} if both else fields
        return replace(self, content=content, status=status or self.status)

    def with_report(self, report: Any, name: str) -> ModelCard:
        """A card whose evaluations have what a report says, of bias, attributions or quality of the model.

        Parameters
        ----------
        report : BiasReport, ModelQuality, … or dict
            What has ``to_dict``, or the JSON of such a file, ours or the service's.
        name : str
            Of the evaluation; one of the same name is replaced.

        Raises
        ------
        ValueError
            If the report has nothing that a card could show.
        """
        told = report.to_dict() if hasattr(report, "to_dict") else report
        groups = [*_bias(told), *_attributions(told), *_quality(told)]
        if not groups:
            raise ValueError(f"a card takes reports of bias, attributions and quality of models; this one has {', '.join(map(str, told))}")
        others = [one for one in self.content.get("evaluation_details", []) if one["name"] != name]
        return self.edited(evaluation_details=[*others, {"name": name, "metric_groups": groups}])

    # -- to keep

    def save(self, tracking_uri: str | None = None) -> ModelCard:
        """Keep the card: as the next version, unless all but the status is that of the last one, whose status is changed then.

        Returns
        -------
        ModelCard
            As it is kept.
        """
        uri = store.get_tracking_uri(tracking_uri)
        known = _runs(uri, self.name)
        if known and _read(uri, known[0]).content == self.content:
            store.log(uri, known[0].info.run_id, tags={_STATUS: self.status})
            return load_card(self.name, tracking_uri=uri)
        number = _number(known[0]) + 1 if known else 1
        tags = {
            _NAME: self.name,
            _VERSION: str(number),
            _STATUS: self.status,
            _MODEL: self.content.get("model_overview", {}).get("model_id", ""),
        }
        client = store.client_of(uri)
        made = client.create_run(_experiment(uri), start_time=store.now(), tags=tags, run_name=self.name)
        client.log_text(made.info.run_id, json.dumps(self.content, indent=2), _FILE)
        client.set_terminated(made.info.run_id)
        self._connect(uri, number)
        return load_card(self.name, number, tracking_uri=uri)

    def _connect(self, uri: str, number: int) -> None:
        """Let the lineage know whose card this is, if it is that of a registered model."""
        if not self._model.startswith("models:/") or not any(one.uri == self._model for one in model_versions(tracking_uri=uri)):
            return
        lineage = Lineage(uri)
        card = lineage.artifact(f"cards:/{self.name}/{number}", _CARD, f"{self.name}, version {number}")
        lineage.associate(card, lineage.artifact(self._model, MODEL_PACKAGE), ASSOCIATED)

    @property
    def _model(self) -> str:
        """The address of the model, where the card has it."""
        return str(self.content.get("model_overview", {}).get("model_id", ""))

    def to_dict(self) -> dict[str, Any]:
        """The card as the service has it: name, version, status and content."""
        return {"model_card_name": self.name, "model_card_version": self.version, "model_card_status": self.status, "content": self.content}

    def to_html(self) -> str:
        """A page that needs nothing else."""
        return card_page.page_of(self.name, self.version, self.status, self.content)

    def export(self, path: str | Path) -> None:
        """Write the card into a local file, as its suffix says.

        Parameters
        ----------
        path : str or Path
            ``.json``, ``.html``, or ``.pdf``, for which WeasyPrint must be installed.

        Raises
        ------
        ValueError
            If the suffix is another one.
        ImportError
            If a PDF is wanted and nothing is there that makes one.
        """
        path = Path(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_dict(), indent=2), encoding="utf-8")
        elif path.suffix == ".html":
            path.write_text(self.to_html(), encoding="utf-8")
        elif path.suffix == ".pdf":
            try:
                from weasyprint import HTML
            except ImportError as error:
                raise ImportError("a PDF is made by WeasyPrint, which is not installed; write .html and print it, or install it") from error
            HTML(string=self.to_html()).write_pdf(str(path))
        else:
            raise ValueError(f"a card is written as .json, .html or .pdf, got {path.name!r}")


def load_card(name: str, version: int | None = None, tracking_uri: str | None = None) -> ModelCard:
    """A card that was saved.

    Parameters
    ----------
    name : str
    version : int, optional
        By default the last one.
    tracking_uri : str, optional

    Raises
    ------
    ValueError
        If there is none.
    """
    uri, name = store.get_tracking_uri(tracking_uri), limits.check_name(name, "name")
    found = [run for run in _runs(uri, name) if version in (None, _number(run))]
    if not found:
        raise ValueError(f"there is no card {name!r}" + ("" if version is None else f" of version {version}"))
    return _read(uri, found[0])


def card_versions(name: str, tracking_uri: str | None = None) -> list[ModelCard]:
    """All versions of a card, the newest first.

    Parameters
    ----------
    name : str
    tracking_uri : str, optional
    """
    uri = store.get_tracking_uri(tracking_uri)
    return [_read(uri, run) for run in _runs(uri, limits.check_name(name, "name"))]


def properties_of_cards(uri: str) -> list[dict[str, Any]]:
    """Of every version of every card, what searches know."""
    return [
        {
            "ModelCardName": run.data.tags[_NAME],
            "ModelCardVersion": _number(run),
            "ModelCardStatus": run.data.tags[_STATUS],
            "ModelId": run.data.tags[_MODEL] or None,
            "CreationTime": _saved(run),
        }
        for run in store.runs_of(uri, [_experiment(uri)])
    ]


def _experiment(uri: str) -> str:
    return store.experiment_id(uri, _EXPERIMENT, {f"{PREFIX}hidden": "true"})


def _runs(uri: str, name: str) -> list[Any]:
    """What versions of a card are kept as, the newest first."""
    found = (run for run in store.runs_of(uri, [_experiment(uri)], store.equals(f"tags.`{_NAME}`", name)) if run.data.tags[_NAME] == name)
    return sorted(found, key=_number, reverse=True)


def _number(run: Any) -> int:
    return int(run.data.tags[_VERSION])


def _read(uri: str, run: Any) -> ModelCard:
    with tempfile.TemporaryDirectory() as folder:
        content = json.loads(Path(store.client_of(uri).download_artifacts(run.info.run_id, _FILE, folder)).read_text(encoding="utf-8"))
    return ModelCard(run.data.tags[_NAME], content, run.data.tags[_STATUS], _number(run), _saved(run))


def _saved(run: Any) -> datetime:
    return datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc)


# -- what is known of a model


def _overview(run: Run) -> dict[str, Any]:
    facts = run.facts
    known = {
        "model_description": run.description,
        "model_creator": facts.get("user"),
        "algorithm_type": facts.get("estimator"),
        "model_artifact": [f"{run.artifact_uri}/model"] if "model" in run.output_artifacts else None,
    }
    return {name: value[:_MOST_TEXT] if isinstance(value, str) else value for name, value in known.items() if value}


def _training(run: Run) -> dict[str, Any]:
    datasets = [str(one["source"] or one["name"])[: _MOST_TEXT - 80] + f" ({one['digest']})" for one in run.inputs]
    settings = [{"name": name, "value": str(value)} for name, value in sorted(run.parameters.items())]
    return {
        "training_arn": f"runs:/{run.run_id}",
        "training_datasets": datasets[:_MOST_DATASETS],
        "training_metrics": _numbers(run.metrics, ("train:", "validation:"))[:_MOST_METRICS],
        "hyper_parameters": settings[:_MOST_SETTINGS],
    }


def _numbers(metrics: Mapping[str, Any], begins: tuple[str, ...] = ("",)) -> list[dict[str, Any]]:
    """Metrics that are numbers; JSON has no others."""
    return [
        {"name": name, "value": value}
        for name, value in sorted(metrics.items())
        if name.startswith(begins) and isinstance(value, (int, float)) and math.isfinite(value)
    ]


# -- what reports say


def _group(name: str, metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name[:255], "metric_data": [{"type": "number", **one} for one in metrics]}] if metrics else []


def _bias(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A group for each stage, facet and value."""
    found = []
    for stage in ("pre_training", "post_training"):
        for facet, values in report.get(f"{stage}_bias_metrics", {}).get("facets", {}).items():
            for one in values:
                numbers = _numbers({metric["name"]: metric["value"] for metric in one["metrics"]})
                notes = {metric["name"]: metric.get("description", "")[:1024] for metric in one["metrics"]}
                described = [{**metric, **({"notes": notes[metric["name"]]} if notes[metric["name"]] else {})} for metric in numbers]
                found += _group(f"{stage.replace('_', '-')} bias: {facet}={one['value_or_threshold']}", described)
    return found


def _attributions(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The features that matter most, a chart for each label."""
    found = []
    for label, one in report.get("explanations", {}).get("kernel_shap", {}).items():
        values = one.get("global_shap_values", {}) if isinstance(one, Mapping) else {}
        most = sorted(values.items(), key=lambda item: -abs(item[1]))[:MOST_POINTS]
        if most:
            chart = {"name": f"attributions, {label}", "type": "bar_chart", "value": [float(value) for _, value in most]}
            axes = {"x_axis_name": [feature[:63] for feature, _ in most], "y_axis_name": "mean |SHAP|"}
            found += [{"name": f"attributions: {label}", "metric_data": [{**chart, **axes}]}]
    return found


def _quality(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Metrics, the confusion matrix and the curves of each kind of problem."""
    found = []
    for name, block in report.items():
        if not name.endswith(("classification_metrics", "regression_metrics")) or not isinstance(block, Mapping):
            continue
        metrics = _numbers({key: one["value"] for key, one in block.items() if isinstance(one, Mapping) and "value" in one})
        drawn = [*_matrix(block.get("confusion_matrix", {})), *_curves(block)]
        found += _group(name.replace("_", " "), [*metrics, *drawn])
    return found


def _matrix(counts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    labels = list(counts)
    if not labels or len(labels) > MOST_POINTS:
        return []
    rows = [[float(counts[label].get(other, 0)) for other in labels] for label in labels]
    axes = {"x_axis_name": [str(label)[:63] for label in labels], "y_axis_name": [str(label)[:63] for label in labels]}
    return [{"name": "confusion_matrix", "type": "matrix", "value": rows, **axes}]


def _curves(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Curves as so many of their points as a card takes."""
    found = []
    for name, curve in block.items():
        if not name.endswith("_curve") or not isinstance(curve, Mapping) or len(curve) < 2:
            continue
        (x_name, x_values), (y_name, y_values) = list(curve.items())[:2]
        points = [[float(x), float(y)] for x, y in zip(x_values, y_values, strict=False) if math.isfinite(x) and math.isfinite(y)]
        if points:
            places = {round(place * (len(points) - 1) / (MOST_POINTS - 1)) for place in range(MOST_POINTS)}
            axes = {"x_axis_name": x_name[:63], "y_axis_name": y_name[:63]}
            found.append({"name": name, "type": "linear_graph", "value": [points[place] for place in sorted(places)], **axes})
    return found
