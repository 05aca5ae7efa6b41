"""What may be tuned: several Estimators, stages of a Pipeline, several objectives; and how the service describes these."""

from __future__ import annotations

import pytest
from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.param import Param, Params, TypeConverters

from sparkml_algos import PCA, KMeans, LinearLearnerBinaryClassifier, XGBoostClassifier
from sparkml_algos.tuning import CategoricalParameter, ContinuousParameter, HyperparameterTuner, IntegerParameter, WarmStartConfig
from sparkml_algos.tuning.definitions import Definition
from sparkml_algos.tuning.trial import Objective
from tests.tuning.searching import job_of

pytest.importorskip("optuna")

ETA = {"eta": ContinuousParameter(0.01, 1.0)}
RATE = {"learning_rate": ContinuousParameter(0.001, 0.1)}
AUC = [Objective("validation:auc", True)]


def estimators():
    marked = {"validationIndicatorCol": "held_out"}
    return {"trees": XGBoostClassifier(**marked), "line": LinearLearnerBinaryClassifier(**marked)}


def several(**options):
    given = {
        "objective_metric_name": {"trees": "validation:auc", "line": "validation:roc_auc_score"},
        "hyperparameter_ranges": {"trees": ETA, "line": RATE},
        "max_jobs": 10,
    }
    return HyperparameterTuner(estimators(), **{**given, **options})


class Shift(Transformer):
    """A stage of somebody else, whose Param Spark converts."""

    by = Param(Params._dummy(), "by", "how far", TypeConverters.toFloat)
    centred = Param(Params._dummy(), "centred", "whether", TypeConverters.toBoolean)

    def __init__(self):
        super().__init__()
        self._setDefault(by=1.0, centred=True)

    def _transform(self, dataset):
        return dataset


class TestSeveralEstimators:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"hyperparameter_ranges": {"trees": ETA}}, "hyperparameter_ranges must be for each of the estimators trees, line, got trees"),
            ({"hyperparameter_ranges": ETA}, "must be for each"),
            ({"hyperparameter_ranges": {"trees": ETA, "line": {}}}, "hyperparameter_ranges of 'line' is required"),
            ({"hyperparameter_ranges": {"trees": ETA, "line": ETA}}, "eta is no hyperparameter of LinearLearnerBinaryClassifier"),
            ({"objective_metric_name": {"trees": "validation:auc"}}, "objective_metric_name must be for each"),
            ({"objective_metric_name": ["a", "b"]}, "have one objective each"),
            ({"early_stopping_type": "Auto"}, "takes no early_stopping_type 'Auto'"),
            ({"strategy": "Hyperband"}, "takes no strategy 'Hyperband'"),
            ({"autotune": True}, "takes no autotune"),
            ({"max_jobs": 1}, "max_jobs must be 2 or more"),
        ],
    )
    def test_settings_that_do_not_go_together_are_refused(self, options, said):
        with pytest.raises(ValueError, match=said):
            several(**options)

    def test_a_warm_start_is_refused_both_ways(self):
        parent = job_of()
        parent.end("Completed")
        with pytest.raises(ValueError, match="takes no warm_start_config"):
            several(warm_start_config=WarmStartConfig("TransferLearning", [parent]))
        past = several()._new_job()
        past.end("Completed")
        with pytest.raises(ValueError, match="has tuned several estimators"):
            HyperparameterTuner(XGBoostClassifier(), "validation:auc", ETA, warm_start_config=WarmStartConfig("TransferLearning", [past]))

    def test_more_than_ten_and_none_are_refused(self):
        many = {f"trees {place}": XGBoostClassifier() for place in range(11)}
        with pytest.raises(ValueError, match="has 10 estimators at most, got 11"):
            HyperparameterTuner(many, "validation:auc", dict.fromkeys(many, ETA), max_jobs=20)
        with pytest.raises(ValueError, match="has one or more, each with a name"):
            HyperparameterTuner({}, "validation:auc", {})

    def test_a_grid_is_that_of_all(self):
        ranges = {"trees": {"max_depth": CategoricalParameter([1, 2, 3])}, "line": {"wd": CategoricalParameter([0.0, 0.1])}}
        assert several(hyperparameter_ranges=ranges, strategy="Grid", max_jobs=None).max_jobs == 5
        with pytest.raises(ValueError, match="the grids have 5 combinations"):
            several(hyperparameter_ranges=ranges, strategy="Grid", max_jobs=6)

    def test_the_services_json_goes_in_and_out(self):
        tuner = several(random_seed=3, max_parallel_jobs=2)
        config = tuner.to_config()
        trees, line = config["TrainingJobDefinitions"]
        assert trees["TuningObjective"] == {"MetricName": "validation:auc", "Type": "Maximize"}
        assert line["HyperParameterRanges"]["ContinuousParameterRanges"][0]["Name"] == "learning_rate"
        assert "HyperParameterTuningJobObjective" not in config["HyperParameterTuningJobConfig"]
        trees["StaticHyperParameters"]["num_round"] = "40"
        again = HyperparameterTuner.from_config(estimators(), config)
        assert again.estimator["trees"].value("num_round") == 40
        assert again.to_config() == config
        with pytest.raises(ValueError, match="must be of the estimators trees, got trees, line"):
            HyperparameterTuner.from_config({"trees": XGBoostClassifier()}, config)
        line["TuningObjective"]["Type"] = "Minimize"
        with pytest.raises(ValueError, match="objectives of several definitions must compare"):
            HyperparameterTuner.from_config(estimators(), config)

    def test_the_services_sdk_names_them_so(self):
        tuner = HyperparameterTuner.create(estimators(), {"trees": "a", "line": "b"}, {"trees": ETA, "line": RATE}, max_jobs=4)
        assert tuner.to_config() == several(objective_metric_name={"trees": "a", "line": "b"}, max_jobs=4).to_config()

    def test_a_job_says_whose_trial_each_is(self):
        job = several()._new_job()
        described = job.describe()
        assert [one["DefinitionName"] for one in described["TrainingJobDefinitions"]] == ["trees", "line"]
        assert described["ResolvedScalingTypes"] == {"trees: eta": "Logarithmic", "line: learning_rate": "Logarithmic"}
        assert job.objectives("line") == [Objective("validation:roc_auc_score", True)]


class TestStages:
    def definition(self, ranges, stages=None):
        self.stages = stages or [PCA(num_components=2, outputCol="reduced"), Shift()]
        return Definition(Pipeline(stages=[*self.stages, XGBoostClassifier(featuresCol="reduced")]), ranges, AUC)

    def test_a_range_may_be_named_by_param_or_by_class(self):
        stages = [PCA(num_components=2), Shift(), Shift()]
        ranges = {stages[0].num_components: IntegerParameter(1, 3), stages[2].by: ContinuousParameter(0, 1), "eta": ETA["eta"]}
        by_param = self.definition(ranges, stages)
        assert list(by_param.ranges) == ["PCA.num_components", "Shift_2.by", "eta"]
        assert list(self.definition(by_param.ranges, stages).ranges) == list(by_param.ranges)
        assert list(by_param.inner) == ["PCA.num_components", "Shift_2.by"]
        assert by_param.problems() == []

    def test_a_param_of_the_last_stage_is_its_hyperparameter(self):
        last = XGBoostClassifier()
        assert list(Definition(Pipeline(stages=[Shift(), last]), {last.eta: ETA["eta"]}, AUC).ranges) == ["eta"]
        assert list(Definition(last, {last.eta: ETA["eta"]}, AUC).ranges) == ["eta"]

    @pytest.mark.parametrize(
        ("ranges", "said"),
        [
            ({"Shift.far": IntegerParameter(1, 2)}, "Shift.far is no hyperparameter of XGBoostClassifier, nor is it a Param of PCA, Shift"),
            ({"PCA.num_components": IntegerParameter(0, 3)}, "num_components must be an int"),
            ({"Shift.by": CategoricalParameter(["far"])}, "the range of Shift.by has values that it does not take"),
            ({"Shift.centred": CategoricalParameter([1.5])}, "the range of Shift.centred has values"),
        ],
    )
    def test_what_a_stage_does_not_take_is_refused(self, ranges, said):
        assert any(said in problem for problem in self.definition(ranges).problems())

    def test_a_param_of_a_stranger_is_refused(self):
        with pytest.raises(ValueError, match="is a Param of no stage that is tuned"):
            self.definition({KMeans().k: IntegerParameter(2, 3)})

    def test_a_setting_reaches_the_stages_it_is_of(self):
        definition = self.definition({"PCA.num_components": IntegerParameter(1, 5), "Shift.by": ContinuousParameter(0, 9), **ETA})
        setting = {"PCA.num_components": 4, "Shift.by": 3, "eta": 0.5}
        pca, shift = definition.stages_with(setting)
        assert (pca.value("num_components"), shift.getOrDefault("by")) == (4, 3.0)
        assert definition.tail_with(setting).value("eta") == 0.5
        assert definition.changes(setting) == {"eta": 0.5}
        whole = definition.estimator_with(setting).getStages()
        assert (whole[0].value("num_components"), whole[1].getOrDefault("by"), whole[2].value("eta")) == (4, 3.0, 0.5)
        assert self.stages[0].value("num_components") == 2  # what was given stays as it was

    def test_settings_that_differ_in_the_last_stage_only_have_the_same_rows(self):
        definition = self.definition({"Shift.by": ContinuousParameter(0, 9), **ETA})
        key = definition.key({"Shift.by": 3.0, "eta": 0.5})
        assert key == definition.key({"eta": 0.1, "Shift.by": 3.0}) != definition.key({"Shift.by": 4.0, "eta": 0.5})
        assert self.definition(ETA).key({"eta": 0.1}) == ""
        assert (definition.first_tuned, self.definition(ETA).first_tuned) == (1, 2)

    def test_text_of_a_description_is_what_it_says(self):
        definition = self.definition(
            {"Shift.by": CategoricalParameter(["1", "2.5"]), "Shift.centred": CategoricalParameter(["False", "true"])}
        )
        assert definition.problems() == []
        _, shift = definition.stages_with({"Shift.by": "2.5", "Shift.centred": "False"})
        assert (shift.getOrDefault("by"), shift.getOrDefault("centred")) == (2.5, False)

    def test_searches_with_other_stages_have_other_names_in_a_store(self, tmp_path):
        def name(components, ranges):
            stages = [PCA(num_components=components, outputCol="reduced"), XGBoostClassifier(featuresCol="reduced")]
            return HyperparameterTuner(Pipeline(stages=stages), "train:auc", ranges, store=tmp_path)._new_job().name

        inner = {"PCA.num_components": IntegerParameter(1, 3)}
        names = [name(2, ETA), name(3, ETA), name(2, {**ETA, **inner})]
        assert len(set(names)) == 3
        assert name(2, ETA) == names[0]


class TestSeveralObjectives:
    def tuner(self, **options):
        given = {"objective_metric_name": ["validation:auc", "validation:logloss"], "objective_type": ["Maximize", "Minimize"]}
        return HyperparameterTuner(XGBoostClassifier(validationIndicatorCol="held_out"), hyperparameter_ranges=ETA, **{**given, **options})

    def test_a_job_knows_them(self):
        job = self.tuner()._new_job()
        assert job.objectives() == [Objective("validation:auc", True), Objective("validation:logloss", False)]
        assert job.describe()["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"] == "validation:auc"
        assert self.tuner(objective_type="Minimize")._objectives("") == [
            Objective("validation:auc", False),
            Objective("validation:logloss", False),
        ]

    def test_the_training_emits_all_of_them(self):
        definition = self.tuner()._definitions()[0]
        assert {"auc", "logloss"} <= set(
            str(definition.with_metric().value("eval_metric")).replace("'", "").strip("[]").replace(" ", "").split(",")
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"objective_type": ["Maximize"]}, "objective_type has 1 entries and objective_metric_name 2"),
            ({"objective_type": ["Maximize", "Least"]}, "got 'Least'"),
            ({"objective_metric_name": ["validation:auc", "validation:auc"]}, "names some twice"),
            ({"objective_metric_name": []}, "objective_metric_name is required"),
            ({"objective_metric_name": {"trees": "validation:auc"}}, "is a dict, which is for a dict of estimators"),
            ({"early_stopping_type": "Auto"}, "several objectives do not go with early_stopping_type 'Auto'"),
            ({"strategy": "Hyperband", "strategy_config": {"MaxResource": 9}}, "do not go with strategy 'Hyperband'"),
            ({"completion_criteria_config": {"TargetObjectiveMetricValue": 1}}, "do not go with completion_criteria_config"),
        ],
    )
    def test_what_is_about_one_is_refused(self, options, said):
        with pytest.raises(ValueError, match=said):
            self.tuner(**options)


def test_what_is_not_of_this_package_is_refused():
    class Other(Estimator):
        def _fit(self, dataset):
            raise NotImplementedError

    for estimator, got in ((Other(), "got Other"), (Pipeline(stages=[]), "got an empty Pipeline")):
        with pytest.raises(ValueError, match=f"must be one of this package, or a Pipeline that ends with one, {got}"):
            HyperparameterTuner(estimator, "validation:auc", ETA)
