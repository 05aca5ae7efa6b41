"""The connector's interface piece by piece; whole programs are in `test_connector_programs`."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DoubleType, StructField, StructType

from sparkml_algos import XGBoostClassificationModel
from sparkml_algos.compat import sagemaker_pyspark as connector
from sparkml_algos.compat.sagemaker_pyspark import algorithms, notice
from sparkml_algos.compat.sagemaker_pyspark.transformation import deserializers, serializers
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import deserializers as deep_deserializers
from sparkml_algos.compat.sagemaker_pyspark.transformation.serializers import serializers as deep_serializers

INSTANCES = ("ml.m4.xlarge", 2, "ml.c4.xlarge", 1)
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"

OF_EVERY_CONSTRUCTOR = [
    "trainingInstanceType", "trainingInstanceCount", "endpointInstanceType", "endpointInitialInstanceCount", "sagemakerRole",
    "requestRowSerializer", "responseRowDeserializer", "trainingInputS3DataPath", "trainingOutputS3DataPath",
    "trainingInstanceVolumeSizeInGB", "trainingProjectedColumns", "trainingChannelName", "trainingContentType",
    "trainingS3DataDistribution", "trainingSparkDataFormat", "trainingSparkDataFormatOptions", "trainingInputMode",
    "trainingCompressionCodec", "trainingMaxRuntimeInSeconds", "trainingKmsKeyId", "modelEnvironmentVariables", "endpointCreationPolicy",
    "sagemakerClient", "region", "s3Client", "stsClient", "modelPrependInputRowsToTransformationRows", "deleteStagingDataAfterTraining",
    "namePolicyFactory", "uid",
]  # fmt: skip


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Two groups of rows with a class each, columns ``kind``, ``point`` and ``note``."""
    random = np.random.default_rng(0)
    groups = np.arange(60) % 2
    points = random.normal(size=(60, 2)) + 6 * groups[:, None]
    data = [(float(group), Vectors.dense(point), "x") for group, point in zip(groups, points, strict=True)]
    return spark.createDataFrame(data, ["kind", "point", "note"]).cache()


@pytest.fixture(scope="module")
def model(rows: DataFrame) -> connector.SageMakerModel:
    """K-means by the name of its image, without input columns in the result."""
    estimator = connector.SageMakerEstimator(
        IMAGE,
        IMAGE,
        *INSTANCES,
        serializers.ProtobufRequestRowSerializer(featuresColumnName="point"),
        deserializers.ProtobufResponseRowDeserializer(StructType([StructField("group", DoubleType())]), ["closest_cluster"]),
        hyperParameters={"k": "2", "feature_dim": "2"},
        trainingSparkDataFormatOptions={"featuresColumnName": "point"},
        trainingProjectedColumns=["point"],
        modelPrependInputRowsToTransformationRows=False,
        namePolicyFactory=connector.CustomNamePolicyFactory("job", "model", "config", "endpoint"),
    )
    fitted = estimator.fit(rows)
    assert estimator.hyperParameters == {"k": "2", "feature_dim": "2"} and estimator.latestTrainingJob == "job"
    return fitted


@pytest.mark.parametrize("name", algorithms.__all__)
def test_constructors_take_their_arguments_in_the_order_of_the_connector_and_keep_them(name: str) -> None:
    cls = getattr(algorithms, name)
    assert list(inspect.signature(cls).parameters) == OF_EVERY_CONSTRUCTOR
    role, path = connector.IAMRole("Trainer"), connector.S3DataPath("bucket", "in")
    estimator = cls(*INSTANCES, role, None, None, path, trainingMaxRuntimeInSeconds=1, uid="sagemaker")
    assert estimator.sagemakerRole is role and estimator.trainingInputS3DataPath.toS3UriString() == "s3://bucket/in"
    assert (estimator.trainingInstanceCount, estimator.trainingMaxRuntimeInSeconds, estimator.uid) == (2, 1, "sagemaker")
    assert estimator.trainingKmsKeyId is None and estimator.trainingInstanceVolumeSizeInGB == 1024
    assert estimator.trainingSparkDataFormat == ("libsvm" if name.startswith("XGBoost") else "sagemaker")
    assert estimator.latestTrainingJob is None
    with pytest.raises(NotImplementedError, match="cannot be copied"):
        estimator.copy({})


def test_setters_return_nothing_getters_give_the_types_of_the_connector() -> None:
    linear = algorithms.LinearLearnerBinaryClassifier(*INSTANCES)
    assert linear.setNumModels(3) is None and linear.getNumModels() == "3"
    linear.setUseBias("False")
    linear.setLearningRate(0.5)
    assert linear.getUseBias() is False and linear.getLearningRate() == "0.5"
    kmeans = algorithms.KMeansSageMakerEstimator(*INSTANCES)
    assert kmeans.getK() == 2
    for accessor, value in {
        "MaxIter": 7,
        "Tol": 0.1,
        "HalflifeTime": 3,
        "CenterFactor": "auto",
        "TrialNum": "5",
        "EvalMetrics": "msd,ssd",
    }.items():
        getattr(kmeans, f"set{accessor}")(value)
        assert getattr(kmeans, f"get{accessor}")() == value
    boosted = algorithms.XGBoostSageMakerEstimator(*INSTANCES)
    boosted.setLambda(2.0)
    boosted.setSilent(1)
    assert boosted.hyperParameters == {"lambda": "2.0", "silent": "1"}
    native = boosted.native_estimator()
    assert native.value("lambda") == 2.0 and native.getVerbosity() == 0


def test_defaults_are_those_of_the_connector() -> None:
    assert algorithms.PCASageMakerEstimator(*INSTANCES).hyperParameters == {"subtract_mean": "True"}
    assert algorithms.LinearLearnerMultiClassClassifier(*INSTANCES).hyperParameters == {"predictor_type": "multiclass_classifier"}
    assert algorithms.LDASageMakerEstimator(*INSTANCES).hyperParameters == {}


@pytest.mark.parametrize(
    ("name", "setter", "value"),
    [
        ("KMeansSageMakerEstimator", "setK", 0),
        ("LinearLearnerRegressor", "setUseBias", "some-value"),
        ("LinearLearnerRegressor", "setLoss", "some-value"),
        ("XGBoostSageMakerEstimator", "setSilent", 2),
        ("XGBoostSageMakerEstimator", "setObjective", "some-value"),
        ("FactorizationMachinesRegressor", "setEpochs", -1),
    ],
)
def test_values_out_of_range_are_refused_when_set(name: str, setter: str, value: object) -> None:
    with pytest.raises(ValueError):
        getattr(getattr(algorithms, name)(*INSTANCES), setter)(value)


def test_the_objective_chooses_the_estimator_and_ranking_is_refused() -> None:
    boosted = algorithms.XGBoostSageMakerEstimator(*INSTANCES)
    assert type(boosted.native_estimator()).__name__ == "XGBoostRegressor"
    boosted.setObjective("binary:logistic")
    assert type(boosted.native_estimator()).__name__ == "XGBoostClassifier"
    with pytest.raises(ValueError, match="one of 'reg:squarederror'"):
        boosted.setObjective("rank:pairwise")
    with pytest.raises(ValueError, match=r"XGBoostRanker\(groupCol"):
        generic = connector.SageMakerEstimator("xgboost", "xgboost", *INSTANCES, None, None, {"objective": "rank:pairwise", "num_round": 5})
        generic.native_estimator()


def test_what_the_connector_takes_of_the_distribution_becomes_ours() -> None:
    options = {"trainingS3DataDistribution": "FullyReplicated", "trainingInputMode": "Pipe"}
    native = algorithms.KMeansSageMakerEstimator(*INSTANCES, **options).native_estimator()
    assert (native.getNumWorkers(), native.getDataDistribution(), native.getInputMode()) == (2, "FullyReplicated", "Pipe")


def test_images_of_ones_own_are_refused() -> None:
    with pytest.raises(ValueError, match="none of those whose algorithms train on this cluster"):
        connector.SageMakerEstimator("registry/mine:3", "registry/mine:3", *INSTANCES, None, None)


def test_deep_paths_are_those_of_the_connector() -> None:
    assert deep_serializers.ProtobufRequestRowSerializer is serializers.ProtobufRequestRowSerializer
    assert deep_deserializers.XGBoostCSVRowDeserializer is deserializers.XGBoostCSVRowDeserializer


def test_name_policies_name_what_belongs_to_a_training() -> None:
    names = ("job", "model", "config", "endpoint")
    plain = connector.CustomNamePolicyFactory(*names).createNamePolicy()
    assert (plain.trainingJobName, plain.modelName, plain.endpointConfigName, plain.endpointName) == names
    timed = connector.CustomNamePolicyWithTimeStampSuffixFactory(*names).createNamePolicy()
    assert timed.modelName.startswith("model-20") and timed.endpointName.startswith("endpoint-20")
    first, second = (connector.RandomNamePolicyFactory("a-").createNamePolicy() for _ in range(2))
    assert first.trainingJobName.startswith("a-") and first.trainingJobName != second.trainingJobName


def test_a_client_that_is_used_says_that_there_is_none() -> None:
    with pytest.raises(AttributeError, match="no client of S3 here"):
        connector.SageMakerClients.create_s3_default_client().list_buckets()


def test_the_result_has_the_columns_of_the_deserializer_alone_where_rows_are_not_prepended(
    rows: DataFrame, model: connector.SageMakerModel
) -> None:
    assert model.transform(rows).dtypes == [("group", "double")]
    assert model.transformSchema(rows.schema).fieldNames() == ["group"]
    assert {row.group for row in model.transform(rows).collect()} == {0.0, 1.0}


def test_saved_models_are_loaded_in_place_of_jobs_paths_and_endpoints(
    rows: DataFrame, model: connector.SageMakerModel, tmp_path: Path
) -> None:
    path = str(tmp_path / "model")
    model.nativeModel.save(path)
    formats = (serializers.ProtobufRequestRowSerializer(featuresColumnName="point"), deserializers.KMeansProtobufResponseRowDeserializer())
    loaded = [
        connector.SageMakerModel.fromTrainingJob(path, IMAGE, "role", "ml.m4.xlarge", 1, *formats),
        connector.SageMakerModel.fromModelS3Path(path, IMAGE, "role", "ml.m4.xlarge", 1, *formats),
        connector.SageMakerModel.fromEndpoint(path, *formats),
    ]
    for one in loaded:
        assert one.transform(rows).columns == ["kind", "point", "note", "distance_to_cluster", "closest_cluster"]
        np.testing.assert_array_equal(one.nativeModel.cluster_centers, model.nativeModel.cluster_centers)
    assert loaded[2].endpointName == path
    assert loaded[0].transformSchema(rows.schema).fieldNames()[-2:] == ["distance_to_cluster", "closest_cluster"]


def test_a_place_without_a_model_is_refused_when_the_model_is_made_or_when_it_transforms(spark: SparkSession, tmp_path: Path) -> None:
    formats = (serializers.ProtobufRequestRowSerializer(), deserializers.KMeansProtobufResponseRowDeserializer())
    where = (str(tmp_path / "nothing"), IMAGE, "role", "ml.m4.xlarge", 1, *formats)
    with pytest.raises(ValueError, match="no path of a model"):
        connector.SageMakerModel.fromModelS3Path(*where)
    later = connector.SageMakerModel.fromModelS3Path(*where, endpointCreationPolicy=connector.EndpointCreationPolicy.CREATE_ON_TRANSFORM)
    with pytest.raises(ValueError, match="no path of a model"):
        later.transform(spark.range(1))


def test_a_deserializer_of_another_algorithm_is_refused(rows: DataFrame, model: connector.SageMakerModel) -> None:
    other = connector.SageMakerModel(
        endpointInstanceType=None,
        endpointInitialInstanceCount=None,
        requestRowSerializer=model.requestRowSerializer,
        responseRowDeserializer=deserializers.PCAProtobufResponseRowDeserializer(),
        nativeModel=model.nativeModel,
    )
    with pytest.raises(ValueError, match=r"answers distance_to_cluster, closest_cluster; PCA\w+ wants projection"):
        other.transform(rows)
    other.responseRowDeserializer = deserializers.KMeansProtobufResponseRowDeserializer("distance", "note")
    with pytest.raises(ValueError, match="has columns note already"):
        other.transform(rows)


def test_binary_logistic_predicts_the_probability_that_the_library_predicts(rows: DataFrame) -> None:
    options = {"trainingSparkDataFormatOptions": {"featuresColumnName": "point", "labelColumnName": "kind"}}
    estimator = algorithms.XGBoostSageMakerEstimator(
        *INSTANCES, requestRowSerializer=serializers.LibSVMRequestRowSerializer(featuresColumnName="point"), **options
    )
    estimator.setObjective("binary:logistic")
    estimator.setNumRound(3)
    fitted = estimator.fit(rows)
    found = fitted.transform(rows).collect()
    assert isinstance(fitted.nativeModel, XGBoostClassificationModel)
    import xgboost as xgb

    booster = fitted.nativeModel.get_booster()
    booster.feature_names = None
    expected = booster.predict(xgb.DMatrix(np.stack([row.point.toArray() for row in found])))
    np.testing.assert_allclose([row.prediction for row in found], expected, rtol=1e-5)


def test_linear_classifiers_answer_a_vector_of_many_classes_and_the_raw_score_of_a_hinge(rows: DataFrame) -> None:
    options = {"trainingSparkDataFormatOptions": {"featuresColumnName": "point", "labelColumnName": "kind"}}
    serializer = serializers.ProtobufRequestRowSerializer(featuresColumnName="point")
    hinge = algorithms.LinearLearnerBinaryClassifier(*INSTANCES, requestRowSerializer=serializer, **options)
    hinge.setLoss("hinge_loss")
    hinge.setNumModels(1)
    hinge.setQuantile(0.3)  # of the regressor; the connector takes it of all
    scores = [row.score for row in hinge.fit(rows).transform(rows).collect()]
    assert min(scores) < 0 < max(scores)
    many = algorithms.LinearLearnerMultiClassClassifier(*INSTANCES, requestRowSerializer=serializer, **options)
    many.setNumClasses(3)
    many.setNumModels(1)
    scored = many.fit(rows).transform(rows)
    assert isinstance(scored.schema["score"].dataType, VectorUDT) and len(scored.first().score) == 3


def test_what_has_no_effect_is_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, rows: DataFrame) -> None:
    monkeypatch.setattr(notice, "_said", set())
    estimator = algorithms.PCASageMakerEstimator(*INSTANCES, trainingSparkDataFormatOptions={"featuresColumnName": "point"})
    estimator.setNumComponents(1)
    with caplog.at_level(logging.WARNING, notice.logger.name):
        estimator.fit(rows)
        estimator.fit(rows)
        for _ in range(2):
            connector.SageMakerResourceCleanup(None).deleteEndpoint("endpoint")
    assert [record.message.partition(":")[0].partition(" trains")[0] for record in caplog.records if record.name == notice.logger.name] == [
        "PCASageMakerEstimator",
        "SageMakerResourceCleanup",
    ]
    assert "num_workers=2 (trainingInstanceCount); without effect are roles" in caplog.text
