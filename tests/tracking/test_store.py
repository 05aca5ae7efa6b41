"""Runs, experiments, searches and lineage in a tracking store, without Spark.

Of the conformance tests at the end of the specification of experiments these are here: a parameter keeps its last value; a summary of 1000
steps; the run of a process that a block starts, without a library of the service's; every operator on typed values, and nested
expressions; order and direction of a leaderboard; 21 runs that are refused; the diamond, depths, and one artifact for an address. Runs
below that of a tuning job are in `test_searches` and `test_on_spark`; a server is in `test_server`, a folder here.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from sparkml_algos import tracking
from sparkml_algos.core import recording
from sparkml_algos.tracking import (
    Experiment,
    Filter,
    Lineage,
    NestedFilter,
    Run,
    SearchExpression,
    compare,
    list_runs,
    load_run,
    models,
    search,
)
from sparkml_algos.tracking.experiment import is_maximised
from sparkml_algos.tracking.lineage import Edge, walk

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("in_store")


class TestRun:
    def test_a_later_value_of_a_parameter_takes_the_place_of_an_earlier_one(self):
        with Run("Overwriting", "First") as run:
            run.log_parameters({"depth": 3, "eta": 0.1, "loss": "log", "at@5": 1, "layers": "100_50"})
            run.log_parameter("depth", 5)
            run.log_parameter("depth", 7)
            run.log_parameter("eta", 0.1)
        assert run.parameters == {"depth": 7, "eta": 0.1, "loss": "log", "at@5": 1, "layers": "100_50"}
        again = load_run(experiment_name="overwriting", run_name="first")
        assert again.parameters == run.parameters and again.run_id == run.run_id
        assert (again.status, again.display_name, again.run_name, again.experiment_name) == ("Completed", "First", "first", "overwriting")

    def test_a_summary_is_of_all_steps(self):
        values = [math.sin(step) for step in range(1000)]
        with Run("summaries") as run:
            run.log_metrics([("validation:ndcg@5", value, step) for step, value in enumerate(values)])
        found = run.metric_summary("validation:ndcg@5")
        assert (found.count, found.last, found.min, found.max) == (1000, values[-1], min(values), max(values))
        assert found.avg == pytest.approx(statistics.mean(values)) and found.std == pytest.approx(statistics.pstdev(values))
        assert [value for _, value in run.metric_history("validation:ndcg@5")] == pytest.approx(values)
        assert run.metrics == {"validation:ndcg@5": values[-1]}
        with pytest.raises(KeyError, match="it has validation:ndcg@5"):
            run.metric_summary("auc")

    def test_what_is_logged_last_counts(self):
        with Run("summaries") as run:
            for value in (3.0, 1.0, 2.0):
                run.log_metric("auc", value)
        assert run.metrics["auc"] == 2.0 == run.metric_summary("auc").last

    def test_what_stands_for_no_number_is_the_same_in_all_runs(self):
        runs = [Run("no numbers", f"r{place}") for place in range(2)]
        for run in runs:
            run.log_parameter("missing", "nan")
            run.end()
        assert runs[0].parameters == {"missing": "nan"} and compare(runs).differences().empty

    def test_it_fails_with_its_block_and_says_of_what(self):
        with pytest.raises(ZeroDivisionError), Run("failing") as run:
            _ = 1 / 0
        assert (run.status, run.message) == ("Failed", "ZeroDivisionError: division by zero")
        with pytest.raises(KeyboardInterrupt), Run("failing") as run:
            raise KeyboardInterrupt
        assert run.status == "Stopped" and run.ended is not None
        run.end("Stopping")
        assert run.status == "Stopping"

    def test_a_process_that_a_block_starts_finds_its_run(self, in_store):
        program = """
import sys
from sparkml_algos.tracking import load_run
with load_run() as run:
    run.log_parameter("child", "was here")
print(run.run_id, sorted(name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore", "sagemaker", "awscli", "s3fs")))
"""
        with Run("spawning", "outer") as run:
            done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [run.run_id, "[]"]
        assert run.refresh().parameters == {"child": "was here"} and run.status == "Completed"
        with pytest.raises(ValueError, match="no current run"):
            load_run()

    def test_after_the_last_block_of_a_run_nobody_records(self):
        run = Run("blocks")
        with run, run:
            assert load_run().run_id == run.run_id
        assert recording.recorder is None
        with pytest.raises(ValueError, match="no current run"):
            load_run()

    def test_it_is_read_while_another_thread_logs(self):
        class Watched(Run):
            """Of which, whenever it is looked at, something is logged at once."""

            @property
            def _entity(self):
                found, self.kept = self.kept, None
                return found

            @_entity.setter
            def _entity(self, entity):
                self.kept = entity

        run = Watched("reading", "watched")
        run.log_metric("auc", 0.5)
        run._entity = run._fetched()
        assert run.metrics == {"auc": 0.5}

    def test_one_without_an_experiment_is_unassigned(self):
        with Run() as run:
            pass
        assert run.tags == {"unassigned": "true"} and run.run_id in {one.run_id for one in list_runs()}

    def test_a_folder_keeps_runs_too(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        with Run("folders", "one", tracking_uri=str(tmp_path / "runs")) as run:
            run.log_parameters({"depth": 3})
            run.log_parameter("depth", 4)
            run.log_metrics([("auc", 0.5, 0), ("auc", 0.7, 1)])
            run.nested("below").end()
        assert (run.parameters, run.metric_summary("auc").max, [one.run_name for one in run.children()]) == ({"depth": 4}, 0.7, ["below"])
        assert Experiment("folders", tracking_uri=str(tmp_path / "runs")).leaderboard("auc")["run"].tolist() == ["one"]

    @pytest.mark.parametrize(
        ("log", "said"),
        [
            (lambda run: run.log_parameter("x", [1]), "must be a str, int or float"),
            (lambda run: run.log_parameter("x", "a" * 2501), "at most 2500"),
            (lambda run: run.log_parameters({f"p{i}": i for i in range(301)}), "at most 300 parameters"),
            (lambda run: run.log_metric("m" * 256, 1.0), "1 to 255"),
            (lambda run: run.log_metric("m", "high"), "must be a number"),
            (lambda run: run.log_metric("m", 1.0, step=-1), "int >= 0"),
            (lambda run: [run.log_artifact(f"a{i}", "s3://b/k") for i in range(61)], "at most 60 output artifacts"),
            (lambda run: Run("e" * 121), "1 to 120"),
            (lambda run: Run("e", description="d" * 3073), "at most 3072"),
            (lambda run: Run("e", tags={str(i): "" for i in range(51)}), "50 tags"),
            (lambda run: run.end("Done"), "status must be one of"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_limits_are_those_of_the_service(self, log, said):
        with Run("limits") as run, pytest.raises(ValueError, match=said):
            log(run)

    def test_files_and_charts(self, tmp_path):
        (tmp_path / "notes.txt").write_text("as they are")
        random = np.random.default_rng(0)
        true = random.integers(0, 2, 300)
        score = np.round(true * 0.3 + random.random(300), 1)  # with ties
        with Run("charts") as run:
            run.log_file(tmp_path / "notes.txt", "text/renamed.txt")
            run.log_artifact("rows", "s3://bucket/rows.csv", "text/csv", is_output=False)
            run.log_confusion_matrix(true, score > 0.6, "Confusion")
            run.log_roc_curve(true, score, "ROC")
            run.log_precision_recall(true, score, title="PR")
            with pytest.raises(ValueError, match="rows of both classes"):
                run.log_roc_curve([1, 1], [0.1, 0.2])
        folder = Path(run.artifact_uri.removeprefix("file://"))
        assert (folder / "text" / "renamed.txt").read_text() == "as they are"
        assert run.output_artifacts["text/renamed.txt"]["media_type"] == "text/plain"
        assert run.input_artifacts == {"rows": {"value": "s3://bucket/rows.csv", "media_type": "text/csv"}}
        read = {name: json.loads((folder / "charts" / f"{name}.json").read_text()) for name in ("confusion", "roc", "pr")}
        matrix = sklearn_metrics.confusion_matrix(true, score > 0.6)
        assert read["confusion"]["confusionMatrix"] == matrix.tolist()
        assert read["roc"]["areaUnderCurve"] == pytest.approx(sklearn_metrics.roc_auc_score(true, score))
        assert read["pr"]["averagePrecisionScore"] == pytest.approx(sklearn_metrics.average_precision_score(true, score))
        assert "<svg" in (folder / "charts" / "roc.html").read_text()


def test_a_folder_that_executors_see_is_given_or_that_of_mlflow(monkeypatch):
    monkeypatch.setattr(models, "is_here", lambda spark: False)
    with pytest.raises(ValueError, match="dfs_tmpdir or as MLFLOW_DFS_TMP"), models._shared_folder(None, None):
        pass
    monkeypatch.setenv("MLFLOW_DFS_TMP", "hdfs:///shared/")
    for given, found in (("s3a://mine", "s3a://mine/"), (None, "hdfs:///shared/")):
        with models._shared_folder(None, given) as folder:
            assert folder.rpartition("/")[0] + "/" == found


class TestExperiment:
    def test_a_leaderboard_is_in_order_and_equals_are_in_that_of_their_ends(self):
        for name, auc, loss in [("middle", 0.8, 0.3), ("late", 0.9, 0.1), ("early", 0.9, 0.2), ("none", math.nan, 0.5)]:
            run = Run("ranking", name)
            run.log_metrics({"auc": auc, "loss": loss})
            if name != "late":
                run.end()
        load_run(experiment_name="ranking", run_name="late").end()
        found = Experiment("Ranking").leaderboard("auc")
        assert list(found["run"]) == ["early", "late", "middle"] and list(found["best"]) == [True, False, False]
        assert list(Experiment("ranking").leaderboard("loss")["run"]) == ["late", "early", "middle", "none"]
        assert list(Experiment("ranking").leaderboard("loss", larger_is_better=True)["run"])[:1] == ["none"]
        with pytest.raises(ValueError, match="metrics are auc, loss"):
            Experiment("ranking").leaderboard("rmse")

    @pytest.mark.parametrize(
        ("metric", "larger"),
        [
            ("validation:areaUnderROC", True),
            ("validation:weightedFMeasure", True),
            ("validation:weightedTruePositiveRate", True),
            ("validation:weightedFalsePositiveRate", False),
            ("validation:silhouette", True),
            ("validation:mIOU", True),
            ("train:mean_rho", True),
            ("validation:mAP", True),
            ("validation:hammingLoss", False),
            ("test:threshold", False),
            ("test:rmse", False),
        ],
    )
    def test_which_way_is_better_is_told_from_names(self, metric, larger):
        assert is_maximised(metric) == larger

    def test_lists_are_filtered_and_sorted(self):
        for name in ("b", "a", "c"):
            Run("listing", name).end()
        assert [run.run_name for run in list_runs("LISTING")] == ["c", "a", "b"]
        assert [run.run_name for run in list_runs("listing", sort_by="NAME", sort_order="ASCENDING", max_results=2)] == ["a", "b"]
        middle = load_run(experiment_name="listing", run_name="a").started
        assert [run.run_name for run in list_runs("listing", created_after=middle)] == ["c"]
        assert [run.run_name for run in list_runs("listing", created_before=middle)] == ["b"]
        with pytest.raises(ValueError, match="no experiment 'nothing'"):
            list_runs("nothing")

    def test_its_texts_are_kept(self, in_store):
        Experiment("Described", "what for", display_name="Described well", tags={"team": "red"})
        found = Experiment("described")
        assert (found.description, found.display_name, found.tags) == ("what for", "Described well", {"team": "red"})
        assert "described" in [one.name for one in tracking.list_experiments(in_store)]

    def test_up_to_twenty_runs_are_compared(self):
        runs = [Run("comparing", f"r{i}") for i in range(2)]
        for place, run in enumerate(runs):
            run.log_parameters({"same": 1, "depth": place})
            run.log_metrics([("auc", 0.5 + place / 10, step) for step in (1, 2)])
            run.end()
        found = compare(*runs)
        assert found.differences().to_dict() == {"r0": {"depth": 0}, "r1": {"depth": 1}}
        assert found.history("auc").to_dict() == {"r0": {1: 0.5, 2: 0.5}, "r1": {1: 0.6, 2: 0.6}}
        one = Run("comparing", run_display_name="r0")  # such as the second fit of an Estimator
        one.log_metric("auc", 0.7, step=1)
        assert sorted(compare(*runs, one).history("auc").loc[1]) == [0.5, 0.6, 0.7]
        assert list(found.frame(["run", "depth", "auc"]).itertuples(index=False, name=None)) == [("r0", 0, 0.5), ("r1", 1, 0.6)]
        assert "r1" in found.to_html("auc")
        with pytest.raises(ValueError, match="these are 21"):
            compare([runs[0]] * 21)
        with pytest.raises(ValueError, match="these are 0"):
            compare()
        row = Experiment("comparing").analytics().set_index("TrialComponentName").loc["r1"]
        assert (row["auc - Count"], row["auc - Last"], row["depth"], row["Experiments"]) == (2, 0.6, 1, "comparing")

    def test_a_page_needs_nothing_else(self, tmp_path):
        experiment = Experiment("paging", "does it <help>?")
        for place, depth in enumerate((2, 4, 8)):
            with Run("paging", f"depth & {depth}") as run:
                run.log_parameters({"depth": depth, "kind": "dart" if place else "tree", "rounds": 50})
                run.log_metrics([("validation:auc", 0.6 + place / 10 + step / 100, step) for step in range(3)])
        page = tracking.report(experiment, tmp_path / "paging.html")
        assert (tmp_path / "paging.html").read_text() == page
        for heading in ("Leaderboard", "Learning curves", "Parallel coordinates", "Differences"):
            assert f"<h2>{heading}</h2>" in page
        assert page.index("depth &amp; 8") < page.index("depth &amp; 4") < page.index("depth &amp; 2")
        assert page.count("<polyline") == 6 and "does it &lt;help&gt;?" in page and 'class="best"' in page
        assert not any(outside in page for outside in ("http", "src=", "href=", "@import", "url("))
        with pytest.raises(ValueError, match="no run has a metric"):
            tracking.report(Experiment("nothing to report"))


@pytest.fixture(scope="module")
def searched(uri):
    tracking.set_tracking_uri(uri)
    began = datetime.now(timezone.utc)
    for place in range(4):
        with Run("searching", f"run-{place}", tags={"team": "red" if place % 2 else "blue"}) as run:
            run.log_parameters({"depth": place, "booster": "dart" if place == 3 else "gbtree"})
            run.log_metrics([("auc", 0.1 * place + step / 100, step) for step in (2, 1, 0)])
            run.log_artifact("rows", f"s3://rows/{place}", "text/csv" if place else "text/plain", is_output=False)
            if place == 2:
                run.log_parameter("depth", 20)
                run.log_parameter("only", "here")
    return began


class TestSearch:
    @pytest.mark.parametrize(
        ("name", "operator", "value", "found"),
        [
            ("Parameters.depth", "Equals", 3, [3]),
            ("HyperParameters.depth", "Equals", "3", [3]),
            ("Parameters.depth", "Equals", 20, [2]),
            ("Parameters.depth", "NotEquals", 1, [0, 2, 3]),
            ("Parameters.depth", "GreaterThan", "9", [2]),
            ("Parameters.depth", "GreaterThanOrEqualTo", 3, [2, 3]),
            ("Metrics.auc", "LessThan", 0.12, [0]),
            ("Metrics.auc", "LessThanOrEqualTo", 0.13, [0, 1]),
            ("Metrics.auc", "LessThan", 1e16, [0, 1, 2, 3]),
            ("Metrics.auc", "GreaterThan", -math.inf, [0, 1, 2, 3]),
            ("Metrics.auc.max", "GreaterThan", 0.11, [1, 2, 3]),
            ("Metrics.auc.min", "LessThan", 0.1, [0]),
            ("Metrics.auc.count", "Equals", 3, [0, 1, 2, 3]),
            ("Parameters.booster", "Contains", "DAR", [3]),
            ("Parameters.only", "Exists", None, [2]),
            ("Parameters.only", "NotExists", None, [0, 1, 3]),
            ("Parameters.depth", "In", [0, 3, 99], [0, 3]),
            ("Tags.team", "In", "blue, green", [0, 2]),
            ("Tags.team", "Equals", "red", [1, 3]),
            ("Status", "Equals", "Completed", [0, 1, 2, 3]),
            ("CreationTime", "LessThan", "2001-01-01T00:00:00Z", []),
            ("CreationTime", "GreaterThan", "2001-01-01", [0, 1, 2, 3]),
            ("Parameters.booster", "LessThan", 5, []),
        ],
    )
    def test_every_operator_compares_what_is_typed(self, searched, name, operator, value, found):
        rows = search("ExperimentTrialComponent", Filter(name, operator, value), experiment_name="searching", sort_order="Ascending")
        assert [row["TrialComponentName"] for row in rows] == [f"run-{place}" for place in found]

    def test_times_are_compared_as_times(self, searched):
        later = (searched + timedelta(days=1)).isoformat()
        assert (
            len(search(expression=Filter("CreationTime", "GreaterThan", searched - timedelta(seconds=1)), experiment_name="searching")) == 4
        )
        assert search(expression=Filter("CreationTime", "GreaterThan", later), experiment_name="searching") == []

    def test_expressions_are_nested(self, searched):
        described = {
            "Operator": "Or",
            "Filters": [{"Name": "Parameters.depth", "Value": "0"}],
            "SubExpressions": [
                {
                    "Filters": [
                        {"Name": "Tags.team", "Value": "red"},
                        {"Name": "Metrics.auc", "Operator": "GreaterThan", "Value": "0.25"},
                    ]
                }
            ],
        }
        found = search("ExperimentTrialComponent", described, experiment_name="searching", sort_by="Parameters.depth")
        assert [row["TrialComponentName"] for row in found] == ["run-3", "run-0"]
        inner = SearchExpression([Filter("Tags.team", "Equals", "red"), Filter("Parameters.depth", "Equals", 3)], operator="Or")
        both = SearchExpression([Filter("Metrics.auc", "GreaterThan", 0.15)], sub_expressions=[inner])
        assert [row["TrialComponentName"] for row in search(expression=both, experiment_name="searching")] == ["run-3"]
        assert list(found.frame()["Parameters.depth"]) == [3, 0]

    def test_what_is_no_number_comes_last(self):
        for place, auc in enumerate((0.2, math.nan, 0.3, 0.1)):
            with Run("sorted", f"r{place}") as run:
                run.log_metric("auc", auc)
        for order, wanted in (("Descending", ["r2", "r0", "r3", "r1"]), ("Ascending", ["r3", "r0", "r2", "r1"])):
            found = search(experiment_name="sorted", sort_by="Metrics.auc", sort_order=order)
            assert [row["TrialComponentName"] for row in found] == wanted

    def test_filters_of_an_element_are_of_one_and_the_same(self, searched):
        def of(place, media_type):
            filters = [
                Filter("InputArtifacts.value", "Equals", f"s3://rows/{place}"),
                Filter("InputArtifacts.media_type", "Contains", media_type),
            ]
            return SearchExpression(nested_filters=[NestedFilter("InputArtifacts", filters)])

        assert [row["TrialComponentName"] for row in search(expression=of(1, "csv"), experiment_name="searching")] == ["run-1"]
        assert search(expression=of(0, "csv"), experiment_name="searching") == []

    def test_experiments_are_found_too(self, searched):
        assert [row["ExperimentName"] for row in search("Experiment", Filter("ExperimentName", "Contains", "searchi"))] == ["searching"]
        assert tracking.property_names("parameters.b", experiment_name="searching") == ["Parameters.booster"]

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: Filter("a", "Like", 1), "operator must be one of"),
            (lambda: Filter("a", "Exists", 1), "takes no value"),
            (lambda: Filter("a"), "takes a value"),
            (lambda: SearchExpression([Filter("a", "Exists")] * 21), "20 filters"),
            (lambda: SearchExpression(), "needs a filter"),
            (lambda: SearchExpression.from_dict({"filters": []}), "has no filters"),
            (lambda: search("Endpoint"), "resource must be one of"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_no_search_is_refused(self, make, said):
        with pytest.raises(ValueError, match=said):
            make()


class TestLineage:
    @pytest.fixture
    def diamond(self, in_store):
        lineage = Lineage(in_store)
        top = lineage.artifact("s3://diamond/top", "DataSet")
        left, right = (lineage.artifact(f"s3://diamond/{side}", "DataSet") for side in ("left", "right"))
        bottom = lineage.artifact("s3://diamond/bottom", "Model", properties={"owner": "me"})
        for one in (left, right):
            lineage.associate(top, one, "DerivedFrom")
            lineage.associate(one, bottom)
        return lineage, top, left, right, bottom

    def test_a_diamond(self, diamond):
        lineage, top, left, _, bottom = diamond

        def names(*arguments, **options):
            return {entity.source_uri.rpartition("/")[2] for entity in lineage.query(*arguments, **options).entities}

        assert names(left, "Both") == {"top", "right", "bottom"} and len(lineage.query(left, "Both").edges) == 4
        assert names(left, "Ascendants") == {"top"} and names(left, "Descendants") == {"bottom"}
        assert names(left, "Both", 1) == {"top", "bottom"}
        assert names(bottom, "Ascendants") == {"left", "right", "top"}
        assert names("s3://diamond/top", "Descendants", types=["Model"]) == {"bottom"}
        assert names(top, properties={"owner": "me", "other": "x"}) == {"bottom"}
        assert names(top, created_after=datetime.now(timezone.utc) + timedelta(hours=1)) == set()
        assert lineage.query(left, include_edges=False).edges == [] and len(lineage.query(left, max_results=1).entities) == 1
        assert len(lineage.frame().query("source_name == 's3://diamond/top'")) == 2

    def test_an_address_is_one_artifact(self, diamond):
        lineage, top, *_ = diamond
        again = lineage.artifact("s3://diamond/top", "DataSet", properties={"rows": 5})
        assert again.id == top.id and again.properties == {"rows": "5"}
        assert lineage.find("s3://diamond/top").id == top.id

    def test_from_rows_to_endpoint_and_back(self, in_store):
        lineage = Lineage(in_store)
        rows, model = lineage.artifact("s3://way/rows", "DataSet"), lineage.artifact("s3://way/model", "Model")
        with Run("way") as run:
            lineage.associate(rows, run)
            lineage.associate(run, model, "Produced")
        endpoint = lineage.deploy(model, "way-endpoint")
        assert [one.id for one in lineage.datasets_of(endpoint)] == [rows.id] == [one.id for one in lineage.datasets_of(run)]
        assert [one.id for one in lineage.models_of("s3://way/rows")] == [model.id]
        assert [one.name for one in lineage.endpoints_of(rows)] == ["way-endpoint"]
        assert [one.id for one in lineage.jobs_of(endpoint)] == [run.run_id]

    def test_a_depth_is_a_number_of_edges_and_circles_end(self):
        chain = [Edge(str(place), str(place + 1), "ContributedTo") for place in range(20)]
        assert walk("0", chain, "Descendants", 10)[0] == [str(place) for place in range(1, 11)]
        assert walk("5", chain, "Both", 2)[0] == ["4", "6", "3", "7"]
        assert set(walk("0", [*chain, Edge("20", "0", "SameAs")], "Descendants", 50)[0]) == {str(place) for place in range(1, 21)}

    @pytest.mark.parametrize("options", [{"max_depth": 11}, {"max_results": 51}, {"types": ["x"] * 6}, {"direction": "Up"}], ids=str)
    def test_limits_are_those_of_the_service(self, diamond, options):
        lineage, top, *_ = diamond
        with pytest.raises(ValueError):
            lineage.query(top, **options)


OFF = """
import sys
import sparkml_algos
from sparkml_algos import KMeans, tracking, tuning
from sparkml_algos.core import estimator, recording
assert recording.recorder is None
libraries = ("mlflow", "sqlalchemy", "alembic")
print(sorted(name for name in sys.modules if name.split(".")[0] in libraries or "sparkml_algos.tracking." in name))
"""


class TestOff:
    def test_nothing_is_imported(self):
        done = subprocess.run([sys.executable, "-c", OFF], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

    def test_fits_ask_nobody_once_the_last_block_has_ended(self):
        assert recording.recorder is None
        with Run("nesting"):
            with Run("nesting"):
                assert recording.recorder is not None
            assert recording.recorder is not None
        assert recording.recorder is None
        tracking.autolog()
        assert recording.recorder is not None
        tracking.autolog(disable=True)
        assert recording.recorder is None
