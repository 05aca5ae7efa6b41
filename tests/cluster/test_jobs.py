"""Spark's UI says what a job is for."""

from __future__ import annotations

import threading

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import KMeans, warm_up
from sparkml_algos.cluster import shipping
from sparkml_algos.cluster.interpreters import ask_an_executor
from sparkml_algos.cluster.jobs import DESCRIPTION, described, is_connect
from sparkml_algos.core.model import AlgorithmModel


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    return spark.range(0, 400, 1, 2).select(F.array(F.randn(1), F.randn(2)).alias("features"))


@pytest.fixture
def classic(spark: SparkSession) -> SparkSession:
    if is_connect(spark):
        pytest.skip("Spark Connect describes jobs by their plans")
    return spark


def descriptions(spark: SparkSession) -> dict[int, str | None]:
    """Of the jobs that Spark remembers, which are not all of a long session, by their numbers."""
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    found = context.statusStore().jobsList(None)
    jobs = [found.apply(index) for index in range(found.size())]
    return {job.jobId(): job.description().get() if job.description().isDefined() else None for job in jobs}


def described_by(spark: SparkSession, work) -> set[str | None]:
    """The descriptions of the jobs that `work` starts."""
    last = max(descriptions(spark), default=-1)
    work()
    return {text for number, text in descriptions(spark).items() if number > last}


def fitted(data: DataFrame, **settings) -> AlgorithmModel:
    return KMeans(k=3, num_workers=2, **settings).fit(data)


@pytest.mark.parametrize("launch", ["barrier", "gang"])
def test_a_fit_is_called_by_what_it_fits(data: DataFrame, classic: SparkSession, launch: str) -> None:
    assert described_by(classic, lambda: fitted(data, launch=launch)) == {"KMeans k=3, 2 workers: train"}


def test_a_single_worker_is_one(data: DataFrame, classic: SparkSession) -> None:
    assert described_by(classic, lambda: KMeans(k=3, num_workers=1).fit(data)) == {"KMeans k=3, 1 worker: train"}


def test_several_fits_at_once_are_counted(data: DataFrame, classic: SparkSession) -> None:
    estimator = KMeans(k=3, num_workers=2)
    found = described_by(classic, lambda: dict(estimator.fitMultiple(data, [{estimator.k: 2}, {estimator.k: 3}])))
    assert found == {"KMeans, 2 models, 2 workers: train"}


def test_a_way_to_every_worker_costs_no_job(data: DataFrame, classic: SparkSession) -> None:
    found = described_by(classic, lambda: fitted(data, data_distribution="FullyReplicated"))
    assert found == {"KMeans k=3, 2 workers: train"}


def test_evaluating_warming_up_and_asking_for_libraries_are_told_apart(
    data: DataFrame, classic: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(data)
    assert described_by(classic, lambda: model.evaluate(data)) == {"KMeansModel k=3: evaluate"}
    assert described_by(classic, lambda: warm_up(classic).result()) == {"sparkml_algos: start Python workers"}
    monkeypatch.setattr(shipping, "_known", {})
    monkeypatch.setattr(shipping, "is_here", lambda session: False)
    asking = described_by(classic, lambda: shipping.ensure_importable(classic))
    assert asking == {"sparkml_algos: see what Python the executors have"}
    assert described_by(classic, lambda: ask_an_executor(classic, [])) == {None}


@pytest.mark.parametrize("own", [None, "mine"])
def test_the_user_s_own_description_is_put_back(data: DataFrame, classic: SparkSession, own: str | None) -> None:
    context = classic.sparkContext
    context.setLocalProperty(DESCRIPTION, own)
    try:
        model = fitted(data)
        assert context.getLocalProperty(DESCRIPTION) == own
        model.evaluate(data)
        with pytest.raises(ValueError, match="num_workers=1000"):
            KMeans(k=3, num_workers=1000).fit(data)
        assert context.getLocalProperty(DESCRIPTION) == own
    finally:
        context.setLocalProperty(DESCRIPTION, None)


def test_other_threads_are_not_concerned(classic: SparkSession) -> None:
    seen = []
    with described(classic, "this thread's"):
        assert classic.sparkContext.getLocalProperty(DESCRIPTION) == "this thread's"
        thread = threading.Thread(target=lambda: seen.append(classic.sparkContext.getLocalProperty(DESCRIPTION)))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_connect_client_tags_its_operations(spark: SparkSession, data: DataFrame) -> None:
    if not is_connect(spark):
        pytest.skip("needs SPARKML_ALGOS_TEST_SESSION=connect")
    spark.addTag("mine")
    try:
        with described(spark, "KMeans k=3, 2 workers: train"):
            assert set(spark.getTags()) == {"mine", "KMeans k=3; 2 workers: train"}
        fitted(data).evaluate(data)
        assert set(spark.getTags()) == {"mine"}
    finally:
        spark.removeTag("mine")
