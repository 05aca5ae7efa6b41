"""Model cards: what may be in them, versions that do not change, what is known of a model, and pages."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from sparkml_algos.tracking import Filter, Lineage, ModelCard, ModelVersion, Run, card_versions, list_runs, load_card, search
from sparkml_algos.tracking.lineage import MODEL_PACKAGE

pytestmark = pytest.mark.usefixtures("in_store")

GRAPH = {
    "name": "roc",
    "type": "linear_graph",
    "value": [[0.0, 0.0], [0.2, 0.7], [1.0, 1.0]],
    "x_axis_name": "false",
    "y_axis_name": "true",
}
BARS = {"name": "classes", "type": "bar_chart", "value": [3, 5], "x_axis_name": ["no", "yes"], "y_axis_name": "rows"}
MATRIX = {"name": "confusion", "type": "matrix", "value": [[5, 1], [2, 4]], "x_axis_name": ["no", "yes"], "y_axis_name": ["no", "yes"]}
FLAG = {"name": "ok", "type": "boolean", "value": True}
NUMBER = {"name": "auc", "type": "number", "value": 0.9, "notes": "of rows of May"}
WHOLE = {
    "model_overview": {
        "model_description": "Who leaves.",
        "model_version": 3,
        "model_artifact": ["s3://models/3"],
        "problem_type": "Binary",
    },
    "intended_uses": {"purpose_of_model": "Whom to call.", "risk_rating": "Low"},
    "business_details": {"line_of_business": "Telephones"},
    "training_details": {
        "objective_function": {"function": {"function": "Minimize", "facet": "Loss", "condition": "on all rows"}, "notes": "logistic"},
        "training_job_details": {
            "training_datasets": ["s3://rows"],
            "training_metrics": [{"name": "train:loss", "value": 0.5}],
            "hyper_parameters": [{"name": "eta", "value": "0.1"}],
        },
    },
    "evaluation_details": [
        {
            "name": "May",
            "metadata": {"rows": "500"},
            "metric_groups": [{"name": "all", "metric_data": [NUMBER, GRAPH, BARS, MATRIX, FLAG]}],
        }
    ],
    "additional_information": {"custom_details": {"reviewed by": "two people"}},
}


def metric(**changes):
    """A card with one metric of an evaluation."""
    return {"evaluation_details": [{"name": "e", "metric_groups": [{"name": "g", "metric_data": [{**NUMBER, **changes}]}]}]}


def details(**fields):
    return {"training_details": {"training_job_details": fields}}


def test_every_section_is_taken_and_read_as_it_was():
    card = ModelCard("Whole", WHOLE, "PendingReview").save()
    assert (card.name, card.version, card.status) == ("whole", 1, "PendingReview")
    assert load_card("WHOLE") == card and card.content == WHOLE
    assert card.saved is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"intended_use": {}}, "no section 'intended_use'"),
        ({"intended_uses": {"purpose": "x"}}, "intended_uses has no field 'purpose'"),
        ({"intended_uses": {"risk_rating": "Some"}}, "must be one of High, Medium, Low, Unknown"),
        ({"intended_uses": {"purpose_of_model": "x" * 2049}}, "2049 characters, at most 2048"),
        ({"model_overview": {"model_description": "x" * 1025}}, "at most 1024"),
        ({"model_overview": {"model_version": "3"}}, "must be a whole number"),
        ({"model_overview": {"model_artifact": ["s"] * 16}}, "16 entries, at most 15"),
        ({"training_details": {"objective_function": {"function": {"function": "Raise"}}}}, "Maximize, Minimize"),
        (details(training_metrics=[{"name": str(place), "value": 1} for place in range(51)]), "51 entries, at most 50"),
        (details(training_metrics=[{"name": "", "value": 1}]), "must not be empty"),
        (details(training_metrics=[{"name": "loss", "value": "low"}]), "must be a number"),
        (details(training_metrics=[{"name": "loss", "value": float("nan")}]), "must be a number"),
        (details(hyper_parameters=[{"name": str(place), "value": "1"} for place in range(101)]), "at most 100"),
        ({"evaluation_details": [{"metric_groups": []}]}, r"evaluation_details\[0\] lacks name"),
        ({"evaluation_details": [{"name": "e", "metric_groups": [{"name": "g"}]}]}, "lacks metric_data"),
        ({"evaluation_details": [{"name": "e", "datasets": ["s"] * 11}]}, "at most 10"),
        ({"evaluation_details": [{"name": "e", "evaluation_job_arn": "a" * 257}]}, "at most 256"),
        ({"evaluation_details": {"name": "e"}}, "must be a list"),
        (metric(type="picture"), "must be one of number, string, boolean, linear_graph, bar_chart, matrix"),
        (metric(type="string", value="x" * 64), "at most 63"),
        (metric(type="boolean", value=1), "must be true or false"),
        (metric(x_axis_name="x"), "has no field 'x_axis_name'"),
        (metric(type="linear_graph", value=[[0, 1]] * 21), "21 entries, at most 20"),
        (metric(type="linear_graph", value=[[0, 1, 2]]), "3 entries, at most 2"),
        (metric(type="linear_graph", value=[]), "0 entries, 1 are needed"),
        (metric(type="bar_chart", value=[1], x_axis_name="one"), "x_axis_name must be a list"),
        (metric(type="matrix", value=[[1] * 21]), "21 entries, at most 20"),
        (metric(type="matrix", value=[[1]], y_axis_name=["y" * 64]), "at most 63"),
        ({"additional_information": {"custom_details": {"x": 1}}}, "custom_details.x must be a text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_card_may_not_have_is_named(content, said):
    with pytest.raises(ValueError, match=said):
        ModelCard("wrong", content)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(ValueError) as error:
        ModelCard("wrong", {"intended_uses": {"risk_rating": 1}, "other": {}}, "Done")
    assert all(
        said in str(error.value) for said in ("risk_rating must be one of High", "no section 'other'", "status must be one of Draft")
    )


def test_a_version_does_not_change_but_for_its_status():
    first = ModelCard("Versions", {"intended_uses": {"risk_rating": "Low"}}).save()
    second = first.edited(intended_uses={"purpose_of_model": "To call."}).save()
    assert [one.version for one in card_versions("versions")] == [2, 1]
    assert load_card("versions", 1).content == {"intended_uses": {"risk_rating": "Low"}}
    assert second.content == {"intended_uses": {"risk_rating": "Low", "purpose_of_model": "To call."}}
    approved = second.edited(status="Approved").save()
    assert (approved.version, approved.status, load_card("versions").status) == (2, "Approved", "Approved")
    assert [one.status for one in card_versions("versions")] == ["Approved", "Draft"]
    with pytest.raises(ValueError, match="no card 'versions' of version 3"):
        load_card("versions", 3)
    with pytest.raises(ValueError, match="no card 'nobody'"):
        load_card("nobody")


def test_a_card_is_nobody_elses():
    content = {"intended_uses": {"risk_rating": "Low"}}
    card = ModelCard("own", content)
    content["intended_uses"]["risk_rating"] = "none"
    assert card.content["intended_uses"]["risk_rating"] == "Low"


def test_cards_are_in_no_list_of_runs():
    ModelCard("hidden", {}).save()
    assert "hidden" not in {run.run_name for run in list_runs()}


def test_cards_are_searched():
    for risk in ("Low", "High"):
        ModelCard("searched", {"model_overview": {"model_id": "models:/searched/1"}, "intended_uses": {"risk_rating": risk}}).save()
    load_card("searched").edited(status="Approved").save()
    found = search("ModelCard", Filter("ModelCardName", "Equals", "searched"), sort_by="ModelCardVersion")
    assert [(one["ModelCardVersion"], one["ModelCardStatus"], one["ModelId"]) for one in found] == [
        (2, "Approved", "models:/searched/1"),
        (1, "Draft", "models:/searched/1"),
    ]


def test_what_is_known_of_a_run_is_in_its_card():
    with Run("Cards", "A model", description="Who leaves.") as run:
        run.log_parameters({"eta": 0.1, "max_depth": 3})
        run.log_metrics({"train:auc": 0.9, "validation:auc": 0.8, "test:auc": 0.7, "test:broken": float("nan"), "seconds:train": 3.0})
    card = ModelCard.of(run)
    job = card.content["training_details"]["training_job_details"]
    assert (card.name, card.content["model_overview"]["model_description"]) == ("a model", "Who leaves.")
    assert job["training_metrics"] == [{"name": "train:auc", "value": 0.9}, {"name": "validation:auc", "value": 0.8}]
    assert job["hyper_parameters"] == [{"name": "eta", "value": "0.1"}, {"name": "max_depth", "value": "3"}]
    (evaluation,) = card.content["evaluation_details"]
    assert evaluation["metric_groups"][0]["metric_data"] == [{"name": "test:auc", "value": 0.7, "type": "number"}]


def test_the_card_of_a_registered_model_is_connected_with_it(in_store, monkeypatch):
    run = Run("Cards", "Registered")
    run.end()
    version = ModelVersion("cards-churn", 2, "Approved", run.run_id, "models:/cards-churn/2", {})
    monkeypatch.setattr("sparkml_algos.tracking.cards.model_versions", lambda **_: [version])
    card = ModelCard.of(version).save()
    assert (card.name, card.content["model_overview"]["model_version"]) == ("cards-churn", 2)
    lineage = Lineage(in_store)
    package = lineage.artifact(version.uri, MODEL_PACKAGE)
    assert [one.source_uri for one in lineage.query(package, "Ascendants").entities] == ["cards:/cards-churn/1"]


BIAS = {
    "pre_training_bias_metrics": {
        "facets": {"sex": [{"value_or_threshold": "0", "metrics": [{"name": "CI", "description": "Class imbalance", "value": 0.25}]}]}
    },
    "post_training_bias_metrics": {
        "facets": {"sex": [{"value_or_threshold": "0", "metrics": [{"name": "DI", "description": "", "value": "Infinity"}]}]}
    },
}
SHAP = {"explanations": {"kernel_shap": {"label0": {"global_shap_values": {f"f{place}": place / 10 for place in range(30)}}}}}
QUALITY = {
    "version": 0.0,
    "binary_classification_metrics": {
        "confusion_matrix": {"0": {"0": 5, "1": 1}, "1": {"0": 2, "1": 4}},
        "recall": {"value": 0.66, "standard_deviation": 0.1},
        "auc": {"value": float("nan"), "standard_deviation": 0.1},
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": [place / 100 for place in range(101)],
            "true_positive_rates": [place / 100 for place in range(101)],
        },
    },
}


@pytest.mark.parametrize(
    ("report", "groups"),
    [
        (BIAS, [("pre-training bias: sex=0", ["CI"])]),
        (SHAP, [("attributions: label0", ["attributions, label0"])]),
        (QUALITY, [("binary classification metrics", ["recall", "confusion_matrix", "receiver_operating_characteristic_curve"])]),
    ],
    ids=["bias", "attributions", "quality"],
)
@pytest.mark.parametrize("is_object", [False, True])
def test_reports_are_evaluations(report, groups, is_object):
    told = SimpleNamespace(to_dict=lambda: report) if is_object else report
    card = ModelCard("reports", {"evaluation_details": [{"name": "other"}, {"name": "May"}]}).with_report(told, "May")
    other, found = card.content["evaluation_details"]
    assert (other, found["name"]) == ({"name": "other"}, "May")
    assert [(one["name"], [metric["name"] for metric in one["metric_data"]]) for one in found["metric_groups"]] == groups


def test_of_long_curves_and_many_features_as_much_is_shown_as_a_card_takes():
    card = ModelCard("long", {}).with_report({**QUALITY, **SHAP}, "May")
    bars, quality = card.content["evaluation_details"][0]["metric_groups"]
    curve = quality["metric_data"][-1]["value"]
    assert (len(curve), curve[0], curve[-1]) == (20, [0.0, 0.0], [1.0, 1.0])
    assert bars["metric_data"][0]["x_axis_name"][0] == "f29" and len(bars["metric_data"][0]["value"]) == 20


def test_a_report_of_nothing_is_refused():
    with pytest.raises(ValueError, match="this one has violations"):
        ModelCard("nothing", {}).with_report({"violations": []}, "May")


def test_it_is_written_as_json_and_as_a_page(tmp_path):
    card = ModelCard("Pages <1>", WHOLE)
    card.export(tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text())["content"] == WHOLE
    card.export(tmp_path / "card.html")
    page = (tmp_path / "card.html").read_text()
    assert page == card.to_html() and "Model card: pages &lt;1&gt;" in page and "<1>" not in page
    assert all(
        text in page for text in ("Intended uses", "Whom to call.", "Telephones", "train:loss", "of rows of May", "reviewed by", "<svg")
    )
    assert "src=" not in page and "http" not in page.replace("http://www.w3.org", "")
    with pytest.raises(ValueError, match=r"\.json, \.html or \.pdf"):
        card.export(tmp_path / "card.doc")


def test_a_pdf_needs_what_makes_one(tmp_path, monkeypatch):
    card = ModelCard("pdf", WHOLE)
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(ImportError, match="made by WeasyPrint"):
        card.export(tmp_path / "card.pdf")

    class HTML:
        def __init__(self, string):
            self.string = string

        def write_pdf(self, path):
            with open(path, "w") as file:
                file.write(f"%PDF of {len(self.string)} characters")

    monkeypatch.setitem(sys.modules, "weasyprint", SimpleNamespace(HTML=HTML))
    card.export(tmp_path / "card.pdf")
    assert (tmp_path / "card.pdf").read_text() == f"%PDF of {len(card.to_html())} characters"
